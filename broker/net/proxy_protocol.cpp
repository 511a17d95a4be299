#include "broker/net/proxy_protocol.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string>

namespace trunkline::net {
namespace {

constexpr std::string_view signature_v1 = "PROXY ";
constexpr std::string_view signature_v2{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::size_t line_bytes_max = 107;   // section 2.1, with CRLF
constexpr std::size_t v2_fixed_bytes = 16;

ProxyStatus malformed(ProxyHeader& header, const char* error) {
    header.error = error;
    return ProxyStatus::malformed;
}

bool parse_port(std::string_view text, std::uint16_t& port) {
    if (text.empty() || text.size() > 5 || (text.size() > 1 && text[0] == '0')) return false;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    return error == std::errc() && end == text.data() + text.size();
}

bool parse_address(std::string_view text, int family, std::uint8_t* to) {
    if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return false;
    return inet_pton(family, std::string(text).c_str(), to) == 1;
}

// "PROXY TCP4 SOURCE DESTINATION SOURCE_PORT DESTINATION_PORT\r\n", single spaces.
ProxyStatus parse_line(std::string_view line, ProxyHeader& header) {
    line.remove_prefix(signature_v1.size());
    std::array<std::string_view, 5> words;
    std::size_t count = 0;
    while (count < words.size()) {
        const auto space = line.find(' ');
        words[count++] = line.substr(0, space);
        line = space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
        if (space == std::string_view::npos) break;
    }
    if (words[0] == "UNKNOWN") return ProxyStatus::complete;   // the rest of the line is to be ignored
    const bool v4 = words[0] == "TCP4";
    if (!v4 && words[0] != "TCP6") return malformed(header, "the protocol is not TCP4, TCP6 or UNKNOWN");
    if (count != words.size() || !line.empty()) return malformed(header, "not two addresses and two ports");
    const int family = v4 ? AF_INET : AF_INET6;
    std::array<std::uint8_t, 16> destination;
    std::uint16_t destination_port;
    if (!parse_address(words[1], family, header.source.ip.data()) ||
        !parse_address(words[2], family, destination.data())) {
        return malformed(header, "an address is not one of its family");
    }
    if (!parse_port(words[3], header.source.port) || !parse_port(words[4], destination_port)) {
        return malformed(header, "a port is not a number from 0 to 65535");
    }
    header.source.family = v4 ? 4 : 6;
    header.has_source = true;
    return ProxyStatus::complete;
}

ProxyStatus parse_v1(std::string_view bytes, ProxyHeader& header) {
    const std::string_view head = bytes.substr(0, line_bytes_max);
    const auto end = head.find("\r\n");
    if (end == std::string_view::npos) {
        if (head.size() == line_bytes_max) return malformed(header, "a version 1 line of more than 107 bytes");
        return ProxyStatus::incomplete;
    }
    header.size = end + 2;
    return parse_line(head.substr(0, end), header);
}

std::uint16_t port_at(const char* from) {
    return static_cast<std::uint16_t>((static_cast<std::uint8_t>(from[0]) << 8) | static_cast<std::uint8_t>(from[1]));
}

ProxyStatus parse_v2(std::string_view bytes, ProxyHeader& header) {
    if (bytes.size() < v2_fixed_bytes) return ProxyStatus::incomplete;
    const auto version_command = static_cast<std::uint8_t>(bytes[12]);
    const auto family = static_cast<std::uint8_t>(bytes[13]);
    const std::size_t length = port_at(bytes.data() + 14);
    if (version_command >> 4 != 2) return malformed(header, "the version is not 2");
    const unsigned command = version_command & 0x0F;
    if (command > 1) return malformed(header, "the command is neither LOCAL nor PROXY");
    if (v2_fixed_bytes + length > proxy_header_bytes_max) return malformed(header, "a header of more than 4096 bytes");
    if (bytes.size() < v2_fixed_bytes + length) return ProxyStatus::incomplete;
    header.size = v2_fixed_bytes + length;
    if (command == 0) return ProxyStatus::complete;   // LOCAL: a health check of the proxy itself

    const char* body = bytes.data() + v2_fixed_bytes;
    const bool v4 = family == 0x11;
    if (!v4 && family != 0x21) {   // UNSPEC, datagrams, Unix: no address that means anything here
        if (family >> 4 > 3 || (family & 0x0F) > 2) return malformed(header, "an unknown address family or transport");
        return ProxyStatus::complete;
    }
    const std::size_t address = v4 ? 4 : 16;
    if (length < 2 * address + 4) return malformed(header, "the header is shorter than its addresses");
    std::memcpy(header.source.ip.data(), body, address);
    header.source.port = port_at(body + 2 * address);
    header.source.family = v4 ? 4 : 6;
    header.has_source = true;   // what follows the addresses are TLVs: skipped
    return ProxyStatus::complete;
}

bool could_be(std::string_view bytes, std::string_view signature) {
    const std::size_t size = std::min(bytes.size(), signature.size());
    return bytes.substr(0, size) == signature.substr(0, size);
}

}  // namespace

ProxyStatus parse_proxy_header(std::string_view bytes, ProxyHeader& header) {
    header = {};
    const bool v1 = could_be(bytes, signature_v1);
    const bool v2 = could_be(bytes, signature_v2);
    if (!v1 && !v2) return malformed(header, "no PROXY header where the listener demands one");
    if (v1 && bytes.size() >= signature_v1.size()) return parse_v1(bytes, header);
    if (v2 && bytes.size() >= signature_v2.size()) return parse_v2(bytes, header);
    return ProxyStatus::incomplete;
}

}  // namespace trunkline::net
