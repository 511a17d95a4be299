#include "broker/admin/channel.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <ctime>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/error.hpp>

#include "auth/certificate.h"

namespace trunkline::admin {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using namespace std::chrono_literals;

constexpr auto awaited = asio::as_tuple(asio::use_awaitable);
constexpr auto goodbye_time = 1s;
constexpr std::int64_t trust_ms = 60'000;     // a list of what is revoked may have got too old since
constexpr std::size_t linger_bytes_max = 1 << 20;

std::int64_t end_of(const X509* certificate) {
    std::tm when{};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &when) != 1) return 0;
    return std::int64_t{::timegm(&when)} * 1'000;
}

std::shared_ptr<const ShownCertificate> shown_by(const SSL* tls) {
    X509* certificate = SSL_get0_peer_certificate(tls);
    if (!certificate || SSL_get_verify_result(tls) != X509_V_OK) return nullptr;
    unsigned char* der = nullptr;
    const int size = i2d_X509(certificate, &der);
    auto shown = std::make_shared<ShownCertificate>();
    if (size > 0) {
        auto fields = auth::read_certificate({reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)});
        if (fields) shown->fields = std::move(*fields);
    }
    OPENSSL_free(der);
    if (!shown->fields.present()) shown->fields.subject = "unreadable";   // somebody without a name, not nobody
    shown->until_ms = end_of(certificate);
    return shown;
}

std::string reason_of(const error_code& error, const SSL* tls) {
    const long verified = SSL_get_verify_result(tls);
    if (verified != X509_V_OK) return std::string("client certificate: ") + X509_verify_cert_error_string(verified);
    if (error == boost::beast::error::timeout) return "no handshake in time";
    if (error == asio::error::eof || error == asio::error::connection_reset ||
        error == asio::ssl::error::stream_truncated) {
        return "the client went away";
    }
    return error.message();
}

// As OpenSSL does it in a handshake, by other settings.
std::string verify(SSL* tls, ssl_ctx_st* context) {
    X509* certificate = SSL_get0_peer_certificate(tls);
    const int mode = SSL_CTX_get_verify_mode(context);
    if (!certificate) {
        return (mode & SSL_VERIFY_FAIL_IF_NO_PEER_CERT) != 0 ? "a client certificate is demanded now" : "";
    }
    const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> check(X509_STORE_CTX_new(),
                                                                                &X509_STORE_CTX_free);
    const bool ready = check && X509_STORE_CTX_init(check.get(), SSL_CTX_get_cert_store(context), certificate,
                                                    SSL_get_peer_cert_chain(tls)) == 1;
    if (!ready || X509_STORE_CTX_set_default(check.get(), "ssl_client") != 1) return "out of memory";
    X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(check.get());
    X509_VERIFY_PARAM_set_auth_level(parameters, SSL_get_security_level(tls));
    X509_VERIFY_PARAM_set1(parameters, SSL_CTX_get0_param(context));
    const bool good = X509_verify_cert(check.get()) == 1;
    const int error = X509_STORE_CTX_get_error(check.get());
    ERR_clear_error();
    return good ? "" : std::string("client certificate: ") + X509_verify_cert_error_string(error);
}

}  // namespace

asio::awaitable<Channel::Handshake> Channel::accept_tls(std::shared_ptr<ssl_ctx_st> context) {
    Handshake result;
    SSL* tls = SSL_new(context.get());
    if (!tls) {
        ERR_clear_error();
        result.wrong = "out of memory";
        co_return result;
    }
    SSL_set_options(tls, SSL_OP_NO_TICKET);
    static_cast<void>(SSL_set_num_tickets(tls, 0));
    tls_.emplace(plain_, tls);   // which owns it now
    auto [error] = co_await tls_->async_handshake(asio::ssl::stream_base::server, awaited);
    if (error) {
        result.wrong = reason_of(error, tls);
        result.spoke = error.category() == asio::error::get_ssl_category();
        result.spoke_http =
            result.spoke && ERR_GET_REASON(static_cast<unsigned long>(error.value())) == SSL_R_HTTP_REQUEST;
        tls_.reset();
        co_return result;
    }
    certificate_ = shown_by(tls);
    trust(std::move(context), wall_ms());
    co_return result;
}

std::string Channel::distrust(const TlsSettings& now, std::int64_t now_ms) {
    if (!tls_ || !now.context) return {};
    if (trusted_by_ == now.context && now_ms < trusted_until_ms_) return {};
    std::string wrong = verify(tls_->native_handle(), now.context.get());
    if (!wrong.empty()) return wrong;
    trust(now.context, now_ms);
    return {};
}

void Channel::trust(std::shared_ptr<ssl_ctx_st> by, std::int64_t now_ms) {
    trusted_by_ = std::move(by);
    trusted_until_ms_ = std::min(now_ms + trust_ms, certificate_ ? certificate_->until_ms : auth::always_ms);
}

asio::awaitable<void> Channel::finish() {
    error_code ignored;
    if (tls_) {
        plain_.expires_after(goodbye_time);
        co_await tls_->async_shutdown(awaited);
    }
    plain_.socket().shutdown(asio::socket_base::shutdown_send, ignored);
}

asio::awaitable<void> Channel::linger() {
    error_code ignored;
    plain_.socket().shutdown(asio::socket_base::shutdown_send, ignored);
    plain_.expires_after(goodbye_time);
    std::array<char, 4'096> rest;
    for (std::size_t read = 0; read < linger_bytes_max;) {
        auto [error, got] = co_await plain_.async_read_some(asio::buffer(rest), awaited);
        if (error) co_return;
        read += got;
    }
}

}  // namespace trunkline::admin
