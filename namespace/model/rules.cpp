#include "namespace/model/rules.h"

#include <algorithm>
#include <array>

namespace trunkline::uns {
namespace {

constexpr auto rules = std::to_array<ModelRule>({
    {"TL-1101", "not allowed", "No rule of the client's roles allows it, or no plugin where there are no roles.",
     "Give the client a role with a rule that allows it; `trunkctl access test` shows what there is."},
    {"TL-1102", "denied", "A rule of the client's roles denies it, which overrides every rule that allows it.",
     "Use a topic that the rule is not about, or change the rule at the place that the answer gives."},
    {"TL-1103", "denied by a plugin", "A plugin that is asked about every action denies it.",
     "Ask whoever keeps the plugin; the answer names it and what it said."},
    {"TL-1201", "not a writer", "The model names writers for this branch or command, and the client is none of them.",
     "Publish as one of the writers, or add the client to `$writers`. Refused in every mode."},
    {"TL-2101", "unknown name", "A level of the topic is not in the namespace where it stands.",
     "Use the nearest legal name that the answer gives, or add the node to the model."},
    {"TL-2102", "name of the wrong form", "A level stands where a pattern or naming rule applies, and breaks it.",
     "Write the name as the expression says."},
    {"TL-2103", "case collision", "A level, or the topic, differs only in upper and lower case from one that exists.",
     "Write it as it stands in the model."},
    {"TL-2104", "a level, no topic", "The topic names a level, an asset or a part; values go to members below it.",
     "Publish on one of the members below."},
    {"TL-2105", "below the end", "The topic goes on below a member or a level that holds nothing.",
     "Leave the last levels out, or add them to the model."},
    {"TL-2106", "unknown member", "The asset's type has no member of this name.",
     "Correct the name, or add the member to the type. `unknown` of the type says what becomes of it."},
    {"TL-2107", "old path ended", "The topic lies below an old path whose end date has passed.",
     "Publish to the new path that the answer gives."},
    {"TL-2108", "topic of the broker", "Topics that begin with `$` are not part of the namespace.",
     "Use a topic without `$`, or exempt it."},
    {"TL-2109", "empty level", "The topic begins or ends with a slash, or has two in a row.", "Take the slash away."},
    {"TL-4101", "RETAIN on an event",
     "An event happened at a time; it is no state that later subscribers should be given.", "Publish without RETAIN."},
    {"TL-4102", "RETAIN on a command", "A retained command would be carried out again by whoever connects later.",
     "Publish without RETAIN."},
    {"TL-5101", "quota of topics", "The branch has as many topics as its `$quota` allows.",
     "Publish on topics that exist, or raise `topics`."},
    {"TL-5102", "quota of messages", "The branch gets more messages a second than its `$quota` allows.",
     "Publish less often, or raise `rate`."},
    {"TL-5103", "quota of bytes", "The branch gets more bytes a second than its `$quota` allows.",
     "Publish less, or raise `bytes`."},
    {"TL-9101", "not YAML", "The file can't be read as YAML.",
     "Mend the YAML at the place named or on the line before."},
    {"TL-9102", "too large",
     "The file is above a limit: 16 MiB, 100 levels of nesting, 1,500,000 YAML nodes, 250,000 "
     "nodes of the tree, 2,000 regular expressions, and so on.",
     "Use patterns and types instead of writing instances out."},
    {"TL-9103", "YAML that is not taken",
     "Several documents, tags, merge keys, keys that are no text, or an alias inside "
     "of what it names.",
     "Write it out plainly."},
    {"TL-9104", "given twice", "A key, a type or a level is given twice.", "Keep one."},
    {"TL-9105", "unknown key", "The language has no such key there.",
     "Use the nearest known key that the answer gives."},
    {"TL-9106", "missing key", "A key that must be there is not.", "Add it."},
    {"TL-9107", "wrong form",
     "A value is of another form than the key takes: a text where a list should be, and the like.",
     "Write it as the answer shows."},
    {"TL-9108", "not a choice", "A value is none of those that may stand there.", "Use one of those listed."},
    {"TL-9110", "language version", "The file is written in a version of the language that this program does not read.",
     "Write `trunkline: 1`, or use a newer program."},
    {"TL-9111", "bad name or version", "The namespace's name or version is not written as one.",
     "Use letters, digits, `-`, `_` and `.`."},
    {"TL-9120", "type does not exist", "A node or part is of a type that is not defined.",
     "Define it, or correct the name."},
    {"TL-9121", "type version",
     "A node or part asks for another version of a type than the model has, or does not say "
     "which of several.",
     "Write `NAME@VERSION` of one that is defined."},
    {"TL-9122", "parts in a circle", "A type is, by its parts, part of itself.", "Take one of the parts away."},
    {"TL-9123", "type at the wrong level", "An asset is placed on a level that its type is not for.",
     "Place it elsewhere, or change the type's `level`."},
    {"TL-9124", "type too large",
     "With its parts a type has more than 10,000 members, or all types more than 100,000, or "
     "parts are nested more than 32 deep.",
     "Make parts assets of their own."},
    {"TL-9125", "one name for two things", "Two members, or a member and a node of the tree, would be the same topic.",
     "Rename one."},
    {"TL-9130", "level in the wrong place", "A level stands under a parent that may not hold it.",
     "Move it under a parent that may, or change `$kind`."},
    {"TL-9131", "kind not said",
     "Several kinds may stand there, and neither `$kind` nor the type's `level` says which.", "Write `$kind`."},
    {"TL-9132", "unknown kind", "There is no such kind of level.", "Use one of `levels`."},
    {"TL-9140", "naming rule", "A name in the model breaks the model's own naming rule.",
     "Rename it, or change `naming`."},
    {"TL-9141", "no possible name", "A name is empty, holds a slash or wildcard, or begins with `$`.", "Rename it."},
    {"TL-9142", "case collision in the model", "Two names side by side differ only in case.", "Rename one."},
    {"TL-9143", "patterns overlap", "Two patterns side by side match the same name and mean different things.",
     "Narrow one of them by `$match`."},
    {"TL-9144", "pattern in the wrong place", "`#` or `$match` stands where it has no meaning.", "See the answer."},
    {"TL-9150", "bad regular expression",
     "RE2 does not take the expression: it is malformed, or can't be matched in linear "
     "time.",
     "Write it without look-around and back-references."},
    {"TL-9151", "large regular expression",
     "The expression is too long, or too large once its repetitions are counted out.", "Use smaller repetitions."},
    {"TL-9160", "not a unit", "A unit is no UCUM code.", "Write the UCUM code, such as `Cel`, `bar` or `m3/h`."},
    {"TL-9161", "contradiction", "What narrows a value does not fit its type, or contradicts itself.",
     "Correct the range, the values or the type."},
    {"TL-9162", "bad default", "A default is not a value that the member itself would accept.", "Correct the default."},
    {"TL-9163", "bad amount", "A period, rate, size or date is not written as one.", "Write it as the answer shows."},
    {"TL-9170", "unknown payload", "There is no payload of that name.",
     "Define it under `payloads`, or correct the name."},
    {"TL-9171", "payload can't be compiled",
     "A payload contract or its JSON Schema can't be compiled; nothing is skipped.",
     "Correct the part of the schema that is named."},
    {"TL-9180", "bad writer", "A writer is not `role:`, `user:` or `client:` and a name.", "Write it in that form."},
    {"TL-9181", "bad old path",
     "An entry of `$aliases` is no path, still in the tree, given twice, or below a pattern.", "Correct or drop it."},
    {"TL-9182", "bad exempt filter", "An entry of `exempt` is no topic filter, or is `#`.", "Correct it."},
    {"TL-9183", "bad Sparkplug row", "A row of `sparkplug` is malformed, given twice, or leads to no node of the tree.",
     "Correct its templates or its path."},
    {"TL-9190", "can't be edited", "An asset can't be added to the text of a model without changing something else.",
     "Add it by hand, or write the branch out first."},
});

}  // namespace

std::span<const ModelRule> model_rules() { return rules; }

const ModelRule* find_model_rule(std::string_view id) {
    const auto* found = std::find_if(rules.begin(), rules.end(), [&](const ModelRule& rule) { return rule.id == id; });
    return found == rules.end() ? nullptr : found;
}

}  // namespace trunkline::uns
