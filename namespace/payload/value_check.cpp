#include "namespace/payload/value_check.h"

#include <algorithm>
#include <cmath>

#include "namespace/payload/json_scan.h"
#include "namespace/payload/plain_text.h"
#include "namespace/payload/rules.h"
#include "namespace/payload/text.h"
#include "namespace/payload/violations.h"

namespace trunkline::uns {

namespace {

using Kind = ValueType::Kind;

/// Beyond it a double can't tell one integer from the next.
constexpr double whole_max = 9'007'199'254'740'992.0;

bool is_numeric(Kind kind) { return kind == Kind::number || kind == Kind::integer; }

std::string word_of(Kind kind) {
    static constexpr const char* words[] = {"any", "number", "integer", "boolean", "string", "object", "array"};
    return words[static_cast<std::size_t>(kind)];
}

/// What a field of the type says that does not fit the rest of it.
std::optional<SpecError> contradiction(const ValueType& type) {
    const std::string of_kind = "has no meaning for type " + word_of(type.kind);
    if ((type.min || type.max) && !is_numeric(type.kind)) {
        return SpecError{type.min ? "min" : "max", (type.min ? "min " : "max ") + of_kind,
                         "leave it out, or say type: number"};
    }
    for (const auto& [bound, name] : {std::pair{type.min, "min"}, std::pair{type.max, "max"}}) {
        if (bound && !std::isfinite(*bound)) {
            return SpecError{name, std::string(name) + " is no finite number", "leave it out where there is no limit"};
        }
    }
    if (type.min && type.max && *type.min > *type.max) {
        return SpecError{"min", "min " + text_of(*type.min) + " is above max " + text_of(*type.max),
                         "exchange or correct them"};
    }
    if (type.kind == Kind::integer && type.min && type.max && std::ceil(*type.min) > std::floor(*type.max)) {
        return SpecError{"min", "there is no integer from " + text_of(*type.min) + " to " + text_of(*type.max),
                         "widen the range, or say type: number"};
    }
    if (type.max_length && type.kind != Kind::string) {
        return SpecError{"max_length", "max_length " + of_kind, "leave it out, or say type: string"};
    }
    if (!type.pattern.empty() && type.kind != Kind::string) {
        return SpecError{"pattern", "pattern " + of_kind, "leave it out, or say type: string"};
    }
    if (!type.enumeration.empty() && !is_numeric(type.kind) && type.kind != Kind::string &&
        type.kind != Kind::boolean) {
        return SpecError{"enum", "enum " + of_kind, "say type: string, or use a schema"};
    }
    if (valid_utf8_bytes(type.unit) < type.unit.size()) {
        return SpecError{"unit", "unit is not UTF-8", "write a UCUM code such as Cel"};
    }
    return std::nullopt;
}

}  // namespace

ValueCheck::ValueCheck(const ValueType& type) : type_(type), has_enumeration_(!type.enumeration.empty()) {
    if (type.min) min_ = Number::of(*type.min);
    if (type.max) max_ = Number::of(*type.max);
}

std::variant<ValueCheck, SpecError> ValueCheck::compile(const ValueType& type) {
    if (auto error = contradiction(type)) return *error;
    ValueCheck check(type);
    if (!type.pattern.empty()) {
        auto pattern = Pattern::compile(type.pattern, Pattern::Reach::whole, Pattern::Dialect::re2);
        if (auto* error = std::get_if<Pattern::Error>(&pattern))
            return SpecError{"pattern", error->message, error->mend};
        check.pattern_ = std::get<Pattern>(std::move(pattern));
    }
    if (auto error = check.compile_enumeration()) return *error;
    return check;
}

std::optional<SpecError> ValueCheck::compile_enumeration() {
    for (const std::string& word : type_.enumeration) {
        if (valid_utf8_bytes(word) < word.size())
            return SpecError{"enum", "a value of enum is not UTF-8", "write UTF-8"};
        const Datum datum = plain_datum(word, type_.kind);
        has_enumeration_ = false;
        const Finding finding = check(datum);
        has_enumeration_ = true;
        if (finding == Finding::type) {
            return SpecError{"enum", in_quotes(word) + " in enum is not " + std::string(phrase_of(type_.kind)),
                             "correct it, or say type: string"};
        }
        if (finding != Finding::ok) {
            return SpecError{"enum", explain(datum, finding, {}, "enum's").text + ", so it can never be sent",
                             "leave it out of enum, or correct the limit"};
        }
        switch (datum.kind) {
        case Datum::Kind::string: words_.push_back(word); break;
        case Datum::Kind::boolean: truths_[datum.truth] = true; break;
        default: numbers_.push_back(datum.number);
        }
    }
    std::sort(words_.begin(), words_.end());
    const auto twice = std::adjacent_find(words_.begin(), words_.end());
    if (twice != words_.end()) return SpecError{"enum", in_quotes(*twice) + " is in enum twice", "write it once"};
    return std::nullopt;
}

ValueCheck::Finding ValueCheck::check(const Datum& datum) const {
    switch (type_.kind) {
    case Kind::any: return Finding::ok;
    case Kind::number:
        return datum.kind == Datum::Kind::number ? check_number(datum.number) : Finding::type;
    case Kind::integer:
        return datum.kind == Datum::Kind::number ? check_whole(datum.number) : Finding::type;
    case Kind::boolean:
        if (datum.kind != Datum::Kind::boolean) return Finding::type;
        return !has_enumeration_ || truths_[datum.truth] ? Finding::ok : Finding::not_in_enum;
    case Kind::string: return datum.kind == Datum::Kind::string ? check_string(datum.text) : Finding::type;
    case Kind::object: return datum.kind == Datum::Kind::object ? Finding::ok : Finding::type;
    case Kind::array: return datum.kind == Datum::Kind::array ? Finding::ok : Finding::type;
    }
    return Finding::type;
}

ValueCheck::Finding ValueCheck::check_whole(const Number& number) const {
    if (number.form == Number::Form::real && (!number.is_whole() || !(std::abs(number.real) <= whole_max))) {
        return Finding::type;
    }
    return check_number(number);
}

ValueCheck::Finding ValueCheck::check_number(const Number& number) const {
    // Only a Sparkplug metric can bring infinity or NaN; neither is a measurement.
    if (number.form == Number::Form::real && !std::isfinite(number.real)) return Finding::type;
    if (type_.min && !(compare(number, min_) >= 0)) return Finding::below;
    if (type_.max && !(compare(number, max_) <= 0)) return Finding::above;
    if (!has_enumeration_) return Finding::ok;
    const bool listed =
        std::any_of(numbers_.begin(), numbers_.end(), [&](const Number& n) { return compare(number, n) == 0; });
    return listed ? Finding::ok : Finding::not_in_enum;
}

ValueCheck::Finding ValueCheck::check_string(std::string_view text) const {
    // No more characters than bytes, so that counting is for long strings alone.
    if (type_.max_length && text.size() > *type_.max_length && code_points(text) > *type_.max_length) {
        return Finding::too_long;
    }
    if (has_enumeration_ && !std::binary_search(words_.begin(), words_.end(), text, std::less<std::string_view>())) {
        return Finding::not_in_enum;
    }
    if (pattern_ && !pattern_->matches(text)) return Finding::pattern;
    return Finding::ok;
}

std::string ValueCheck::range_text() const {
    const std::string unit = type_.unit.empty() ? "" : " " + escaped(type_.unit, 32);
    if (type_.min && type_.max) return " from " + text_of(*type_.min) + " to " + text_of(*type_.max) + unit;
    if (type_.min) return " of at least " + text_of(*type_.min) + unit;
    if (type_.max) return " of at most " + text_of(*type_.max) + unit;
    return unit.empty() ? "" : " in" + unit;
}

std::string ValueCheck::expected() const {
    if (has_enumeration_) {
        std::vector<std::string> words;
        for (const std::string& word : type_.enumeration) words.push_back(escaped(word, 32));
        return words.size() == 1 ? words[0] : "one of " + alternatives(words);
    }
    std::string text(phrase_of(type_.kind));
    if (is_numeric(type_.kind)) text += range_text();
    if (type_.max_length) text += " of at most " + std::to_string(*type_.max_length) + " characters";
    if (!type_.pattern.empty()) text += " that matches " + escaped(type_.pattern, 80);
    return text;
}

Violation ValueCheck::explain(const Datum& datum, Finding finding, std::string at, std::string_view name) const {
    const std::string unit = type_.unit.empty() ? "" : " " + escaped(type_.unit, 32);
    const std::string value = std::string(name) + " " + shown(datum);
    const auto violation = [&](std::string_view rule, std::string text, std::string fix) {
        return make_violation(rule, std::move(at), std::move(text), expected(), std::move(fix));
    };
    switch (finding) {
    case Finding::below:
        return violation(rule::range, value + " is below min " + text_of(*type_.min) + unit,
                         "send a value of at least " + text_of(*type_.min) + unit +
                             "; if the value is right, change min in the model");
    case Finding::above:
        return violation(rule::range, value + " is above max " + text_of(*type_.max) + unit,
                         "send a value of at most " + text_of(*type_.max) + unit +
                             "; if the value is right, change max in the model");
    case Finding::not_in_enum: {
        const std::vector<std::string_view> words(words_.begin(), words_.end());
        const std::string_view meant =
            datum.kind == Datum::Kind::string ? nearest(datum.text, words) : std::string_view();
        return violation(rule::not_in_enum, value + " is not an allowed value",
                         meant.empty() ? "send " + expected() : "send " + in_quotes(meant));
    }
    case Finding::too_long:
        return violation(rule::too_long,
                         value + " has " + std::to_string(code_points(datum.text)) + " characters, more than " +
                             std::to_string(*type_.max_length),
                         "shorten it to " + std::to_string(*type_.max_length) + " characters");
    case Finding::pattern:
        return violation(rule::pattern, value + " does not match " + escaped(type_.pattern, 80),
                         "send a string that matches all of " + escaped(type_.pattern, 80));
    case Finding::type:
    case Finding::ok: break;
    }
    const bool compound = datum.kind == Datum::Kind::object || datum.kind == Datum::Kind::array;
    const bool numeric = datum.kind == Datum::Kind::number;
    return violation(
        rule::type,
        compound || datum.kind == Datum::Kind::null || (numeric && type_.kind == Kind::integer)
            ? value + (compound || datum.kind == Datum::Kind::null ? ", not " : " is not ") +
                  std::string(phrase_of(type_.kind))
            : value + " is " + std::string(phrase_of(datum)) + ", not " + std::string(phrase_of(type_.kind)),
        fix_of_type(datum, type_.kind));
}

}  // namespace trunkline::uns
