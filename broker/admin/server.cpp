#include "broker/admin/server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "broker/admin/api.h"
#include "broker/admin/approvals.h"
#include "broker/admin/audit_api.h"
#include "broker/admin/sys_topics.h"
#include "broker/admin/tokens.h"
#include "broker/admin/trace_api.h"
#include "broker/admin/watch.h"
#include "broker/core/log.h"
#include "namespace/topic.h"

namespace trunkline::admin {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using namespace std::chrono_literals;
using boost::system::error_code;
using Stream = beast::basic_stream<asio::generic::stream_protocol>;
using HttpRequest = http::request<http::string_body>;

constexpr auto token = asio::as_tuple(asio::use_awaitable);
constexpr std::uint32_t header_bytes_max = 16 * 1'024;
constexpr std::uint32_t connections_max = 256;
constexpr auto idle_time = 60s;
constexpr auto request_time = 10s;      // to arrive whole
constexpr auto large_request_time = 60s;
constexpr std::uint64_t body_bytes_usual = 1 << 20;
constexpr auto write_time = 30s;
constexpr auto watch_beat = 15s;

// Another site's page in a browser can reach 127.0.0.1 under a name of its own (DNS rebinding); it can't choose Host.
bool is_local_host_header(std::string_view host) {
    if (host.starts_with('[')) return host.substr(0, host.find(']') + 1) == "[::1]";
    host = host.substr(0, host.find(':'));
    return host == "localhost" || host.starts_with("127.") || host.empty();
}

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

/// A header's percent-encoded text; empty when it is none.
std::string header_text(std::string_view value) {
    Request parsed;
    return !value.empty() && parse_target("/?t=" + std::string(value), parsed) ? parsed.get("t").value_or("") : "";
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

struct AdminServer::Impl : std::enable_shared_from_this<Impl> {
    Impl(Sources& from, Readiness& ready)
        : sources(from), readiness(ready), sys(from),
          router(make_router({from, ready, meter, long_jobs, &approvals})) {}

    /// A reply that may come from any thread, waited for on ours.
    struct Pending {
        explicit Pending(asio::io_context& context) : timer(context) {}
        asio::steady_timer timer;
        std::optional<Response> response;
    };

    asio::awaitable<void> accept_tcp();
    asio::awaitable<void> accept_unix();
    void serve(asio::generic::stream_protocol::socket socket, bool local);
    asio::awaitable<void> run_connection(asio::generic::stream_protocol::socket socket, bool local);
    asio::awaitable<bool> run_request(Stream& stream, HttpRequest request, bool local);
    asio::awaitable<Response> call(const Route& route, const Request& request);
    asio::awaitable<void> run_stream(Stream& stream, const Route& route, const Request& request, unsigned version);
    std::shared_ptr<EventSource> open_stream(const Route& route, const Request& request, std::function<void()> wake,
                                             Response& wrong);
    asio::awaitable<bool> send(Stream& stream, Response response, const HttpRequest& request, bool keep_alive);
    asio::awaitable<void> run_meter(std::uint32_t sys_interval_s);
    std::optional<Response> refuse(const Route& route, Request& request);
    std::uint64_t body_limit(const http::request<http::string_body>& header);

    Sources& sources;
    Readiness& readiness;
    Meter meter;
    SysTopics sys;
    LongJobs long_jobs;                    // before the router, whose handlers use it
    Approvals approvals;                   // the same
    Router router;
    std::unique_ptr<asio::io_context> context_owner = std::make_unique<asio::io_context>(1);
    asio::io_context& context = *context_owner;
    std::optional<asio::ip::tcp::acceptor> tcp;
    std::optional<asio::local::stream_protocol::acceptor> local;
    std::string unix_path, where;
    std::thread thread;
    std::uint32_t connections = 0;
    std::uint64_t watches = 0;
    std::atomic<bool> stopping{false};

    std::mutex mutex;                    // guards what follows
    std::shared_ptr<const Tokens> tokens;
    bool metrics_without_token = true;
};

asio::awaitable<void> AdminServer::Impl::accept_tcp() {
    while (!stopping) {
        auto [error, socket] = co_await tcp->async_accept(token);
        if (error == asio::error::operation_aborted) co_return;
        if (error) {   // out of descriptors: wait for some to come back
            asio::steady_timer pause(context, 100ms);
            co_await pause.async_wait(token);
            continue;
        }
        error_code ignored;
        const bool from_here = socket.remote_endpoint(ignored).address().is_loopback();
        socket.set_option(asio::ip::tcp::no_delay(true), ignored);
        serve(std::move(socket), from_here);
    }
}

asio::awaitable<void> AdminServer::Impl::accept_unix() {
    while (!stopping) {
        auto [error, socket] = co_await local->async_accept(token);
        if (error == asio::error::operation_aborted) co_return;
        if (error) {
            asio::steady_timer pause(context, 100ms);
            co_await pause.async_wait(token);
            continue;
        }
        serve(std::move(socket), true);
    }
}

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
        if (!error) {
            const std::uint64_t body_bytes_max = body_limit(parser.get());
            const auto length = parser.content_length();
            parser.body_limit(body_bytes_max);
            if (body_bytes_max > body_bytes_usual) stream.expires_after(large_request_time);
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
        const bool go_on = co_await run_request(stream, std::move(request), from_here);
        if (!go_on) break;
    }
    error_code ignored;
    stream.socket().shutdown(asio::socket_base::shutdown_send, ignored);
}

asio::awaitable<bool> AdminServer::Impl::send(Stream& stream, Response response, const HttpRequest& request,
                                              bool keep_alive) {
    auto message = to_beast(std::move(response), request, keep_alive);
    http::response_serializer<http::string_body> serializer(message);
    stream.expires_after(write_time);
    auto [error, sent] = co_await http::async_write(stream, serializer, token);
    co_return !error && keep_alive;
}

// Large bodies are for routes that take them, and for who may use those.
std::uint64_t AdminServer::Impl::body_limit(const HttpRequest& header) {
    Request request;
    Response wrong;
    const std::string_view target = header.target();
    if (!parse_target(target, request)) return body_bytes_usual;
    request.method = header.method_string();
    const Route* route = router.find(request, wrong);
    if (!route || route->body_bytes_max <= body_bytes_usual) return body_bytes_usual;
    const std::string_view authorization = header[http::field::authorization];
    const std::lock_guard lock(mutex);
    const bool known = authorization.starts_with("Bearer ") && tokens &&
                       !tokens->name_of(std::string(authorization.substr(7))).empty();
    return !tokens || known ? route->body_bytes_max : body_bytes_usual;
}

std::optional<Response> AdminServer::Impl::refuse(const Route& route, Request& request) {
    const std::lock_guard lock(mutex);
    if (!tokens || route.access == Route::Access::open) return std::nullopt;
    if (route.access == Route::Access::metrics && metrics_without_token) return std::nullopt;
    if (!request.token.empty()) request.principal = tokens->name_of(request.token);
    if (!request.principal.empty()) return std::nullopt;
    broker::log(broker::Level::warn, "admin_token_refused", {{"path", route.path}});
    if (broker::AuditSink* sink = sources.broker.audit()) {
        sink->note(broker::Denial{{}, "token", {}, request.source, "admin", route.path, "no token, or an unknown one"});
    }
    Response response = problem(401, "not-authorised", "A token is needed",
                                request.token.empty() ? "send Authorization: Bearer TOKEN" : "the token is not known");
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
    return response;
}

asio::awaitable<bool> AdminServer::Impl::run_request(Stream& stream, HttpRequest from, bool from_here) {
    Request request;
    Response answer;
    request.method = from.method_string();
    request.accept = from[http::field::accept];
    request.source = source_of(stream);
    request.reason = header_text(from["Trunkline-Reason"]);
    const std::string_view authorization = from[http::field::authorization];
    if (authorization.starts_with("Bearer ")) request.token = authorization.substr(7);
    const std::string_view host = from[http::field::host];
    bool with_token = false;
    {
        const std::lock_guard lock(mutex);
        with_token = tokens != nullptr;
    }
    const bool keep_alive = from.keep_alive() && !stopping;
    const std::string_view target = from.target();
    const Route* route = nullptr;
    if (!parse_target(target, request)) {
        answer = problem(400, "bad-request", "The request target is malformed", "");
    } else if (!with_token && from_here && !is_local_host_header(host)) {
        answer = problem(403, "wrong-host", "This Host is not served here",
                         "use 127.0.0.1 or localhost, or set admin.tokens_file");
    } else if (from.method() != http::verb::get && from.method() != http::verb::head && !with_token &&
               from.count("Origin") != 0) {
        answer = problem(403, "wrong-origin", "Changes from a browser page need a token", "set admin.tokens_file");
    } else if ((route = router.find(request, answer))) {
        if (auto refusal = refuse(*route, request)) {
            answer = std::move(*refusal);
        } else if (route->stream) {
            co_await run_stream(stream, *route, request, from.version());
            co_return false;
        } else {
            request.body = std::move(from.body());
            answer = co_await call(*route, request);
        }
    }
    co_return co_await send(stream, std::move(answer), from, keep_alive);
}

asio::awaitable<Response> AdminServer::Impl::call(const Route& route, const Request& request) {
    auto pending = std::make_shared<Pending>(context);
    pending->timer.expires_after(std::chrono::seconds(route.seconds_max));
    const Reply reply = [pending, self = shared_from_this()](Response response) {
        auto shared = std::make_shared<Response>(std::move(response));
        asio::post(self->context, [pending, shared] {
            pending->response = std::move(*shared);
            pending->timer.cancel();
        });
    };
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
    if (pending->response) co_return std::move(*pending->response);
    co_return problem(504, "timeout", "The broker did not answer in time", "");
}

std::shared_ptr<EventSource> AdminServer::Impl::open_stream(const Route& route, const Request& request,
                                                            std::function<void()> wake, Response& wrong) {
    if (route.path == "/api/v1/trace") return open_trace(sources.broker, request, std::move(wake), wrong);
    const std::string filter = request.get("filter").value_or("");
    if (!uns::is_valid_topic_filter(filter)) {
        wrong = bad_parameter("filter", "\"" + filter + "\" is no topic filter");
        return nullptr;
    }
    const std::string id = "$admin-watch-" + std::to_string(::getpid()) + "-" + std::to_string(++watches);
    return Watch::open(sources.broker, filter, id, std::move(wake));
}

asio::awaitable<void> AdminServer::Impl::run_stream(Stream& stream, const Route& route, const Request& request,
                                                    unsigned version) {
    std::string out = "HTTP/1.1 200 OK\r\nServer: trunkline\r\nContent-Type: text/event-stream\r\n"
                      "Cache-Control: no-store\r\nConnection: close\r\n\r\n: watching\n\n";
    auto timer = std::make_shared<asio::steady_timer>(context);
    auto woken = std::make_shared<bool>(false);
    const std::function<void()> wake = [timer, woken, self = shared_from_this()] {
        asio::post(self->context, [timer, woken] {
            *woken = true;
            timer->cancel();
        });
    };
    auto gone = std::make_shared<bool>(false);   // the watcher sends nothing more: what becomes readable is its end
    stream.socket().async_wait(asio::socket_base::wait_read, [timer, woken, gone](error_code) {
        *gone = *woken = true;
        timer->cancel();
    });
    Response wrong;
    const std::shared_ptr<EventSource> events = open_stream(route, request, wake, wrong);
    if (!events) {
        HttpRequest empty;
        empty.version(version);
        co_await send(stream, std::move(wrong), empty, false);
        co_return;
    }
    while (!stopping) {
        stream.expires_after(write_time);
        auto [error, sent] = co_await asio::async_write(stream, asio::buffer(out), token);
        if (error) break;
        out.clear();
        if (!*woken) {
            timer->expires_after(watch_beat);
            co_await timer->async_wait(token);
        }
        if (*gone) break;
        *woken = false;
        const EventSource::Batch batch = events->take();
        for (const std::string& event : batch.events) out += "data: " + event + "\n\n";
        if (batch.ended) {
            out += "event: end\ndata: " + dump({{"reason", *batch.ended}}) + "\n\n";
            stream.expires_after(write_time);
            co_await asio::async_write(stream, asio::buffer(out), token);
            break;
        }
        if (out.empty()) {   // tells both sides that the other is still there
            out = ": alive\n\n";
            events->keep_alive();
        }
    }
    events->stop();
}

asio::awaitable<void> AdminServer::Impl::run_meter(std::uint32_t sys_interval_s) {
    asio::steady_timer timer(context);
    std::uint32_t until_sys = 1;
    while (!stopping) {
        const Totals totals = sum_counters(sources.broker);
        meter.sample(totals, steady_ms());
        if (sys_interval_s != 0 && --until_sys == 0) {
            until_sys = sys_interval_s;
            sys.publish(totals, meter);
        }
        timer.expires_after(1s);
        co_await timer.async_wait(token);
    }
}

AdminServer::AdminServer(Sources& sources, Readiness& readiness) : impl_(std::make_shared<Impl>(sources, readiness)) {}

AdminServer::~AdminServer() {
    stop();
    impl_->context_owner.reset();   // with the coroutines that still wait in it, which share Impl
}

std::string AdminServer::start(const Address& address, const broker::AdminConfig& config,
                               std::uint32_t sys_interval_s) {
    Impl& impl = *impl_;
    for (const Problem& problem : reload(config)) return to_string(problem);
    try {
        if (!address.unix_path.empty()) {
            struct stat found {};
            if (::lstat(address.unix_path.c_str(), &found) == 0 && S_ISSOCK(found.st_mode)) {
                ::unlink(address.unix_path.c_str());   // of an earlier life; the data folder's lock keeps others away
            }
            impl.local.emplace(impl.context, asio::local::stream_protocol::endpoint(address.unix_path));
            ::chmod(address.unix_path.c_str(), 0600);
            impl.unix_path = address.unix_path;
            impl.where = "unix:" + address.unix_path;
            asio::co_spawn(impl.context, impl.accept_unix(), asio::detached);
        } else {
            asio::ip::tcp::resolver resolver(impl.context);
            const std::string host = address.host == "*" ? "::" : address.host;
            const auto found = resolver.resolve(host, std::to_string(address.port), asio::ip::resolver_base::passive);
            impl.tcp.emplace(impl.context, found.begin()->endpoint(), true);
            const auto bound = impl.tcp->local_endpoint();
            const std::string text = bound.address().to_string();
            impl.where = (bound.address().is_v6() ? "[" + text + "]" : text) + ":" + std::to_string(bound.port());
            asio::co_spawn(impl.context, impl.accept_tcp(), asio::detached);
        }
    } catch (const boost::system::system_error& error) {
        return "administration cannot listen on " + config.listen + ": " + error.code().message();
    }
    asio::co_spawn(impl.context, impl.run_meter(sys_interval_s), asio::detached);
    impl.thread = std::thread([impl = impl_] { impl->context.run(); });
    return {};
}

std::vector<Problem> AdminServer::reload(const broker::AdminConfig& config) {
    std::vector<Problem> problems;
    std::shared_ptr<const Tokens> fresh;
    if (!config.tokens_file.empty()) fresh = std::make_shared<const Tokens>(Tokens::load(config.tokens_file, problems));
    if (!problems.empty()) return problems;
    const std::lock_guard lock(impl_->mutex);
    impl_->tokens = std::move(fresh);
    impl_->metrics_without_token = config.metrics_without_token;
    return {};
}

void AdminServer::stop() {
    Impl& impl = *impl_;
    if (impl.stopping.exchange(true)) return;
    impl.long_jobs.stop();
    impl.context.stop();
    if (impl.thread.joinable()) impl.thread.join();
    impl.tcp.reset();
    impl.local.reset();
    if (!impl.unix_path.empty()) ::unlink(impl.unix_path.c_str());
}

std::string AdminServer::address() const { return impl_->where; }

}  // namespace trunkline::admin
