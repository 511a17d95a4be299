#include "namespace/payload/reading_scan.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "namespace/payload/reading.h"

namespace trunkline::uns {

namespace {

constexpr int digits_max = 15;    // fewer than 2^53: a double holds them all

constexpr std::array<double, digits_max + 1> powers_of_ten{1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                           1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

enum ReadingMember : unsigned { value_member, timestamp_member, quality_member, unit_member, further_member };

/// Walks the bytes. After any step that returned false nothing is known but that the long way must be taken.
class Scan {
public:
    explicit Scan(std::string_view payload) : at_(payload.data()), end_(at_ + payload.size()) {}

    bool take(char wanted) {
        skip_spaces();
        if (at_ == end_ || *at_ != wanted) return false;
        ++at_;
        return true;
    }

    bool string(std::string_view& text) {
        if (!take('"')) return false;
        const char* const start = at_;
        for (; at_ != end_; ++at_) {
            const auto c = static_cast<unsigned char>(*at_);
            if (c == '"') {
                text = {start, static_cast<std::size_t>(at_ - start)};
                ++at_;
                return true;
            }
            if (c < 0x20 || c >= 0x80 || c == '\\') return false;
        }
        return false;
    }

    bool scalar(Datum& datum) {
        skip_spaces();
        if (at_ == end_) return false;
        switch (*at_) {
        case '"': datum.kind = Datum::Kind::string; return string(datum.text);
        case 't': datum.truth = true; return word("true", datum);
        case 'f': datum.truth = false; return word("false", datum);
        default: return number(datum);
        }
    }

    /// Nothing but spaces is left.
    bool done() {
        skip_spaces();
        return at_ == end_;
    }

private:
    void skip_spaces() {
        while (at_ != end_ && *at_ == ' ') ++at_;
    }

    bool word(std::string_view wanted, Datum& datum) {
        if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(wanted)) return false;
        at_ += wanted.size();
        datum.kind = Datum::Kind::boolean;
        return true;    // what follows must be a comma or the end, which the caller wants next
    }

    /// Digits into `digits`; how many there were.
    int digits(std::uint64_t& sum) {
        const char* const start = at_;
        for (; at_ != end_ && *at_ >= '0' && *at_ <= '9'; ++at_)
            sum = sum * 10 + static_cast<std::uint64_t>(*at_ - '0');
        return at_ - start > digits_max ? digits_max + 1 : static_cast<int>(at_ - start);
    }

    bool number(Datum& datum) {
        const bool minus = *at_ == '-';
        if (minus) ++at_;
        const bool zero = at_ != end_ && *at_ == '0';
        std::uint64_t sum = 0;
        const int whole = digits(sum);
        if (whole == 0 || (zero && whole > 1)) return false;
        datum.kind = Datum::Kind::number;
        if (at_ == end_ || *at_ != '.') {
            if (whole > digits_max || is_exponent()) return false;
            datum.number = Number::of(minus ? -static_cast<std::int64_t>(sum) : static_cast<std::int64_t>(sum));
            return true;
        }
        ++at_;
        const int fraction = digits(sum);
        if (fraction == 0 || whole + fraction > digits_max || is_exponent()) return false;
        // Both are exact, so that their quotient is the double nearest to the decimal number.
        const double real = static_cast<double>(sum) / powers_of_ten[static_cast<std::size_t>(fraction)];
        datum.number = Number::of(minus ? -real : real);
        return true;
    }

    [[nodiscard]] bool is_exponent() const { return at_ != end_ && (*at_ == 'e' || *at_ == 'E'); }

    const char* at_;
    const char* end_;
};

template <std::size_t size>
bool is(std::string_view name, const char (&wanted)[size]) {
    return std::memcmp(name.data(), wanted, size - 1) == 0;
}

ReadingMember member_of(std::string_view name) {
    switch (name.size()) {
    case 5: return is(name, "value") ? value_member : further_member;
    case 9: return is(name, "timestamp") ? timestamp_member : further_member;
    case 7: return is(name, "quality") ? quality_member : further_member;
    case 4: return is(name, "unit") ? unit_member : further_member;
    default: return further_member;
    }
}

bool is_good_member(ReadingMember member, std::string_view name, const Datum& datum, const ValueCheck& value) {
    switch (member) {
    case value_member: return value.check(datum) == ValueCheck::Finding::ok;
    case timestamp_member: return timestamp_of(datum, true).has_value();
    case quality_member: return quality_of(datum).has_value();
    case unit_member:
        return datum.kind == Datum::Kind::string && (value.unit().empty() || datum.text == value.unit());
    case further_member: return meant_member(name).empty();
    }
    return false;
}

}  // namespace

bool is_good_reading(std::string_view payload, const ValueCheck& value) {
    Scan scan(payload);
    if (!scan.take('{')) return false;
    unsigned seen = 0;
    do {
        std::string_view name;
        if (!scan.string(name) || !scan.take(':')) return false;
        const ReadingMember member = member_of(name);
        if (seen >> member & 1) return false;
        seen |= 1u << member;
        Datum datum;
        if (!scan.scalar(datum) || !is_good_member(member, name, datum, value)) return false;
    } while (scan.take(','));
    constexpr unsigned needed = 1u << value_member | 1u << timestamp_member;
    return (seen & needed) == needed && scan.take('}') && scan.done();
}

}  // namespace trunkline::uns
