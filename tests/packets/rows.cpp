#include "tests/packets/rows.h"

#include <cctype>
#include <cstdio>
#include <cstdlib>

namespace trunkline::tests {
namespace {

[[noreturn]] void slip(std::string_view shorthand, const char* what) {
    std::fprintf(stderr, "packet table: %s in: %.*s\n", what, static_cast<int>(shorthand.size()), shorthand.data());
    std::abort();
}

std::string two_bytes(std::size_t value) { return {static_cast<char>(value >> 8), static_cast<char>(value)}; }

std::string variable_byte_integer(std::size_t value) {
    std::string bytes;
    do {
        const std::size_t digit = value % 128;
        value /= 128;
        bytes.push_back(static_cast<char>(digit | (value ? 128 : 0)));
    } while (value);
    return bytes;
}

/// Recursive descent over the shorthand of Row::bytes.
class Shorthand {
public:
    explicit Shorthand(std::string_view text) : text_(text) {}

    std::string group(char until) {
        std::string bytes;
        for (; at_ < text_.size(); ) {
            const char c = text_[at_++];
            if (c == until) return bytes;
            if (c == ' ') continue;
            if (c == '\'') bytes += quoted();
            else if (c == 's') bytes += text_with_length();
            else if (c == '[') bytes += with_length(']', variable_byte_integer);
            else if (c == '{') bytes += with_length('}', two_bytes);
            else bytes.push_back(hex(c));
        }
        if (until != '\0') slip(text_, "a group is not closed");
        return bytes;
    }

private:
    std::string quoted() {
        const std::size_t end = text_.find('\'', at_);
        if (end == text_.npos) slip(text_, "a quote is not closed");
        std::string bytes(text_.substr(at_, end - at_));
        at_ = end + 1;
        return bytes;
    }
    std::string text_with_length() {
        if (at_ >= text_.size() || text_[at_++] != '\'') slip(text_, "no quote after s");
        const std::string text = quoted();
        return two_bytes(text.size()) + text;
    }
    template <class Length>
    std::string with_length(char until, Length length) {
        const std::string inner = group(until);
        return length(inner.size()) + inner;
    }
    char hex(char first) {
        const auto digit = [&](char c) {
            if (!std::isxdigit(static_cast<unsigned char>(c))) slip(text_, "no hexadecimal digit");
            return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
        };
        if (at_ >= text_.size()) slip(text_, "half a byte");
        const int high = digit(first);
        return static_cast<char>(high * 16 + digit(text_[at_++]));
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace

std::string packet_bytes(std::string_view shorthand) { return Shorthand(shorthand).group('\0'); }

std::vector<mqtt::Version> versions_of(unsigned versions) {
    std::vector<mqtt::Version> list;
    if (versions & v5) list.push_back(mqtt::Version::v5);
    if (versions & v311) list.push_back(mqtt::Version::v311);
    if (versions & v31) list.push_back(mqtt::Version::v31);
    return list;
}

const std::vector<Row>& packet_rows() {
    static const std::vector<Row> rows = [] {
        std::vector<Row> table;
        for (const auto part : {connect_rows, publish_rows, acknowledgement_rows, subscription_rows, connection_rows,
                                property_rows}) {
            for (auto& row : part()) table.push_back(std::move(row));
        }
        return table;
    }();
    return rows;
}

}  // namespace trunkline::tests
