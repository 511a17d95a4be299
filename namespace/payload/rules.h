// The rules of payload contracts: the one list that refusals, `explain` and the documentation take them from.
#pragma once

#include <array>
#include <string_view>

namespace trunkline::uns {

struct PayloadRule {
    std::string_view id;         ///< stable: dashboards and scripts count by it
    std::string_view name;       ///< in two or three words
    std::string_view meaning;    ///< when it is broken
    std::string_view mend;       ///< what usually helps
};

namespace rule {

// What can't be read at all.
inline constexpr std::string_view empty = "TL-3001", not_json = "TL-3002", not_utf8 = "TL-3003", too_deep = "TL-3004",
                                  too_large = "TL-3005", number_range = "TL-3006", duplicate = "TL-3007",
                                  not_sparkplug = "TL-3008";
// The value.
inline constexpr std::string_view type = "TL-3101", range = "TL-3102", not_in_enum = "TL-3103", too_long = "TL-3104",
                                  pattern = "TL-3105", too_short = "TL-3106", multiple = "TL-3107", format = "TL-3108";
// Members of an object.
inline constexpr std::string_view missing = "TL-3201", unknown = "TL-3202", misspelt = "TL-3203",
                                  member_count = "TL-3204", dependency = "TL-3205", member_name = "TL-3206";
// What goes with a reading.
inline constexpr std::string_view timestamp = "TL-3301", quality = "TL-3302", unit = "TL-3303";
// Arrays, and what schemas combine.
inline constexpr std::string_view item_count = "TL-3401", not_unique = "TL-3402", contains = "TL-3403",
                                  forbidden = "TL-3404", no_alternative = "TL-3405", many_alternatives = "TL-3406",
                                  too_costly = "TL-3407";

}  // namespace rule

inline constexpr std::array payload_rules = std::to_array<PayloadRule>({
    {rule::empty, "empty payload", "The payload has no bytes, and the contract wants a value.",
     "Send a value. An empty retained message is only for clearing a topic."},
    {rule::not_json, "not JSON", "The payload is not one valid JSON text (RFC 8259).",
     "Look at the place named, or declare the topic's payload as plain if it is bare text."},
    {rule::not_utf8, "not UTF-8", "The payload has bytes that are not UTF-8, or half of a surrogate pair.",
     "Encode the text as UTF-8 before sending it."},
    {rule::too_deep, "nested too deeply", "Arrays and objects are nested deeper than 64 levels.",
     "Flatten the payload."},
    {rule::too_large, "too large", "The payload is larger than 16 MiB, which no contract looks into.",
     "Send a reference to the data, or declare the topic's payload as any."},
    {rule::number_range, "number too large",
     "A number fits neither a 64-bit integer nor a double, so receivers would read something else.",
     "Send a number between -1.8e308 and 1.8e308; larger integers with an exponent, or as a string."},
    {rule::duplicate, "member twice", "An object has two members of the same name: receivers disagree on which counts.",
     "Send each member once."},
    {rule::not_sparkplug, "not Sparkplug B", "The payload is not a well-formed Sparkplug B protobuf message.",
     "Send a Sparkplug B payload, or change the topic's payload in the model."},
    {rule::type, "wrong type", "A value is of another type than the contract says.",
     "Send the type named; numbers and true or false go without quotes."},
    {rule::range, "out of range", "A number is below min or above max.",
     "Correct the value or its scaling; if the value is right, change the range in the model."},
    {rule::not_in_enum, "not an allowed value", "A value is none of those that the contract lists.",
     "Send one of the values listed, in the same case."},
    {rule::too_long, "too long", "A string has more characters than allowed.", "Shorten it."},
    {rule::pattern, "pattern", "A string does not match the contract's regular expression.",
     "Send a string of the form that the pattern says."},
    {rule::too_short, "too short", "A string has fewer characters than wanted.", "Send a longer one."},
    {rule::multiple, "not a multiple", "A number is not a multiple of what the schema says.",
     "Round the number to the step named."},
    {rule::format, "wrong format", "A string is not of the format that the schema says, such as date-time.",
     "Send a string of that format."},
    {rule::missing, "missing member", "An object lacks a member that the contract wants.", "Send the member too."},
    {rule::unknown, "unknown member", "An object has a member that the contract does not allow.",
     "Leave the member out, or add it to the contract."},
    {rule::misspelt, "misspelt member", "A member's name differs from one of a reading's only in case or separators.",
     "Write the name as the contract does."},
    {rule::member_count, "number of members", "An object has too many or too few members.",
     "Send as many members as the schema says."},
    {rule::dependency, "dependent member", "An object has a member, but lacks another that has to come with it.",
     "Send both members or neither."},
    {rule::member_name, "member name", "A member's name is not one that the schema allows.",
     "Rename the member or leave it out."},
    {rule::timestamp, "bad timestamp",
     "A timestamp is neither whole milliseconds since 1970 nor RFC 3339 with an offset, or is not between 1970 and "
     "9999.",
     "Send milliseconds such as 1700000000000, or text such as 2023-11-14T22:13:20Z."},
    {rule::quality, "bad quality", "The quality is neither good, uncertain or bad nor an OPC UA StatusCode.",
     "Send good, uncertain or bad in lower case, or the StatusCode as a number from 0 to 4294967295."},
    {rule::unit, "unit differs", "The payload names another unit than the model.",
     "Convert the value to the model's unit, or leave the unit out if the value already is in it."},
    {rule::item_count, "number of items", "An array has too many or too few items.",
     "Send as many items as the schema says."},
    {rule::not_unique, "items not unique", "Two items of an array are equal, and the schema wants them to differ.",
     "Send each item once."},
    {rule::contains, "item missing", "No item of an array is what one of them has to be.",
     "Add an item that the schema's contains describes."},
    {rule::forbidden, "forbidden", "The schema says that such a value must not be.", "Leave it out or change it."},
    {rule::no_alternative, "no alternative fits", "A value fits none of the schema's alternatives.",
     "Follow one of them; the nearest is named."},
    {rule::many_alternatives, "several alternatives fit",
     "A value fits more than one of the schema's alternatives, of which exactly one may fit (oneOf).",
     "Send a value that fits one alone, or use anyOf in the schema."},
    {rule::too_costly, "too costly to check", "The schema needs more steps for this payload than a message may cost.",
     "Simplify the schema: fewer alternatives within alternatives."},
});

/// The rule named `id`, or null.
[[nodiscard]] constexpr const PayloadRule* find_payload_rule(std::string_view id) {
    for (const PayloadRule& rule : payload_rules) {
        if (rule.id == id) return &rule;
    }
    return nullptr;
}

}  // namespace trunkline::uns
