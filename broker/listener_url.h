// Addresses as configured: listener URLs and the admin address.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "broker/core/config.h"

namespace trunkline::broker {

/// `mqtt://`, `mqtts://`, `ws://` or `wss://` HOST[:PORT], or `unix:/PATH`. HOST is an IPv4 address, an IPv6 address in
/// brackets, a name, or `*` for every address; ports default to 1883, 8883, 8083 and 8084, and 0 picks a free one.
/// Fills url, kind, host, port and loopback of `listener`. Returns what is wrong, or "" when nothing is.
[[nodiscard]] std::string parse_listener_url(std::string_view url, ListenerConfig& listener);

/// `ADDR:PORT`, `[V6]:PORT`, either with `http://` or `https://` before it, or `unix:PATH`, as Config::admin.listen.
struct AdminAddress {
    std::string host;          // empty for a Unix socket
    std::uint16_t port = 0;
    std::string unix_path;
    bool loopback = true;
};
[[nodiscard]] std::string parse_admin_address(std::string_view text, AdminAddress& address);

/// Where a service is that the broker asks: `http://`, `https://` with path and query, `ldap://` or `ldaps://` without.
struct ServiceUrl {
    std::string scheme;         // "https"
    std::string host;           // as in parse_listener_url(), without brackets
    std::uint16_t port = 0;     // 80, 443, 389 and 636 where the text has none
    std::string target;         // path and query, "/" when there is no path; empty for ldap
    std::string authority;      // HOST[:PORT] as it was written
};
/// `kind` is "http" or "ldap". Returns what is wrong with `text`, or "" and fills `url`.
[[nodiscard]] std::string parse_service_url(std::string_view text, std::string_view kind, ServiceUrl& url);

/// 127.0.0.0/8, ::1 and the name localhost.
[[nodiscard]] bool is_loopback_host(std::string_view host);

}  // namespace trunkline::broker
