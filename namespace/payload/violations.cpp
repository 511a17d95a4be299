#include "namespace/payload/violations.h"

#include <cctype>

#include "namespace/payload/plain_text.h"
#include "namespace/payload/rules.h"
#include "namespace/payload/text.h"

namespace trunkline::uns {

namespace {

using Kind = ValueType::Kind;

bool is_word(std::string_view text, std::string_view word) {
    if (text.size() != word.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (std::tolower(static_cast<unsigned char>(text[i])) != word[i]) return false;
    }
    return true;
}

std::string fix_of_number(const Datum& datum, bool whole) {
    if (datum.kind == Datum::Kind::number) {
        if (std::isnan(datum.number.as_double())) return "send the last value with quality bad instead of NaN";
        return whole ? "round it to a whole number, or let the model say type: number" : "send a finite number";
    }
    if (datum.kind == Datum::Kind::string) {
        const std::string number = number_within(datum.text);
        if (!number.empty()) return "send the number without quotes: " + number;
        if (is_word(datum.text, "nan") || is_word(datum.text, "null") || datum.text.empty()) {
            return "send the last value with quality bad, or no message";
        }
        return "send a number, or let the model say type: string";
    }
    if (datum.kind == Datum::Kind::boolean) return "send 1 or 0, or let the model say type: boolean";
    if (datum.kind == Datum::Kind::null) return "send the last value with quality bad, or no message";
    return "send one number, or let the model say type: object or array";
}

}  // namespace

Violation make_violation(std::string_view rule, std::string at, std::string text, std::string expected,
                         std::string fix) {
    return {std::string(rule), std::move(at), std::move(text), std::move(expected), std::move(fix)};
}

Violation empty_violation() {
    return make_violation(rule::empty, "", "the payload is empty", "a value",
                          "send a value; an empty message is only for clearing a retained one");
}

Violation duplicate_violation(std::string at, std::string_view name) {
    return make_violation(rule::duplicate, std::move(at), "member " + in_quotes(name) + " comes twice",
                          "each member once", "send " + in_quotes(name) + " once");
}

std::string_view phrase_of(Kind kind) {
    switch (kind) {
    case Kind::any: return "any value";
    case Kind::number: return "a number";
    case Kind::integer: return "an integer";
    case Kind::boolean: return "true or false";
    case Kind::string: return "a string";
    case Kind::object: return "an object";
    case Kind::array: return "an array";
    }
    return "a value";
}

std::string_view phrase_of(const Datum& datum) {
    switch (datum.kind) {
    case Datum::Kind::null: return "null";
    case Datum::Kind::boolean: return "a boolean";
    case Datum::Kind::number: return "a number";
    case Datum::Kind::string: return "a string";
    case Datum::Kind::array: return "an array";
    case Datum::Kind::object: break;
    }
    return "an object";
}

std::string number_within(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '+')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
    if (text.size() > 32) return {};
    std::string point(text);
    const std::size_t comma = point.find(',');
    if (comma != std::string::npos && point.find_first_of(",.", comma + 1) == std::string::npos) point[comma] = '.';
    return parse_json_number(point) ? point : std::string();
}

std::string fix_of_type(const Datum& datum, Kind kind) {
    switch (kind) {
    case Kind::number: return fix_of_number(datum, false);
    case Kind::integer: return fix_of_number(datum, true);
    case Kind::boolean:
        if (datum.kind == Datum::Kind::string && (is_word(datum.text, "true") || is_word(datum.text, "false"))) {
            return std::string("send ") + (is_word(datum.text, "true") ? "true" : "false") + " without quotes";
        }
        if (datum.kind == Datum::Kind::number && datum.number.as_double() == 0) return "send false instead of 0";
        if (datum.kind == Datum::Kind::number && datum.number.as_double() == 1) return "send true instead of 1";
        return "send true or false";
    case Kind::string:
        if (datum.kind == Datum::Kind::number || datum.kind == Datum::Kind::boolean) {
            return "send it in quotes: \"" + shown(datum) + "\"";
        }
        return "send a string in quotes";
    case Kind::object: return "send an object: {...}";
    case Kind::array: return "send an array: [...]";
    case Kind::any: break;
    }
    return "send a value";
}

}  // namespace trunkline::uns
