// When the log committed something, for telling which of two values is the newer one.
#pragma once

#include <cstdint>

namespace trunkline::uns {

/// When a batch was committed: milliseconds since 1970 and, below them, a counter, so that it ascends by batch.
using CommitTime = std::uint64_t;
inline constexpr unsigned commit_counter_bits = 20;
[[nodiscard]] constexpr CommitTime commit_time(std::int64_t time_ms) {
    return static_cast<CommitTime>(time_ms) << commit_counter_bits;
}
[[nodiscard]] constexpr std::int64_t commit_time_ms(CommitTime time) {
    return static_cast<std::int64_t>(time >> commit_counter_bits);
}

}  // namespace trunkline::uns
