#include "broker/admin/http_witness.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <chrono>
#include <fstream>
#include <functional>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

namespace trunkline::admin {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

constexpr std::chrono::seconds time_max{5};
constexpr std::uint64_t answer_bytes_max = 64 * 1'024;

/// One request and its answer's status, over a stream of TCP or TLS on it.
class Exchange {
public:
    explicit Exchange(http::request<http::string_body>& request) : request_(request) {
        parser_.body_limit(answer_bytes_max);
    }
    template <class Stream>
    void run(Stream& stream) {
        http::async_write(stream, request_, [this, &stream](error_code failed, std::size_t) {
            error = failed;
            if (failed) return;
            http::async_read(stream, buffer_, parser_, [this](error_code not_read, std::size_t) {
                error = not_read;
                if (!not_read) status = parser_.get().result_int();
            });
        });
    }
    error_code error;
    unsigned status = 0;                          // 0: there is no answer

private:
    http::request<http::string_body>& request_;
    beast::flat_buffer buffer_;
    http::response_parser<http::string_body> parser_;
};

void connect(beast::tcp_stream& stream, const std::string& host, const std::string& port, error_code& error,
             const std::function<void()>& then) {
    asio::ip::tcp::resolver resolver(stream.get_executor());
    const auto found = resolver.resolve(host, port, error);
    if (error) return;
    stream.expires_after(time_max);
    stream.async_connect(found, [&error, then](error_code failed, const asio::ip::tcp::endpoint&) {
        error = failed;
        if (!failed) then();
    });
}

void run_plain(const std::string& host, const std::string& port, Exchange& exchange) {
    asio::io_context context(1);
    beast::tcp_stream stream(context);
    connect(stream, host, port, exchange.error, [&] { exchange.run(stream); });
    context.run();
}

/// Returns why the other side is not trusted, "" when that is not the matter.
std::string run_tls(const std::string& host, const std::string& port, const std::string& ca_file, Exchange& exchange) {
    asio::io_context context(1);
    asio::ssl::context settings(asio::ssl::context::tls_client);
    static_cast<void>(SSL_CTX_set_min_proto_version(settings.native_handle(), TLS1_2_VERSION));
    if (ca_file.empty()) static_cast<void>(settings.set_default_verify_paths(exchange.error));
    else static_cast<void>(settings.load_verify_file(ca_file, exchange.error));
    if (exchange.error) return "ca " + ca_file + ": " + exchange.error.message();
    settings.set_verify_mode(asio::ssl::verify_peer);
    asio::ssl::stream<beast::tcp_stream> stream(context, settings);
    error_code no_address;
    static_cast<void>(asio::ip::make_address(host, no_address));
    if (no_address) {
        SSL_set_tlsext_host_name(stream.native_handle(), host.c_str());
        SSL_set1_host(stream.native_handle(), host.c_str());
    } else {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(stream.native_handle()), host.c_str());
    }
    connect(stream.next_layer(), host, port, exchange.error, [&] {
        stream.async_handshake(asio::ssl::stream_base::client, [&](error_code failed) {
            exchange.error = failed;
            if (!failed) exchange.run(stream);
        });
    });
    context.run();
    const long verified = SSL_get_verify_result(stream.native_handle());
    return verified == X509_V_OK ? "" : std::string("its certificate: ") + X509_verify_cert_error_string(verified);
}

}  // namespace

auth::audit::Status HttpWitness::deliver(const std::string& line) {
    using auth::audit::Error;
    using auth::audit::Failure;
    const std::string address = url_.substr(url_.find("//") + 2);
    const auto colon = address.rfind(':');
    const bool has_port = colon != std::string::npos && address.find(']', colon) == std::string::npos;
    std::string host = address.substr(0, has_port ? colon : std::string::npos);
    const std::string port = has_port ? address.substr(colon + 1) : "9883";
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    http::request<http::string_body> request(http::verb::post, "/api/v1/audit/witness", 11);
    request.set(http::field::host, address);
    request.set(http::field::content_type, "text/plain");
    request.set(http::field::connection, "close");
    if (!token_file_.empty()) {
        std::ifstream in(token_file_);
        std::string token;
        if (!std::getline(in, token)) return Error{Failure::failed, token_file_ + ": cannot be read"};
        request.set(http::field::authorization, "Bearer " + token);
    }
    request.body() = line;
    request.prepare_payload();
    Exchange exchange(request);
    std::string wrong;
    if (url_.starts_with("https://")) wrong = run_tls(host, port, ca_file_, exchange);
    else run_plain(host, port, exchange);
    if (exchange.status == 200) return {};
    if (exchange.status != 0) wrong = "it answered " + std::to_string(exchange.status);
    return Error{Failure::failed, name() + ": " + (wrong.empty() ? exchange.error.message() : wrong)};
}

}  // namespace trunkline::admin
