// The least that can stand in for a broker: it hands each PUBLISH on as it came, to the subscribers of its branch.
#pragma once

#include <cstdint>

namespace trunkline::bench {

/// Listens on a free port of 127.0.0.1, reports it through `report_port` (a pipe's descriptor; two bytes, host order)
/// and serves until the other end of the pipe `until_closed` is closed. Filters must end in `/#`. QoS 0 and 1. Does not
/// return.
[[noreturn]] void run_relay(int report_port, int until_closed);

}  // namespace trunkline::bench
