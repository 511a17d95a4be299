#include "auth/rule_trie.h"

#include <functional>

#include "namespace/topic.h"

namespace trunkline::auth {

using Kind = PatternLevel::Kind;

std::size_t RuleTrie::EdgeHash::operator()(const EdgeView& edge) const {
    return std::hash<std::string_view>()(edge.level) * 31 + edge.parent * 0x9E3779B97F4A7C15U;
}

std::uint32_t RuleTrie::text_child(std::uint32_t node, std::string_view level) const {
    const auto at = edges_.find(EdgeView{node, level});
    return at == edges_.end() ? 0 : at->second;
}

void RuleTrie::add(const Pattern& pattern, RuleAt what, bool deny) {
    std::uint32_t at = 0;
    nodes_[at].denies = nodes_[at].denies || deny;
    const auto make = [&](bool dollar) {
        nodes_.emplace_back();
        dollar_.push_back(dollar);
        return static_cast<std::uint32_t>(nodes_.size() - 1);
    };
    for (const PatternLevel& level : pattern.levels()) {
        std::uint32_t next = 0;
        if (level.kind == Kind::text) {
            next = text_child(at, level.text.text());
            if (next == 0) {
                next = make(level.text.text().starts_with('$'));
                edges_.emplace(Edge{at, level.text.text()}, next);
                nodes_[at].texts.push_back(next);
            }
        } else {
            const auto child = [&](Node& node) -> std::uint32_t& {
                if (level.kind == Kind::plus) return node.plus;
                return level.kind == Kind::hash ? node.hash : node.placeholder;
            };
            next = child(nodes_[at]);
            if (next == 0) {
                next = make(false);
                child(nodes_[at]) = next;
            }
        }
        at = next;
        nodes_[at].denies = nodes_[at].denies || deny;
    }
    nodes_[at].rules.push_back(what);
}

void RuleTrie::take(const Node& node, Search& search) {
    search.out->insert(search.out->end(), node.rules.begin(), node.rules.end());
}

void RuleTrie::find(std::string_view filter, bool overlaps, std::vector<RuleAt>& out) const {
    Search search;
    search.overlaps = overlaps;
    search.dollar = filter.starts_with('$');
    search.out = &out;
    uns::split_levels(filter, search.levels);
    visit(0, 0, search);
}

// Everything below `node` that denies: `#` of the filter takes it all.
void RuleTrie::visit_all(std::uint32_t node, Search& search, bool texts_only) const {
    const Node& here = nodes_[node];
    if (!here.denies) return;
    take(here, search);
    for (const std::uint32_t child : here.texts) {
        if (!texts_only || !dollar_[child]) visit_all(child, search, false);
    }
    for (const std::uint32_t child : {here.plus, here.hash, here.placeholder}) {
        if (child != 0) visit_all(child, search, false);
    }
}

void RuleTrie::visit(std::uint32_t node, std::size_t depth, Search& search) const {
    const Node& here = nodes_[node];
    const bool first = depth == 0;
    // [MQTT-4.7.2-1]: no wildcard in front reaches a topic that begins with $, nor does a value of a placeholder.
    const bool wild = !(first && search.dollar);
    if (here.hash != 0 && wild) take(nodes_[here.hash], search);
    if (depth == search.levels.size()) return take(here, search);
    const std::string_view level = search.levels[depth];
    if (level == "#") {
        // `+/#` has the same topics where the level above is the empty text, which is none: `#` and `/#`.
        const bool below_nothing = first || (depth == 1 && search.levels[0].empty());
        if (below_nothing && here.plus != 0 && nodes_[here.plus].hash != 0) {
            take(nodes_[nodes_[here.plus].hash], search);
        }
        if (search.overlaps) visit_all(node, search, first);
        return;
    }
    if (level == "+") {
        if (search.overlaps) {
            for (const std::uint32_t child : here.texts) {
                if (nodes_[child].denies && !(first && dollar_[child])) visit(child, depth + 1, search);
            }
        }
    } else if (const std::uint32_t child = text_child(node, level)) {
        visit(child, depth + 1, search);
    }
    if (here.plus != 0 && wild) visit(here.plus, depth + 1, search);
    // A placeholder that begins with $ may be in front of such a topic.
    if (here.placeholder != 0) visit(here.placeholder, depth + 1, search);
}

}  // namespace trunkline::auth
