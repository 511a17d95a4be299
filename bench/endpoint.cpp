#include "bench/endpoint.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace trunkline::bench {

namespace {

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

std::string tls_error_text(unsigned long error) {
    char text[256];
    ERR_error_string_n(error, text, sizeof text);
    return text;
}

}  // namespace

Endpoint::Endpoint(const std::string& url, const TlsOptions& tls, bool nodelay) : nodelay_(nodelay) {
    if (url.starts_with("unix:")) {
        const std::string path = url.substr(url.starts_with("unix://") ? 7 : 5);
        auto* local = reinterpret_cast<sockaddr_un*>(&address_);
        if (path.empty() || path.size() >= sizeof local->sun_path) fail("bad socket path in " + url);
        local->sun_family = AF_UNIX;
        std::memcpy(local->sun_path, path.c_str(), path.size() + 1);
        address_bytes_ = sizeof(sockaddr_un);
        return;
    }
    const auto scheme_end = url.find("://");
    const std::string scheme = scheme_end == std::string::npos ? "mqtt" : url.substr(0, scheme_end);
    std::string rest = scheme_end == std::string::npos ? url : url.substr(scheme_end + 3);
    if (!rest.empty() && rest.back() == '/') rest.pop_back();
    const bool secure = scheme == "mqtts";
    if (!secure && scheme != "mqtt") fail("unknown scheme in " + url + ": use mqtt://, mqtts:// or unix:");
    std::string port = secure ? "8883" : "1883";
    const auto bracket = rest.find(']');
    const auto colon = rest.rfind(':');
    if (colon != std::string::npos && (bracket == std::string::npos ? rest.find(':') == colon : colon > bracket)) {
        port = rest.substr(colon + 1);
        rest.resize(colon);
    }
    host_ = rest.starts_with('[') ? rest.substr(1, rest.size() - 2) : rest;
    if (host_.empty() || port.empty()) fail("no host or port in " + url);
    resolve(host_, port);
    if (secure) make_context(tls);
}

void Endpoint::resolve(const std::string& host, const std::string& port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int result = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
    if (result != 0) fail("cannot resolve " + host + ":" + port + ": " + gai_strerror(result));
    std::memcpy(&address_, found->ai_addr, found->ai_addrlen);
    address_bytes_ = found->ai_addrlen;
    freeaddrinfo(found);
}

void Endpoint::make_context(const TlsOptions& tls) {
    context_ = {SSL_CTX_new(TLS_client_method()), SSL_CTX_free};
    SSL_CTX* context = context_.get();
    if (!context) fail("cannot set up TLS");
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    const int trusted = tls.ca_file.empty() ? SSL_CTX_set_default_verify_paths(context)
                                            : SSL_CTX_load_verify_locations(context, tls.ca_file.c_str(), nullptr);
    if (trusted != 1) fail("cannot read CA certificates " + tls.ca_file + ": " + tls_error_text(ERR_get_error()));
    if (!tls.cert_file.empty()) {
        const std::string& key = tls.key_file.empty() ? tls.cert_file : tls.key_file;
        if (SSL_CTX_use_certificate_chain_file(context, tls.cert_file.c_str()) != 1 ||
            SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
            fail("cannot read client certificate or key: " + tls_error_text(ERR_get_error()));
        }
    }
    verify_ = !tls.insecure;
    SSL_CTX_set_verify(context, verify_ ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
}

bool Endpoint::is_loopback() const {
    if (address_.ss_family != AF_INET) return false;
    return (ntohl(reinterpret_cast<const sockaddr_in*>(&address_)->sin_addr.s_addr) >> 24) == 127;
}

int Endpoint::open_socket(std::uint32_t source) const {
    // A full backlog makes a non-blocking connect to a Unix socket fail instead of wait, so that one connects blocking.
    const int type = SOCK_STREAM | SOCK_CLOEXEC | (is_unix() ? 0 : SOCK_NONBLOCK);
    const int descriptor = socket(address_.ss_family, type, 0);
    if (descriptor < 0) return -1;
    const int on = 1;
    if (!is_unix() && nodelay_) setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (source != 0 && is_loopback()) {
        setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        sockaddr_in from{};
        from.sin_family = AF_INET;
        from.sin_addr.s_addr = htonl(0x7F000000U + 1 + source % 250);
        if (bind(descriptor, reinterpret_cast<sockaddr*>(&from), sizeof from) != 0) {
            ::close(descriptor);
            return -1;
        }
    }
    const int result = connect(descriptor, reinterpret_cast<const sockaddr*>(&address_), address_bytes_);
    if (result != 0 && errno != EINPROGRESS) {
        const int error = errno;
        ::close(descriptor);
        errno = error;
        return -1;
    }
    if (is_unix()) fcntl(descriptor, F_SETFL, O_NONBLOCK);
    return descriptor;
}

void Stream::open(const Endpoint& endpoint, int descriptor) {
    close();
    descriptor_ = descriptor;
    error_ = 0;
    tls_error_ = 0;
    if (!endpoint.is_tls()) return;
    tls_ = SSL_new(endpoint.tls_context());
    SSL_set_fd(tls_, descriptor);
    SSL_set_connect_state(tls_);
    SSL_set_tlsext_host_name(tls_, endpoint.host().c_str());
    if (!endpoint.verifies()) return;
    in6_addr scratch{};
    const char* host = endpoint.host().c_str();
    const bool literal = inet_pton(AF_INET, host, &scratch) == 1 || inet_pton(AF_INET6, host, &scratch) == 1;
    if (literal) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls_), host);
    } else {
        SSL_set1_host(tls_, host);
    }
}

void Stream::close() {
    if (tls_) SSL_free(tls_);
    tls_ = nullptr;
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
    wants_write_ = false;
}

Io Stream::tls_result(int result) {
    const int error = SSL_get_error(tls_, result);
    wants_write_ = error == SSL_ERROR_WANT_WRITE;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return Io::again;
    error_ = error == SSL_ERROR_SYSCALL ? errno : 0;
    tls_error_ = ERR_get_error();
    ERR_clear_error();
    return Io::closed;
}

Io Stream::handshake() {
    wants_write_ = false;
    if (!tls_) return Io::ok;
    const int result = SSL_do_handshake(tls_);
    return result == 1 ? Io::ok : tls_result(result);
}

Io Stream::read(char* to, std::size_t bytes_max, std::size_t& bytes) {
    if (tls_) {
        const int result = SSL_read_ex(tls_, to, bytes_max, &bytes);
        return result == 1 ? Io::ok : tls_result(result);
    }
    const ssize_t result = recv(descriptor_, to, bytes_max, 0);
    bytes = result > 0 ? static_cast<std::size_t>(result) : 0;
    if (result > 0) return Io::ok;
    if (result < 0 && (errno == EAGAIN || errno == EINTR)) return Io::again;
    error_ = result < 0 ? errno : 0;
    return Io::closed;
}

Io Stream::write(const char* from, std::size_t bytes_max, std::size_t& bytes) {
    bytes = 0;
    if (tls_) {
        const int result = SSL_write_ex(tls_, from, bytes_max, &bytes);
        return result == 1 ? Io::ok : tls_result(result);
    }
    const ssize_t result = send(descriptor_, from, bytes_max, MSG_NOSIGNAL);
    if (result >= 0) {
        bytes = static_cast<std::size_t>(result);
        return Io::ok;
    }
    if (errno == EAGAIN || errno == EINTR) return Io::again;
    error_ = errno;
    return Io::closed;
}

std::string Stream::error() const {
    if (tls_error_ != 0) return tls_error_text(tls_error_);
    return error_ ? std::strerror(error_) : "closed by the broker";
}

}  // namespace trunkline::bench
