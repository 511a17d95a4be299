#include "namespace/payload/plain_text.h"

#include <charconv>

namespace trunkline::uns {

namespace {

/// Where the digits from `at` end; `at` when there is none.
std::size_t past_digits(std::string_view text, std::size_t at) {
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at;
}

struct Shape { bool valid = false, integer = true; };

/// RFC 8259, section 6.
Shape number_shape_of(std::string_view text) {
    Shape shape;
    std::size_t at = !text.empty() && text[0] == '-' ? 1 : 0;
    const std::size_t whole = past_digits(text, at);
    if (whole == at || (text[at] == '0' && whole > at + 1)) return shape;
    at = whole;
    if (at < text.size() && text[at] == '.') {
        const std::size_t end = past_digits(text, at + 1);
        if (end == at + 1) return shape;
        at = end;
        shape.integer = false;
    }
    if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
        ++at;
        if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
        const std::size_t end = past_digits(text, at);
        if (end == at) return shape;
        at = end;
        shape.integer = false;
    }
    shape.valid = at == text.size();
    return shape;
}

template <typename T>
std::optional<Number> read_as(std::string_view text) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return Number::of(value);
}

}  // namespace

std::optional<Number> parse_json_number(std::string_view text) {
    const Shape shape = number_shape_of(text);
    if (!shape.valid) return std::nullopt;
    if (shape.integer) return text[0] == '-' ? read_as<std::int64_t>(text) : read_as<std::uint64_t>(text);
    if (auto number = read_as<double>(text)) return number;
    // from_chars also refuses what is too small for a double, which as JSON reads as zero.
    const std::size_t exponent = text.find_first_of("eE");
    if (exponent != std::string_view::npos && text[exponent + 1] == '-') return Number::of(text[0] == '-' ? -0.0 : 0.0);
    return std::nullopt;
}

Datum plain_datum(std::string_view text, ValueType::Kind kind) {
    Datum datum;
    if (kind == ValueType::Kind::number || kind == ValueType::Kind::integer) {
        if (const auto number = parse_json_number(text)) {
            datum.kind = Datum::Kind::number;
            datum.number = *number;
            return datum;
        }
    } else if (kind == ValueType::Kind::boolean && (text == "true" || text == "false")) {
        datum.kind = Datum::Kind::boolean;
        datum.truth = text == "true";
        return datum;
    }
    datum.kind = Datum::Kind::string;
    datum.text = text;
    return datum;
}

}  // namespace trunkline::uns
