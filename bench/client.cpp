#include "bench/client.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bench/clock.h"
#include "broker/mqtt/encode.h"

namespace trunkline::bench {

using mqtt::PacketType;

namespace {

constexpr std::size_t filters_per_subscribe = 64;
constexpr std::uint16_t first_subscribe_id = 65535;  // counts down; message identifiers count up from 1

std::string refused(const char* packet, mqtt::Reason reason, std::optional<std::string_view> text) {
    std::string why = std::string(packet) + ": " + std::string(mqtt::reason_name(reason));
    if (text) why.append(" (").append(*text).append(")");
    return why;
}

}  // namespace

Client::Client(Loop& loop, const Endpoint& endpoint, ClientConfig config)
    : loop_(loop), endpoint_(endpoint), config_(std::move(config)) {
    if (config_.keep_alive_s != 0) loop_.with_keep_alive_.push_back(this);
}

Client::~Client() {
    close_socket();
    std::erase(loop_.with_keep_alive_, this);
    std::erase(loop_.dirty_, this);
    std::replace(loop_.flushing_.begin(), loop_.flushing_.end(), this, static_cast<Client*>(nullptr));
}

void Client::connect() {
    close_socket();
    out_.clear();
    partial_.clear();
    filters_sent_ = 0;
    const int descriptor = endpoint_.open_socket(config_.source);
    if (descriptor < 0) return fail(std::string("connect: ") + std::strerror(errno));
    stream_.open(endpoint_, descriptor);
    state_ = State::connecting;
    epoll_event event{};
    event.events = EPOLLOUT;
    event.data.ptr = this;
    watching_write_ = true;
    if (epoll_ctl(loop_.epoll_, EPOLL_CTL_ADD, descriptor, &event) != 0) fail("epoll_ctl failed");
}

void Client::disconnect(bool abrupt) {
    if (ready() && !abrupt) {
        mqtt::encode(out_, config_.version, mqtt::Disconnect{});
        flush();
    }
    close_socket();
    state_ = State::closed;
}

void Client::close_socket() {
    stream_.close();  // leaves the epoll set by itself
    watching_write_ = false;
    out_.release();
    partial_.release();
    ++generation_;
    if (state_ != State::idle) state_ = State::closed;
}

void Client::fail(const std::string& why) {
    close_socket();
    state_ = State::closed;
    ++loop_.counters.closed;
    loop_.counters.last_error = config_.client_id + ": " + why;
    on_closed(why);
}

void Client::watch(bool for_writing) {
    if (watching_write_ == for_writing) return;
    watching_write_ = for_writing;
    epoll_event event{};
    event.events = EPOLLIN | (for_writing ? EPOLLOUT : 0U);
    event.data.ptr = this;
    epoll_ctl(loop_.epoll_, EPOLL_CTL_MOD, stream_.descriptor(), &event);
}

void Client::handle_events(std::uint32_t events) {
    switch (state_) {
        case State::connecting: return advance_connecting();
        case State::handshake: return advance_handshake();
        case State::idle:
        case State::closed: return;
        default: break;
    }
    const auto generation = generation_;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_some();
    if (generation == generation_ && (events & EPOLLOUT)) mark_dirty();
}

void Client::advance_connecting() {
    int error = 0;
    socklen_t bytes = sizeof error;
    getsockopt(stream_.descriptor(), SOL_SOCKET, SO_ERROR, &error, &bytes);
    if (error != 0) return fail(std::string("connect: ") + std::strerror(error));
    state_ = State::handshake;
    advance_handshake();
}

void Client::advance_handshake() {
    switch (stream_.handshake()) {
        case Io::closed: return fail("TLS handshake: " + stream_.error());
        case Io::again: return watch(stream_.wants_write());
        case Io::ok: break;
    }
    watch(false);
    state_ = State::connack;
    send_connect();
}

void Client::send_connect() {
    mqtt::Connect packet;
    packet.version = config_.version;
    packet.clean_start = config_.clean_start;
    packet.keep_alive_s = config_.keep_alive_s;
    packet.client_id = config_.client_id;
    if (!config_.user.empty()) packet.user_name = config_.user;
    if (!config_.password.empty()) packet.password = config_.password;
    if (config_.session_expiry_s != 0) {
        packet.session_expiry_s = config_.session_expiry_s;
        packet.has_session_expiry = true;
    }
    if (config_.will) {
        mqtt::Will will;
        will.qos = config_.will->qos;
        will.retain = config_.will->retain;
        will.topic = config_.will->topic;
        will.payload = config_.will->payload;
        packet.will = will;
    }
    mqtt::encode(out_, packet);
    mark_dirty();
}

void Client::send_next_subscribe() {
    mqtt::Subscribe packet;
    packet.packet_id = static_cast<std::uint16_t>(first_subscribe_id - filters_sent_ / filters_per_subscribe);
    const std::size_t end = std::min(config_.filters.size(), filters_sent_ + filters_per_subscribe);
    for (; filters_sent_ < end; ++filters_sent_) {
        mqtt::SubscriptionOptions options;
        options.qos = config_.subscribe_qos;
        packet.requests.push_back({config_.filters[filters_sent_], options});
    }
    mqtt::encode(out_, config_.version, packet);
    mark_dirty();
}

void Client::become_ready() {
    state_ = State::ready;
    ++loop_.counters.ready;
    on_ready();
}

void Client::publish(const mqtt::PublishOut& packet) {
    mqtt::encode(out_, config_.version, packet);
    mark_dirty();
}

void Client::ping() {
    mqtt::encode_pingreq(out_);
    mark_dirty();
}

void Client::ping_if_idle(std::int64_t now) {
    if (ready() && now - last_sent_ns_ > config_.keep_alive_s * ns_per_s / 2) ping();
}

void Client::fill_and_flush() {
    if (!open() || state_ == State::connecting || state_ == State::handshake) return;
    const bool more = state_ == State::ready && on_fill();
    if (!open()) return;
    flush();
    if (more && open() && out_.empty()) mark_dirty();
}

void Client::flush() {
    while (!out_.empty()) {
        std::size_t written = 0;
        switch (stream_.write(out_.data(), out_.size(), written)) {
            case Io::ok:
                out_.consume(written);
                last_sent_ns_ = loop_.event_ns_;
                if (!out_.empty() && !stream_.is_tls()) return watch(true);  // the kernel's buffer is full
                break;
            case Io::again: return watch(true);
            case Io::closed: return fail("send: " + stream_.error());
        }
    }
    watch(false);
}

void Client::read_some() {
    for (;;) {
        const std::size_t kept = partial_.size();
        char* buffer = loop_.read_buffer(kept);
        if (kept) std::memcpy(buffer, partial_.data(), kept);
        std::size_t bytes = 0;
        const Io result = stream_.read(buffer + kept, Loop::read_bytes, bytes);
        if (result == Io::again) return;
        if (result == Io::closed) return fail(stream_.error());
        loop_.event_ns_ = now_ns();
        partial_.clear();
        const auto generation = generation_;
        const std::size_t used = consume(buffer, kept + bytes);
        if (generation != generation_) return;
        if (used < kept + bytes) partial_.append({buffer + used, kept + bytes - used});
        if (!stream_.is_tls()) return;  // TLS may hold decrypted bytes that epoll does not know of
    }
}

std::size_t Client::consume(const char* data, std::size_t bytes) {
    const char* at = data;
    const char* end = data + bytes;
    RawPacket packet;
    for (;;) {
        switch (split_packet(at, end, packet)) {
            case Split::incomplete: return static_cast<std::size_t>(at - data);
            case Split::malformed: fail("received a malformed header"); return bytes;
            case Split::packet: break;
        }
        if (!handle_packet(packet)) return bytes;
    }
}

bool Client::handle_packet(const RawPacket& packet) {
    const auto type = static_cast<PacketType>(packet.first >> 4);
    switch (type) {
        case PacketType::publish: return handle_publish(packet);
        case PacketType::puback:
        case PacketType::pubrec:
        case PacketType::pubrel:
        case PacketType::pubcomp: return handle_acknowledgement(type, packet);
        default: return handle_control(type, packet);
    }
}

bool Client::handle_publish(const RawPacket& packet) {
    Incoming incoming;
    if (!read_publish(packet, config_.version, incoming)) {
        fail("received a malformed PUBLISH");
        return false;
    }
    if (incoming.qos != 0) {
        mqtt::encode_ack(out_, incoming.qos == 1 ? PacketType::puback : PacketType::pubrec, incoming.packet_id);
        mark_dirty();
    }
    const auto generation = generation_;
    on_publish(incoming);
    return generation == generation_;
}

bool Client::handle_acknowledgement(PacketType type, const RawPacket& packet) {
    if (packet.body_bytes < 2) {
        fail("received a malformed acknowledgement");
        return false;
    }
    const std::uint16_t packet_id = read_u16(packet.body);
    const auto reason = packet.body_bytes > 2 ? static_cast<mqtt::Reason>(packet.body[2]) : mqtt::Reason::success;
    const bool is_error = static_cast<std::uint8_t>(reason) >= 0x80;
    if (type == PacketType::pubrel) {
        mqtt::encode_ack(out_, PacketType::pubcomp, packet_id);
        mark_dirty();
        return true;
    }
    if (type == PacketType::pubrec && !is_error) {
        mqtt::encode_ack(out_, PacketType::pubrel, packet_id);
        mark_dirty();
        return true;
    }
    const auto generation = generation_;
    on_acknowledged(packet_id, reason);
    return generation == generation_;
}

bool Client::handle_control(PacketType type, const RawPacket& packet) {
    const std::string_view body(packet.body, packet.body_bytes);
    const auto generation = generation_;
    switch (type) {
        case PacketType::connack: return handle_connack(body);
        case PacketType::suback: return handle_suback(body);
        case PacketType::pingresp: on_pong(); return generation == generation_;
        case PacketType::unsuback: return true;
        case PacketType::disconnect: {
            const auto decoded = mqtt::decode_disconnect(body, config_.version);
            fail(decoded ? refused("DISCONNECT", decoded->reason, decoded->reason_string) : "malformed DISCONNECT");
            return false;
        }
        default: fail("received a packet that no server sends"); return false;
    }
}

bool Client::handle_connack(std::string_view body) {
    const auto decoded = mqtt::decode_connack(body, config_.version);
    if (!decoded || state_ != State::connack) {
        fail("unexpected or malformed CONNACK");
        return false;
    }
    if (decoded->reason != mqtt::Reason::success || decoded->v3_code != 0) {
        fail(refused("CONNACK", decoded->reason, decoded->reason_string));
        return false;
    }
    session_present_ = decoded->session_present;
    receive_maximum_ = decoded->receive_maximum.value_or(65535);
    const auto generation = generation_;
    if (config_.filters.empty()) {
        become_ready();
    } else {
        state_ = State::suback;
        send_next_subscribe();
    }
    return generation == generation_;
}

bool Client::handle_suback(std::string_view body) {
    const auto decoded = mqtt::decode_suback(body, config_.version);
    if (!decoded || state_ != State::suback) {
        fail("unexpected or malformed SUBACK");
        return false;
    }
    for (const mqtt::Reason reason : decoded->reasons) {
        if (static_cast<std::uint8_t>(reason) < 0x80) continue;
        fail(refused("SUBACK", reason, decoded->reason_string));
        return false;
    }
    const auto generation = generation_;
    if (filters_sent_ < config_.filters.size()) {
        send_next_subscribe();
    } else {
        become_ready();
    }
    return generation == generation_;
}

bool connect_all(Loop& loop, const std::vector<Client*>& clients, std::size_t at_once, double timeout_s,
                 std::string& why) {
    const Loop::Counters before = loop.counters;
    const std::int64_t deadline = now_ns() + static_cast<std::int64_t>(timeout_s * 1e9);
    std::size_t started = 0;
    for (;;) {
        const std::size_t done = loop.counters.ready - before.ready;
        while (started < clients.size() && started - done < at_once) clients[started++]->connect();
        if (loop.counters.closed != before.closed) {
            why = loop.counters.last_error;
            return false;
        }
        if (done == clients.size()) return true;
        if (now_ns() > deadline) {
            const std::string all = std::to_string(clients.size());
            why = "only " + std::to_string(done) + " of " + all + " clients connected in time";
            return false;
        }
        loop.turn(50 * ns_per_ms);
    }
}

}  // namespace trunkline::bench
