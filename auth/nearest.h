// "Did you mean ...?" for what people write.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace trunkline::auth {

/// The candidate with the least edit distance (insertions, deletions, replacements, swapped neighbours) to `word`, or
/// "" when none is within half its length. Words over 64 bytes have none.
[[nodiscard]] std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace trunkline::auth
