// What goes wrong in one run, drawn from its seed once, so that some runs are rough in one way and some in another.
#pragma once

#include <cstdint>

#include "broker/core/config.h"
#include "broker/core/state.h"
#include "tests/sim/random.h"

namespace trunkline::sim {

struct Faults {
    std::uint32_t crash_permille = 0;      ///< of steps: the machine goes down and comes back
    std::uint32_t cut_permille = 0;        ///< of client turns: the connection breaks
    std::uint32_t takeover_permille = 0;   ///< of client turns: a second connection with the same client identifier
    std::uint32_t stall_permille = 0;      ///< of steps: the disk hangs for a while
    std::uint32_t stall_ms_max = 1;
    std::uint32_t lazy_percent = 0;        ///< of client turns that leave what came unanswered
    std::uint32_t full_percent = 0;        ///< of batches that find the disk full
    std::uint32_t no_growth_permille = 0;  ///< of steps: durable publishes are refused for a while
    std::uint32_t follower_percent = 0;    ///< of restarts from a follower's disk
    bool queue_limit = false;
    std::size_t socket_bytes = 1 << 20;

    [[nodiscard]] bool refuses() const { return full_percent > 0 || no_growth_permille > 0 || queue_limit; }
};

[[nodiscard]] inline Faults draw_faults(Random& random) {
    Faults faults;
    faults.crash_permille = random.chance(80) ? static_cast<std::uint32_t>(1 + random.below(6)) : 0;
    faults.cut_permille = static_cast<std::uint32_t>(random.below(30));
    faults.takeover_permille = static_cast<std::uint32_t>(random.below(15));
    faults.stall_permille = random.chance(30) ? static_cast<std::uint32_t>(1 + random.below(10)) : 0;
    faults.stall_ms_max = static_cast<std::uint32_t>(1 + random.below(400));
    faults.lazy_percent = static_cast<std::uint32_t>(random.below(60));
    faults.full_percent = random.chance(10) ? static_cast<std::uint32_t>(1 + random.below(5)) : 0;
    faults.no_growth_permille = random.chance(10) ? static_cast<std::uint32_t>(1 + random.below(10)) : 0;
    faults.follower_percent = random.chance(30) ? 50 : 0;
    faults.queue_limit = random.chance(15);
    if (random.chance(40)) faults.socket_bytes = 20 + random.below(600);
    return faults;
}

/// Small limits, so that every branch is met within a few hundred messages.
[[nodiscard]] inline broker::StateLimits small_state_limits(Random& random, const Faults& faults) {
    broker::StateLimits limits;
    limits.live_messages = 2 + random.below(20);
    limits.young_ms = 30 + static_cast<std::int64_t>(random.below(2'000));
    limits.young_bytes = 500 + random.below(8'000);
    limits.routes = 2 + random.below(6);
    if (faults.queue_limit) limits.queue_messages = 8 + random.below(30);
    return limits;
}

[[nodiscard]] inline broker::Config small_config(Random& random) {
    broker::Config config;
    config.allow_anonymous = true;
    config.limits.receive_maximum = static_cast<std::uint16_t>(4 + random.below(12));
    config.limits.topic_alias_maximum = static_cast<std::uint16_t>(random.below(3));
    config.limits.max_inflight_out = static_cast<std::uint16_t>(1 + random.below(40));
    if (random.chance(40)) config.limits.write_buffer_bytes = static_cast<std::uint32_t>(200 + random.below(2'000));
    if (random.chance(30)) config.limits.log_backlog_bytes = 500 + random.below(4'000);
    return config;
}

}  // namespace trunkline::sim
