// A connection to the administration server: requests are read, called and answered.
#include "broker/admin/server_impl.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include <boost/asio/co_spawn.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "broker/admin/audit_api.h"
#include "broker/core/log.h"

namespace trunkline::admin {
namespace {

constexpr std::uint32_t header_bytes_max = 16 * 1'024;
constexpr std::uint32_t connections_max = 256;
constexpr std::uint32_t strangers_max = connections_max / 2;
constexpr auto idle_time = 60s;
constexpr auto request_time = 10s;      // to arrive whole
constexpr auto large_request_time = 60s;
constexpr std::uint64_t body_bytes_usual = 1 << 20;

http::response<http::string_body> to_beast(Response response, const HttpRequest& request, bool keep_alive) {
    http::response<http::string_body> out(static_cast<http::status>(response.status), request.version());
    out.set(http::field::server, "trunkline");
    out.set(http::field::content_type, response.content_type);
    out.set(http::field::cache_control, "no-store");
    out.set("X-Content-Type-Options", "nosniff");
    for (const auto& [name, value] : response.headers) out.set(name, value);
    out.keep_alive(keep_alive);
    out.body() = std::move(response.body);
    out.prepare_payload();
    if (request.method() == http::verb::head) out.body().clear();
    return out;
}

/// Who has the other end of a Unix socket; nullopt: it is none.
std::optional<std::uint32_t> uid_of(Stream& stream) {
    ucred peer{};
    socklen_t size = sizeof peer;
    error_code error;
    if (stream.socket().local_endpoint(error).protocol().family() != AF_UNIX || error) return std::nullopt;
    if (::getsockopt(stream.socket().native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return UINT32_MAX;
    return peer.uid;
}

/// The peer's address; "local" over a Unix socket.
std::string source_of(Stream& stream) {
    error_code error;
    const auto generic = stream.socket().remote_endpoint(error);
    const int family = error ? AF_UNIX : generic.protocol().family();
    if (family != AF_INET && family != AF_INET6) return "local";
    asio::ip::tcp::endpoint endpoint;
    endpoint.resize(generic.size());
    std::memcpy(endpoint.data(), generic.data(), generic.size());
    return endpoint.address().to_string();
}

}  // namespace

void AdminServer::Impl::serve(asio::generic::stream_protocol::socket socket, bool from_here) {
    if (connections >= connections_max) return;   // closed at once
    ++connections;
    const auto ended = [self = shared_from_this()](std::exception_ptr failed) {
        --self->connections;
        if (!failed) return;
        try {
            std::rethrow_exception(failed);
        } catch (const std::exception& error) {
            broker::log(broker::Level::error, "admin_connection_failed", {{"what", error.what()}});
        }
    };
    asio::co_spawn(context, run_connection(std::move(socket), from_here), ended);
}

asio::awaitable<void> AdminServer::Impl::run_connection(asio::generic::stream_protocol::socket socket, bool from_here) {
    Stream stream(std::move(socket));
    const Peer peer{from_here, uid_of(stream), source_of(stream)};
    const bool stranger = peer.uid && *peer.uid != 0 && *peer.uid != ::geteuid();
    if (stranger && strangers >= strangers_max) co_return;   // they must not keep those out who mend things
    struct Count {
        std::uint32_t& of;
        const bool counts;
        ~Count() { of -= counts ? 1 : 0; }
    };
    strangers += stranger ? 1 : 0;
    const Count count{strangers, stranger};
    beast::flat_buffer buffer;
    while (!stopping) {
        http::request_parser<http::string_body> parser;
        parser.header_limit(header_bytes_max);
        parser.body_limit(boost::none);   // known when the route is
        stream.expires_after(idle_time);
        if (buffer.size() == 0) {   // the time a request may take begins with its first byte
            auto [error, got] = co_await stream.async_read_some(buffer.prepare(4'096), token);
            if (error) co_return;
            buffer.commit(got);
        }
        stream.expires_after(request_time);
        auto [error, got] = co_await http::async_read_header(stream, buffer, parser, token);
        Judged judged;
        if (!error) {
            stream.expires_never();
            co_await judge(parser.get(), peer, judged);
            // Large bodies are for routes that take them, and for who may use those.
            const bool taken = judged.route && !judged.answer;
            const std::uint64_t body_bytes_max =
                taken ? std::max(judged.route->body_bytes_max, body_bytes_usual) : body_bytes_usual;
            const auto length = parser.content_length();
            parser.body_limit(body_bytes_max);
            if (body_bytes_max > body_bytes_usual) stream.expires_after(large_request_time);
            else stream.expires_after(request_time);
            if (length && *length > body_bytes_max) {
                error = http::error::body_limit;   // told before it is read
            } else {
                auto [body_error, body_got] = co_await http::async_read(stream, buffer, parser, token);
                error = body_error;
            }
        }
        if (error == http::error::end_of_stream) break;
        if (error) {
            const bool large = error == http::error::body_limit;
            const bool wide = error == http::error::header_limit || error == http::error::buffer_overflow;
            if (error.category() != http::make_error_code(http::error::body_limit).category()) co_return;
            const unsigned status = large ? 413 : wide ? 431 : 400;
            Response answer = problem(status, large ? "too-large" : "bad-request", "The request cannot be taken",
                                      error.message());
            HttpRequest empty;
            empty.version(11);
            co_await send(stream, std::move(answer), empty, false);
            break;
        }
        HttpRequest request = parser.release();
        const bool go_on = co_await run_request(stream, std::move(request), judged);
        if (!go_on) break;
    }
    error_code ignored;
    stream.socket().shutdown(asio::socket_base::shutdown_send, ignored);
}

asio::awaitable<bool> AdminServer::Impl::run_request(Stream& stream, HttpRequest from, Judged& judged) {
    const bool keep_alive = from.keep_alive() && !stopping;
    Response answer;
    if (judged.answer) {
        answer = std::move(*judged.answer);
    } else if (judged.route->stream) {
        co_await run_stream(stream, judged, from.version());
        co_return false;
    } else {
        judged.request.body = std::move(from.body());
        answer = co_await call(*judged.route, judged.request);
    }
    co_return co_await send(stream, std::move(answer), from, keep_alive);
}

asio::awaitable<Response> AdminServer::Impl::call(const Route& route, const Request& request) {
    auto pending = std::make_shared<Pending<Response>>(context);
    pending->timer.expires_after(std::chrono::seconds(route.seconds_max));
    const Reply reply = answer_to(pending);
    std::string failure;
    try {
        call_audited(sources, route, request, reply);
    } catch (const std::exception& error) {   // a defect, or out of memory: one request fails, not the broker
        failure = error.what();
    }
    if (!failure.empty()) {
        broker::log(broker::Level::error, "admin_request_failed", {{"path", route.path}, {"what", failure}});
        co_return problem(500, "internal", "The request failed", "see the log");
    }
    co_await pending->timer.async_wait(token);
    if (pending->answer) co_return std::move(*pending->answer);
    co_return problem(504, "timeout", "The broker did not answer in time", "");
}

asio::awaitable<bool> AdminServer::Impl::send(Stream& stream, Response response, const HttpRequest& request,
                                              bool keep_alive) {
    auto message = to_beast(std::move(response), request, keep_alive);
    http::response_serializer<http::string_body> serializer(message);
    stream.expires_after(write_time);
    auto [error, sent] = co_await http::async_write(stream, serializer, token);
    co_return !error && keep_alive;
}

}  // namespace trunkline::admin
