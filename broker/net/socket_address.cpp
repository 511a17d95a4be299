#include "broker/net/socket_address.h"

#include <netinet/in.h>

#include <cstring>

namespace trunkline::net {

broker::PeerAddress to_peer_address(const sockaddr_storage& address) {
    broker::PeerAddress peer;
    if (address.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
        std::memcpy(peer.ip.data(), &v4.sin_addr, 4);
        peer.port = ntohs(v4.sin_port);
        peer.family = 4;
    } else if (address.ss_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
        const bool mapped = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
        std::memcpy(peer.ip.data(), v6.sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
        peer.port = ntohs(v6.sin6_port);
        peer.family = mapped ? 4 : 6;
    }
    return peer;
}

}  // namespace trunkline::net
