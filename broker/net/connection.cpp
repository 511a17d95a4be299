#include "broker/net/connection.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "broker/core/log.h"
#include "broker/net/listener.h"
#include "broker/net/proxy_protocol.h"
#include "broker/net/shard_runner.h"
#include "broker/net/tls_context.h"

namespace trunkline::net {

struct Connection::Handshake {
    broker::ConnectionInfo info;
    broker::PeerAddress socket_peer;   // without what a PROXY header says
};

Connection::Connection(ShardRunner& runner, const AcceptedSocket& socket)
    : socket_(socket.descriptor), runner_(runner), listener_(*socket.listener), handshake_(new Handshake) {
    broker::ConnectionInfo& info = handshake_->info;
    info.peer = handshake_->socket_peer = socket.peer;
    info.listener = listener_.index();
    info.local = socket.peer.is_loopback() || listener_.config().kind == broker::ListenerKind::unix_socket;
    info.arrival_ns = socket.arrival_ns;
}

Connection::~Connection() = default;

void Connection::start() {
    deadline_ms_ = runner_.enter(*this, ShardRunner::Phase::handshaking);
    if (listener_.config().proxy_protocol) return;   // its header has its edge
    begin_tls();
}

void Connection::on_event(std::uint32_t events) {
    if (stage_ == Stage::dead) return;
    constexpr std::uint32_t ended = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if (events & (EPOLLIN | ended)) readable_ = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) writable_ = true;
    if (events & ended) peer_ended_ = true;
    // A paused connection reads nothing that would tell it of a reset.
    if (stage_ == Stage::open && !reading_ && (events & EPOLLERR)) return lost();
    if (newcomer_) return runner_.schedule(*this);
    proceed();
}

void Connection::proceed() {
    switch (stage_) {
        case Stage::proxy_header:
            if (readable_) read_proxy_header();
            break;
        case Stage::tls_handshake: shake_hands(); break;
        case Stage::upgrade:
            if (broken_) return die();
            upgrade();
            break;
        case Stage::open:
            if (broken_) return lost();
            proceed_open();
            break;
        case Stage::draining: finish(); break;
        case Stage::lingering: linger(); break;
        case Stage::dead: break;
    }
}

void Connection::read_proxy_header() {
    const auto buffer = runner_.read_buffer();
    const IoResult peeked = socket_.peek(buffer.data(), proxy_header_bytes_max);
    if (peeked.status == IoStatus::would_block) {
        readable_ = false;
        return;
    }
    if (peeked.status != IoStatus::ok) return fail_handshake("proxy", "the peer went away");
    ProxyHeader header;
    switch (parse_proxy_header({buffer.data(), peeked.bytes}, header)) {
        case ProxyStatus::malformed: return fail_handshake("proxy", header.error);
        case ProxyStatus::incomplete:
            if (peer_ended_) return fail_handshake("proxy", "the peer went away");
            readable_ = false;   // more bytes are another edge
            return;
        case ProxyStatus::complete: break;
    }
    (void)socket_.receive(buffer.data(), header.size);
    if (header.has_source) {
        broker::ConnectionInfo& info = handshake_->info;
        // A header from afar that tells of loopback makes nobody local.
        info.local = info.local && header.source.is_loopback();
        info.peer = header.source;
        const bool believed = info.local || !header.source.is_loopback();
        if (!runner_.admit(listener_, believed ? header.source : handshake_->socket_peer)) return die();
    }
    begin_tls();
}

void Connection::begin_tls() {
    if (!listener_.uses_tls()) return on_secured();
    const auto context = listener_.tls();
    if (!socket_.start_tls(context->native())) return fail_handshake("tls", "out of memory");
    handshake_->info.secure = true;
    stage_ = Stage::tls_handshake;
    if (readable_) shake_hands();
}

void Connection::shake_hands() {
    switch (socket_.handshake()) {
        case IoStatus::would_block: return;   // the next edge, of either direction, goes on
        case IoStatus::ok: break;
        default: return fail_handshake("tls", socket_.tls_error());
    }
    handshake_->info.certificate = socket_.client_certificate();
    readable_ = true;    // what followed the handshake may be in OpenSSL's buffer already
    on_secured();
    if (stage_ == Stage::open || stage_ == Stage::upgrade) proceed();
}

bool Connection::open() {
    stage_ = Stage::open;
    const std::unique_ptr<Handshake> handshake = std::move(handshake_);
    client_ = runner_.shard().on_open(*this, handshake->info);
    if (!client_) {
        if (stage_ == Stage::open) die();
        return false;
    }
    if (stage_ != Stage::open) {   // closed within the call
        client_ = nullptr;
        return false;
    }
    deadline_ms_ = runner_.enter(*this, ShardRunner::Phase::open);
    if (readable_) runner_.schedule(*this);
    return true;
}

void Connection::fail_handshake(std::string_view what, std::string_view why) {
    count_handshake_failure(what, why);
    die();
}

void Connection::count_handshake_failure(std::string_view what, std::string_view why) {
    listener_.handshake_failures.fetch_add(1, std::memory_order_relaxed);
    if (broker::log_enabled(broker::Level::info)) {
        broker::log(broker::Level::info, "handshake_failed",
                    {{"listener", listener_.config().url}, {"stage", what}, {"why", why},
                     {"peer", handshake_->info.peer.to_string()}});
    }
    runner_.connect_failed(handshake_->info.peer);
}

void Connection::on_deadline() {
    if (stage_ < Stage::open) {
        listener_.handshake_timeouts.fetch_add(1, std::memory_order_relaxed);
        runner_.connect_failed(handshake_->info.peer);
    }
    die();
}

void Connection::stop() {
    if (stage_ == Stage::open) return lost();
    if (stage_ < Stage::open) die();
}

void Connection::flush(mqtt::Buffer& out) {
    if (broken_ || stage_ != Stage::open) return;
    if (!output_) {   // else a write is under way and takes what was added, too
        output_ = &out;
        if (writable_) write_output();
    }
    waiting_ = !out.empty();
}

void Connection::close(mqtt::Buffer&& out) {
    client_ = nullptr;
    output_ = nullptr;
    rest_ = std::move(out);
    if (stage_ == Stage::dead) return;
    if (broken_) return die();
    stage_ = Stage::draining;
    deadline_ms_ = runner_.enter(*this, ShardRunner::Phase::draining);
    finish();
}

void Connection::finish() {
    if (broken_) return die();
    if (!finish_output()) {
        if (broken_) die();
        return;
    }
    rest_.release();
    socket_.shut_down_sending();
    stage_ = Stage::lingering;
    deadline_ms_ = runner_.enter(*this, ShardRunner::Phase::lingering);
    // Not now: this may be a call of the shard's, made while it works on what is in the read buffer.
    if (readable_) runner_.schedule(*this);
}

bool Connection::send_rest() {
    if (rest_.empty()) return true;
    if (!writable_) return false;
    const IoResult sent = socket_.send(rest_.data(), rest_.size());
    rest_.consume(sent.bytes);
    if (sent.status == IoStatus::would_block) writable_ = false;
    if (sent.status == IoStatus::closed || sent.status == IoStatus::failed) broken_ = true;
    return rest_.empty();
}

void Connection::linger() {
    if (!readable_) return;
    const auto buffer = runner_.read_buffer();
    const IoResult got = socket_.receive(buffer.data(), buffer.size());
    if (got.status == IoStatus::closed || got.status == IoStatus::failed) return die();
    if (got.status == IoStatus::ok || (peer_ended_ && got.bytes > 0)) return runner_.schedule(*this);
    readable_ = false;
}

void Connection::set_reading(bool enabled) {
    if (reading_ == enabled) return;
    reading_ = enabled;
    if (!enabled || stage_ != Stage::open) return;
    // Also without new bytes: the shard may have left whole packets behind when it paused.
    readable_ = true;
    runner_.schedule(*this);
}

void Connection::lost() {
    broker::Client* client = client_;
    client_ = nullptr;
    output_ = nullptr;
    die();
    if (client) runner_.shard().on_closed(*client);
}

void Connection::die() {
    if (stage_ == Stage::dead) return;
    stage_ = Stage::dead;
    client_ = nullptr;
    output_ = nullptr;
    socket_.close();
    on_dead();
    listener_.connections.fetch_sub(1, std::memory_order_relaxed);
    runner_.bury(*this);
}

// ---- MQTT straight on the socket

namespace {

// An incomplete packet up to this size is copied before what is read next; a larger one is read on where it lies, so
// that a packet of a megabyte in small pieces is not copied once for each piece.
constexpr std::size_t copied_input_max = 4'096;
constexpr std::size_t large_read_min = 16 * 1'024;

}  // namespace

void StreamConnection::close_after_goodbye(mqtt::Buffer&& out) {
    if (!out.empty() || output_ || socket_.secure() || stage() == Stage::dead) return close(std::move(out));
    client_ = nullptr;
    die();
}

void StreamConnection::proceed_open() {
    if (output_ && writable_) {
        mqtt::Buffer& out = *output_;
        write_output();
        if (!output_ && !broken_) {
            out.release();   // a backlog that has been written leaves no megabyte behind with an idle client
            runner().shard().on_writable(*client_);
        }
    }
    if (stage() == Stage::open && !broken_ && readable_ && reading_) read_input();
}

void StreamConnection::read_input() {
    const IoResult got = input_.size() > copied_input_max ? read_after_large() : read_after_small();
    if (stage() == Stage::open) after_read(got);
}

IoResult StreamConnection::read_after_small() {
    const auto buffer = runner().read_buffer();
    const std::size_t kept = input_.size();
    if (kept) std::memcpy(buffer.data(), input_.data(), kept);
    const IoResult got = socket_.receive(buffer.data() + kept, buffer.size() - kept);
    const std::string_view bytes(buffer.data(), kept + got.bytes);
    if (bytes.empty()) return got;
    const std::size_t used = runner().shard().on_bytes(*client_, bytes);
    runner().count_input(got.bytes);
    if (stage() != Stage::open) return got;
    if (used == bytes.size()) {
        if (kept) input_.release();
    } else if (used > 0 || got.bytes > 0) {
        input_.clear();
        input_.append(bytes.substr(used));
    }
    return got;
}

IoResult StreamConnection::read_after_large() {
    const std::size_t room = std::clamp(input_.size(), large_read_min, runner().read_buffer().size());
    const IoResult got = socket_.receive(input_.prepare(room), room);
    input_.commit(got.bytes);
    const std::size_t used = runner().shard().on_bytes(*client_, input_.view());
    runner().count_input(got.bytes);
    if (stage() != Stage::open) return got;
    input_.consume(used);
    if (used > 0) {   // the large packet is done: its memory goes, what follows it is small again, mostly
        mqtt::Buffer rest;
        if (!input_.empty()) rest.append(input_.view());
        input_ = std::move(rest);
    }
    return got;
}

void StreamConnection::after_read(const IoResult& got) {
    const bool ended = got.status == IoStatus::closed || got.status == IoStatus::failed;
    if (ended && got.bytes == 0) return lost();
    // The end is seen again by the next read, after the shard has answered what came before it.
    readable_ = ended || got.status == IoStatus::ok || peer_ended_;
    if (readable_ && reading_) runner().schedule(*this);
}

void StreamConnection::write_output() {
    const IoResult sent = socket_.send(output_->data(), output_->size());
    output_->consume(sent.bytes);
    if (sent.status == IoStatus::would_block) {
        writable_ = false;
        return;
    }
    output_ = nullptr;
    if (sent.status == IoStatus::ok) return;
    broken_ = true;   // this may be a call of the shard's: it hears of it from proceed()
    runner().schedule(*this);
}

bool StreamConnection::finish_output() {
    input_.release();
    return send_rest();
}

}  // namespace trunkline::net
