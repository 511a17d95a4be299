// The namespace as people browse it: retained values, live ones and what the model says, merged level by level.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "broker/admin/http.h"
#include "namespace/live/live_tree.h"
#include "namespace/retained_tree.h"

namespace trunkline::admin {

/// Where the tree comes from; without a live tree it is the retained values alone.
struct TreeView {
    TreeView(const uns::RetainedTree& values) : retained(values) {}   // NOLINT: a retained tree is a view, too
    TreeView(const uns::RetainedTree& values, const uns::LiveTree* tree) : retained(values), live(tree) {}
    const uns::RetainedTree& retained;
    const uns::LiveTree* live = nullptr;
};

struct TreePage {
    Json nodes = Json::array();             ///< in topic order, a parent before its children
    std::optional<std::string> cursor;      ///< the next page's `after`; absent: this was the last
};

/// Nodes below `root` (nullopt: all but $SYS and $UNS), down to `depth` levels, at most `limit`, after the node `after` (a
/// cursor of an earlier page; it need not exist any more). Values that expired at `now_ms` or before are left out.
[[nodiscard]] TreePage tree_page(const TreeView& view, std::optional<std::string_view> root, std::size_t depth,
                                 std::size_t limit, std::optional<std::string_view> after, std::int64_t now_ms);

/// One topic as an entry of a search: what a node of the tree has.
[[nodiscard]] Json topic_json(const TreeView& view, const std::string& topic, std::int64_t now_ms);

/// Adds what is known of a topic but its value: kind, type, unit, level, owner, description; age, rate, messages,
/// publisher, violations, state.
void add_facts(Json& node, const uns::TopicFacts& facts, std::int64_t now_ms);

/// The last value as a message with everything that is known of it; null: there is none, or it expired.
[[nodiscard]] Json value_json(const TreeView& view, std::string_view topic, std::int64_t now_ms);

}  // namespace trunkline::admin
