#include "broker/core/shard.h"

#include <algorithm>

#include "broker/core/filter_index.h"
#include "broker/core/log.h"
#include "broker/core/registry.h"
#include "broker/mqtt/encode.h"

namespace trunkline::broker {

using mqtt::PacketType;
using mqtt::Reason;

namespace {
constexpr std::size_t spare_buffers_max = 64;
constexpr std::size_t spare_buffer_bytes_max = 256 * 1024;
// How much may be under way to another shard before who publishes to it waits; less where queues are small.
constexpr std::uint32_t ahead_messages = 32'768;
constexpr std::uint64_t ahead_bytes = 32ULL << 20;
}  // namespace

Shard::Shard(Broker& broker, std::uint32_t index)
    : broker_(broker), index_(index), limits_(broker.config_.limits), registry_(*broker.registry_),
      filters_(*broker.filters_), router_(*broker.filters_, index, feed),
      authority_(broker, index, router_, counters), governance_(*broker.governance_),
      model_(uns::Model::empty()),
      next_number_(broker.first_number_ + (std::uint64_t{index} << 40)), outbox_(64), wheel_(wheel_slots) {}

Shard::~Shard() {
    for (Submission& submission : submissions_) {  // closed clients that still wait are known to nobody else
        for (Pending& pending : submission.pending) {
            if (pending.client && --pending.client->pending_log == 0 && !clients_.contains(pending.client->number)) {
                delete pending.client;
            }
        }
    }
    for (auto& [number, client] : clients_) delete client;
}

Client* Shard::on_open(Transport& transport, const ConnectionInfo& info) {
    auto client = std::make_unique<Client>();
    client->transport = &transport;
    client->number = next_number_++;
    client->peer = info.peer;
    client->listener = info.listener;
    client->arrival_ns = info.arrival_ns;
    client->local = info.local;
    client->administration = info.administration;
    if (info.principal) {
        client->user = info.principal->user;
        client->principal = info.principal;
    }
    client->secure = info.secure;
    client->opened_ms = client->last_in_ms = now_.steady_ms;
    if (!info.certificate.empty()) client->more().certificate = info.certificate;
    counters.sockets.add();
    watch_deadline(*client, now_.steady_ms + limits_.connect_timeout_ms);
    Client* raw = client.release();
    clients_.emplace(raw->number, raw);
    return raw;
}

std::size_t Shard::on_bytes(Client& client, std::string_view bytes) {
    client.last_in_ms = now_.steady_ms;
    look_at_access();
    if (client.extra && !client.extra->early.empty() &&
        (client.state == ClientState::connected || client.state == ClientState::authenticating)) {
        // The front of this packet came before the CONNACK.
        const std::string joined = std::exchange(client.extra->early, {}).append(bytes);
        const std::size_t used = consume(client, joined);
        if (client.state != ClientState::closed && used < joined.size()) client.more().early.insert(0, joined, used);
        counters.bytes_received.add(bytes.size());
        return bytes.size();
    }
    const std::size_t used = consume(client, bytes);
    counters.bytes_received.add(used);
    return used;
}

std::size_t Shard::consume(Client& client, std::string_view bytes) {
    std::size_t used = 0;
    while (used < bytes.size()) {
        if (client.state == ClientState::claiming || client.state == ClientState::checking) {
            // Packets sent before the CONNACK wait for it.
            client.more().early.append(bytes.substr(used));
            if (client.extra->early.size() > 4 * limits_.max_connect_packet_bytes && !client.reading_paused) {
                client.reading_paused = true;
                client.transport->set_reading(false);
            }
            return bytes.size();
        }
        const bool connected = client.state == ClientState::connected;
        const auto frame = mqtt::next_frame(bytes.substr(used),
                                            connected ? limits_.max_packet_bytes : limits_.max_connect_packet_bytes,
                                            client.version);
        if (frame.has_error()) {
            disconnect(client, frame.error().reason, frame.error().what);
            return bytes.size();
        }
        if (frame->size == 0) break;
        used += frame->size;
        handle(client, *frame);
        if (client.state == ClientState::closed) return bytes.size();
    }
    return used;
}

void Shard::handle(Client& client, const mqtt::Frame& frame) {
    if (client.traced) [[unlikely]] trace_packet(client, frame, true);
    if (client.state == ClientState::connected) {
        switch (frame.type) {
            case PacketType::publish: return on_publish(client, frame);
            case PacketType::puback:
            case PacketType::pubrec:
            case PacketType::pubrel:
            case PacketType::pubcomp: return on_ack(client, frame);
            case PacketType::subscribe: return on_subscribe(client, frame);
            case PacketType::unsubscribe: return on_unsubscribe(client, frame);
            case PacketType::pingreq:
                if (mqtt::decode_empty(frame.body).has_error()) {
                    return disconnect(client, Reason::malformed_packet, "PINGREQ has a body");
                }
                mqtt::encode_pingresp(client.out);  // [MQTT-3.12.4-1]
                return want_flush(client);
            case PacketType::disconnect: return on_disconnect(client, frame);
            case PacketType::auth: return on_auth(client, frame);
            case PacketType::connect:  // [MQTT-3.1.0-2]
                return disconnect(client, Reason::protocol_error, "a second CONNECT on one connection");
            default: return disconnect(client, Reason::protocol_error, "a packet that only a server may send");
        }
    }
    if (client.state == ClientState::fresh && frame.type == PacketType::connect) return on_connect(client, frame);
    if (client.state == ClientState::authenticating) {
        if (frame.type == PacketType::auth) return on_auth(client, frame);
        if (frame.type == PacketType::disconnect) return finish(client, false);
        if (frame.type == PacketType::connect) {
            return refuse_connect(client, Reason::protocol_error, "a second CONNECT on one connection");
        }
        return refuse_connect(client, Reason::protocol_error, "only AUTH or DISCONNECT may come before the CONNACK");
    }
    disconnect(client, Reason::protocol_error, "the first packet must be CONNECT");  // [MQTT-3.1.0-1]
}

void Shard::on_writable(Client& client) {
    client.blocked = false;
    if (client.state == ClientState::connected) pump(client);
}

void Shard::on_closed(Client& client) {
    client.transport = nullptr;
    if (client.state == ClientState::connected) counters.network_errors.add();
    finish(client, true);
}

void Shard::on_mail() {
    look_at_access();
    mailbox.take(mail_);
    for (Mail& mail : mail_) {
        if (auto* forwards = std::get_if<Forwards>(&mail)) {
            on_forwards(std::move(*forwards));
        } else if (auto* effects = std::get_if<Effects>(&mail)) {
            on_effects(std::move(*effects));
        } else if (auto* over = std::get_if<TakeOver>(&mail)) {
            take_over(over->number, over->from_shard, over->for_number);
        } else if (auto* release = std::get_if<Released>(&mail)) {
            released(release->for_number);
        } else if (auto* work = std::get_if<Work>(&mail)) {
            work->run(*this);
        }
    }
    mail_.clear();
    judge_some();
    look_who_caught_up();
    if (!due_.empty()) look_at_due();
    if (!pump_.empty()) {
        std::vector<Client*> pumping;
        pumping.swap(pump_);
        for (Client* client : pumping) {
            client->pump_queued = false;
            if (client->state == ClientState::connected) pump(*client);
        }
    }
}

void Shard::on_forwards(Forwards&& forwards) {
    for (Forward& one : forwards.messages) {
        if (one.member != 0) {
            on_forward_to_member(one);
            continue;
        }
        const MessageView view = one.message->view();
        Route& route = router_.find(view.topic);
        if (route.audience) distribute_here(view, route, one.message);
    }
    // After the queues have them: whoever adds up both counts none too few.
    forwards_under_way.bytes.fetch_sub(forwards.bytes);
    forwards_under_way.messages.fetch_sub(forwards.messages.size());
    for (std::uint32_t shard = 0; shard < broker_.shard_count(); ++shard) {
        if (shard != index_ && broker_.shards_[shard]->held_up.load() && !is_behind(index_, 2)) broker_.wake_(shard);
    }
}

void Shard::on_forward_to_member(Forward& one) {
    const MessageView view = one.message->view();
    const auto at = clients_.find(one.member);
    Session* session = at == clients_.end() ? nullptr : at->second->session.get();
    const ClientSubscription* mine = session ? session->find(one.shared_filter) : nullptr;
    if (!mine || !mine->allowed || !may_receive(*at->second, router_.find(view.topic))) {
        one.declined.push_back(one.member);  // has left meanwhile [MQTT-4.8.2-4], or may not have it
        return offer_to_group(view, one.shared_filter, one.declined, one.message);
    }
    const DeliveryOptions options{std::min(view.qos, mine->options.qos),
                                  view.retain && mine->options.retain_as_published, false, &mine->identifier,
                                  mine->identifier ? 1U : 0U};
    deliver(*session, view, options, one.message, one.shared_filter);
}

void Shard::post_forwards(std::uint32_t shard) {
    Forwards& outbox = outbox_[shard];
    UnderWay& coming = broker_.shards_[shard]->forwards_under_way;
    coming.messages.fetch_add(outbox.messages.size());
    coming.bytes.fetch_add(outbox.bytes);
    post(shard, std::exchange(outbox, {}));
    if (is_behind(shard)) {
        held_up_by_ |= std::uint64_t{1} << shard;
        held_up.store(true);
    }
}

bool Shard::is_behind(std::uint32_t shard, unsigned share) const {
    const UnderWay& coming = broker_.shards_[shard]->forwards_under_way;
    const std::uint64_t messages = std::clamp(limits_.transient_queue_messages / 2, 1U, ahead_messages);
    const std::uint64_t bytes = std::min(limits_.transient_queue_bytes / 2, ahead_bytes);
    return coming.messages.load() > messages / share || coming.bytes.load() > bytes / share;
}

void Shard::look_who_caught_up() {
    if (held_up_by_ == 0) return;
    for (std::uint64_t rest = held_up_by_; rest != 0; rest &= rest - 1) {
        const auto shard = static_cast<std::uint32_t>(std::countr_zero(rest));
        if (!is_behind(shard, 2)) held_up_by_ &= ~(std::uint64_t{1} << shard);
    }
    if (held_up_by_ != 0) return;
    held_up.store(false);
    resume_publishers();
}

void Shard::want_pump(Client& client) {
    if (client.pump_queued) return;
    client.pump_queued = true;
    if (pump_.empty()) broker_.wake_(index_);
    pump_.push_back(&client);
}

void Shard::watch_deadline(Client& client, std::int64_t due_ms) {
    client.unlink();
    const std::int64_t second = std::clamp(due_ms / 1'000 + 1, wheel_s_ + 1,
                                           wheel_s_ + static_cast<std::int64_t>(wheel_slots) - 1);
    wheel_[static_cast<std::size_t>(second) % wheel_slots].push_back(client);
}

void Shard::on_tick() {
    const std::int64_t second = now_.steady_ms / 1'000;
    if (wheel_s_ == 0 || second - wheel_s_ >= static_cast<std::int64_t>(wheel_slots)) {
        const std::int64_t behind = std::min<std::int64_t>(second - wheel_s_, wheel_slots);
        wheel_s_ = second - behind;
    }
    look_at_access();
    if (wheel_s_ < second) retry_refused();
    look_who_caught_up();
    resume_publishers();
    look_who_may_stay();
    feed.on_tick(now_.wall_ms);
    while (wheel_s_ < second) {
        ++wheel_s_;
        Slot& slot = wheel_[static_cast<std::size_t>(wheel_s_) % wheel_slots];
        due_.splice(due_.end(), slot);
    }
    look_at_due();
}

// Thousands may be due at once, those who came together and could not be let in: the others must not wait for all their
// refusals.
void Shard::look_at_due() {
    for (int i = 0; i < deadlines_per_turn && !due_.empty(); ++i) {
        Client& client = due_.front();
        due_.pop_front();
        check_deadline(client);
    }
    if (!due_.empty()) broker_.wake_(index_);
}

void Shard::check_deadline(Client& client) {
    const std::int64_t now = now_.steady_ms;
    if (client.state == ClientState::closed) return;
    if (client.state == ClientState::claiming) return watch_deadline(client, now + limits_.connect_timeout_ms);
    if (client.state != ClientState::connected) {
        const std::int64_t due = client.opened_ms + limits_.connect_timeout_ms;
        if (due > now) return watch_deadline(client, due);
        if (client.state == ClientState::checking) {
            return disconnect(client, Reason::server_busy, "who the client is could not be found out in time");
        }
        return disconnect(client, Reason::keep_alive_timeout, "no CONNECT in time");
    }
    std::int64_t due = now + static_cast<std::int64_t>(limits_.write_stall_s) * 1'000;
    if (has_expired(client, due)) return end_expired(client);
    if (client.unanswered_since_ms != 0) {
        due = client.unanswered_since_ms + close_unanswered_after_ms;
        if (due <= now) return disconnect(client, Reason::quota_exceeded, "what it published can't be kept now");
    }
    if (client.blocked) {
        const std::int64_t stalled = client.blocked_since_ms + static_cast<std::int64_t>(limits_.write_stall_s) * 1'000;
        if (stalled <= now) return disconnect(client, Reason::quota_exceeded, "nothing could be written for too long");
        due = std::min(due, stalled);
    }
    if (client.keep_alive_s != 0) {  // [MQTT-3.1.2-22]
        const std::int64_t silent = client.last_in_ms + client.keep_alive_s * std::int64_t{1'500};
        if (silent <= now && !client.reading_paused) {
            return disconnect(client, Reason::keep_alive_timeout,
                              "nothing received for one and a half keep alive periods");
        }
        due = std::min(due, std::max(silent, now + 1'000));
    }
    watch_deadline(client, due);
}

void Shard::end_turn() {
    for (Session* session : with_acks_) {
        if (session) submit_acks(*session);
    }
    with_acks_.clear();
    publish_violations();
    submit_open();
    for (std::uint32_t shard = 0; shard < outbox_.size(); ++shard) {
        if (!outbox_[shard].messages.empty()) post_forwards(shard);
    }
    look_who_caught_up();  // perhaps before it saw that this shard waits
    for (const auto& [shard, number] : releases_) post(shard, Released{number});
    releases_.clear();

    for (std::size_t i = 0; i < dirty_.size(); ++i) {
        Client& client = *dirty_[i];
        client.dirty = false;
        if (client.traced) [[unlikely]] trace_flushed(client, true);
        if (client.state == ClientState::closed || client.blocked || client.out.empty()) continue;
        counters.bytes_sent.add(client.out.size());
        client.transport->flush(client.out);
        if (client.state == ClientState::closed) continue;
        if (client.out.empty()) {
            if (spare_buffers_.size() < spare_buffers_max && client.out.capacity() <= spare_buffer_bytes_max) {
                client.out.clear();
                spare_buffers_.push_back(std::move(client.out));
            } else {
                client.out.release();
            }
            if (client.traced) [[unlikely]] trace_flushed(client, false);
            if (client.session && has_more(*client.session)) want_pump(client);
        } else {
            counters.bytes_sent.sub(client.out.size());
            client.blocked = true;
            client.blocked_since_ms = now_.steady_ms;
        }
    }
    dirty_.clear();
    graveyard_.clear();
    feed.end_turn();
}

void Shard::post(std::uint32_t shard, Mail&& mail) { broker_.mail(shard, MailBody{std::move(mail)}); }

void Shard::close_transport(Client& client) {
    if (!client.transport) return;
    Transport* transport = client.transport;
    client.transport = nullptr;
    if (client.traced) [[unlikely]] trace_goodbye(client);
    counters.bytes_sent.add(client.out.size());
    transport->close(std::move(client.out));
}

void Shard::bury(Client& client) {
    std::erase(paused_, &client);
    if (client.dirty) std::erase(dirty_, &client);
    if (client.pump_queued) std::erase(pump_, &client);
    client.dirty = client.pump_queued = false;
    graveyard_.emplace_back(&client);
}

std::uint64_t Shard::backlog_share() const { return limits_.log_backlog_bytes / broker_.shard_count(); }

void Shard::pause_publishers(Client& client) {
    if (client.reading_paused || client.state != ClientState::connected) return;
    client.reading_paused = true;
    client.transport->set_reading(false);
    paused_.push_back(&client);
}

void Shard::resume_publishers() {
    if (paused_.empty() || held_up_by_ != 0 || unsafe_bytes_ > backlog_share() / 2) return;
    if (broker_.memory_pressure() != Pressure::none) return;
    std::vector<Client*> resumed;
    resumed.swap(paused_);
    for (Client* client : resumed) {
        if (client->pending_log >= 2U * limits_.receive_maximum) {
            paused_.push_back(client);
            continue;
        }
        client->reading_paused = false;
        client->last_in_ms = now_.steady_ms;
        if (client->transport) client->transport->set_reading(true);
    }
}

void Shard::visit_subscriptions(const std::function<void(std::string_view, std::string_view)>& visit) const {
    for (const auto& [number, client] : clients_) {
        if (client->state != ClientState::connected) continue;
        const Session& session = *client->session;
        for (const auto& subscription : session.subscriptions) visit(session.client_id, subscription.filter);
    }
}

void Shard::visit_subscriptions(const std::function<void(const SubscriptionInfo&)>& visit) const {
    for (const auto& [number, client] : clients_) {
        if (client->state != ClientState::connected) continue;
        const Session& session = *client->session;
        for (const ClientSubscription& one : session.subscriptions) {
            visit({session.client_id, one.filter, one.options.qos, one.options.no_local,
                   one.options.retain_as_published, static_cast<std::uint8_t>(one.options.retain_handling),
                   one.identifier, true, one.allowed});
        }
    }
}

void Shard::visit(const std::function<void(const ClientInfo&)>& visit) const {
    for (const auto& [number, client] : clients_) {
        if (client->state != ClientState::connected) continue;
        const Session& session = *client->session;
        ClientInfo info;
        info.client_id = session.client_id;
        info.user = client->user;
        info.address = client->peer.to_string();
        if (client->listener < broker_.config_.listeners.size()) {
            info.listener = broker_.config_.listeners[client->listener].url;
        }
        info.version = static_cast<std::uint8_t>(client->version);
        info.shard = index_;
        info.durable = session.durable != 0;
        info.clean_start = client->clean_start;
        info.connected_since_ms = client->connected_wall_ms;
        info.keep_alive_s = client->keep_alive_s;
        info.session_expiry_s = session.expiry_s;
        info.subscriptions = static_cast<std::uint32_t>(session.subscriptions.size());
        info.messages_in = client->messages_in;
        info.messages_out = client->messages_out;
        info.inflight_out = session.open_out();
        info.queued = session.queue ? session.queue->size() : 0;
        info.write_buffer_bytes = client->out.size();
        visit(info);
    }
}

bool Shard::kick(std::string_view client_id) {
    const auto holder = registry_.find(client_id);
    if (!holder || holder->shard != index_) return false;
    const auto at = clients_.find(holder->number);
    if (at == clients_.end()) return false;
    disconnect(*at->second, Reason::administrative_action, "disconnected by an administrator");
    return true;
}

std::shared_ptr<const auth::Principal> Shard::principal_of(std::string_view client_id) const {
    const auto holder = registry_.find(client_id);
    if (!holder || holder->shard != index_) return nullptr;
    const auto at = clients_.find(holder->number);
    return at == clients_.end() || at->second->state != ClientState::connected ? nullptr : at->second->principal;
}

void Shard::say_goodbye(const std::string& server_reference) {
    stopping_ = true;
    std::vector<Client*> all;
    for (const auto& [number, client] : clients_) all.push_back(client);
    for (Client* client : all) {
        if (client->state == ClientState::closed) continue;
        if (server_reference.empty()) {
            disconnect(*client, Reason::server_shutting_down, "the broker is stopping");
        } else {
            disconnect(*client, Reason::use_another_server, "the broker is being drained", server_reference);
        }
    }
}

std::uint64_t Shard::drain(const Drain& drain) {
    drain_ = drain;
    std::vector<Client*> all;
    for (const auto& [number, client] : clients_) all.push_back(client);
    std::uint64_t gone = 0;
    for (Client* client : all) {
        if (client->state == ClientState::closed || client->state == ClientState::fresh) continue;  // told at CONNECT
        gone += client->state == ClientState::connected;
        disconnect(*client, drain.moved ? Reason::server_moved : Reason::use_another_server,
                   "the broker is being drained", drain.server_reference);
    }
    return gone;
}

void Shard::when_safe(std::function<void()> done) {
    if (submissions_.empty()) return done();
    submissions_.back().callbacks.push_back(std::move(done));
}

}  // namespace trunkline::broker
