// Addresses as configured: listener URLs and the admin address.
#pragma once

#include <string>
#include <string_view>

#include "broker/core/config.h"

namespace trunkline::broker {

/// `mqtt://`, `mqtts://`, `ws://` or `wss://` HOST[:PORT], or `unix:/PATH`. HOST is an IPv4 address, an IPv6 address in
/// brackets, a name, or `*` for every address; ports default to 1883, 8883, 8083 and 8084, and 0 picks a free one.
/// Fills url, kind, host, port and loopback of `listener`. Returns what is wrong, or "" when nothing is.
[[nodiscard]] std::string parse_listener_url(std::string_view url, ListenerConfig& listener);

/// `ADDR:PORT`, `[V6]:PORT` or `unix:PATH`, as Config::admin.listen.
struct AdminAddress {
    std::string host;          // empty for a Unix socket
    std::uint16_t port = 0;
    std::string unix_path;
    bool loopback = true;
};
[[nodiscard]] std::string parse_admin_address(std::string_view text, AdminAddress& address);

/// 127.0.0.0/8, ::1 and the name localhost.
[[nodiscard]] bool is_loopback_host(std::string_view host);

}  // namespace trunkline::broker
