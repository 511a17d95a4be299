// Scalars as YAML text that reads back as the same text.
#pragma once

#include <string>
#include <string_view>

namespace trunkline::uns {

/// `text` as a YAML scalar: plain where that is safe (also within {} and []), else in double quotation marks.
[[nodiscard]] std::string yaml_text(std::string_view text);

/// `text` for the end of a comment: one line, control characters replaced, at most `bytes_max` bytes.
[[nodiscard]] std::string comment_text(std::string_view text, std::size_t bytes_max = 80);

}  // namespace trunkline::uns
