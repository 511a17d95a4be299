#include <algorithm>

#include "namespace/model/model_data.h"
#include "namespace/model/text.h"

namespace trunkline::uns {
namespace {

constexpr std::size_t names_shown_max = 5;
constexpr std::size_t candidates_max = 64;        // names that are compared by edit distance, however many there are
constexpr std::size_t expression_bytes_max = 80;  // of a regular expression, when it is shown

// The numbers in a name, without leading zeros: filler-07 has 7.
std::vector<std::string_view> numbers_of(std::string_view name) {
    std::vector<std::string_view> out;
    const auto digit = [&](std::size_t i) { return name[i] >= '0' && name[i] <= '9'; };
    for (std::size_t i = 0; i < name.size();) {
        std::size_t end = i;
        while (end < name.size() && digit(end)) ++end;
        if (end == i) {
            ++i;
            continue;
        }
        while (i + 1 < end && name[i] == '0') ++i;
        out.push_back(name.substr(i, end - i));
        i = end;
    }
    return out;
}

// filler-3 is no misspelling of filler-1: it is another filler.
bool is_another_one(std::string_view level, std::string_view name) {
    const auto asked = numbers_of(level), known = numbers_of(name);
    return !asked.empty() && !known.empty() && asked != known;
}

// Candidates near `level` in a sorted list: those around its place in the order, as names that begin alike stand
// together.
template <class Name>
std::vector<std::string_view> around(std::span<const NodeId> ids, std::string_view level, Name name_of) {
    std::vector<std::string_view> out;
    const auto at = static_cast<std::size_t>(
        std::lower_bound(ids.begin(), ids.end(), level,
                         [&](NodeId id, std::string_view name) { return name_of(id) < name; }) -
        ids.begin());
    const std::size_t from = at > candidates_max / 2 ? at - candidates_max / 2 : 0;
    const std::size_t to = std::min(ids.size(), from + candidates_max);
    for (std::size_t i = from; i < to; ++i) out.push_back(name_of(ids[i]));
    return out;
}

}  // namespace

std::string_view Interner::keep(std::string_view text) {
    if (text.empty()) return {};
    const auto found = known_.find(text);
    if (found != known_.end()) return *found;
    if (text.size() > free_) {
        const std::size_t block = std::max(block_bytes, text.size());
        blocks_.push_back(std::make_unique<char[]>(block));
        at_ = blocks_.back().get();
        free_ = block;
    }
    std::memcpy(at_, text.data(), text.size());
    const std::string_view kept(at_, text.size());
    at_ += text.size();
    free_ -= text.size();
    known_.insert(kept);
    return kept;
}

NodeId NameIndex::find_folded(NodeId parent, std::string_view name) const {
    const auto found =
        is_folded(name) ? folded.find(ChildKey{parent, name}) : folded.find(ChildKey{parent, fold_case(name)});
    return found == folded.end() ? no_node : found->second;
}

Walker::Step Walker::step(std::string_view level) {
    if (open_) return Step::in_open;
    if (type_node_ != no_node) return step_in_type(level);
    const TreeNode& here = tree_node();
    const NodeId child = data_.index.find(node_, level);
    if (child != no_node) {
        node_ = child;
        return Step::in_tree;
    }
    if (here.type) {
        const NodeId member = data_.type_index.find(here.type->root, level);
        if (member != no_node) {
            type_node_ = member;
            return Step::in_type;
        }
    }
    // A name that only differs in case from one that stands there is that name written wrong, or a second one that must
    // not exist; a pattern does not make it right.
    std::string_view alike;
    if (const NodeId near = data_.index.find_folded(node_, level); near != no_node) alike = data_.nodes[near].name;
    if (alike.empty() && here.type) {
        const NodeId near = data_.type_index.find_folded(here.type->root, level);
        if (near != no_node) alike = data_.type_nodes[near].name;
    }
    if (!alike.empty() && data_.unique_ignoring_case) {
        near_ = alike;
        return Step::case_only;
    }
    for (const NodeId id : data_.patterns_of(here)) {
        const LevelPattern* expression = data_.nodes[id].pattern;
        if (level.empty() || (expression && !expression->matches(level))) continue;
        node_ = id;
        free_level_ = true;
        return Step::in_tree;
    }
    if (here.open) {
        open_ = free_level_ = true;
        return Step::in_open;
    }
    if (alike.empty()) return Step::unknown;
    near_ = alike;
    return Step::case_only;
}

Walker::Step Walker::step_in_type(std::string_view level) {
    const NodeId child = data_.type_index.find(type_node_, level);
    if (child != no_node) {
        type_node_ = child;
        return Step::in_type;
    }
    const NodeId near = data_.type_index.find_folded(type_node_, level);
    if (near == no_node) return Step::unknown;
    near_ = data_.type_nodes[near].name;
    return Step::case_only;
}

const Member* Walker::member() const {
    if (open_) return tree_node().open;
    return type_node_ == no_node ? tree_node().self : data_.type_nodes[type_node_].member;
}

bool Walker::is_leaf() const {
    if (type_node_ != no_node) return data_.type_nodes[type_node_].children.empty();
    const TreeNode& node = tree_node();
    return node.child_count == 0 && node.pattern_count == 0 && !node.open &&
           (!node.type || data_.type_nodes[node.type->root].children.empty());
}

std::string Walker::expected() const {
    std::string out;
    std::size_t names = 0, shown = 0;
    const auto show = [&](std::string_view name) {
        ++names;
        if (shown == names_shown_max) return;
        out += (out.empty() ? "" : ", ") + std::string(name);
        ++shown;
    };
    if (type_node_ != no_node) {
        for (const NodeId id : data_.type_nodes[type_node_].children) show(data_.type_nodes[id].name);
    } else {
        const TreeNode& node = tree_node();
        for (const NodeId id : data_.children(node)) {
            if (shown == names_shown_max) {
                names += node.child_count - shown;
                break;
            }
            show(data_.nodes[id].name);
        }
        if (node.type) {
            for (const NodeId id : data_.type_nodes[node.type->root].children) show(data_.type_nodes[id].name);
        }
        if (names > shown) out += " (" + std::to_string(names) + " in all)";
        names = shown;
        std::size_t patterns = 0;
        for (const NodeId id : data_.patterns_of(node)) {
            if (++patterns > names_shown_max) {
                out += ", and " + std::to_string(node.pattern_count - names_shown_max) + " more patterns";
                break;
            }
            const LevelPattern* expression = data_.nodes[id].pattern;
            out += out.empty() ? "" : ", or ";
            out += with_article(data_.nodes[id].name);
            if (!expression) continue;
            const bool short_enough = expression->text().size() <= expression_bytes_max;
            out += " like " + (short_enough ? expression->text() : quote(expression->text()));
        }
        if (node.open) out += out.empty() ? "any name" : ", or any other name";
    }
    if (names > shown) out += " (" + std::to_string(names) + " in all)";
    return out;
}

// `level` written in the ways that people confuse, as long as a pattern takes one of them.
std::string Walker::reshaped(std::string_view level) const {
    if (level.size() > 64) return {};
    std::string lower = fold_case(level), dashed, split, squeezed;
    std::string_view trimmed = lower;
    while (!trimmed.empty() && trimmed.front() == ' ') trimmed.remove_prefix(1);
    while (!trimmed.empty() && trimmed.back() == ' ') trimmed.remove_suffix(1);
    for (const char c : trimmed) {
        const bool digit = c >= '0' && c <= '9';
        const bool separator = c == '_' || c == ' ' || c == '.' || c == '-';
        dashed += separator ? '-' : c;
        if (!separator) squeezed += c;
        const bool before = !split.empty() && split.back() >= '0' && split.back() <= '9';
        const bool dash = !split.empty() && split.back() == '-';
        if (digit && !before && !split.empty() && !dash) split += '-';
        if (!separator || !dash) split += separator ? '-' : c;
    }
    std::string underscored = dashed, unpadded;
    std::replace(underscored.begin(), underscored.end(), '-', '_');
    for (std::size_t i = 0; i < split.size(); ++i) {  // line-01 -> line-1
        const bool starts_number = i == 0 || split[i - 1] == '-';
        const bool more = i + 1 < split.size() && split[i + 1] >= '0' && split[i + 1] <= '9';
        if (!(split[i] == '0' && starts_number && more)) unpadded += split[i];
    }
    for (const NodeId id : data_.patterns_of(tree_node())) {
        const LevelPattern* expression = data_.nodes[id].pattern;
        if (!expression) continue;
        for (const std::string& form : {lower, std::string(trimmed), dashed, split, squeezed, underscored, unpadded}) {
            if (!form.empty() && form != level && expression->matches(form)) return form;
        }
    }
    return {};
}

std::string Walker::suggestion(std::string_view level) const {
    if (open_) return {};
    const auto type_name = [&](NodeId id) { return data_.type_nodes[id].name; };
    std::vector<std::string_view> names;
    if (type_node_ != no_node) {
        names = around(data_.type_nodes[type_node_].children, level, type_name);
    } else {
        const TreeNode& node = tree_node();
        names = around(data_.children(node), level, [&](NodeId id) { return data_.nodes[id].name; });
        if (const NodeId near = data_.index.find_folded(node_, level); near != no_node) {
            names.insert(names.begin(), data_.nodes[near].name);
        }
        if (node.type) {
            const auto& members = data_.type_nodes[node.type->root].children;
            const auto more = around(members, level, type_name);
            names.insert(names.end(), more.begin(), more.end());
        }
    }
    std::erase_if(names, [&](std::string_view name) { return is_another_one(level, name); });
    const std::string_view near = nearest_word(level, names);
    if (type_node_ != no_node || (!near.empty() && fold_case(near) == fold_case(level))) return std::string(near);
    // The same name in another spelling that a pattern takes is nearer than a literal that is some letters away.
    std::string spelled = reshaped(level);
    return spelled.empty() ? std::string(near) : spelled;
}

}  // namespace trunkline::uns
