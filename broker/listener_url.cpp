#include "broker/listener_url.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <optional>

#include "broker/units.h"

namespace trunkline::broker {
namespace {

struct Scheme {
    std::string_view prefix;
    ListenerKind kind;
    std::uint16_t port;
};
constexpr std::array<Scheme, 4> schemes = {{{"mqtt://", ListenerKind::tcp, 1883},
                                            {"mqtts://", ListenerKind::tls, 8883},
                                            {"ws://", ListenerKind::ws, 8083},
                                            {"wss://", ListenerKind::wss, 8084}}};

std::string check_unix_path(std::string_view path) {
    if (path.empty()) return "a Unix socket needs a path after unix:";
    if (path.size() >= sizeof(sockaddr_un::sun_path)) {
        const std::size_t most = sizeof(sockaddr_un::sun_path) - 1;
        return "the path of a Unix socket is limited to " + std::to_string(most) + " bytes";
    }
    return {};
}

bool is_host_name(std::string_view host) {
    return !host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    });
}

bool is_ipv6(const std::string& host) {
    in6_addr address;
    return inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

// HOST[:PORT] or [V6][:PORT]; `port` keeps its value when the text has none.
std::string split_host_port(std::string_view text, std::string& host, std::uint16_t& port, bool port_needed) {
    std::optional<std::string_view> port_text;
    if (!text.empty() && text.front() == '[') {
        const auto end = text.find(']');
        if (end == std::string_view::npos) return "the IPv6 address has no closing bracket";
        host = text.substr(1, end - 1);
        const std::string_view rest = text.substr(end + 1);
        if (!rest.empty() && rest.front() != ':') return "only :PORT may follow the bracket";
        if (!rest.empty()) port_text = rest.substr(1);
        if (!is_ipv6(host)) return "\"" + host + "\" is not an IPv6 address";
    } else {
        const auto colon = text.find(':');
        if (colon != text.rfind(':')) return "an IPv6 address stands in brackets: [" + std::string(text) + "]";
        host = text.substr(0, colon);
        if (colon != std::string_view::npos) port_text = text.substr(colon + 1);
        if (host != "*" && !is_host_name(host)) return "\"" + host + "\" is not an address or a host name";
    }
    if (!port_text) return port_needed ? "the port is missing" : std::string();
    const auto number = parse_count(*port_text);
    if (!number || *number > 65'535) return "\"" + std::string(*port_text) + "\" is not a port from 0 to 65535";
    port = static_cast<std::uint16_t>(*number);
    return {};
}

}  // namespace

bool is_loopback_host(std::string_view host) {
    const std::string text(host);
    in_addr v4;
    if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
    in6_addr v6;
    if (inet_pton(AF_INET6, text.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6) != 0;
    return text == "localhost";
}

std::string parse_service_url(std::string_view text, std::string_view kind, ServiceUrl& url) {
    const auto end = text.find("://");
    const std::string scheme(text.substr(0, end == std::string_view::npos ? 0 : end));
    const std::string plain(kind), secure = plain + "s";
    if (scheme != plain && scheme != secure) {
        return "\"" + std::string(text) + "\" is no " + secure + ":// or " + plain + ":// address";
    }
    const std::string_view rest = text.substr(end + 3);
    const auto slash = rest.find_first_of("/?#");
    const std::string_view target = slash == std::string_view::npos ? std::string_view() : rest.substr(slash);
    const bool http = kind == "http";
    const bool printable = std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c < 0x7f; });
    if (target.find('#') != std::string_view::npos || !printable || (!http && !target.empty() && target != "/")) {
        return http ? "only a path and a query may follow the host, percent-encoded" : "nothing may follow the host";
    }
    url.scheme = scheme;
    url.authority = rest.substr(0, slash);
    url.port = http ? (scheme == secure ? 443 : 80) : (scheme == secure ? 636 : 389);
    url.target = !http ? std::string() : target.starts_with('/') ? std::string(target) : "/" + std::string(target);
    if (url.authority.find('@') != std::string::npos) return "a user name or password does not belong into an address";
    if (std::string wrong = split_host_port(url.authority, url.host, url.port, false); !wrong.empty()) return wrong;
    if (url.host == "*" || url.port == 0) return "a service has one host and a port from 1 to 65535";
    return {};
}

std::string parse_listener_url(std::string_view url, ListenerConfig& listener) {
    listener.url = url;
    if (url.starts_with("unix:")) {
        listener.kind = ListenerKind::unix_socket;
        listener.host = url.substr(5);
        listener.port = 0;
        listener.loopback = true;
        return check_unix_path(listener.host);
    }
    const auto scheme = std::find_if(schemes.begin(), schemes.end(),
                                     [&](const Scheme& known) { return url.starts_with(known.prefix); });
    if (scheme == schemes.end()) return "\"" + std::string(url) + "\" has no scheme that listens";
    listener.kind = scheme->kind;
    listener.port = scheme->port;
    std::string_view rest = url.substr(scheme->prefix.size());
    if (const auto slash = rest.find('/'); slash != std::string_view::npos) {
        const bool web = listener.kind == ListenerKind::ws || listener.kind == ListenerKind::wss;
        const std::string_view path = rest.substr(slash);
        if (path != "/" && !(web && path == "/mqtt")) return "\"" + std::string(path) + "\": a listener has no path";
        rest = rest.substr(0, slash);
    }
    const std::string wrong = split_host_port(rest, listener.host, listener.port, false);
    listener.loopback = is_loopback_host(listener.host);
    return wrong;
}

std::string parse_admin_address(std::string_view text, AdminAddress& address) {
    if (text.starts_with("unix:")) {
        address.unix_path = text.substr(5);
        return check_unix_path(address.unix_path);
    }
    for (const std::string_view scheme : {"http://", "https://"}) {   // which of them admin.tls decides
        if (text.starts_with(scheme)) text.remove_prefix(scheme.size());
    }
    const std::string wrong = split_host_port(text, address.host, address.port, true);
    address.loopback = is_loopback_host(address.host);
    return wrong;
}

}  // namespace trunkline::broker
