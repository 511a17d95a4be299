// Amounts as people write them: "1 MiB", "7d", "1h30m".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace trunkline::broker {

/// A whole number, digits alone; `_` and `'` may group them ("10_000"). nullopt: no number or over 64 bits.
[[nodiscard]] std::optional<std::uint64_t> parse_count(std::string_view text);

/// Bytes: a number with an optional unit B, KiB, MiB, GiB, TiB (powers of 1,024) or kB, KB, MB, GB, TB (of 1,000).
/// Fractions are accepted with a unit ("1.5 GiB"). nullopt: unreadable or over 64 bits.
[[nodiscard]] std::optional<std::uint64_t> parse_bytes(std::string_view text);

/// Milliseconds: one or more numbers with units ms, s, m or min, h, d ("1h30m"); a bare number counts in
/// `bare_unit_ms`. nullopt: unreadable or over 64 bits.
[[nodiscard]] std::optional<std::uint64_t> parse_duration_ms(std::string_view text, std::uint64_t bare_unit_ms);

/// The shortest exact way to write an amount: "1 MiB", "1500", "7d", "90s".
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);
[[nodiscard]] std::string format_duration_ms(std::uint64_t ms);

}  // namespace trunkline::broker
