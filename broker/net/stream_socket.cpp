#include "broker/net/stream_socket.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace trunkline::net {
namespace {

IoStatus status_of_errno() {
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? IoStatus::would_block : IoStatus::failed;
}

IoStatus status_of_tls(SSL* tls, int result) {
    switch (SSL_get_error(tls, result)) {
        case SSL_ERROR_WANT_READ:
        case SSL_ERROR_WANT_WRITE: return IoStatus::would_block;
        case SSL_ERROR_ZERO_RETURN: return IoStatus::closed;
        default: return IoStatus::failed;
    }
}

int clamped(std::size_t size) { return static_cast<int>(std::min<std::size_t>(size, INT_MAX)); }

}  // namespace

IoResult StreamSocket::receive(char* to, std::size_t size) {
    if (!tls_) {
        const ssize_t got = ::recv(descriptor_, to, size, 0);
        if (got < 0) return {0, status_of_errno()};
        if (got == 0) return {0, IoStatus::closed};
        const auto bytes = static_cast<std::size_t>(got);
        return {bytes, bytes == size ? IoStatus::ok : IoStatus::would_block};
    }
    std::size_t done = 0;
    while (done < size) {
        ERR_clear_error();
        const int got = SSL_read(tls_, to + done, clamped(size - done));
        if (got <= 0) return {done, status_of_tls(tls_, got)};
        done += static_cast<std::size_t>(got);
    }
    return {done, IoStatus::ok};
}

IoResult StreamSocket::send(const char* from, std::size_t size) {
    if (!tls_) {
        const ssize_t sent = ::send(descriptor_, from, size, MSG_NOSIGNAL);
        if (sent < 0) return {0, status_of_errno()};
        const auto bytes = static_cast<std::size_t>(sent);
        return {bytes, bytes == size ? IoStatus::ok : IoStatus::would_block};
    }
    std::size_t done = 0;
    while (done < size) {
        ERR_clear_error();
        const int sent = SSL_write(tls_, from + done, clamped(size - done));
        if (sent <= 0) return {done, status_of_tls(tls_, sent)};
        done += static_cast<std::size_t>(sent);
    }
    return {done, IoStatus::ok};
}

bool StreamSocket::start_tls(ssl_ctx_st* context) {
    tls_ = SSL_new(context);
    if (!tls_) return false;
    if (SSL_set_fd(tls_, descriptor_) != 1) return false;
    SSL_set_accept_state(tls_);
    return true;
}

IoStatus StreamSocket::handshake() {
    ERR_clear_error();
    const int result = SSL_do_handshake(tls_);
    return result == 1 ? IoStatus::ok : status_of_tls(tls_, result);
}

std::string StreamSocket::tls_error() const {
    const long verified = tls_ ? SSL_get_verify_result(tls_) : X509_V_OK;
    if (verified != X509_V_OK) {
        return std::string("client certificate: ") + X509_verify_cert_error_string(verified);
    }
    const unsigned long code = ERR_peek_last_error();
    if (code == 0) return "the peer went away";
    const char* reason = ERR_reason_error_string(code);
    return reason ? reason : "TLS error " + std::to_string(code);
}

std::string StreamSocket::client_certificate() const {
    if (!tls_ || SSL_get_verify_result(tls_) != X509_V_OK) return {};
    X509* certificate = SSL_get0_peer_certificate(tls_);
    if (!certificate) return {};
    unsigned char* der = nullptr;
    const int size = i2d_X509(certificate, &der);
    if (size <= 0) return {};
    std::string bytes(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
    OPENSSL_free(der);
    return bytes;
}

IoResult StreamSocket::peek(char* to, std::size_t size) const {
    const ssize_t got = ::recv(descriptor_, to, size, MSG_PEEK);
    if (got < 0) return {0, status_of_errno()};
    if (got == 0) return {0, IoStatus::closed};
    return {static_cast<std::size_t>(got), IoStatus::ok};
}

bool StreamSocket::peer_has_ended() const {
    pollfd asked{descriptor_, POLLRDHUP, 0};
    return ::poll(&asked, 1, 0) > 0;   // POLLHUP and POLLERR need no asking
}

void StreamSocket::shut_down_sending() {
    if (descriptor_ < 0) return;
    if (tls_ && SSL_is_init_finished(tls_)) {
        ERR_clear_error();
        SSL_shutdown(tls_);
    }
    ::shutdown(descriptor_, SHUT_WR);
}

void StreamSocket::close() {
    if (tls_) SSL_free(tls_);
    tls_ = nullptr;
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
}

}  // namespace trunkline::net
