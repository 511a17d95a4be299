// Monotonic and wall clock readings, in the units the generator works in.
#pragma once

#include <cstdint>
#include <ctime>

namespace trunkline::bench {

inline constexpr std::int64_t ns_per_s = 1'000'000'000;
inline constexpr std::int64_t ns_per_ms = 1'000'000;

inline std::int64_t read_clock_ns(clockid_t clock) {
    timespec at{};
    clock_gettime(clock, &at);
    return at.tv_sec * ns_per_s + at.tv_nsec;
}

/// Nanoseconds on the monotonic clock.
inline std::int64_t now_ns() { return read_clock_ns(CLOCK_MONOTONIC); }

/// Milliseconds since 1970, as payloads carry them.
inline std::int64_t wall_ms() { return read_clock_ns(CLOCK_REALTIME) / ns_per_ms; }

inline double seconds(std::int64_t ns) { return static_cast<double>(ns) / static_cast<double>(ns_per_s); }

}  // namespace trunkline::bench
