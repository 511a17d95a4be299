#include "broker/admin/http_witness.h"

#include <chrono>
#include <fstream>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
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

/// One request, its answer's status; 0 and `error` when there is none.
unsigned exchange(const std::string& host, const std::string& port, http::request<http::string_body>& request,
                  error_code& error) {
    asio::io_context context(1);
    asio::ip::tcp::resolver resolver(context);
    const auto found = resolver.resolve(host, port, error);
    if (error) return 0;
    beast::tcp_stream stream(context);
    stream.expires_after(time_max);
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(answer_bytes_max);
    unsigned status = 0;
    const auto on_answer = [&](error_code failed, std::size_t) {
        error = failed;
        if (!failed) status = parser.get().result_int();
    };
    const auto on_sent = [&](error_code failed, std::size_t) {
        error = failed;
        if (!failed) http::async_read(stream, buffer, parser, on_answer);
    };
    stream.async_connect(found, [&](error_code failed, const asio::ip::tcp::endpoint&) {
        error = failed;
        if (!failed) http::async_write(stream, request, on_sent);
    });
    context.run();
    return status;
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
    error_code error;
    const unsigned status = exchange(host, port, request, error);
    if (status == 200) return {};
    return Error{Failure::failed, name() + ": " + (status ? "it answered " + std::to_string(status) : error.message())};
}

}  // namespace trunkline::admin
