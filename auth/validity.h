// When a user or a rule holds: dates, days of the week and times of the day. The clock reading comes in.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace trunkline::auth {

inline constexpr std::int64_t always_ms = std::numeric_limits<std::int64_t>::max();

/// Whose days and hours a file means.
enum class Clock : std::uint8_t { utc, local };

struct Validity {
    std::int64_t from_ms = std::numeric_limits<std::int64_t>::min();   ///< UTC milliseconds since 1970, inclusive
    std::int64_t until_ms = always_ms;                                 ///< exclusive
    std::uint8_t days = 0x7F;               ///< bit 0 is Monday; a window over midnight belongs to the day it begins
    std::uint16_t begin_minute = 0;         ///< of the day
    std::uint16_t end_minute = 24 * 60;     ///< exclusive; not after begin_minute: the window runs over midnight
    Clock clock = Clock::local;

    [[nodiscard]] bool always() const;
    [[nodiscard]] bool holds(std::int64_t now_ms) const;
    /// A time after `now_ms` until which holds() stays as it is: at most the next change, at least a moment ahead.
    [[nodiscard]] std::int64_t settled_until(std::int64_t now_ms) const;
    /// "from 2026-01-01T00:00:00Z", "on mon-fri 06:00-14:00 (local time)"; empty when always().
    [[nodiscard]] std::string describe() const;
};

/// `2026-01-31`, `2026-01-31T06:00`, `2026-01-31T06:00:00Z`, `...+02:00`; without an offset by `clock`. A date alone is
/// its first moment.
[[nodiscard]] std::optional<std::int64_t> parse_time(std::string_view text, Clock clock);
/// `06:00-14:00`, `22:00-06:00`, up to `24:00`.
[[nodiscard]] bool parse_hours(std::string_view text, Validity& into);
/// `mon`, `mon-fri`, `sat-mon`: bits from Monday, or nullopt.
[[nodiscard]] std::optional<std::uint8_t> parse_days(std::string_view text);
/// RFC 3339 in UTC.
[[nodiscard]] std::string format_time(std::int64_t ms);

}  // namespace trunkline::auth
