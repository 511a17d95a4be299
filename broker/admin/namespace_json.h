// The namespace as JSON: messages, and the tree page by page.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "broker/admin/http.h"
#include "namespace/retained_tree.h"

namespace trunkline::admin {

/// Adds `payload` (text, or base64 with "encoding": "base64" when it is no UTF-8), its size in `bytes`, and with
/// `most` also "truncated" when it is longer: then `payload` holds the first `most` bytes.
void add_payload(Json& json, std::string_view payload, std::size_t most = std::string_view::npos);
/// Adds content_type, response_topic, correlation_data, payload_format and user_properties where they are present.
void add_properties(Json& json, std::string_view properties);
/// A retained message with everything that is known of it.
[[nodiscard]] Json retained_json(std::string_view topic, const uns::RetainedMessage& message);

struct TreePage {
    Json nodes = Json::array();             ///< in topic order, a parent before its children
    std::optional<std::string> cursor;      ///< the next page's `after`; absent: this was the last
};

/// Nodes below `root` (nullopt: all), down to `depth` levels, at most `limit`, after the node `after` (a cursor of an
/// earlier page; it need not exist any more). Values of `now_ms` or older are left out as expired.
[[nodiscard]] TreePage tree_page(const uns::RetainedTree& tree, std::optional<std::string_view> root,
                                 std::size_t depth, std::size_t limit, std::optional<std::string_view> after,
                                 std::int64_t now_ms);

[[nodiscard]] std::string base64(std::string_view bytes);
/// nullopt when it is not base64.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace trunkline::admin
