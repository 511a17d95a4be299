#include "broker/net/web_socket.h"

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <cassert>
#include <cstring>
#include <optional>
#include <string>

#include "broker/net/listener.h"
#include "broker/net/shard_runner.h"

namespace trunkline::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;
using boost::system::error_code;
using Executor = asio::io_context::executor_type;

/// A completion handler of Beast's whose type is forgotten. (asio::any_completion_handler of Boost 1.81 recurses
/// without end when it is moved.)
struct Completion {
    virtual ~Completion() = default;
    virtual void run(error_code error, std::size_t bytes) = 0;
};
using IoHandler = std::unique_ptr<Completion>;

template <class Handler>
IoHandler erase(Handler handler) {
    struct Erased final : Completion {
        explicit Erased(Handler from) : handler(std::move(from)) {}
        void run(error_code error, std::size_t bytes) override { std::move(handler)(error, bytes); }
        Handler handler;
    };
    return std::make_unique<Erased>(std::move(handler));
}

constexpr std::size_t request_bytes_max = 8 * 1'024;      // of the HTTP request that asks for the upgrade
constexpr std::size_t input_bytes_per_turn = 64 * 1'024;  // of one connection
constexpr std::size_t read_size_idle = 1'536;             // what a silent connection holds ready
constexpr std::size_t read_size_max = 16 * 1'024;
constexpr std::size_t frame_bytes_max = 64 * 1'024;       // of what we send
constexpr std::size_t gathered_bytes_max = 8 * 1'024;     // frame header and payload copied together for one write
constexpr int completions_per_turn = 64;

}  // namespace

struct WebSocketContext::Impl {
    asio::io_context context{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE};   // one thread, nothing posts from outside
    asio::executor_work_guard<Executor> guard{context.get_executor()};
    bool has_work = false;   // something was started or resumed since the queue was last empty
};

WebSocketContext::WebSocketContext() : impl_(new Impl) {}
WebSocketContext::~WebSocketContext() = default;

void WebSocketContext::run() {
    impl_->has_work = false;
    for (int i = 0; i < completions_per_turn; ++i) {
        if (impl_->context.poll_one() == 0) return;
    }
    impl_->has_work = true;
}

bool WebSocketContext::has_work() const { return impl_->has_work; }

WebSocketContext& ShardRunner::web_socket_context() {
    if (!web_sockets_) web_sockets_ = std::make_unique<WebSocketContext>();
    return *web_sockets_;
}

namespace {

class WebSocketConnection;

/// What Beast takes for its socket.
class SocketStream {
public:
    using executor_type = Executor;

    explicit SocketStream(WebSocketConnection& connection) : connection_(connection) {}
    [[nodiscard]] executor_type get_executor() const noexcept;

    template <class Buffers, class Token>
    auto async_read_some(const Buffers& buffers, Token&& token);
    template <class Buffers, class Token>
    auto async_write_some(const Buffers& buffers, Token&& token);

private:
    WebSocketConnection& connection_;
};

// Found by Beast through the type of the stream; the connection closes its socket itself.
void beast_close_socket(SocketStream&) {}

template <class Handler>
void async_teardown(beast::role_type, SocketStream& stream, Handler&& handler) {
    asio::post(stream.get_executor(), beast::bind_front_handler(std::forward<Handler>(handler), error_code{}));
}

/// MQTT in binary messages. A dead connection lives on until Beast has let go of it.
class WebSocketConnection final : public Connection {
public:
    WebSocketConnection(ShardRunner& runner, const AcceptedSocket& socket)
        : Connection(runner, socket), context_(runner.web_socket_context().impl()) {}

    [[nodiscard]] bool may_be_deleted() const override { return operations_ == 0; }
    [[nodiscard]] Executor executor() { return context_.context.get_executor(); }

    void start_read(asio::mutable_buffer to, IoHandler handler);
    template <class Buffers>
    void start_write(const Buffers& buffers, IoHandler handler);

private:
    /// Until the upgrade is done.
    struct Upgrade {
        beast::flat_buffer buffer{request_bytes_max};
        http::request_parser<http::empty_body> parser;
    };

    void on_secured() override;
    void upgrade() override { resume_io(); }
    void proceed_open() override;
    void write_output() override;
    bool finish_output() override;
    void on_dead() override;

    void on_request(error_code error);
    void accept_upgrade();
    void refuse(http::status status, std::string_view why);
    void on_accepted(error_code error);
    void read_message();
    void on_message_part(error_code error, std::size_t bytes);
    void offer_input();
    void write_message(mqtt::Buffer& from);
    void on_written(error_code error);
    void say_goodbye();
    void close_for_text();

    void resume_io();
    void try_read();
    void try_write();
    void complete(IoHandler& handler, error_code error, std::size_t bytes);
    IoResult send_gathered();
    void began() { ++operations_, context_.has_work = true; }

    using Socket = websocket::stream<SocketStream, false>;   // false: no compression
    WebSocketContext::Impl& context_;
    std::unique_ptr<Upgrade> upgrade_;
    std::optional<Socket> socket_stream_;

    // What Beast waits for
    IoHandler read_handler_, write_handler_;
    asio::mutable_buffer read_to_;
    std::array<asio::const_buffer, 4> write_from_;
    std::size_t read_budget_ = input_bytes_per_turn;
    std::uint32_t operations_ = 0;       // begun with Beast and not completed

    mqtt::Buffer input_;                 // what the shard has not used, and room for what is being read
    mqtt::Buffer sending_;
    std::size_t read_size_ = read_size_idle;
    websocket::close_code close_code_ = websocket::close_code::normal;
    bool reading_message_ = false, writing_ = false;
    bool upgraded_ = false, saying_goodbye_ = false, said_goodbye_ = false;
};

SocketStream::executor_type SocketStream::get_executor() const noexcept { return connection_.executor(); }

template <class Buffers, class Token>
auto SocketStream::async_read_some(const Buffers& buffers, Token&& token) {
    auto initiate = [this](auto handler, const Buffers& to) {
        asio::mutable_buffer first;
        const auto end = asio::buffer_sequence_end(to);
        for (auto at = asio::buffer_sequence_begin(to); at != end && first.size() == 0; ++at) first = *at;
        connection_.start_read(first, erase(std::move(handler)));
    };
    return asio::async_initiate<Token, void(error_code, std::size_t)>(std::move(initiate), token, buffers);
}

template <class Buffers, class Token>
auto SocketStream::async_write_some(const Buffers& buffers, Token&& token) {
    auto initiate = [this](auto handler, const Buffers& from) {
        connection_.start_write(from, erase(std::move(handler)));
    };
    return asio::async_initiate<Token, void(error_code, std::size_t)>(std::move(initiate), token, buffers);
}

// ---- the socket below Beast

void WebSocketConnection::start_read(asio::mutable_buffer to, IoHandler handler) {
    assert(!read_handler_);
    read_to_ = to;
    read_handler_ = std::move(handler);
    try_read();
}

template <class Buffers>
void WebSocketConnection::start_write(const Buffers& buffers, IoHandler handler) {
    assert(!write_handler_);
    std::size_t count = 0;
    write_from_.fill({});
    for (auto at = asio::buffer_sequence_begin(buffers); at != asio::buffer_sequence_end(buffers); ++at) {
        if (asio::const_buffer(*at).size() > 0 && count < write_from_.size()) write_from_[count++] = *at;
    }
    write_handler_ = std::move(handler);
    try_write();
}

void WebSocketConnection::complete(IoHandler& handler, error_code error, std::size_t bytes) {
    context_.has_work = true;
    asio::post(executor(), [done = std::move(handler), error, bytes] { done->run(error, bytes); });
}

void WebSocketConnection::try_read() {
    if (!read_handler_) return;
    if (stage() == Stage::dead) return complete(read_handler_, asio::error::operation_aborted, 0);
    if (read_to_.size() == 0) return complete(read_handler_, {}, 0);
    if (!readable_) return;
    if (read_budget_ == 0) return runner().schedule(*this);
    const IoResult got =
        socket_.receive(static_cast<char*>(read_to_.data()), std::min(read_to_.size(), read_budget_));
    readable_ = got.status != IoStatus::would_block || peer_ended_;
    read_budget_ -= got.bytes;
    runner().count_input(got.bytes);
    if (got.bytes > 0) return complete(read_handler_, {}, got.bytes);
    if (got.status == IoStatus::closed) return complete(read_handler_, asio::error::eof, 0);
    if (got.status == IoStatus::failed) return complete(read_handler_, asio::error::connection_reset, 0);
}

void WebSocketConnection::try_write() {
    if (!write_handler_) return;
    if (stage() == Stage::dead) return complete(write_handler_, asio::error::operation_aborted, 0);
    if (write_from_[0].size() == 0) return complete(write_handler_, {}, 0);
    if (!writable_) return;
    const IoResult sent = send_gathered();
    if (sent.bytes > 0) return complete(write_handler_, {}, sent.bytes);
    if (sent.status == IoStatus::would_block) {
        writable_ = false;
    } else {
        complete(write_handler_, asio::error::broken_pipe, 0);
    }
}

// A frame is a header of a few bytes and its payload: one write for both.
IoResult WebSocketConnection::send_gathered() {
    const std::size_t first = write_from_[0].size();
    if (first >= gathered_bytes_max || write_from_[1].size() == 0) {
        return socket_.send(static_cast<const char*>(write_from_[0].data()), first);
    }
    std::array<char, gathered_bytes_max> gathered;
    const std::size_t size = asio::buffer_copy(asio::buffer(gathered), write_from_);
    return socket_.send(gathered.data(), size);
}

void WebSocketConnection::resume_io() {
    read_budget_ = input_bytes_per_turn;
    try_write();
    try_read();
}

void WebSocketConnection::on_dead() {
    context_.has_work = true;
    try_read();
    try_write();
}

// ---- the handshake

void WebSocketConnection::on_secured() {
    enter_upgrade();
    upgrade_ = std::make_unique<Upgrade>();
    upgrade_->parser.header_limit(request_bytes_max);
    socket_stream_.emplace(*this);
    began();
    http::async_read_header(socket_stream_->next_layer(), upgrade_->buffer, upgrade_->parser,
                            [this](error_code error, std::size_t) {
                                --operations_;
                                on_request(error);
                            });
}

void WebSocketConnection::on_request(error_code error) {
    if (stage() == Stage::dead) return;
    if (error == http::error::end_of_stream || error == asio::error::eof) {
        return fail_handshake("websocket", "the peer went away");
    }
    if (error) return refuse(http::status::bad_request, "not an HTTP request that is understood here");
    const auto& request = upgrade_->parser.get();
    if (!websocket::is_upgrade(request)) {
        return refuse(http::status::upgrade_required, "MQTT over WebSocket is spoken here: ask for an upgrade");
    }
    if (upgrade_->buffer.size() > 0) return refuse(http::status::bad_request, "frames before the upgrade was granted");
    accept_upgrade();
}

void WebSocketConnection::accept_upgrade() {
    const auto& request = upgrade_->parser.get();
    http::token_list offered(request[http::field::sec_websocket_protocol]);
    const char* chosen = offered.exists("mqtt") ? "mqtt" : offered.exists("mqttv3.1") ? "mqttv3.1" : nullptr;
    // [MQTT-6.0.0-3] makes the client offer it; a client that did not would take our answer for an error.
    if (!chosen) return refuse(http::status::bad_request, "Sec-WebSocket-Protocol does not offer mqtt");
    const auto decorate = [chosen](websocket::response_type& response) {
        response.set(http::field::sec_websocket_protocol, chosen);   // [MQTT-6.0.0-4]
        response.set(http::field::server, "trunkline");
    };
    socket_stream_->set_option(websocket::stream_base::decorator(decorate));
    socket_stream_->read_message_max(0);   // a message may hold any number of packets [MQTT-6.0.0-2]; none is collected
    socket_stream_->auto_fragment(false);
    socket_stream_->binary(true);
    began();
    socket_stream_->async_accept(request, [this](error_code error) {
        --operations_;
        on_accepted(error);
    });
}

void WebSocketConnection::refuse(http::status status, std::string_view why) {
    count_handshake_failure("websocket", why);
    std::string answer = "HTTP/1.1 " + std::to_string(static_cast<unsigned>(status)) + " " +
                         std::string(http::obsolete_reason(status)) +
                         "\r\nConnection: close\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: mqtt\r\n"
                         "Content-Type: text/plain\r\nContent-Length: " +
                         std::to_string(why.size() + 1) + "\r\n\r\n" + std::string(why) + "\n";
    mqtt::Buffer out;
    out.append(answer);
    close(std::move(out));
}

void WebSocketConnection::on_accepted(error_code error) {
    if (stage() == Stage::dead) return;
    if (error) return fail_handshake("websocket", error.message());
    upgraded_ = true;
    upgrade_.reset();
    if (open()) read_message();
}

// ---- messages

void WebSocketConnection::proceed_open() {
    resume_io();
    if (stage() != Stage::open) return;
    if (output_ && !writing_) write_output();
    if (reading_ && !reading_message_) offer_input();
}

void WebSocketConnection::read_message() {
    if (reading_message_ || !reading_ || stage() != Stage::open) return;
    reading_message_ = true;
    began();
    char* to = input_.prepare(read_size_);
    socket_stream_->async_read_some(asio::buffer(to, read_size_), [this](error_code error, std::size_t bytes) {
        --operations_;
        on_message_part(error, bytes);
    });
}

void WebSocketConnection::on_message_part(error_code error, std::size_t bytes) {
    reading_message_ = false;
    if (stage() != Stage::open) return;
    if (error) return lost();
    if (!socket_stream_->got_binary()) return close_for_text();
    input_.commit(bytes);
    read_size_ = bytes == read_size_ ? std::min(read_size_ * 2, read_size_max) : read_size_idle;
    if (reading_) offer_input();   // else it waits until the shard resumes
}

void WebSocketConnection::offer_input() {
    if (!input_.empty()) {
        const std::size_t used = runner().shard().on_bytes(*client_, input_.view());
        if (stage() != Stage::open) return;
        input_.consume(used);
        if (input_.empty() && input_.capacity() > 2 * read_size_idle) input_.release();
    }
    read_message();
}

// [MQTT-6.0.0-1]
void WebSocketConnection::close_for_text() {
    broker::Client* client = client_;
    close_code_ = websocket::close_code::unknown_data;
    close({});
    if (client) runner().shard().on_closed(*client);
}

void WebSocketConnection::write_output() {
    if (!writing_ && !output_->empty()) write_message(*output_);
}

// Takes what it sends: the shard goes on appending to `from` while this is on its way.
void WebSocketConnection::write_message(mqtt::Buffer& from) {
    if (from.size() <= frame_bytes_max) {
        sending_ = std::move(from);
    } else {
        sending_.clear();
        sending_.append(from.view().substr(0, frame_bytes_max));
        from.consume(frame_bytes_max);
    }
    writing_ = true;
    began();
    socket_stream_->async_write(asio::buffer(std::as_const(sending_).data(), sending_.size()),
                                [this](error_code error, std::size_t) {
                                    --operations_;
                                    on_written(error);
                                });
}

void WebSocketConnection::on_written(error_code error) {
    writing_ = false;
    sending_.release();
    if (stage() == Stage::draining) {
        broken_ = broken_ || error;
        return finish();
    }
    if (stage() != Stage::open) return;
    if (error) return lost();
    if (!output_->empty()) return write_message(*output_);
    output_->release();
    output_ = nullptr;
    if (waiting_) runner().shard().on_writable(*client_);
}

bool WebSocketConnection::finish_output() {
    if (!upgraded_) return send_rest();
    resume_io();
    if (said_goodbye_) return true;
    if (writing_ || saying_goodbye_) return false;
    if (!rest_.empty()) {
        write_message(rest_);
    } else {
        say_goodbye();
    }
    return false;
}

void WebSocketConnection::say_goodbye() {
    saying_goodbye_ = true;
    began();
    socket_stream_->async_close(close_code_, [this](error_code) {
        --operations_;
        said_goodbye_ = true;   // or the peer is gone: then the socket says so
        if (stage() == Stage::draining) finish();
    });
}

}  // namespace

Connection* make_web_socket_connection(ShardRunner& runner, const AcceptedSocket& socket) {
    return new WebSocketConnection(runner, socket);
}

}  // namespace trunkline::net
