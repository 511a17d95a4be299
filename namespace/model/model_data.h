// What a compiled model holds. Private to the model's own sources.
#pragma once

#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <xxhash.h>
#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include "namespace/model/level_pattern.h"
#include "namespace/model/model.h"
#include "namespace/topic.h"

namespace trunkline::uns {

/// Keeps each different text once, in blocks that never move.
class Interner {
public:
    std::string_view keep(std::string_view text);

private:
    static constexpr std::size_t block_bytes = 64UL << 10;
    boost::unordered_flat_set<std::string_view> known_;
    std::vector<std::unique_ptr<char[]>> blocks_;
    char* at_ = nullptr;
    std::size_t free_ = 0;
};

using NodeId = std::uint32_t;
constexpr NodeId no_node = UINT32_MAX;
constexpr NodeId tree_root = 0;

/// Name of a child below its parent.
struct ChildKey {
    NodeId parent;
    std::string_view name;
    bool operator==(const ChildKey&) const = default;
};
struct ChildHash {
    std::size_t operator()(const ChildKey& key) const {
        return XXH3_64bits_withSeed(key.name.data(), key.name.size(), key.parent);
    }
};
using ChildMap = boost::unordered_flat_map<ChildKey, NodeId, ChildHash>;

/// A set of levels with children by name: once for the tree, once for the members of all types.
struct NameIndex {
    ChildMap exact;
    ChildMap folded;  ///< by fold_case(); holds one of those that fold alike

    [[nodiscard]] NodeId find(NodeId parent, std::string_view name) const {
        const auto found = exact.find(ChildKey{parent, name});
        return found == exact.end() ? no_node : found->second;
    }
    [[nodiscard]] NodeId find_folded(NodeId parent, std::string_view name) const;
};

/// One level below an asset: a part, or a member, or both.
struct TypeNode {
    std::string_view name;
    const Member* member = nullptr;
    std::string_view part_type;    ///< "motor@1"; empty: no part
    std::vector<NodeId> children;  ///< sorted by name
    Place place;
};

struct CompiledType {
    std::string_view id, name, level, description, metadata_json;
    std::uint64_t version = 1;
    NodeId root = no_node;        ///< in type_nodes
    std::optional<Mode> unknown;  ///< what members get that it does not name
    std::size_t member_count = 0;
    Place place;
};

/// One level of the tree. What holds for a branch (mode, owner, writers, regulated, quota) is worked out for each node.
struct TreeNode {
    std::string_view name;  ///< of a pattern what is within {}
    NodeId parent = no_node;
    std::uint32_t first_child = 0, child_count = 0;      ///< literal ones in child_ids, sorted by name
    std::uint32_t first_pattern = 0, pattern_count = 0;  ///< in child_ids too
    std::uint16_t depth = 0;                             ///< levels of its topic
    std::uint16_t quota_depth = 0;
    bool is_pattern = false;
    bool mode_is_explicit = false;  ///< a $mode stands at this node or above
    bool regulated = false;
    Mode mode = Mode::enforce;
    const LevelPattern* pattern = nullptr;  ///< of a pattern; nullptr: any name
    const CompiledType* type = nullptr;
    const Member* self = nullptr;  ///< $payload: the level itself is a topic
    const Member* open = nullptr;  ///< "#"
    const std::vector<Writer>* writers = nullptr;
    const Quota* quota = nullptr;
    std::string_view owner, kind, description, metadata_json;
    Place place;
};

struct AliasEntry {
    NodeId node = no_node;
    std::string_view target;
    std::optional<std::int64_t> until_ms;
    Place place;
};

/// `edge-{line}`: literals and names that stand for something, in turn.
struct Template {
    struct Piece {
        bool is_name = false;
        std::string_view text;
    };
    std::vector<Piece> pieces;
};

struct SparkplugRow {
    Template group, node, device, to;
    bool has_node = false, has_device = false;
    Place place;
};

struct Model::Data {
    std::string file, source, name, version, hash;
    std::string_view owner, description;
    Mode mode = Mode::enforce;
    Mode unmodelled = Mode::enforce;
    V3Reject v3_reject = V3Reject::ack;
    bool unique_ignoring_case = false;
    Interner texts;
    std::vector<std::shared_ptr<const LevelPattern>> patterns;
    std::deque<Member> members;
    std::deque<std::vector<Writer>> writers;
    std::deque<Quota> quotas;
    std::deque<CompiledType> types;
    std::vector<TypeNode> type_nodes;
    NameIndex type_index;
    std::vector<TreeNode> nodes;  ///< the first is the root, which stands above the first level
    std::vector<NodeId> child_ids;
    NameIndex index;
    boost::unordered_flat_map<std::string_view, AliasEntry> aliases;
    std::size_t alias_levels_min = 0, alias_levels_max = 0;
    std::vector<std::string_view> exempt;
    std::vector<SparkplugRow> sparkplug;
    std::size_t open_members = 0;

    [[nodiscard]] std::span<const NodeId> children(const TreeNode& node) const {
        return {child_ids.data() + node.first_child, node.child_count};
    }
    [[nodiscard]] std::span<const NodeId> patterns_of(const TreeNode& node) const {
        return {child_ids.data() + node.first_pattern, node.pattern_count};
    }
};

/// How far a topic goes into the model, level by level.
class Walker {
public:
    explicit Walker(const Model::Data& data) : data_(data) {}
    explicit Walker(const Model& model) : data_(model.data()) {}

    enum class Step : std::uint8_t {
        in_tree,    ///< stands at a node of the tree
        in_type,    ///< stands below an asset
        in_open,    ///< below "#"
        case_only,  ///< the name differs only in case from `near`
        unknown,    ///< no such name
    };
    /// Takes one more level. After case_only and unknown the walker stays where it was.
    Step step(std::string_view level);
    /// The node that the walker stands at, or the asset above it.
    [[nodiscard]] NodeId node() const { return node_; }
    [[nodiscard]] const TreeNode& tree_node() const { return data_.nodes[node_]; }
    /// no_node, or where it stands below the asset.
    [[nodiscard]] NodeId type_node() const { return type_node_; }
    [[nodiscard]] bool is_open() const { return open_; }
    /// A pattern or "#" let a level through.
    [[nodiscard]] bool has_free_level() const { return free_level_; }
    /// The name that the last level was near to (case_only).
    [[nodiscard]] std::string_view near() const { return near_; }
    /// The member that the topic names when it ends here, or nullptr.
    [[nodiscard]] const Member* member() const;
    /// What a level may be here, in words, at most five names; empty: nothing may follow.
    [[nodiscard]] std::string expected() const;
    /// The legal name nearest to `level`; empty: none is near.
    [[nodiscard]] std::string suggestion(std::string_view level) const;
    /// A pattern or a naming rule says what a level looks like here.
    [[nodiscard]] bool has_patterns() const { return type_node_ == no_node && tree_node().pattern_count > 0; }
    [[nodiscard]] bool is_leaf() const;

private:
    Step step_in_type(std::string_view level);
    [[nodiscard]] std::string reshaped(std::string_view level) const;

    const Model::Data& data_;
    NodeId node_ = tree_root;
    NodeId type_node_ = no_node;
    bool open_ = false;
    bool free_level_ = false;
    std::string_view near_;
};

}  // namespace trunkline::uns
