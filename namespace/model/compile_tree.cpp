// The tree: kinds of levels, what holds for branches, patterns that must not overlap.
#include <algorithm>

#include "namespace/model/compiler.h"
#include "namespace/model/text.h"

namespace trunkline::uns {
namespace {

constexpr std::size_t patterns_of_node_max = 64;
constexpr std::size_t topic_levels_max = 64;
constexpr std::string_view kind_unknown = "?";  // a fault was reported; what is below is not judged by it

std::string words(std::span<const std::string_view> list, std::string_view last) {
    std::string out;
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (i > 0) out += i + 1 == list.size() ? " " + std::string(last) + " " : ", ";
        out += list[i];
    }
    return out;
}

std::string shown(const syntax::Node& node) {
    return node.is_pattern ? "\"{" + std::string(node.name.value) + "}\"" : quote(node.name.value);
}

}  // namespace

void Compiler::compile_tree() {
    TreeNode root;
    root.mode = document_.mode;
    root.owner = data_.owner;
    root.place = document_.place;
    data_.nodes.reserve(document_.node_count + 1);
    data_.child_ids.reserve(document_.node_count);
    data_.index.exact.reserve(document_.node_count);
    data_.index.folded.reserve(document_.node_count);
    data_.nodes.push_back(root);
    compile_children(document_.tree, tree_root);
}

void Compiler::compile_children(const std::vector<syntax::Node>& children, NodeId parent) {
    if (children.empty()) return;
    std::vector<NodeId> literals, patterns;
    for (const syntax::Node& child : children) {
        if (problems_.full()) return;
        const NodeId id = compile_node(child, parent);
        (child.is_pattern ? patterns : literals).push_back(id);
    }
    std::sort(literals.begin(), literals.end(),
              [&](NodeId a, NodeId b) { return data_.nodes[a].name < data_.nodes[b].name; });
    TreeNode& node = data_.nodes[parent];
    node.first_child = static_cast<std::uint32_t>(data_.child_ids.size());
    node.child_count = static_cast<std::uint32_t>(literals.size());
    data_.child_ids.insert(data_.child_ids.end(), literals.begin(), literals.end());
    node.first_pattern = static_cast<std::uint32_t>(data_.child_ids.size());
    node.pattern_count = static_cast<std::uint32_t>(patterns.size());
    data_.child_ids.insert(data_.child_ids.end(), patterns.begin(), patterns.end());
    check_siblings(parent);
    check_overlaps(parent);
}

NodeId Compiler::compile_node(const syntax::Node& node, NodeId parent_id) {
    const auto id = static_cast<NodeId>(data_.nodes.size());
    {
        TreeNode out = data_.nodes[parent_id];  // what holds for the branch, for a start
        const TreeNode& parent = data_.nodes[parent_id];
        out.name = data_.texts.keep(node.name.value);
        out.parent = parent_id;
        out.first_child = out.child_count = out.first_pattern = out.pattern_count = 0;
        out.depth = static_cast<std::uint16_t>(parent.depth + 1);
        out.is_pattern = node.is_pattern;
        out.pattern = nullptr;
        out.self = out.open = nullptr;
        out.description = out.metadata_json = {};
        out.place = node.name.place;
        out.type = node_type(node);
        out.kind = data_.texts.keep(node_kind(node, parent, out.type));
        if (out.depth > topic_levels_max) {
            add("TL-9102", node.name.place, "the tree is more than 64 levels deep", "flatten it");
        }
        if (node.keys) node_keys(node, out);
        if (node.is_pattern) {
            out.pattern = node.match ? pattern(*node.match) : naming_of(out.kind == kind_unknown ? "" : out.kind);
        } else if (out.kind != kind_unknown) {
            check_name(node.name, out.kind.empty() && out.self ? "metric" : out.kind);
        }
        if (node.open) out.open = open_member(*node.open, MemberKind::open);
        data_.nodes.push_back(out);
    }
    if (node.keys) {
        for (const syntax::Alias& alias : node.keys->aliases) pending_aliases_.push_back({&alias, id});
    }
    compile_children(node.children, id);
    return id;
}

void Compiler::node_keys(const syntax::Node& node, TreeNode& out) {
    const syntax::NodeKeys& keys = *node.keys;
    if (keys.mode) {
        out.mode = keys.mode->value;
        out.mode_is_explicit = true;
    }
    if (keys.owner) out.owner = data_.texts.keep(keys.owner->value);
    if (keys.description) out.description = data_.texts.keep(keys.description->value);
    if (!keys.metadata_json.empty()) out.metadata_json = data_.texts.keep(keys.metadata_json);
    if (keys.writers) out.writers = &data_.writers.emplace_back(keys.writers->list);
    if (keys.regulated) out.regulated = keys.regulated->value;
    if (keys.quota) {
        out.quota = &data_.quotas.emplace_back(keys.quota->value);
        out.quota_depth = out.depth;
    }
    if (keys.payload) out.self = open_member(*keys.payload, MemberKind::metric);
}

const CompiledType* Compiler::node_type(const syntax::Node& node) {
    if (!node.type) return nullptr;
    const syntax::Type* type = find_type(*node.type, shown(node));
    return type ? compiled_types_[static_cast<std::size_t>(type - document_.types.data())] : nullptr;
}

// The kind that may stand here when only one may; reports when none or several may.
std::string_view Compiler::infer_kind(const syntax::Node& node, const TreeNode& parent) {
    const auto legal = LevelRules::below(parent.kind);
    if (legal.size() == 1) return legal.front();
    if (node.keys && node.keys->payload && node.children.empty()) return {};  // a topic, no level
    if (legal.empty()) {
        add("TL-9130", node.name.place, "nothing may stand under " + with_article(parent.kind), "move it up");
    } else {
        add("TL-9131", node.name.place,
            shown(node) + " may be of several kinds: under " +
                (parent.kind.empty() ? "the top" : with_article(parent.kind)) + " stands " + words(legal, "or"),
            "write $kind: " + std::string(legal.front()) + ", or another of them");
    }
    return kind_unknown;
}

std::string_view Compiler::node_kind(const syntax::Node& node, const TreeNode& parent, const CompiledType* type) {
    using Levels = syntax::Document::Levels;
    const std::string_view type_level = type ? type->level : std::string_view();
    const std::string_view said = node.kind ? node.kind->value : type_level;
    const Place place = node.kind ? node.kind->place : node.type ? node.type->place : node.name.place;
    if (!said.empty() && !is_kind(said)) {
        if (node.kind) {  // of a type's level it was told where the type is
            const auto kinds = all_kinds();
            const std::string_view near = nearest_word(said, kinds);
            add("TL-9132", place, "there is no kind of level " + quote(said),
                near.empty() ? "use a kind that levels names" : "did you mean " + std::string(near) + "?");
        }
        return kind_unknown;
    }
    if (parent.kind == kind_unknown) return said.empty() ? kind_unknown : said;
    std::string_view kind = said;
    if (document_.levels == Levels::isa95) {
        if (kind.empty()) kind = infer_kind(node, parent);
        const auto legal = LevelRules::below(parent.kind);
        if (!said.empty() && std::find(legal.begin(), legal.end(), kind) == legal.end()) {
            add("TL-9130", place,
                shown(node) + " is " + with_article(kind) + ", which can't stand " +
                    (parent.kind.empty() ? "at the top" : "under " + with_article(parent.kind)),
                with_article(kind) + " stands " + LevelRules::parents_of(kind));
        }
    } else if (document_.levels == Levels::list) {
        const auto& list = document_.level_list;
        const bool topic = node.keys && node.keys->payload && node.children.empty();
        if (parent.depth >= list.size()) {
            if (topic) return {};
            add("TL-9130", place,
                shown(node) + " is level " + std::to_string(parent.depth + 1) + ", but levels names " +
                    std::to_string(list.size()),
                "add a level to the list, or put what is below into a type");
            return kind_unknown;
        }
        const std::string_view here = list[parent.depth].value;
        if (!kind.empty() && kind != here) {
            add("TL-9130", place,
                shown(node) + " is " + with_article(kind) + ", but at this depth stands " + with_article(here),
                "take $kind away, or move it");
        }
        kind = here;
    }
    if (!type_level.empty() && kind != type_level && kind != kind_unknown) {
        add("TL-9123", node.type->place,
            "type " + std::string(type->id) + " is placed as " +
                (kind.empty() ? "a level without a kind" : with_article(kind)) + ", but it is " +
                with_article(type_level),
            "place it where " + with_article(type_level) + " stands, or change the type's level");
    }
    return kind;
}

void Compiler::check_siblings(NodeId parent_id) {
    const TreeNode& parent = data_.nodes[parent_id];
    for (const NodeId id : data_.children(parent)) {
        const TreeNode& child = data_.nodes[id];
        data_.index.exact.emplace(ChildKey{parent_id, child.name}, id);
        const std::string_view folded = is_folded(child.name) ? child.name : data_.texts.keep(fold_case(child.name));
        const auto [at, fresh] = data_.index.folded.emplace(ChildKey{parent_id, folded}, id);
        const TreeNode& other = data_.nodes[at->second];
        if (!fresh && data_.unique_ignoring_case && other.name != child.name) {
            add("TL-9142", child.place,
                quote(child.name) + " and " + quote(other.name) + " in line " + std::to_string(other.place.line) +
                    " differ only in case",
                "rename one, or drop naming.unique_ignoring_case");
        }
        if (!parent.type) continue;
        const NodeId member = data_.type_index.find(parent.type->root, child.name);
        const NodeId near = data_.type_index.find_folded(parent.type->root, child.name);
        if (member != no_node) {
            add("TL-9125", child.place,
                quote(child.name) + " stands in the tree, and type " + std::string(parent.type->id) +
                    " has a member or part of that name",
                "rename one of them");
        } else if (near != no_node && data_.unique_ignoring_case) {
            add("TL-9142", child.place,
                quote(child.name) + " and " + quote(data_.type_nodes[near].name) + " of type " +
                    std::string(parent.type->id) + " differ only in case",
                "rename one, or drop naming.unique_ignoring_case");
        }
    }
}

void Compiler::check_overlaps(NodeId parent_id) {
    const TreeNode& parent = data_.nodes[parent_id];
    const auto patterns = data_.patterns_of(parent);
    if (patterns.size() > patterns_of_node_max) {
        add("TL-9102", data_.nodes[patterns[patterns_of_node_max]].place, "more than 64 patterns side by side",
            "join those that mean the same");
        return;
    }
    for (std::size_t i = 0; i < patterns.size(); ++i) {
        for (std::size_t j = i + 1; j < patterns.size(); ++j) {
            const TreeNode& a = data_.nodes[patterns[i]];
            const TreeNode& b = data_.nodes[patterns[j]];
            if (pair_budget_ == 0) {
                add("TL-9102", b.place, "more patterns side by side than can be compared",
                    "use patterns on fewer nodes, or one pattern for names that mean the same");
                return;
            }
            --pair_budget_;
            const auto text = [](const TreeNode& node) { return node.pattern ? node.pattern->text() : ".+"; };
            const auto [found, fresh] = overlaps_.try_emplace({a.pattern, b.pattern});
            if (fresh) found->second = overlap(text(a), text(b), overlap_budget_);
            if (!found->second.may || same_contracts(patterns[i], patterns[j])) continue;
            const std::string example = found->second.example ? ", such as " + quote(*found->second.example) : "";
            add("TL-9143", b.place,
                "\"{" + std::string(b.name) + "}\" and \"{" + std::string(a.name) + "}\" in line " +
                    std::to_string(a.place.line) +
                    (found->second.example ? " match the same name" : " may match the same name") + example +
                    ", with different contracts",
                "give each a $match that excludes the other's names, such as \"packer-[0-9]+\"");
        }
    }
}

// Whether two nodes mean the same, with all that is below them.
bool Compiler::same_contracts(NodeId a_id, NodeId b_id) const {
    if (same_budget_ == 0) return false;
    --same_budget_;
    const TreeNode& a = data_.nodes[a_id];
    const TreeNode& b = data_.nodes[b_id];
    const auto same_writers = [](const std::vector<Writer>* x, const std::vector<Writer>* y) {
        return x == y || (x && y && *x == *y);
    };
    if (a.type != b.type || a.self != b.self || a.open != b.open || a.mode != b.mode || a.regulated != b.regulated ||
        a.mode_is_explicit != b.mode_is_explicit || a.owner != b.owner || a.kind != b.kind || a.quota || b.quota ||
        a.description != b.description || a.metadata_json != b.metadata_json || !same_writers(a.writers, b.writers) ||
        a.child_count != b.child_count || a.pattern_count != b.pattern_count) {
        return false;
    }
    for (std::size_t i = 0; i < a.child_count; ++i) {
        const NodeId x = data_.children(a)[i], y = data_.children(b)[i];
        if (data_.nodes[x].name != data_.nodes[y].name || !same_contracts(x, y)) return false;
    }
    for (std::size_t i = 0; i < a.pattern_count; ++i) {
        const NodeId x = data_.patterns_of(a)[i], y = data_.patterns_of(b)[i];
        if (data_.nodes[x].pattern != data_.nodes[y].pattern || !same_contracts(x, y)) return false;
    }
    return true;
}

std::string Compiler::path_of(NodeId id) const {
    std::string path;
    for (; id != tree_root && id != no_node; id = data_.nodes[id].parent) {
        const TreeNode& node = data_.nodes[id];
        const std::string level = node.is_pattern ? "{" + std::string(node.name) + "}" : std::string(node.name);
        path = path.empty() ? level : level + "/" + path;
    }
    return path;
}

}  // namespace trunkline::uns
