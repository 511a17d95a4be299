#include "namespace/payload/reading.h"

#include <array>

#include "namespace/payload/json_view.h"
#include "namespace/payload/limits.h"
#include "namespace/payload/reading_scan.h"
#include "namespace/payload/rfc3339.h"
#include "namespace/payload/rules.h"
#include "namespace/payload/text.h"
#include "namespace/payload/violations.h"

namespace trunkline::uns {

namespace dom = simdjson::dom;

namespace {

constexpr std::uint64_t status_code_max = 0xFFFF'FFFF;

std::optional<Quality> quality_of_word(std::string_view word) {
    if (word == "good") return Quality::good;
    if (word == "uncertain") return Quality::uncertain;
    if (word == "bad") return Quality::bad;
    return std::nullopt;
}

/// A whole number from 0 to `max`, also when it is written with a fraction of zero or an exponent.
std::optional<std::uint64_t> natural_up_to(const Datum& datum, std::uint64_t max) {
    if (datum.kind != Datum::Kind::number) return std::nullopt;
    const Number& number = datum.number;
    if (number.form == Number::Form::natural && number.natural <= max) return number.natural;
    if (number.form == Number::Form::real && number.is_whole() && number.real >= 0 &&
        number.real <= static_cast<double>(max)) {
        return static_cast<std::uint64_t>(number.real);
    }
    return std::nullopt;
}

std::string fix_of_timestamp(const Datum& datum) {
    constexpr auto max = static_cast<double>(payload_limits::timestamp_ms_max);
    if (datum.kind == Datum::Kind::number) {
        const double number = datum.number.as_double();
        if (!datum.number.is_whole()) {
            return "send whole milliseconds; seconds with a fraction: multiply by 1000 and round";
        }
        if (number > max * 1e3) return "these look like nanoseconds: divide by 1000000";
        if (number > max) return "these look like microseconds: divide by 1000";
        return "send the time of the measurement; look at the publisher's clock";
    }
    if (datum.kind == Datum::Kind::string) {
        if (!number_within(datum.text).empty()) return "send the number without quotes: " + number_within(datum.text);
        std::string zoned = std::string(datum.text.substr(0, 40));
        if (zoned.size() > 10 && zoned[10] == ' ') zoned[10] = 'T';
        if (parse_date_time(zoned)) return "write a T between date and time: " + zoned;
        if (parse_date_time(zoned + "Z")) return "say the offset: " + zoned + "Z for UTC, or +01:00";
    }
    return "send milliseconds since 1970, such as 1700000000000, or text such as 2023-11-14T22:13:20Z";
}

Violation timestamp_violation(const Datum& datum, std::string_view name, bool text_allowed) {
    std::string at;
    append_token(at, name);
    return make_violation(
        rule::timestamp, std::move(at), std::string(name) + " " + shown(datum) + " is no valid time",
        text_allowed ? "whole milliseconds since 1970, or RFC 3339 with an offset, from 1970 to 9999"
                     : "whole milliseconds since 1970, up to 9999",
        fix_of_timestamp(datum));
}

Violation quality_violation(const Datum& datum) {
    std::string fix = "send good, uncertain or bad, or the OPC UA StatusCode as a number";
    if (datum.kind == Datum::Kind::string) {
        static constexpr std::array<std::string_view, 3> words{"good", "uncertain", "bad"};
        const std::string_view meant = nearest(datum.text, words);
        if (!meant.empty()) fix = "send " + in_quotes(meant);
    }
    return make_violation(rule::quality, "/quality", "quality " + shown(datum) + " is not known",
                          "good, uncertain, bad, or an OPC UA StatusCode", std::move(fix));
}

/// The payload is JSON, but no object.
Violation no_object(const dom::element& root, std::string expected, const std::string& example) {
    const Datum datum = datum_of(root);
    const bool scalar = datum.kind != Datum::Kind::array && datum.kind != Datum::Kind::null;
    return make_violation(rule::type, "", "the payload is " + std::string(phrase_of(datum)) + ", not an object",
                          std::move(expected),
                          scalar ? "send " + example + ", or let the model say payload: plain" : "send " + example);
}

Violation missing_violation(std::string_view name, std::string expected, std::string fix) {
    std::string at;
    append_token(at, name);
    return make_violation(rule::missing, std::move(at), "member " + std::string(name) + " is missing",
                          std::move(expected), std::move(fix));
}

class ReadingContract final : public PayloadContract {
public:
    ReadingContract(ValueCheck value, bool quick) : value_(std::move(value)), quick_(quick) {}

    std::optional<Violation> check(std::string_view payload) const override {
        if (quick_ && is_good_reading(payload, value_)) return std::nullopt;
        const JsonView json(payload);
        if (!json.ok()) return json.fault();
        dom::object object;
        if (json.root().get(object) != simdjson::SUCCESS) {
            return no_object(json.root(), "an object with value and timestamp",
                             "{\"value\": ..., \"timestamp\": ...}");
        }
        Members members;
        if (auto violation = collect(object, members)) return violation;
        if (!members.has(value) || !members.has(timestamp)) return missing(members.has(value), object);
        return check_members(members);
    }

private:
    enum Member { value, timestamp, quality, unit, member_count };

    struct Members {
        unsigned seen = 0;    // a bit for each Member
        std::array<dom::element, member_count> elements;

        [[nodiscard]] bool has(Member member) const { return seen >> member & 1; }
    };

    static int member_of(std::string_view name) {
        switch (name.size()) {
        case 5: return name == "value" ? value : -1;
        case 9: return name == "timestamp" ? timestamp : -1;
        case 7: return name == "quality" ? quality : -1;
        case 4: return name == "unit" ? unit : -1;
        default: return -1;
        }
    }

    static std::optional<Violation> collect(const dom::object& object, Members& members) {
        std::size_t further = 0;
        for (const auto field : object) {
            const int member = member_of(field.key);
            if (member < 0) {
                ++further;
                if (const auto meant = meant_member(field.key); !meant.empty()) return misspelt(field.key, meant);
                continue;
            }
            if (members.seen >> member & 1) return duplicate_violation("/" + std::string(field.key), field.key);
            members.seen |= 1u << member;
            members.elements[static_cast<std::size_t>(member)] = field.value;
        }
        if (further < 2) return std::nullopt;
        const auto twice = repeated_name(object);
        if (!twice) return std::nullopt;
        std::string at;
        append_token(at, *twice);
        return duplicate_violation(std::move(at), *twice);
    }

    static Violation misspelt(std::string_view name, std::string_view meant) {
        std::string at;
        append_token(at, name);
        return make_violation(rule::misspelt, std::move(at),
                              "member " + in_quotes(name) + " should be " + in_quotes(meant), in_quotes(meant),
                              "rename the member to " + in_quotes(meant));
    }

    Violation missing(bool has_value, const dom::object& object) const {
        std::string fix = has_value ? "add \"timestamp\": milliseconds since 1970, or RFC 3339 text"
                                    : "add \"value\": " + value_.expected();
        for (const auto field : object) {
            if (has_value && field.key == std::string_view("timestamp_ms")) {
                fix = "rename timestamp_ms to timestamp, or let the model say payload: umh";
            }
        }
        return missing_violation(has_value ? "timestamp" : "value", "an object with value and timestamp",
                                 std::move(fix));
    }

    std::optional<Violation> check_members(const Members& members) const {
        const Datum datum = datum_of(members.elements[value]);
        const ValueCheck::Finding finding = value_.check(datum);
        if (finding != ValueCheck::Finding::ok) return value_.explain(datum, finding, "/value", "value");
        if ((datum.kind == Datum::Kind::object || datum.kind == Datum::Kind::array) &&
            has_duplicates(members.elements[value])) {
            Violation violation = *find_duplicate(members.elements[value]);
            violation.at.insert(0, "/value");
            return violation;
        }
        const Datum time = datum_of(members.elements[timestamp]);
        if (!timestamp_of(time, true)) return timestamp_violation(time, "timestamp", true);
        if (members.has(quality)) {
            const Datum said = datum_of(members.elements[quality]);
            if (!quality_of(said)) return quality_violation(said);
        }
        if (members.has(unit)) return check_unit(datum_of(members.elements[unit]));
        return std::nullopt;
    }

    std::optional<Violation> check_unit(const Datum& said) const {
        const std::string& wanted = value_.unit();
        if (said.kind == Datum::Kind::string && (wanted.empty() || said.text == wanted)) return std::nullopt;
        const std::string expected = wanted.empty() ? "a unit as a string" : "unit " + in_quotes(wanted);
        if (said.kind != Datum::Kind::string) {
            return make_violation(rule::unit, "/unit", "unit " + shown(said) + " is no string", expected,
                                  "send the unit as a string, or leave it out");
        }
        return make_violation(
            rule::unit, "/unit", "unit " + shown(said) + " differs from " + in_quotes(wanted), expected,
            "convert the value to " + escaped(wanted, 32) + " and send that unit, or leave the unit out");
    }

    ValueCheck value_;
    bool quick_;
};

class UmhContract final : public PayloadContract {
public:
    explicit UmhContract(ValueCheck value) : value_(std::move(value)) {}

    std::optional<Violation> check(std::string_view payload) const override {
        const JsonView json(payload);
        if (!json.ok()) return json.fault();
        dom::object object;
        if (json.root().get(object) != simdjson::SUCCESS) {
            return no_object(json.root(), "exactly {timestamp_ms, value}", "{\"timestamp_ms\": ..., \"value\": ...}");
        }
        dom::element value, time;
        bool has_value = false, has_time = false;
        for (const auto field : object) {
            const bool is_value = field.key == std::string_view("value");
            if (!is_value && field.key != std::string_view("timestamp_ms")) return unknown(field.key);
            if (is_value ? has_value : has_time) return duplicate_violation("/" + std::string(field.key), field.key);
            (is_value ? has_value : has_time) = true;
            (is_value ? value : time) = field.value;
        }
        if (!has_value || !has_time) return missing(has_value);
        return check_members(value, time);
    }

private:
    static Violation unknown(std::string_view name) {
        static constexpr std::array<std::string_view, 2> members{"timestamp_ms", "value"};
        std::string at;
        append_token(at, name);
        const std::string_view meant = name == "timestamp" ? members[0] : nearest(name, members);
        return make_violation(rule::unknown, std::move(at), "member " + in_quotes(name) + " is not one of umh",
                              "exactly {timestamp_ms, value}",
                              meant.empty() ? "leave it out, or let the model say payload: reading"
                                            : "rename the member to " + in_quotes(meant));
    }

    Violation missing(bool has_value) const {
        return missing_violation(has_value ? "timestamp_ms" : "value", "exactly {timestamp_ms, value}",
                                 has_value ? "add \"timestamp_ms\": milliseconds since 1970"
                                           : "add \"value\": " + value_.expected());
    }

    std::optional<Violation> check_members(const dom::element& value, const dom::element& time) const {
        const Datum datum = datum_of(value);
        const ValueCheck::Finding finding = value_.check(datum);
        if (finding != ValueCheck::Finding::ok) return value_.explain(datum, finding, "/value", "value");
        if (has_duplicates(value)) {
            Violation violation = *find_duplicate(value);
            violation.at.insert(0, "/value");
            return violation;
        }
        const Datum said = datum_of(time);
        if (!timestamp_of(said, false)) return timestamp_violation(said, "timestamp_ms", false);
        return std::nullopt;
    }

    ValueCheck value_;
};

}  // namespace

std::string_view meant_member(std::string_view name) {
    if (name.size() < 4 || name.size() > 12) return {};
    const char first = static_cast<char>(name[0] | 0x20);    // most names are let go here
    if (first != 'v' && first != 't' && first != 'q' && first != 'u') return {};
    static constexpr std::array<std::string_view, 5> members{"value", "timestamp", "quality", "unit", "units"};
    for (const std::string_view member : members) {
        std::size_t matched = 0;
        bool same = true;
        for (const char c : name) {
            if (c == '_' || c == '-' || c == ' ') continue;
            const char low = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
            same = matched < member.size() && member[matched] == low;
            if (!same) break;
            ++matched;
        }
        if (same && matched == member.size()) return member == "units" ? members[3] : member;
    }
    return {};
}

std::string_view name_of(Quality quality) {
    switch (quality) {
    case Quality::good: return "good";
    case Quality::uncertain: return "uncertain";
    case Quality::bad: break;
    }
    return "bad";
}

std::optional<std::int64_t> timestamp_of(const Datum& datum, bool text_allowed) {
    constexpr auto max = static_cast<std::uint64_t>(payload_limits::timestamp_ms_max);
    if (const auto ms = natural_up_to(datum, max)) return static_cast<std::int64_t>(*ms);
    if (!text_allowed || datum.kind != Datum::Kind::string) return std::nullopt;
    const auto ms = parse_date_time(datum.text);
    if (!ms || *ms < 0 || *ms > payload_limits::timestamp_ms_max) return std::nullopt;
    return ms;
}

std::optional<Quality> quality_of(const Datum& datum) {
    if (datum.kind == Datum::Kind::string) return quality_of_word(datum.text);
    const auto status = natural_up_to(datum, status_code_max);
    if (!status) return std::nullopt;
    const std::uint64_t severity = *status >> 30;    // 3 is reserved, and to be read as bad
    return severity == 0 ? Quality::good : severity == 1 ? Quality::uncertain : Quality::bad;
}

std::shared_ptr<const PayloadContract> make_reading_contract(ValueCheck value, bool quick) {
    return std::make_shared<ReadingContract>(std::move(value), quick);
}

std::shared_ptr<const PayloadContract> make_umh_contract(ValueCheck value) {
    return std::make_shared<UmhContract>(std::move(value));
}

}  // namespace trunkline::uns
