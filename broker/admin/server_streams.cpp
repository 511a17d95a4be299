// Server-sent events: a watch or a trace goes on until the reader leaves or may not read any more.
#include "broker/admin/server_impl.h"

#include <unistd.h>

#include <boost/asio/write.hpp>

#include "broker/admin/trace_api.h"
#include "broker/admin/watch.h"
#include "namespace/topic.h"

namespace trunkline::admin {
namespace {

constexpr std::string_view trace_path = "/api/v1/trace";   // of streams; the other one is watch
constexpr auto watch_beat = 15s;
constexpr auto watch_look = 500ms;      // may the watcher still watch?

}  // namespace

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

}  // namespace trunkline::admin
