// The PROXY protocol, versions 1 and 2 (haproxy.org, "The PROXY protocol", 2020): who really connected, as told by a
// load balancer in front. A pure function over the first bytes of a connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "broker/core/transport.h"

namespace trunkline::net {

/// A header longer than this is refused: version 1 needs 107 bytes, version 2 as much as its TLVs take.
inline constexpr std::size_t proxy_header_bytes_max = 4'096;

enum class ProxyStatus : std::uint8_t { incomplete, complete, malformed };

struct ProxyHeader {
    std::size_t size = 0;             ///< bytes of the header, to be skipped
    bool has_source = false;          ///< false: LOCAL, UNKNOWN or a family without addresses; the socket's own counts
    broker::PeerAddress source;
    const char* error = "";           ///< with malformed: what is wrong, static text
};

/// Reads the header at the front of `bytes`. `incomplete` asks for more bytes behind the same ones.
[[nodiscard]] ProxyStatus parse_proxy_header(std::string_view bytes, ProxyHeader& header);

}  // namespace trunkline::net
