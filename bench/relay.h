// The least that can stand in for a broker: it hands each PUBLISH on as it came, to the one subscriber of its branch.
#pragma once

#include <cstdint>

namespace trunkline::bench {

/// Listens on a free port of 127.0.0.1, reports it through `report_port` (a pipe's descriptor; two bytes, host order)
/// and serves until that pipe's peer closes `until_closed`. For pairs at QoS 0 and 1. Does not return.
[[noreturn]] void run_relay(int report_port, int until_closed);

}  // namespace trunkline::bench
