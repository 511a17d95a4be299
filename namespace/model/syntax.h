// The namespace model as its author wrote it: the syntax tree of the language, every part with its place. Made by
// parse(); meaning (do names exist, may a level stand there, do patterns overlap) is judged when it is compiled.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "namespace/model/model.h"
#include "namespace/model/yaml_tree.h"

namespace trunkline::uns::syntax {

/// A value and where it stands. Texts are views into the YAML tree that the Document holds.
template <class T>
struct At {
    T value{};
    Place place;
};
using Text = At<std::string_view>;

/// What happens to a name that is not known.
using Unknown = Mode;

struct Writers {
    std::vector<Writer> list;
    Place place;
};

/// A metric, event or command of a type.
struct Member {
    MemberKind kind = MemberKind::metric;
    Text name;
    std::optional<Text> type, unit, pattern, payload, description;
    std::optional<At<double>> min, max;
    std::optional<At<std::uint64_t>> max_length, every_ms;
    std::vector<Text> enumeration;
    std::optional<At<std::string>> default_json;
    std::optional<At<Mode>> mode;
    std::optional<Writers> writers;
    std::optional<At<bool>> regulated;
    std::string metadata_json;
};

struct Part {
    Text name, type;
};

struct Type {
    Text name;  ///< without a version
    At<std::uint64_t> version;
    std::optional<Text> level, description;
    std::string metadata_json;
    std::vector<Part> parts;
    std::vector<Member> members;
    std::optional<At<Unknown>> unknown;
};

struct Alias {
    Text path;
    std::optional<At<std::int64_t>> until_ms;
};

/// What a node may say besides its name, type and kind; most say nothing of it.
struct NodeKeys {
    std::optional<At<Mode>> mode;
    std::optional<Text> owner, description, payload;
    std::string metadata_json;
    std::optional<Writers> writers;
    std::optional<At<bool>> regulated;
    std::optional<At<Quota>> quota;
    std::vector<Alias> aliases;
};

struct Node {
    Text name;  ///< the level, or the name within {}
    bool is_pattern = false;
    std::optional<Text> match, kind, type;
    std::unique_ptr<NodeKeys> keys;
    std::optional<Text> open;  ///< the payload under "#"
    std::vector<Node> children;
};

struct Payload {
    Text name;
    std::string schema_json;
    std::map<std::string, Place, std::less<>> places;  ///< by JSON pointer
};

struct Naming {
    std::vector<std::pair<Text, Text>> expressions;  ///< what for, expression
    bool unique_ignoring_case = false;
};

struct Sparkplug {
    Text group, to;
    std::optional<Text> node, device;
};

struct Layout {
    std::string_view metrics, events, commands;  ///< empty: no level of its own
};

struct Document {
    static constexpr std::size_t nodes_max = 250'000;  ///< of the tree

    std::shared_ptr<const YamlTree> yaml;  ///< holds the texts
    std::string name, version;
    Place place;
    std::string_view owner, description;
    Mode mode = Mode::enforce;
    Text payload{"reading", {}};
    std::optional<Unknown> unmodelled;
    V3Reject v3_reject = V3Reject::ack;
    enum class Levels { free, isa95, list } levels = Levels::free;
    std::vector<Text> level_list;
    Naming naming;
    Layout layout;
    std::vector<Payload> payloads;
    std::vector<Type> types;
    std::vector<Node> tree;
    std::size_t node_count = 0;  ///< of the tree
    std::vector<Sparkplug> sparkplug;
    std::vector<Text> exempt;
};

/// Reads a model. What is wrong with its form goes to `problems`, all of it at once; the document then holds what could
/// be read, so that its meaning may be checked too. nullopt when there is nothing to go on.
[[nodiscard]] std::optional<Document> parse(std::string_view text, Problems& problems);

}  // namespace trunkline::uns::syntax
