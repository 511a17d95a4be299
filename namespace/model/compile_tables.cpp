// What refers to the tree: old paths, exempt filters, the placing of Sparkplug names.
#include <algorithm>

#include "namespace/model/compiler.h"
#include "namespace/model/text.h"

namespace trunkline::uns {
namespace {

constexpr std::size_t exempt_max = 256;
constexpr std::size_t aliases_max = 10'000;
constexpr std::size_t sparkplug_max = 1'000;
constexpr std::size_t names_of_template_max = 2;  // within one level: matching stays quick

bool is_name(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    });
}

void add_names(const Template& from, std::vector<std::string_view>& names) {
    for (const Template::Piece& piece : from.pieces) {
        if (piece.is_name) names.push_back(piece.text);
    }
}

}  // namespace

void Compiler::compile_aliases() {
    if (pending_aliases_.size() > aliases_max) {
        add("TL-9102", pending_aliases_[aliases_max].alias->path.place, "more than 10,000 old paths",
            "drop those that ended");
        return;
    }
    for (const auto& [alias, node_id] : pending_aliases_) {
        const Place place = alias->path.place;
        const std::string_view path = alias->path.value;
        bool literal = true;
        for (NodeId id = node_id; id != tree_root; id = data_.nodes[id].parent)
            literal = literal && !data_.nodes[id].is_pattern;
        if (!literal) {
            add("TL-9181", place, "$aliases on a node below a pattern: what stands for it in the old path is not known",
                "put it on a node whose path has no \"{name}\"");
            continue;
        }
        if (!is_valid_topic_name(path) || path.front() == '$' || path.front() == '/' || path.back() == '/' ||
            path.find("//") != std::string_view::npos) {
            add("TL-9181", place, quote(path) + " is no path: levels with a slash between, no wildcards",
                "write the old topic up to the level that moved, such as acme/muc/pack");
            continue;
        }
        Walker walker(data_);
        bool inside = true;
        for (LevelCursor at(path); inside && !at.done(); at.next()) {
            const auto step = walker.step(at.level());
            inside = step == Walker::Step::in_tree || step == Walker::Step::in_type || step == Walker::Step::in_open;
        }
        if (inside) {
            add("TL-9181", place, "the old path " + quote(path) + " is still in the tree",
                "take the alias or the node away");
            continue;
        }
        AliasEntry entry;
        entry.node = node_id;
        entry.target = data_.texts.keep(path_of(node_id));
        if (alias->until_ms) entry.until_ms = alias->until_ms->value;
        entry.place = place;
        if (!data_.aliases.emplace(data_.texts.keep(path), entry).second) {
            add("TL-9181", place, "the old path " + quote(path) + " leads to two nodes", "keep one of them");
        }
        const std::size_t levels = level_count(path);
        data_.alias_levels_min = data_.alias_levels_max == 0 ? levels : std::min(data_.alias_levels_min, levels);
        data_.alias_levels_max = std::max(data_.alias_levels_max, levels);
    }
}

void Compiler::compile_exempt() {
    if (document_.exempt.size() > exempt_max) {
        add("TL-9102", document_.exempt[exempt_max].place, "more than 256 exempt filters", "use wider filters");
        return;
    }
    for (const syntax::Text& filter : document_.exempt) {
        if (!is_valid_topic_filter(filter.value)) {
            add("TL-9182", filter.place, quote(filter.value) + " is no topic filter",
                "+ stands for a whole level, # for the last one: legacy/+/status, legacy/#");
        } else if (filter.value == "#") {
            add("TL-9182", filter.place, "\"#\" exempts every topic",
                "write defaults: {mode: observe, unmodelled: observe}");
        } else {
            data_.exempt.push_back(data_.texts.keep(filter.value));
        }
    }
}

bool Compiler::compile_template(const syntax::Text& text, Template& out, bool whole_path) {
    std::string_view rest = text.value;
    std::size_t names_in_level = 0;
    while (!rest.empty()) {
        const std::size_t open = rest.find('{');
        const std::string_view literal = rest.substr(0, open);
        if (!literal.empty()) {
            if (literal.find_first_of("+#}") != std::string_view::npos ||
                (!whole_path && literal.find('/') != std::string_view::npos)) {
                add("TL-9183", text.place, quote(text.value) + " holds a wildcard, a lone bracket or a slash",
                    "write text and {name}s, such as edge-{line}");
                return false;
            }
            if (literal.find('/') != std::string_view::npos) names_in_level = 0;
            out.pieces.push_back({false, data_.texts.keep(literal)});
        }
        if (open == std::string_view::npos) return true;
        const std::size_t close = rest.find('}', open);
        const std::string_view name = close == std::string_view::npos ? "" : rest.substr(open + 1, close - open - 1);
        const bool adjacent = !out.pieces.empty() && out.pieces.back().is_name;
        if (!is_name(name) || adjacent || ++names_in_level > names_of_template_max) {
            add("TL-9183", text.place,
                quote(text.value) + (adjacent        ? " has two names without text between them"
                                     : is_name(name) ? " has more than two names in a level"
                                                     : " has a bracket that holds no name"),
                "write text and at most two {name}s, such as {line}-{cell}");
            return false;
        }
        out.pieces.push_back({true, data_.texts.keep(name)});
        rest.remove_prefix(close + 1);
    }
    return true;
}

void Compiler::compile_sparkplug() {
    if (document_.sparkplug.size() > sparkplug_max) {
        add("TL-9102", document_.sparkplug[sparkplug_max].group.place, "more than 1,000 rows of sparkplug",
            "use {name}s instead of a row for each group");
        return;
    }
    std::map<std::string, std::uint32_t> seen;
    for (const syntax::Sparkplug& row : document_.sparkplug) {
        SparkplugRow out;
        out.place = row.group.place;
        out.has_node = row.node.has_value();
        out.has_device = row.device.has_value();
        bool good = compile_template(row.group, out.group, false);
        if (row.node) good = compile_template(*row.node, out.node, false) && good;
        if (row.device) good = compile_template(*row.device, out.device, false) && good;
        good = compile_template(row.to, out.to, true) && good;
        if (row.device && !row.node) {
            add("TL-9183", row.device->place, "a device without its node", "write node: too, or node: \"{node}\"");
            continue;
        }
        if (!good) continue;
        const std::string key = std::string(row.group.value) + "/" + std::string(row.node ? row.node->value : "") +
                                "/" + std::string(row.device ? row.device->value : "");
        if (const auto [at, fresh] = seen.emplace(key, row.group.place.line); !fresh) {
            add("TL-9183", row.group.place, "the same group, node and device as in line " + std::to_string(at->second),
                "keep one of them");
        }
        check_sparkplug_target(row, out);
        data_.sparkplug.push_back(std::move(out));
    }
}

// The names of `to` must come from the Sparkplug name, and its path must lead to a node.
void Compiler::check_sparkplug_target(const syntax::Sparkplug& row, const SparkplugRow& compiled) {
    std::vector<std::string_view> known, used;
    add_names(compiled.group, known);
    add_names(compiled.node, known);
    add_names(compiled.device, known);
    add_names(compiled.to, used);
    for (const std::string_view name : used) {
        if (std::find(known.begin(), known.end(), name) != known.end()) continue;
        const std::string_view near = nearest_word(name, known);
        add("TL-9183", row.to.place, "{" + std::string(name) + "} stands in none of group, node and device",
            near.empty() ? "name it there, such as node: \"edge-{" + std::string(name) + "}\""
                         : "did you mean {" + std::string(near) + "}?");
        return;
    }
    std::vector<std::string_view> levels;
    split_levels(row.to.value, levels);
    std::size_t deepest = 0;
    if (leads_somewhere(levels, 0, tree_root, deepest)) return;
    if (sparkplug_budget_ == 0) {
        add("TL-9102", row.to.place, "the paths of sparkplug lead to too many nodes to be followed",
            "write more of the path as text instead of {name}s");
        return;
    }
    add("TL-9183", row.to.place,
        quote(row.to.value) + " leads to no node of the tree: nothing fits its level " + quote(levels[deepest]),
        "place it where the tree has such a level");
}

// Whether levels from `at` on fit some path below `id`; a level with a {name} fits all. Stops at the first.
bool Compiler::leads_somewhere(const std::vector<std::string_view>& levels, std::size_t at, NodeId id,
                               std::size_t& deepest) {
    if (at == levels.size()) return true;
    deepest = std::max(deepest, at);
    if (sparkplug_budget_ == 0) return false;
    --sparkplug_budget_;
    const TreeNode& node = data_.nodes[id];
    const bool variable = levels[at].find('{') != std::string_view::npos;
    if (!variable) {
        const NodeId literal = data_.index.find(id, levels[at]);
        if (literal != no_node) return leads_somewhere(levels, at + 1, literal, deepest);
    }
    for (const NodeId child : data_.patterns_of(node)) {
        const LevelPattern* expression = data_.nodes[child].pattern;
        const bool fits = variable || !expression || expression->matches(levels[at]);
        if (fits && leads_somewhere(levels, at + 1, child, deepest)) return true;
    }
    if (!variable) return false;
    for (const NodeId child : data_.children(node)) {
        if (leads_somewhere(levels, at + 1, child, deepest)) return true;
    }
    return false;
}

}  // namespace trunkline::uns
