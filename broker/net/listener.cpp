#include "broker/net/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include "broker/net/tls_context.h"

namespace trunkline::net {
namespace {

constexpr int backlog = 4'096;
constexpr mode_t unix_socket_mode = 0660;

using AddressList = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

AddressList resolve(const broker::ListenerConfig& config) {
    addrinfo hints{};
    hints.ai_family = config.host == "*" ? AF_INET6 : AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const char* host = config.host == "*" || config.host.empty() ? nullptr : config.host.c_str();
    const std::string port = std::to_string(config.port);
    const int error = ::getaddrinfo(host, port.c_str(), &hints, &found);
    if (error != 0) {
        const std::error_code code = error == EAI_SYSTEM ? std::error_code(errno, std::generic_category())
                                                         : std::make_error_code(std::errc::address_not_available);
        const std::string what = config.url + ": cannot resolve " + config.host + " (" + gai_strerror(error) + ")";
        throw std::system_error(code, what);
    }
    return {found, &::freeaddrinfo};
}

void set_port(sockaddr* address, std::uint16_t port) {
    if (address->sa_family == AF_INET) reinterpret_cast<sockaddr_in*>(address)->sin_port = htons(port);
    if (address->sa_family == AF_INET6) reinterpret_cast<sockaddr_in6*>(address)->sin6_port = htons(port);
}

// A hosts file with several lines for a name gives its address several times.
bool seen_before(const addrinfo* first, const addrinfo* address) {
    for (const addrinfo* other = first; other != address; other = other->ai_next) {
        if (other->ai_family != address->ai_family) continue;
        const auto* a = other->ai_addr;
        const auto* b = address->ai_addr;
        if (a->sa_family == AF_INET && reinterpret_cast<const sockaddr_in*>(a)->sin_addr.s_addr ==
                                           reinterpret_cast<const sockaddr_in*>(b)->sin_addr.s_addr) {
            return true;
        }
        if (a->sa_family == AF_INET6 && IN6_ARE_ADDR_EQUAL(&reinterpret_cast<const sockaddr_in6*>(a)->sin6_addr,
                                                           &reinterpret_cast<const sockaddr_in6*>(b)->sin6_addr)) {
            return true;
        }
    }
    return false;
}

std::uint16_t bound_port(int descriptor) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.ss_family == AF_INET ? reinterpret_cast<sockaddr_in&>(address).sin_port
                                              : reinterpret_cast<sockaddr_in6&>(address).sin6_port);
}

// Returns the listening descriptor, or -1 with errno set.
int listen_on(const addrinfo& address, bool dual_stack) {
    const int descriptor = ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -1;
    const int on = 1;
    const int v6_only = dual_stack ? 0 : 1;
    ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address.ai_family == AF_INET6) ::setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
    // Accepted sockets inherit these: no system calls for each connection. The probes find peers that vanished without
    // a word and had no keep alive.
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (::bind(descriptor, address.ai_addr, address.ai_addrlen) == 0 && ::listen(descriptor, backlog) == 0) {
        return descriptor;
    }
    const int error = errno;
    ::close(descriptor);
    errno = error;
    return -1;
}

// True when a process still listens on the socket file.
bool somebody_listens(const sockaddr_un& address) {
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return true;
    const bool refused = ::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
                         (errno == ECONNREFUSED || errno == ENOENT);
    ::close(descriptor);
    return !refused;
}

}  // namespace

Listener::Listener(const broker::ListenerConfig& config, std::uint16_t index) : config_(config), index_(index) {
    if (uses_tls()) {
        std::string error;
        tls_ = TlsContext::load(config_.tls, uses_websocket(), error);
        if (!tls_) throw std::runtime_error(config_.url + ": " + error);
    }
    if (config_.kind == broker::ListenerKind::unix_socket) {
        bind_unix();
    } else {
        bind_inet();
    }
}

Listener::~Listener() { close(); }

void Listener::fail(int error, const char* what) {
    for (const int descriptor : descriptors_) ::close(descriptor);
    descriptors_.clear();
    throw std::system_error(error, std::generic_category(), config_.url + ": cannot " + what);
}

void Listener::bind_inet() {
    const bool any = config_.host == "*" || config_.host.empty();
    const AddressList addresses = resolve(config_);
    port_ = config_.port;
    int error = EADDRNOTAVAIL;
    for (const addrinfo* address = addresses.get(); address; address = address->ai_next) {
        if (seen_before(addresses.get(), address)) continue;
        set_port(address->ai_addr, port_);   // a free port found for the first address serves the others too
        const int descriptor = listen_on(*address, any);
        if (descriptor < 0) {
            error = errno;
            // A name may stand for an address family that this machine does not have.
            if (error != EADDRNOTAVAIL && error != EAFNOSUPPORT) fail(error, "listen");
            continue;
        }
        descriptors_.push_back(descriptor);
        port_ = bound_port(descriptor);
    }
    if (!descriptors_.empty()) return;
    if (!any) fail(error, "listen");
    sockaddr_in v4{};   // no IPv6 on this machine: every IPv4 address
    v4.sin_family = AF_INET;
    v4.sin_port = htons(config_.port);
    addrinfo address{};
    address.ai_family = AF_INET;
    address.ai_addr = reinterpret_cast<sockaddr*>(&v4);
    address.ai_addrlen = sizeof v4;
    const int descriptor = listen_on(address, false);
    if (descriptor < 0) fail(errno, "listen");
    descriptors_.push_back(descriptor);
    port_ = bound_port(descriptor);
}

void Listener::bind_unix() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (config_.host.size() >= sizeof address.sun_path) fail(ENAMETOOLONG, "listen");
    std::memcpy(address.sun_path, config_.host.c_str(), config_.host.size() + 1);
    struct stat status{};
    if (::lstat(config_.host.c_str(), &status) == 0) {
        if (!S_ISSOCK(status.st_mode)) fail(EEXIST, "listen: the path is no socket");
        if (somebody_listens(address)) fail(EADDRINUSE, "listen");
        ::unlink(config_.host.c_str());   // left by a process that did not end in order
    }
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) fail(errno, "make a socket");
    descriptors_.push_back(descriptor);
    if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail(errno, "bind");
    // Between bind and listen nobody can connect, so nobody gets in with a wider mode.
    if (::chmod(config_.host.c_str(), unix_socket_mode) != 0) fail(errno, "set the socket's mode");
    if (::listen(descriptor, backlog) != 0) fail(errno, "listen");
}

bool Listener::uses_tls() const {
    return config_.kind == broker::ListenerKind::tls || config_.kind == broker::ListenerKind::wss;
}

bool Listener::uses_websocket() const {
    return config_.kind == broker::ListenerKind::ws || config_.kind == broker::ListenerKind::wss;
}

std::string Listener::describe() const {
    if (config_.kind == broker::ListenerKind::unix_socket) return "unix:" + config_.host;
    constexpr const char* schemes[] = {"mqtt://", "mqtts://", "ws://", "wss://"};
    const bool v6 = config_.host.find(':') != std::string::npos;
    return schemes[static_cast<int>(config_.kind)] + (v6 ? "[" + config_.host + "]" : config_.host) + ":" +
           std::to_string(port_);
}

std::shared_ptr<TlsContext> Listener::tls() const {
    const std::lock_guard lock(tls_mutex_);
    return tls_;
}

std::string Listener::reload_tls(const broker::TlsConfig& config) {
    if (!uses_tls()) return {};
    std::string error;
    auto fresh = TlsContext::load(config, uses_websocket(), error);
    if (!fresh) return error;
    const std::lock_guard lock(tls_mutex_);
    tls_.swap(fresh);
    return {};
}

void Listener::close() {
    if (descriptors_.empty()) return;
    for (const int descriptor : descriptors_) ::close(descriptor);
    descriptors_.clear();
    if (config_.kind == broker::ListenerKind::unix_socket) ::unlink(config_.host.c_str());
}

}  // namespace trunkline::net
