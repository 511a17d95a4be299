#include "broker/auth_http.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>

#include "auth/fair_queue.h"

namespace trunkline::broker {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace ssl = asio::ssl;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;
using HttpKind = auth::HttpReply::Kind;
using Endpoints = std::vector<asio::ip::tcp::endpoint>;

constexpr std::chrono::milliseconds look_every{200};    // whether somebody still waits
constexpr std::chrono::seconds resolved_lasts{30}, line_lasts{15};

std::int64_t steady_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch()).count();
}

/// Authorities of https; null and `error` when they cannot be read.
std::shared_ptr<ssl::context> load_authorities(const HttpLoginClient::Options& options, std::string& error) {
    auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
    error_code failed;
    static_cast<void>(SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION));
    if (options.ca_file.empty()) {
        static_cast<void>(context->set_default_verify_paths(failed));
    } else {
        static_cast<void>(context->load_verify_file(options.ca_file, failed));
    }
    if (failed) {
        error = "ca " + (options.ca_file.empty() ? "of the system" : options.ca_file) + ": " + failed.message();
        return nullptr;
    }
    static_cast<void>(context->set_verify_mode(ssl::verify_peer, failed));
    return context;
}

/// A connection, on its way or kept for the next question.
struct Line {
    Line(asio::io_context& io, std::shared_ptr<ssl::context> authorities) : context(std::move(authorities)) {
        if (context) tls.emplace(io, *context);
        else plain.emplace(io);
    }
    beast::tcp_stream& tcp() { return tls ? tls->next_layer() : *plain; }
    template <class Use>
    void with(const Use& use) {
        if (tls) use(*tls);
        else use(*plain);
    }

    std::shared_ptr<ssl::context> context;      // outlives the stream
    std::optional<beast::tcp_stream> plain;
    std::optional<beast::ssl_stream<beast::tcp_stream>> tls;
    beast::flat_buffer buffer;
    Clock::time_point idle_since;
};

}  // namespace

/// Everything but post() and the queue lives on the worker's thread.
class HttpLoginClient::Worker {
public:
    explicit Worker(Options options)
        : options_(std::move(options)), queue_({options_.waiting_max, auth::FairQueueLimits().delayed_per_address_max}),
          resolver_(io_), wake_timer_(io_), guard_(asio::make_work_guard(io_)) {
        if (options_.url.scheme == "https") authorities_ = load_authorities(options_, wrong_);
        thread_ = std::thread([this] { io_.run(); });
    }

    void post(std::shared_ptr<const auth::Attempt> attempt, OnReply done);
    std::string reload(const std::string& token);
    void stop();

private:
    struct Question {
        std::shared_ptr<const auth::Attempt> attempt;
        OnReply done;
    };
    class Exchange;

    void pump();
    void start(Question&& question);
    void ended(const std::shared_ptr<Exchange>& exchange);
    std::unique_ptr<Line> take_line();
    static void reply(Question& question, HttpKind kind, std::string what) {
        auth::HttpReply reply;
        reply.kind = kind;
        reply.what = std::move(what);
        question.done(std::move(reply));
    }

    Options options_;
    std::mutex mutex_;                                  // guards the queue, and that nobody queues once it is stopped
    auth::FairQueue<Question> queue_;
    std::atomic<bool> stopped_{false};
    std::shared_ptr<ssl::context> authorities_;         // null: http, or they cannot be read
    std::string wrong_;                                 // why authorities_ is null although it should not be
    asio::io_context io_{1};
    asio::ip::tcp::resolver resolver_;
    asio::steady_timer wake_timer_;
    asio::executor_work_guard<asio::io_context::executor_type> guard_;
    std::list<std::shared_ptr<Exchange>> running_;
    std::vector<std::unique_ptr<Line>> idle_;           // the last used at the end
    Endpoints resolved_;
    Clock::time_point resolved_until_;
    std::thread thread_;
};

/// One question and its answer. Kept alive by its operations; what it says it says once.
class HttpLoginClient::Worker::Exchange : public std::enable_shared_from_this<Exchange> {
public:
    Exchange(Worker& worker, Question&& question) : worker_(worker), question_(std::move(question)),
                                                    timer_(worker.io_) {}

    void begin() {
        deadline_ = Clock::now() + std::chrono::milliseconds(worker_.options_.timeout_ms);
        body_ = auth::login_question(*question_.attempt);
        watch();
        line_ = worker_.take_line();
        if (line_) {
            reused_ = true;
            return write();
        }
        open();
    }

    /// From stop(), or when nobody waits any more.
    void drop() { finish(HttpKind::dropped, {}); }

private:
    using Self = std::shared_ptr<Exchange>;

    void watch() {
        timer_.expires_at(std::min(deadline_, Clock::now() + look_every));
        timer_.async_wait([self = shared_from_this()](error_code cancelled) {
            if (cancelled || self->finished_) return;
            if (self->question_.attempt->is_abandoned()) return self->drop();
            if (Clock::now() < self->deadline_) return self->watch();
            // Who cannot even be connected to is not there; who is, and says nothing, is broken.
            self->finish(self->connected_ ? HttpKind::failed : HttpKind::unreachable,
                         self->connected_ ? "it gave no answer in time" : "it cannot be reached: timed out");
        });
    }

    void open() {
        reused_ = connected_ = false;
        if (worker_.options_.url.scheme == "https" && !worker_.authorities_) {
            return finish(HttpKind::failed, worker_.wrong_);
        }
        line_ = std::make_unique<Line>(worker_.io_, worker_.authorities_);
        if (Clock::now() < worker_.resolved_until_) return connect();
        worker_.resolver_.async_resolve(
            worker_.options_.url.host, std::to_string(worker_.options_.url.port),
            [self = shared_from_this()](error_code failed, const asio::ip::tcp::resolver::results_type& found) {
                if (self->finished_) return;
                if (failed) {
                    return self->finish(HttpKind::unreachable, "its name cannot be resolved: " + failed.message());
                }
                self->worker_.resolved_.assign(found.begin(), found.end());
                self->worker_.resolved_until_ = Clock::now() + resolved_lasts;
                self->connect();
            });
    }

    void connect() {
        endpoints_ = worker_.resolved_;
        line_->tcp().async_connect(
            endpoints_, [self = shared_from_this()](error_code failed, const asio::ip::tcp::endpoint&) {
                if (self->finished_) return;
                if (failed) {
                    self->worker_.resolved_until_ = {};     // it may have moved
                    return self->finish(HttpKind::unreachable, "it cannot be reached: " + failed.message());
                }
                self->connected_ = true;
                error_code ignored;
                self->line_->tcp().socket().set_option(asio::ip::tcp::no_delay(true), ignored);
                self->line_->tls ? self->shake_hands() : self->write();
            });
    }

    void shake_hands() {
        const std::string& host = worker_.options_.url.host;
        SSL* session = line_->tls->native_handle();
        error_code is_name;
        asio::ip::make_address(host, is_name);
        if (is_name) SSL_set_tlsext_host_name(session, host.c_str());   // RFC 6066, section 3: names only
        // Whose certificate it must be. Without it any that the authorities have signed would do.
        X509_VERIFY_PARAM* wanted = SSL_get0_param(session);
        X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        const int set = is_name ? X509_VERIFY_PARAM_set1_host(wanted, host.c_str(), host.size())
                                : X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str());
        if (set != 1) return finish(HttpKind::failed, "its name cannot be checked");
        line_->tls->async_handshake(ssl::stream_base::client, [self = shared_from_this()](error_code failed) {
            if (self->finished_) return;
            if (!failed) return self->write();
            const long verified = SSL_get_verify_result(self->line_->tls->native_handle());
            if (verified != X509_V_OK) {
                return self->finish(HttpKind::failed, std::string("its certificate is not good: ") +
                                                      X509_verify_cert_error_string(verified));
            }
            const bool of_tls = failed.category() == asio::error::get_ssl_category();
            self->finish(of_tls ? HttpKind::failed : HttpKind::unreachable, "TLS failed: " + failed.message());
        });
    }

    void write() {
        connected_ = true;
        const Options& options = worker_.options_;
        request_.emplace();
        request_->method(http::verb::post);
        request_->target(options.url.target);
        request_->version(11);
        request_->set(http::field::host, options.url.authority);
        request_->set(http::field::user_agent, "trunkline");
        request_->set(http::field::content_type, "application/json");
        request_->set(http::field::accept, "application/json");
        if (!options.token.empty()) request_->set(http::field::authorization, "Bearer " + options.token);
        request_->keep_alive(true);
        request_->body() = {body_.view().data(), body_.view().size()};
        request_->prepare_payload();
        line_->with([this](auto& stream) {
            http::async_write(stream, *request_, [self = shared_from_this()](error_code failed, std::size_t) {
                if (self->finished_) return;
                if (failed) return self->lost("the connection was lost: " + failed.message());
                self->read();
            });
        });
    }

    void read() {
        parser_.emplace();
        parser_->body_limit(worker_.options_.answer_bytes_max);
        parser_->header_limit(16 * 1'024);
        line_->with([this](auto& stream) {
            http::async_read(stream, line_->buffer, *parser_,
                             [self = shared_from_this()](error_code failed, std::size_t) {
                if (!self->finished_) self->answered(failed);
            });
        });
    }

    void answered(error_code failed) {
        if (failed == http::error::end_of_stream || failed == asio::error::connection_reset ||
            failed == ssl::error::stream_truncated) {
            // It has had the question: whoever can make it fail must not get to the next method by that.
            if (!reused_) return finish(HttpKind::failed, "it closed the connection without an answer");
            return lost({});
        }
        if (failed == http::error::body_limit || failed == http::error::header_limit) {
            return finish(HttpKind::failed, "its answer is too large");
        }
        if (failed) return finish(HttpKind::failed, "its answer is no HTTP: " + failed.message());
        auth::HttpReply reply;
        reply.kind = HttpKind::answered;
        reply.status = parser_->get().result_int();
        reply.body = std::move(parser_->get().body());
        const bool quiet = line_->buffer.size() == 0;      // what nobody asked for is no answer to the next question
        if (parser_->get().keep_alive() && quiet && !worker_.stopped_ && line_->context == worker_.authorities_) {
            line_->idle_since = Clock::now();
            worker_.idle_.push_back(std::move(line_));
        }
        conclude(std::move(reply));
    }

    // A kept connection may have been closed by the server just now: that is no failure yet.
    void lost(std::string what) {
        if (!reused_) return finish(HttpKind::unreachable, std::move(what));
        if (worker_.stopped_) return drop();
        open();
    }

    void finish(HttpKind kind, std::string what) {
        auth::HttpReply reply;
        reply.kind = kind;
        reply.what = std::move(what);
        conclude(std::move(reply));
    }

    void conclude(auth::HttpReply&& reply) {
        if (std::exchange(finished_, true)) return;
        const Self self = shared_from_this();
        timer_.cancel();
        body_.wipe();
        if (line_) {
            error_code ignored;
            line_->tcp().socket().close(ignored);
        }
        // Whoever is told may ask the next method, or this one again, before done() returns.
        const OnReply done = std::move(question_.done);
        worker_.ended(self);
        done(std::move(reply));
    }

    Worker& worker_;
    Question question_;
    asio::steady_timer timer_;
    Clock::time_point deadline_;
    auth::Secret body_;
    std::unique_ptr<Line> line_;
    Endpoints endpoints_;
    std::optional<http::request<http::span_body<const char>>> request_;
    std::optional<http::response_parser<http::string_body>> parser_;
    bool reused_ = false, connected_ = false, finished_ = false;
};

void HttpLoginClient::Worker::post(std::shared_ptr<const auth::Attempt> attempt, OnReply done) {
    Question question{std::move(attempt), std::move(done)};
    HttpKind refused = HttpKind::dropped;
    {
        const std::lock_guard lock(mutex_);
        const std::int64_t now = steady_ms();
        const auto asked = question.attempt;
        if (!stopped_) {
            refused = HttpKind::busy;
            if (queue_.push(asked->address, now + auth::delay_left_ms(*asked), now, question)) {
                asio::post(io_, [this] { pump(); });
                return;
            }
        }
    }
    reply(question, refused, "too many wait for it");
}

void HttpLoginClient::Worker::pump() {
    while (running_.size() < options_.requests_max) {
        std::optional<Question> next;
        {
            const std::lock_guard lock(mutex_);
            const std::int64_t now = steady_ms();
            next = queue_.pop(now);
            if (!next) {
                const auto due = queue_.next_due_ms();
                if (!due || stopped_) return;
                wake_timer_.expires_after(std::chrono::milliseconds(std::max<std::int64_t>(*due - now, 1)));
                wake_timer_.async_wait([this](error_code cancelled) {
                    if (!cancelled) pump();
                });
                return;
            }
        }
        if (stopped_ || next->attempt->is_abandoned()) {
            reply(*next, HttpKind::dropped, {});
            continue;
        }
        start(std::move(*next));
    }
}

void HttpLoginClient::Worker::start(Question&& question) {
    running_.push_back(std::make_shared<Exchange>(*this, std::move(question)));
    const auto exchange = running_.back();
    exchange->begin();
}

void HttpLoginClient::Worker::ended(const std::shared_ptr<Exchange>& exchange) {
    running_.remove(exchange);
    asio::post(io_, [this] { pump(); });
}

std::unique_ptr<Line> HttpLoginClient::Worker::take_line() {
    while (!idle_.empty()) {
        auto line = std::move(idle_.back());
        idle_.pop_back();
        if (Clock::now() - line->idle_since < line_lasts && line->context == authorities_) return line;
    }
    return nullptr;
}

std::string HttpLoginClient::Worker::reload(const std::string& token) {
    std::string error;
    std::shared_ptr<ssl::context> fresh;
    if (options_.url.scheme == "https" && !(fresh = load_authorities(options_, error))) return error;
    asio::post(io_, [this, token, fresh] {
        options_.token = token;
        authorities_ = fresh;
        wrong_.clear();
        idle_.clear();
        resolved_until_ = {};
    });
    return {};
}

void HttpLoginClient::Worker::stop() {
    std::vector<Question> waiting;
    {
        const std::lock_guard lock(mutex_);
        if (stopped_.exchange(true)) return;
        while (auto question = queue_.pop(std::numeric_limits<std::int64_t>::max())) {
            waiting.push_back(std::move(*question));
        }
    }
    for (Question& question : waiting) reply(question, HttpKind::dropped, {});
    asio::post(io_, [this] {
        wake_timer_.cancel();
        resolver_.cancel();
        while (!running_.empty()) {
            const auto exchange = running_.front();
            exchange->drop();
        }
        idle_.clear();
        guard_.reset();
    });
    thread_.join();
}

HttpLoginClient::HttpLoginClient(Options options) : worker_(std::make_unique<Worker>(std::move(options))) {}

HttpLoginClient::~HttpLoginClient() { stop(); }

void HttpLoginClient::post(std::shared_ptr<const auth::Attempt> attempt, OnReply done) {
    worker_->post(std::move(attempt), std::move(done));
}

std::string HttpLoginClient::reload(const std::string& token) { return worker_->reload(token); }

void HttpLoginClient::stop() { worker_->stop(); }

}  // namespace trunkline::broker
