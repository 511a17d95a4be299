// Timestamps as text: RFC 3339, section 5.6.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace trunkline::uns {

/// "2023-11-14" with the day existing in its month.
[[nodiscard]] bool is_full_date(std::string_view text);

/// "22:13:20.5Z" or with an offset such as +01:00; second 60 only where a leap second can be (23:59:60 UTC).
[[nodiscard]] bool is_full_time(std::string_view text);

/// Milliseconds since 1970, UTC, of "2023-11-14T22:13:20.5+01:00", rounded down; a leap second is the next second.
/// Negative before 1970. Nothing when `text` is not a date-time of RFC 3339.
[[nodiscard]] std::optional<std::int64_t> parse_date_time(std::string_view text);

}  // namespace trunkline::uns
