// Messages as JSON.
#pragma once

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

[[nodiscard]] std::string base64(std::string_view bytes);
/// nullopt when it is not base64.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace trunkline::admin
