// The clock that time limits and pauses go by: it never steps.
#pragma once

#include <chrono>
#include <cstdint>

namespace trunkline::broker {

[[nodiscard]] inline std::uint64_t steady_ns() {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
            .count());
}

}  // namespace trunkline::broker
