#include "broker/admin/server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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

#include "auth/plugin_host.h"
#include "broker/admin/api.h"
#include "broker/admin/approvals.h"
#include "broker/admin/audit_api.h"
#include "broker/admin/identity.h"
#include "broker/admin/sys_topics.h"
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
constexpr std::string_view trace_path = "/api/v1/trace";   // of streams; the other one is watch
constexpr auto watch_beat = 15s;
constexpr auto watch_look = 500ms;      // may the watcher still watch?
constexpr auto login_time = 30s;        // for a password to be checked, guesses of others before it included
constexpr auto plugin_time = 5s;
constexpr std::uint32_t refusals_logged_max = 10;   // a second
constexpr std::uint32_t strangers_max = connections_max / 2;

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

struct AdminServer::Impl : std::enable_shared_from_this<Impl> {
    Impl(Sources& from, Readiness& ready)
        : sources(from), readiness(ready), guard(from), sys(from),
          router(make_router({from, ready, meter, long_jobs, &approvals})) {}

    /// An answer that may come from any thread, waited for on ours.
    template <class Answer>
    struct Pending {
        explicit Pending(asio::io_context& context) : timer(context) {}
        asio::steady_timer timer;
        std::optional<Answer> answer;
    };
    template <class Answer>
    std::function<void(Answer)> answer_to(const std::shared_ptr<Pending<Answer>>& pending) {
        return [pending, self = shared_from_this()](Answer answer) {
            auto shared = std::make_shared<Answer>(std::move(answer));
            asio::post(self->context, [pending, shared] {
                pending->answer = std::move(*shared);
                pending->timer.cancel();
            });
        };
    }
    struct PluginsSay {
        std::string rule;          // of the one that denies
        bool allow = false;
    };

    /// A connection: what is known of whoever has the other end.
    struct Peer {
        bool from_here = false;    // loopback, or the Unix socket
        std::optional<std::uint32_t> uid;
        std::string source;
    };
    /// A request of which only the header was read, judged by it.
    struct Judged {
        Request request;
        Shown shown;               // for connections that last
        const Route* route = nullptr;
        std::optional<Response> answer;   // it is this, whatever the body
    };

    asio::awaitable<void> accept_tcp();
    asio::awaitable<void> accept_unix();
    void serve(asio::generic::stream_protocol::socket socket, bool local);
    asio::awaitable<void> run_connection(asio::generic::stream_protocol::socket socket, bool local);
    asio::awaitable<void> judge(const HttpRequest& header, const Peer& peer, Judged& judged);
    asio::awaitable<Guard::Found> find_out(Judged& judged);
    asio::awaitable<Guard::Verdict> may(const Identity& who, Permission permission);
    asio::awaitable<bool> run_request(Stream& stream, HttpRequest request, Judged& judged);
    asio::awaitable<Response> call(const Route& route, const Request& request);
    asio::awaitable<void> run_stream(Stream& stream, const Judged& judged, unsigned version);
    std::shared_ptr<EventSource> open_stream(const Judged& judged, std::function<void()> wake, Response& wrong);
    std::optional<std::string> stream_ends(const Judged& judged);
    asio::awaitable<bool> send(Stream& stream, Response response, const HttpRequest& request, bool keep_alive);
    asio::awaitable<void> run_meter(std::uint32_t sys_interval_s);
    void note_refusal(const Judged& judged, const std::string& why);
    /// Others of this machine may connect where the configuration has some: the kernel says who they are.
    void open_socket_file(bool for_others) const {
        if (!unix_path.empty()) ::chmod(unix_path.c_str(), for_others ? 0666 : 0600);
    }

    Sources& sources;
    Readiness& readiness;
    Guard guard;
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
    std::uint32_t connections = 0, strangers = 0;   // strangers: of users who are neither root nor ours
    std::uint64_t watches = 0;
    std::int64_t refusals_second = 0;
    std::uint32_t refusals_logged = 0;                // in that second
    std::atomic<bool> stopping{false};
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

asio::awaitable<bool> AdminServer::Impl::send(Stream& stream, Response response, const HttpRequest& request,
                                              bool keep_alive) {
    auto message = to_beast(std::move(response), request, keep_alive);
    http::response_serializer<http::string_body> serializer(message);
    stream.expires_after(write_time);
    auto [error, sent] = co_await http::async_write(stream, serializer, token);
    co_return !error && keep_alive;
}

void AdminServer::Impl::note_refusal(const Judged& judged, const std::string& why) {
    const Request& request = judged.request;
    const std::int64_t second = steady_ms() / 1'000;
    if (std::exchange(refusals_second, second) != second) refusals_logged = 0;
    if (refusals_logged++ < refusals_logged_max) {
        broker::log(broker::Level::warn, "admin_refused",
                    {{"method", judged.route->method}, {"path", judged.route->path}, {"who", request.principal},
                     {"known_by", request.known_by}, {"source", request.source}, {"why", why}});
    }
    broker::AuditSink* sink = sources.broker.audit();
    if (!sink) return;
    const std::string object = judged.route->method + " " + judged.route->path;
    broker::Denial denial;
    denial.actor = request.principal;
    denial.method = request.known_by;
    denial.source = request.source;
    denial.action = "admin";
    denial.object = object;
    denial.reason = why;
    sink->note(denial);
}

asio::awaitable<Guard::Found> AdminServer::Impl::find_out(Judged& judged) {
    Shown& shown = judged.shown;
    Guard::Found found = guard.identify(shown);
    if (!found.ask_password) co_return found;
    judged.request.known_by = "password";
    auto pending = std::make_shared<Pending<auth::PersonLogin::Answer>>(context);
    pending->timer.expires_after(login_time);
    const auto done = answer_to(pending);
    sources.people->check(shown.user, shown.password.view(), shown.source, wall_ms(), done);
    shown.password.wipe();
    co_await pending->timer.async_wait(token);
    if (pending->answer && pending->answer->accepted) co_return guard.user(shown.user, shown.source);
    found = {};
    found.why = pending->answer ? pending->answer->why : "too many log in at this moment";
    found.busy = !pending->answer || pending->answer->busy;
    co_return found;
}

asio::awaitable<Guard::Verdict> AdminServer::Impl::may(const Identity& who, Permission permission) {
    Guard::Verdict verdict = guard.judge(who, permission);
    const bool plugins = std::ranges::any_of(sources.broker.plugins(),
                                             [](const auth::Plugin* one) { return one->authorises(); });
    if (who.everything || verdict.is == Guard::Verdict::Is::denied || !plugins) co_return verdict;
    auto pending = std::make_shared<Pending<PluginsSay>>(context);
    pending->timer.expires_after(plugin_time);
    const auto answer = answer_to(pending);
    sources.broker.ask_plugins(who.principal, auth::Action::admin, std::string(auth::name_of(permission)),
                               [answer](std::string rule, bool allow) { answer({std::move(rule), allow}); });
    co_await pending->timer.async_wait(token);
    if (!pending->answer) {
        verdict = {Guard::Verdict::Is::denied, {}, "plugins that do not answer"};
    } else if (!pending->answer->rule.empty()) {
        verdict = {Guard::Verdict::Is::denied, {}, pending->answer->rule};
    } else if (pending->answer->allow) {
        verdict.is = Guard::Verdict::Is::allowed;
    }
    co_return verdict;
}

asio::awaitable<void> AdminServer::Impl::judge(const HttpRequest& header, const Peer& peer, Judged& judged) {
    Request& request = judged.request;
    Shown& shown = judged.shown;
    Response wrong;
    request.method = header.method_string();
    request.accept = header[http::field::accept];
    request.source = shown.source = peer.source;
    request.reason = header_text(header["Trunkline-Reason"]);
    shown.uid = peer.uid;
    shown.local = peer.from_here;
    read_authorization(header[http::field::authorization], shown);
    if (!parse_target(header.target(), request)) {
        judged.answer = problem(400, "bad-request", "The request target is malformed", "");
        co_return;
    }
    const bool guarded = guard.guarded();
    if (!guarded && peer.from_here && !is_local_host_header(header[http::field::host])) {
        judged.answer = problem(403, "wrong-host", "This Host is not served here",
                                "use 127.0.0.1 or localhost, or set admin.tokens_file");
        co_return;
    }
    const bool changes = header.method() != http::verb::get && header.method() != http::verb::head;
    if (changes && header.count("Origin") != 0 && (!guarded || shown.token.empty())) {   // a browser adds passwords
        judged.answer = problem(403, "wrong-origin", "Changes from a browser page need a token",
                                "set admin.tokens_file");
        co_return;
    }
    judged.route = router.find(request, wrong);
    if (!judged.route) {
        judged.answer = std::move(wrong);
        co_return;
    }
    const Permission permission = judged.route->needs.permission;
    if (guard.is_open(permission)) co_return;
    const Guard::Found found = co_await find_out(judged);
    if (!found.who) {
        const bool guess = request.known_by == "password";
        if (found.busy) {
            judged.answer = problem(503, "busy", "The password cannot be checked now", found.why);
        } else {
            judged.answer = guard.unidentified(shown, guess ? "user name or password is wrong" : found.why);
        }
        if (!shown.token.empty()) request.known_by = "token";
        if (request.known_by == "local" && shown.uid) request.known_by = "unix";
        note_refusal(judged, found.why.empty() ? "nobody said who it is" : found.why);
        co_return;
    }
    request.who = found.who;
    request.principal = found.who->name;
    request.known_by = found.who->method;
    const Guard::Verdict verdict = co_await may(*found.who, permission);
    if (verdict.is == Guard::Verdict::Is::allowed) co_return;
    const std::string action = "admin " + std::string(auth::name_of(permission));
    judged.answer = Guard::forbidden(*found.who, action, verdict);
    note_refusal(judged, action + ": " + (verdict.place.empty() ? "" : verdict.place + " ") + verdict.text);
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

// Whoever watches loses it within a second when who that is, its permission or its subscription ends.
std::optional<std::string> AdminServer::Impl::stream_ends(const Judged& judged) {
    const Identity& who = *judged.request.who;
    if (auto gone = guard.gone(who, judged.shown)) return gone;
    if (who.everything) return std::nullopt;
    const Guard::Verdict verdict = guard.judge(who, judged.route->needs.permission);
    const bool plugins = !sources.broker.plugins().empty();   // which may allow what no role does
    using Is = Guard::Verdict::Is;
    if (verdict.is == Is::denied || (verdict.is == Is::not_allowed && !plugins)) {
        return "not allowed any more: " + verdict.place + " " + verdict.text;
    }
    if (plugins || judged.route->path == trace_path) return std::nullopt;
    const std::string filter = judged.request.get("filter").value_or("");
    if (Sight(sources, judged.request).may(auth::Action::subscribe, filter)) return std::nullopt;
    return "not allowed any more: subscribe " + filter;
}

std::shared_ptr<EventSource> AdminServer::Impl::open_stream(const Judged& judged, std::function<void()> wake,
                                                            Response& wrong) {
    const Request& request = judged.request;
    if (judged.route->path == trace_path) return open_trace(sources.broker, request, std::move(wake), wrong);
    const std::string filter = request.get("filter").value_or("");
    if (!uns::is_valid_topic_filter(filter)) {
        wrong = bad_parameter("filter", "\"" + filter + "\" is no topic filter");
        return nullptr;
    }
    const Sight sight(sources, request);
    if (!sight.may(auth::Action::subscribe, filter)) {
        note_refusal(judged, "subscribe");
        wrong = sight.refusal(auth::Action::subscribe, filter);
        return nullptr;
    }
    std::shared_ptr<const auth::Principal> reader;   // null: reads everything
    if (!sight.all()) reader = {request.who, &request.who->principal};
    const std::string id = "$admin-watch-" + std::to_string(::getpid()) + "-" + std::to_string(++watches);
    return Watch::open(sources.broker, filter, id, reader, std::move(wake));
}

asio::awaitable<void> AdminServer::Impl::run_stream(Stream& stream, const Judged& judged, unsigned version) {
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
    const std::shared_ptr<EventSource> events = open_stream(judged, wake, wrong);
    if (!events) {
        HttpRequest empty;
        empty.version(version);
        co_await send(stream, std::move(wrong), empty, false);
        co_return;
    }
    auto last_said = std::chrono::steady_clock::now();
    auto next_look = last_said + watch_look;
    const auto say_end = [&out](const std::string& why) {
        out += "event: end\ndata: " + dump({{"reason", why}}) + "\n\n";
    };
    while (!stopping) {
        if (!out.empty()) {
            stream.expires_after(write_time);
            auto [error, sent] = co_await asio::async_write(stream, asio::buffer(out), token);
            if (error) break;
            out.clear();
            last_said = std::chrono::steady_clock::now();
        }
        if (!*woken) {
            timer->expires_at(next_look);
            co_await timer->async_wait(token);
        }
        if (*gone) break;
        *woken = false;
        const auto now = std::chrono::steady_clock::now();
        if (now >= next_look) {   // before what has come is passed on
            next_look = now + watch_look;
            if (const auto why = stream_ends(judged)) {
                note_refusal(judged, *why);
                say_end(*why);
                stream.expires_after(write_time);
                co_await asio::async_write(stream, asio::buffer(out), token);
                break;
            }
        }
        const EventSource::Batch batch = events->take();
        for (const std::string& event : batch.events) out += "data: " + event + "\n\n";
        if (batch.ended) {
            say_end(*batch.ended);
            stream.expires_after(write_time);
            co_await asio::async_write(stream, asio::buffer(out), token);
            break;
        }
        if (out.empty() && now - last_said >= watch_beat) {   // tells both sides that the other is still there
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
            impl.unix_path = address.unix_path;
            impl.open_socket_file(!config.unix_users.empty());
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
    GuardSettings settings;
    if (!config.tokens_file.empty()) {
        settings.tokens = std::make_shared<const Tokens>(Tokens::load(config.tokens_file, problems));
    }
    if (!problems.empty()) return problems;
    settings.unix_users = config.unix_users;
    settings.metrics_without_token = config.metrics_without_token;
    impl_->guard.use(std::move(settings));
    impl_->open_socket_file(!config.unix_users.empty());
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
