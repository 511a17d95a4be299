// Finds out why a text is not JSON, and where: for refusals, never on the path of good payloads.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "namespace/payload/contract.h"

namespace trunkline::uns {

/// The first fault of `text` as JSON by RFC 8259 and our limits (UTF-8, depth, numbers), as a violation that names
/// the place in the text by line and column and in the document by pointer. Nothing when there is none.
[[nodiscard]] std::optional<Violation> find_json_fault(std::string_view text);

/// Where the first byte that is not UTF-8 is; the size when all of it is.
[[nodiscard]] std::size_t valid_utf8_bytes(std::string_view text);

}  // namespace trunkline::uns
