// What the files server*.cpp share, and nobody else includes: the state of the administration server, and its
// coroutines, which all run on its one thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>

#include "broker/admin/api.h"
#include "broker/admin/approvals.h"
#include "broker/admin/event_source.h"
#include "broker/admin/identity.h"
#include "broker/admin/server.h"
#include "broker/admin/sys_topics.h"

namespace trunkline::admin {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using namespace std::chrono_literals;
using boost::system::error_code;
using Stream = beast::basic_stream<asio::generic::stream_protocol>;
using HttpRequest = http::request<http::string_body>;

constexpr auto token = asio::as_tuple(asio::use_awaitable);
constexpr auto write_time = 30s;

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

}  // namespace trunkline::admin
