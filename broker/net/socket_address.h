// Between the system's socket addresses and ours.
#pragma once

#include <sys/socket.h>

#include "broker/core/transport.h"

namespace trunkline::net {

/// IPv4 mapped into IPv6 counts as IPv4; anything that is no IP address gives family 0.
[[nodiscard]] broker::PeerAddress to_peer_address(const sockaddr_storage& address);

}  // namespace trunkline::net
