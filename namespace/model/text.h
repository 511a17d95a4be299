// Words as people write them in a model: case folding, nearest names, durations, sizes and rates. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trunkline::uns {

/// `text` in quotation marks, cut to 80 bytes at a code point, control characters replaced: safe in a log and a
/// Reason String.
[[nodiscard]] std::string quote(std::string_view text);

/// With the article that goes before it: an area, a site.
[[nodiscard]] std::string with_article(std::string_view noun);

/// True when `text` is well-formed UTF-8 without U+0000.
[[nodiscard]] bool is_utf8(std::string_view text);

/// Lower case by simple folding of the Latin, Greek and Cyrillic letters; other bytes stay as they are. Two names are
/// "the same but for case" when their folded forms are equal.
[[nodiscard]] std::string fold_case(std::string_view text);
/// True when fold_case() would change nothing; saves the copy.
[[nodiscard]] bool is_folded(std::string_view text);

/// Insertions, deletions, replacements and swapped neighbours that turn `a` into `b`; more than `most` is told as
/// `most + 1`.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t most);
/// How far a name may be from what was meant: a third of its length, at least 1 and at most 4.
[[nodiscard]] std::size_t distance_allowed(std::string_view word);
/// The candidate nearest to `word` within distance_allowed(); a difference in case alone counts as nearest. Empty:
/// none. The first of equals wins.
[[nodiscard]] std::string_view nearest_word(std::string_view word, const std::vector<std::string_view>& candidates);

/// `5s`, `500ms`, `1min`, `2h`, `1d` in milliseconds; nullopt when it is none or not above 0.
[[nodiscard]] std::optional<std::uint64_t> parse_duration_ms(std::string_view text);
/// `100/s`, `6/min`, `20/h` per second.
[[nodiscard]] std::optional<double> parse_rate(std::string_view text);
/// `1 MiB/s`, `500 kB/s`, `2000/s` in bytes per second.
[[nodiscard]] std::optional<std::uint64_t> parse_byte_rate(std::string_view text);
/// `2026-12-31` or `2026-12-31T12:00:00Z` in milliseconds since 1970; a day alone ends with its last millisecond (UTC).
[[nodiscard]] std::optional<std::int64_t> parse_date_ms(std::string_view text);
/// Milliseconds since 1970 as `2026-12-31T23:59:59Z`.
[[nodiscard]] std::string date_text(std::int64_t ms);

/// A decimal number without leading or trailing characters. Infinity and NaN are none.
[[nodiscard]] std::optional<double> parse_number(std::string_view text);
[[nodiscard]] std::optional<std::uint64_t> parse_count(std::string_view text);
/// The shortest text that reads back as `value`: 120, -20.5.
[[nodiscard]] std::string number_text(double value);

/// `*` stands for any characters, `?` for one; everything else for itself. Linear in the product of the lengths.
[[nodiscard]] bool glob_matches(std::string_view pattern, std::string_view text);

}  // namespace trunkline::uns
