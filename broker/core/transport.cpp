#include "broker/core/transport.h"

#include <arpa/inet.h>

#include <algorithm>

namespace trunkline::broker {

std::string PeerAddress::to_string() const {
    if (family == 0) return "local";
    char text[INET6_ADDRSTRLEN] = {};
    inet_ntop(family == 4 ? AF_INET : AF_INET6, ip.data(), text, sizeof text);
    return family == 4 ? std::string(text) + ":" + std::to_string(port)
                       : "[" + std::string(text) + "]:" + std::to_string(port);
}

std::string PeerAddress::host() const {
    if (family == 0) return {};
    char text[INET6_ADDRSTRLEN] = {};
    inet_ntop(family == 4 ? AF_INET : AF_INET6, ip.data(), text, sizeof text);
    return text;
}

bool PeerAddress::is_loopback() const {
    if (family == 4) return ip[0] == 127;
    if (family == 6) return std::all_of(ip.begin(), ip.end() - 1, [](std::uint8_t b) { return b == 0; }) && ip[15] == 1;
    return false;
}

}  // namespace trunkline::broker
