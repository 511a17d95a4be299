#include "namespace/life/sheet.h"

#include <algorithm>
#include <functional>

#include "namespace/model/text.h"
#include "namespace/model/yaml_tree.h"

namespace trunkline::uns {
namespace {

using Format = PayloadSpec::Format;
using Kind = ValueType::Kind;

std::string range_of(const ValueType& value) {
    if (!value.enumeration.empty()) {
        std::string out;
        for (const std::string& text : value.enumeration) out += (out.empty() ? "" : ", ") + text;
        return out;
    }
    if (value.min && value.max) return number_text(*value.min) + " to " + number_text(*value.max);
    if (value.min) return "from " + number_text(*value.min);
    if (value.max) return "up to " + number_text(*value.max);
    if (!value.pattern.empty()) return "like " + value.pattern;
    if (value.max_length) return "up to " + std::to_string(*value.max_length) + " characters";
    return {};
}

std::string type_of(const ValueType& value) {
    constexpr std::string_view names[]{"", "number", "integer", "boolean", "string", "object", "array"};
    return std::string(names[static_cast<std::size_t>(value.kind)]);
}

std::string number_example(const ValueType& value) {
    if (!value.enumeration.empty()) return value.enumeration.front();
    double number = 1;
    if (value.min && value.max)
        number = (*value.min + *value.max) / 2;
    else if (value.min)
        number = *value.min;
    else if (value.max)
        number = *value.max;
    if (value.kind == Kind::integer) {
        number = static_cast<double>(static_cast<std::int64_t>(number));
        if (value.min && number < *value.min) number += 1;
    }
    return number_text(number);
}

/// The value as JSON, or as plain text.
std::string value_example(const ValueType& value, bool json) {
    switch (value.kind) {
        case Kind::number:
        case Kind::integer:
            return number_example(value);
        case Kind::boolean:
            return value.enumeration.empty() ? "true" : value.enumeration.front();
        case Kind::object:
            return "{}";
        case Kind::array:
            return "[]";
        case Kind::string:
        case Kind::any:
            break;
    }
    const std::string text = value.enumeration.empty() ? "text" : value.enumeration.front();
    if (!json) return text;
    std::string out;
    append_json_string(out, text);
    return out;
}

std::string example_of(const Member& member, std::int64_t now_ms) {
    const std::string time = std::to_string(now_ms);
    std::string out;
    switch (member.format) {
        case Format::reading:
            out = "{\"value\":" + value_example(member.value, true) + ",\"timestamp\":" + time + "}";
            break;
        case Format::umh:
            out = "{\"timestamp_ms\":" + time + ",\"value\":" + value_example(member.value, true) + "}";
            break;
        case Format::plain:
            out = value_example(member.value, false);
            break;
        case Format::json:
            out = "{}";
            break;
        default:
            return {};
    }
    // An example that breaks the contract (a pattern, say) is worse than none.
    return member.contract && member.contract->check(out) ? std::string() : out;
}

}  // namespace

std::vector<SheetLine> publisher_sheet(const Model& model, std::string_view asset, std::int64_t now_ms) {
    std::vector<SheetLine> out;
    const Resolution itself = model.resolve(asset);
    if (itself.asset_levels == 0 || (itself.failure && itself.failure->rule != "TL-2104")) return out;
    // Members and parts of the type; assets below it in the tree have sheets of their own.
    const std::function<void(const std::string&)> below = [&](const std::string& topic) {
        for (const ModelChild& child : model.children(topic, "", 100'000)) {
            const std::string at = topic + "/" + child.name;
            const Resolution resolution = model.resolve(at);
            if (child.name == "#" || child.name.starts_with("{") || resolution.asset_levels != itself.asset_levels)
                continue;
            if (!child.level_kind.empty() || child.kind == MemberKind::asset) continue;
            if (resolution.member && resolution.status == Resolution::Status::member) {
                const Member& member = *resolution.member;
                SheetLine line;
                line.topic = at;
                line.kind = member.kind;
                line.payload = member.payload_name;
                line.type = type_of(member.value);
                line.unit = member.value.unit;
                line.range = range_of(member.value);
                line.every_ms = member.every_ms;
                line.description = member.description;
                line.place = model.place_text(member.place);
                line.example = example_of(member, now_ms);
                line.to_send = member.kind != MemberKind::command;
                out.push_back(std::move(line));
            }
            if (child.has_children) below(at);
        }
    };
    below(std::string(asset));
    std::stable_sort(out.begin(), out.end(), [](const SheetLine& a, const SheetLine& b) {
        return std::pair(a.kind, std::string_view(a.topic)) < std::pair(b.kind, std::string_view(b.topic));
    });
    return out;
}

}  // namespace trunkline::uns
