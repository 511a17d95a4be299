// What a supervisor learns: systemd's notification protocol (sd_notify(3)), spoken directly.
#pragma once

#include <cstdint>
#include <string_view>

namespace trunkline::broker {

/// Sends a state such as "READY=1" to $NOTIFY_SOCKET; does nothing where there is none. Never fails loudly.
void notify_supervisor(std::string_view state);

/// How often WATCHDOG=1 is due: half of $WATCHDOG_USEC, in ms; 0 when no watchdog waits for this process.
[[nodiscard]] std::uint64_t watchdog_interval_ms();

}  // namespace trunkline::broker
