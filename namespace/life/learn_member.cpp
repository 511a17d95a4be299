// From what was observed of a member to what the model says of it.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "namespace/life/learn_shape.h"
#include "namespace/life/yaml_text.h"
#include "namespace/model/text.h"
#include "namespace/model/units.h"
#include "namespace/topic.h"

namespace trunkline::uns::learning {
namespace {

using Format = PayloadSpec::Format;
using Kind = ValueType::Kind;

constexpr std::uint64_t samples_for_range = 5, samples_for_integer = 10, samples_for_counter = 8;
constexpr std::uint64_t samples_for_meter = 30;  // what is no whole number may only be warming up
constexpr std::size_t enum_values_max = 10, enum_bytes_max = 32;
constexpr std::uint64_t samples_for_enum = 6, samples_per_enum_value = 3;
constexpr double margin = 0.5;  // of the span seen, on both sides: a short while rarely shows the extremes

bool has_level(std::string_view path, std::initializer_list<std::string_view> words) {
    for (LevelCursor at(path); !at.done(); at.next()) {
        std::string level = fold_case(at.level());
        level.erase(0, level.find_first_not_of('_') == std::string::npos ? level.size() : level.find_first_not_of('_'));
        if (std::find(words.begin(), words.end(), level) != words.end()) return true;
    }
    return false;
}

/// 1, 2, 2.5 or 5 times a power of ten, not below `value`.
double nice_step(double value) {
    const double power = std::pow(10, std::floor(std::log10(value)));
    for (const double step : {1.0, 2.0, 2.5, 5.0}) {
        if (value <= step * power * 1.000001) return step * power;
    }
    return 10 * power;
}

/// Without the dust of binary fractions: 0.3, not 0.30000000000000004.
double clean(double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.10g", value);
    return std::strtod(text, nullptr) + 0.0;
}

void set_range(const Evidence& seen, ValueType& value, std::string& comment) {
    // Samples that stand for more messages hold the extremes of all of them.
    const std::uint64_t numbers =
        seen.thinned ? seen.messages : std::min(seen.messages, seen.of(Kind::number) + seen.of(Kind::integer));
    const std::string span = number_text(*seen.min) + " to " + number_text(*seen.max);
    comment += ", " + (*seen.min < *seen.max ? span : "always " + number_text(*seen.min));
    if (numbers < samples_for_range || *seen.min >= *seen.max) {
        comment += "; too little for a range";
        return;
    }
    if (seen.rises && !seen.falls &&
        numbers >= (value.kind == Kind::integer ? samples_for_counter : samples_for_meter) && seen.samples > 2 &&
        *seen.min >= 0) {
        comment += ", only rising: a counter, without max";
        value.min = 0;
        return;
    }
    if (value.unit == "%" && *seen.min >= 0 && *seen.max <= 100) {
        value.min = 0;
        value.max = 100;
        return;
    }
    const double width = *seen.max - *seen.min;
    const double step = std::max(nice_step(width / 5), value.kind == Kind::integer ? 1.0 : 0.0);
    if (!std::isfinite(width) || !(step > 0)) return;
    double low = std::floor((*seen.min - margin * width) / step) * step;
    double high = std::ceil((*seen.max + margin * width) / step) * step;
    if (*seen.min >= 0) low = std::max(low, 0.0);
    if (*seen.max <= 0) high = std::min(high, 0.0);
    if (value.kind == Kind::integer) {
        low = std::floor(low);
        high = std::ceil(high);
    }
    value.min = std::min(clean(low), *seen.min);
    value.max = std::max(clean(high), *seen.max);
}

void set_unit(const Evidence& seen, ValueType& value, std::string& comment) {
    if (seen.units.empty()) return;
    if (seen.units.size() > 1) {
        comment += ", SEVERAL UNITS:";
        for (const auto& [unit, count] : seen.units)
            comment += " " + comment_text(unit, 24) + " (" + count_text(count) + ")";
        return;
    }
    const std::string& unit = seen.units.begin()->first;
    if (const auto error = check_unit(unit)) {
        comment += ", unit \"" + comment_text(unit, 24) + "\" is no UCUM code" +
                   (error->mend.empty() ? "" : ": " + comment_text(error->mend, 60));
        return;
    }
    value.unit = unit;
    if (seen.without_unit > 0) comment += ", " + count_text(seen.without_unit) + " without unit";
}

void set_enumeration(const Evidence& seen, ValueType& value, std::string& comment) {
    const std::uint64_t count = seen.thinned ? seen.messages : seen.of(Kind::string);
    const bool short_texts = std::all_of(seen.strings.begin(), seen.strings.end(), [](const std::string& text) {
        return text.size() <= enum_bytes_max && text.find('\\') == std::string::npos && !text.empty();
    });
    if (seen.more_strings || seen.strings.size() > enum_values_max || !short_texts) {
        comment += ", " +
                   (seen.more_strings ? "more than " + std::to_string(Evidence::strings_max)
                                      : std::to_string(seen.strings.size())) +
                   " different texts";
        return;
    }
    if (seen.strings.size() == 1) {
        comment += ", always " + comment_text(*seen.strings.begin(), 40) + ": add enum when the other values are known";
        return;
    }
    if (count < samples_for_enum || count < samples_per_enum_value * seen.strings.size()) {
        comment += ", too few for an enum";
        return;
    }
    value.enumeration.assign(seen.strings.begin(), seen.strings.end());
    comment += "; add values that were not seen";
}

Format format_of(const Evidence& seen, std::string& comment) {
    std::uint64_t all = 0;
    for (const std::uint64_t count : seen.formats) all += count;
    if (seen.truncated > 0) comment += ", large payloads, not looked at";
    if (all == 0 || seen.truncated > 0) return Format::any;
    for (const Format format : {Format::reading, Format::umh, Format::plain, Format::json, Format::any}) {
        if (seen.of(format) == all) return format;
    }
    comment += ", DIFFERENT FORMS:";
    constexpr std::string_view names[]{"reading", "plain", "umh", "sparkplug", "json", "binary", "schema"};
    for (std::size_t i = 0; i < seen.formats.size(); ++i) {
        if (seen.formats[i] > 0) comment += " " + std::string(names[i]) + " (" + count_text(seen.formats[i]) + ")";
    }
    return seen.of(Format::any) + seen.of(Format::plain) == 0 ? Format::json : Format::any;
}

/// The one type that all values have; any: none.
Kind kind_of(const Evidence& seen, std::string& comment) {
    Kind found = Kind::any;
    std::size_t different = 0;
    for (std::size_t i = 0; i < seen.kinds.size(); ++i) {
        if (seen.kinds[i] == 0) continue;
        found = static_cast<Kind>(i);
        ++different;
    }
    const std::uint64_t whole = seen.of(Kind::integer), real = seen.of(Kind::number);
    if (different == 2 && whole > 0 && real > 0) return Kind::number;
    if (different == 1) {
        if (found == Kind::integer && (seen.thinned ? seen.messages : whole) < samples_for_integer) {
            comment += ", so far whole numbers";
            return Kind::number;
        }
        return found;
    }
    if (different > 1) {
        comment += ", SEVERAL TYPES:";
        constexpr std::string_view names[]{"null", "number", "integer", "boolean", "string", "object", "array"};
        for (std::size_t i = 0; i < seen.kinds.size(); ++i) {
            if (seen.kinds[i] > 0) comment += " " + std::string(names[i]) + " (" + count_text(seen.kinds[i]) + ")";
        }
    }
    return Kind::any;
}

bool comes_regularly(const Evidence& seen) {
    return seen.steady_topics > 0 && seen.unsteady_topics == 0 && 2 * seen.steady_topics >= seen.topics;
}

// Conservative: a metric unless something speaks against it.
MemberKind member_kind(std::string_view path, const MemberSeen& seen, Format format, std::string& comment) {
    if (has_level(path, {"cmd", "cmds", "command", "commands"}) && seen.never_retained) return MemberKind::command;
    if (has_level(path, {"event", "events"}) && seen.never_retained) return MemberKind::event;
    if (seen.commanded) {
        comment += "; a command, it seems: " + comment_text(seen.evidence.clients.begin()->first, 40) +
                   " sends nothing else of this asset. Make it a metric if it is state";
        return MemberKind::command;
    }
    if (format == Format::json && seen.never_retained && !comes_regularly(seen.evidence) && seen.evidence.samples > 1) {
        comment += "; an event, it seems: never retained, no period. Make it a metric if it is state";
        return MemberKind::event;
    }
    return MemberKind::metric;
}

}  // namespace

MemberGuess guess(std::string_view path, const MemberSeen& seen, Loosened loosened, bool must_be_metric) {
    const Evidence& evidence = seen.evidence;
    MemberGuess out;
    std::string& comment = out.comment;
    comment = counted(evidence.messages, "message") +
              (evidence.topics > 1 ? " on " + counted(evidence.topics, "topic") : std::string());
    out.format = format_of(evidence, comment);
    if (loosened == Loosened::json && out.format != Format::any) out.format = Format::json;
    if (loosened == Loosened::any) out.format = Format::any;
    if (out.format != Format::json && out.format != Format::any) {
        out.value.kind = kind_of(evidence, comment);
        // As plain text anything is a string; in JSON nothing but the form of the payload is left to say.
        if (out.value.kind == Kind::any) {
            if (out.format == Format::plain)
                out.value.kind = Kind::string;
            else
                out.format = Format::json;
        } else if (loosened == Loosened::no) {
            const bool numeric = out.value.kind == Kind::number || out.value.kind == Kind::integer;
            if (numeric) set_unit(evidence, out.value, comment);
            if (numeric && evidence.min) set_range(evidence, out.value, comment);
            if (out.value.kind == Kind::string) set_enumeration(evidence, out.value, comment);
        }
    }
    if (out.format == Format::json && !evidence.shapes.empty()) {
        comment += evidence.shapes.size() == 1 ? ", keys " : ", several shapes, such as ";
        comment += comment_text(*evidence.shapes.begin(), 80);
    }
    if (loosened != Loosened::no) comment += "; LOOSENED, its own traffic breaks anything stricter";
    out.kind = must_be_metric ? MemberKind::metric : member_kind(path, seen, out.format, comment);
    if (out.kind != MemberKind::metric || !comes_regularly(evidence)) return out;
    if (!evidence.thinned) {
        out.every = nice_duration(evidence.period_max_ms);
    } else if (out.value.kind == ValueType::Kind::number || out.value.kind == ValueType::Kind::integer) {
        out.every = nice_duration(evidence.period_max_ms);
        comment += "; every is twice the mean period";
    } else {
        comment +=
            ", every " +
            nice_duration(evidence.gap_sum_ms / static_cast<std::int64_t>(std::max<std::uint64_t>(evidence.gaps, 1))) +
            " on average";
    }
    return out;
}

}  // namespace trunkline::uns::learning
