// From CONNECT to the end of a connection (sections 3.1, 3.2, 3.14, 4.1); who the client is, is in authenticate.cpp.
#include <algorithm>
#include <charconv>
#include <utility>

#include "broker/core/filter_index.h"
#include "broker/core/log.h"
#include "broker/core/login.h"
#include "broker/core/registry.h"
#include "broker/core/shard.h"
#include "broker/mqtt/encode.h"
#include "namespace/topic.h"

namespace trunkline::broker {

using mqtt::Reason;

namespace {

constexpr std::uint32_t never = 0xFFFFFFFF;
constexpr const char* too_many_user_properties =
    "more user properties than the limit max_user_properties or max_user_property_bytes";

std::string forwarded(std::string_view properties) {
    std::string out;
    mqtt::append_forwarded_properties(properties, out);
    return out;
}

store::WillRecord record_of(const mqtt::Will& will) {
    store::WillRecord record;
    record.qos = will.qos;
    record.retain = will.retain;
    record.delay_s = will.delay_s;
    record.message_expiry_s = will.message_expiry_s.value_or(0);
    record.topic = will.topic;
    record.properties = forwarded(will.properties);
    record.payload = will.payload;
    return record;
}

std::string make_client_id(std::uint64_t number) {
    char text[17];
    const auto end = std::to_chars(text, text + sizeof(text), number, 16);
    return "auto-" + std::string(text, end.ptr);
}

/// The nearest reason that the packet may carry [MQTT-3.2.2-8] [MQTT-3.14.2-1].
Reason for_connack(Reason reason) {
    if (mqtt::reason_allowed(mqtt::PacketType::connack, reason)) return reason;
    return reason == Reason::server_shutting_down ? Reason::server_unavailable : Reason::unspecified_error;
}
Reason for_disconnect(Reason reason) {
    return mqtt::reason_allowed(mqtt::PacketType::disconnect, reason) ? reason : Reason::not_authorized;
}

}  // namespace

void Shard::on_connect(Client& client, const mqtt::Frame& frame) {
    const auto decoded = mqtt::decode_connect(frame.body);
    if (decoded.has_error()) {
        const auto version = mqtt::connect_version(frame.body);
        if (version) client.version = *version;
        const bool unknown = decoded.error().reason == Reason::unsupported_protocol_version;
        if (unknown) client.version = mqtt::Version::v311;  // whoever it is, the oldest CONNACK is understood best
        if ((version && client.v5()) || unknown) {          // [MQTT-3.1.2-2] [MQTT-3.1.4-1]
            return refuse_connect(client, decoded.error().reason, decoded.error().what);
        }
        return disconnect(client, decoded.error().reason, decoded.error().what);
    }
    const mqtt::Connect& connect = *decoded;
    client.version = connect.version;
    client.clean_start = connect.clean_start;
    client.receive_maximum = connect.receive_maximum;
    client.alias_maximum = connect.topic_alias_maximum;
    client.max_packet_bytes = connect.maximum_packet_size.value_or(never);
    client.problem_information = connect.request_problem_information.value_or(true);
    client.response_information = connect.request_response_information.value_or(false);
    client.keep_alive_s = connect.keep_alive_s;
    if (client.v5() && (client.keep_alive_s == 0 || client.keep_alive_s > limits_.max_keep_alive_s)) {
        client.keep_alive_s = static_cast<std::uint16_t>(std::min<std::uint32_t>(limits_.max_keep_alive_s, 65'535));
        client.keep_alive_replaced = true;
    }
    client.session = std::make_unique<Session>();
    Session& session = *client.session;
    session.client_id = connect.client_id;
    session.client = &client;
    session.number = client.number;
    session.expiry_s = std::min(connect.session_expiry_s, limits_.max_session_expiry_s);
    client.expiry_capped = session.expiry_s != connect.session_expiry_s;
    if (broker_.traces_.any()) [[unlikely]] {
        begin_trace(client, session.client_id);
        if (client.traced) trace_packet(client, frame, true);
    }

    if (stopping_) return refuse_connect(client, Reason::server_shutting_down, "the broker is stopping");
    if (drain_) {
        return refuse_connect(client, drain_->moved ? Reason::server_moved : Reason::use_another_server,
                              "the broker is being drained", drain_->server_reference);
    }
    if (broker_.memory_pressure() == Pressure::refuse) {
        return refuse_connect(client, Reason::quota_exceeded, "the broker is short of memory");
    }
    client.counted = true;  // until finish()
    if (broker_.connections_.fetch_add(1, std::memory_order_relaxed) >= limits_.max_connections) {
        return refuse_connect(client, Reason::quota_exceeded, "limit max_connections reached");
    }
    if (session.client_id.size() > limits_.max_client_id_bytes) {  // [MQTT-3.1.3-8]
        return refuse_connect(client, Reason::client_identifier_not_valid, "client identifier longer than the limit");
    }
    if (session.client_id.empty()) {
        if (!client.v5() && (!connect.clean_start || connect.version == mqtt::Version::v31)) {
            return refuse_connect(client, Reason::client_identifier_not_valid,
                                  "an empty client identifier needs a clean session");
        }
        session.client_id = make_client_id(client.number);  // [MQTT-3.1.3-6] [MQTT-3.2.2-16]
        client.more().assigned_id = session.client_id;
    }
    std::uint64_t user_bytes = 0;
    for (const auto& [name, value] : connect.user_properties) user_bytes += 5 + name.size() + value.size();
    if (connect.user_properties.size() > limits_.max_user_properties || user_bytes > limits_.max_user_property_bytes) {
        return refuse_connect(client, Reason::quota_exceeded, too_many_user_properties);
    }
    if (connect.will) {
        const Verdict verdict = check_will(*connect.will);
        if (verdict.reason != Reason::success) return refuse_connect(client, verdict.reason, verdict.what);
        session.will = std::make_unique<store::WillRecord>(record_of(*connect.will));  // [MQTT-3.1.2-7]
    }
    authenticate(client, connect);
}

Shard::Verdict Shard::check_will(const mqtt::Will& will) const {
    if (will.has_payload_format && will.payload_is_utf8 && !mqtt::is_valid_utf8_payload(will.payload)) {
        return {Reason::payload_format_invalid, "the will's payload is not the UTF-8 it is said to be"};
    }
    const auto user = mqtt::user_property_size(will.properties);
    if (user.count > limits_.max_user_properties || user.bytes > limits_.max_user_property_bytes) {
        return {Reason::quota_exceeded, too_many_user_properties};
    }
    return judge_topic(will.topic);
}

void Shard::take_over(std::uint64_t number, std::uint32_t from_shard, std::uint64_t for_number) {
    const auto at = clients_.find(number);
    if (at == clients_.end()) {  // gone by itself; what it had to say was submitted before this turn's end
        releases_.emplace_back(from_shard, for_number);
        return;
    }
    Client& old = *at->second;
    old.more().release_to.emplace_back(from_shard, for_number);
    disconnect(old, Reason::session_taken_over, "another connection uses this client identifier");  // [MQTT-3.1.4-3]
}

void Shard::release_waiters(Client& client) {
    if (!client.extra || client.extra->waits_for_release > 0) return;  // itself waiting: passes the release on
    for (const auto& waiter : client.extra->release_to) releases_.push_back(waiter);
    client.extra->release_to.clear();
}

void Shard::released(std::uint64_t for_number) {
    const auto at = clients_.find(for_number);
    if (at == clients_.end()) return;
    Client& client = *at->second;
    client.more().waits_for_release = 0;
    if (client.state == ClientState::closed) {
        release_waiters(client);
        clients_.erase(at);
        if (client.pending_log == 0) bury(client);
        return;
    }
    claim_from_log(client);
}

void Shard::claim_from_log(Client& client) {
    Session& session = *client.session;
    if (session.durable == 0) return accept(client, false);
    Submission& open = submission();
    if (client.clean_start && session.expiry_s == 0) {  // nothing is to outlive it: only the old session must go
        session.durable = 0;
        const std::uint32_t offset = open.ops->add(store::DropOp{0, 0, session.client_id, client.user});
        await(&client, Wait::claim).op_offset = offset;
        return;
    }
    store::ClaimOp op;
    op.owner = client.number;
    op.shard = index_;
    op.clean_start = client.clean_start;
    op.expiry_s = session.expiry_s;
    op.client_id = session.client_id;
    op.user = client.user;
    if (session.will) op.will = *session.will;
    const std::uint32_t offset = open.ops->add(op);
    await(&client, Wait::claim).op_offset = offset;
}

void Shard::resume(Client& client, ClaimResult&& result) {
    Session& session = *client.session;
    session.durable = result.session;
    durable_.insert_or_assign(session.durable, &session);
    session.window = OutWindow(OutWindow::high_ids);
    session.out = std::make_unique<DurableOut>();
    DurableOut& out = *session.out;
    out.window.reset(result.cursor);
    out.expected_n = result.cursor;
    out.queued_below = result.next_n;
    out.sent_below = result.sent_below;
    out.live = result.live;
    out.resumed = result.present;
    out.resumed_done = std::move(result.complete);
    out.resumed_received = std::move(result.received);
    session.inbound.insert(result.inbound_ids.begin(), result.inbound_ids.end());
    client.publishes_unanswered += static_cast<std::uint32_t>(session.inbound.size());
    for (DurableSubscription& s : result.subscriptions) {
        ClientSubscription subscription;
        subscription.filter = std::move(s.filter);
        subscription.options = {s.qos, s.no_local, s.retain_as_published,
                                static_cast<mqtt::RetainHandling>(s.retain_handling)};
        subscription.identifier = s.subscription_identifier;
        if (s.retain_handling != static_cast<std::uint8_t>(mqtt::RetainHandling::do_not_send) &&
            !subscription.filter.starts_with("$share/")) {  // the last connection ended before it had them all
            session.retained_owed.push_back(subscription.filter);
            session.retained.push_back({subscription.filter, {}, s.qos, s.subscription_identifier, true});
        }
        session.subscriptions.push_back(std::move(subscription));
    }
    for (RetainedStream& stream : session.retained) await_retained(session, stream);
    session.will.reset();  // the log has it
    accept(client, result.present);
}

void Shard::accept(Client& client, bool session_present) {
    Session& session = *client.session;
    client.state = ClientState::connected;
    client.transport->let_in();
    client.connected_wall_ms = now_.wall_ms;
    counters.connections.add();
    counters.connects[0].add();
    counters.connections_by_version[static_cast<std::size_t>(client.version) - 3].add();
    judge_subscriptions(client, false);
    for (const ClientSubscription& subscription : session.subscriptions) route_subscription(client, subscription);

    mqtt::Connack packet;
    packet.session_present = session_present;  // [MQTT-3.2.2-2] [MQTT-3.2.2-3]
    std::string response;
    if (client.v5()) {
        packet.receive_maximum = limits_.receive_maximum;
        packet.maximum_packet_size = limits_.max_packet_bytes;
        packet.topic_alias_maximum = limits_.topic_alias_maximum;
        if (client.expiry_capped) packet.session_expiry_s = session.expiry_s;
        if (client.keep_alive_replaced) packet.server_keep_alive_s = client.keep_alive_s;  // [MQTT-3.1.2-21]
        if (client.extra) {
            if (!client.extra->assigned_id.empty()) packet.assigned_client_id = client.extra->assigned_id;
            if (client.extra->exchange) {  // [MQTT-4.12.0-5]
                packet.authentication_method = client.extra->auth_method;
                if (!client.extra->auth_data.empty()) packet.authentication_data = client.extra->auth_data;
            }
        }
        if (client.response_information) {  // [MQTT-3.1.2-28]
            response = "response/" + session.client_id;
            packet.response_information = response;
        }
    }
    if (!mqtt::encode(client.out, client.version, packet, client.max_packet_bytes)) {
        counters.disconnects[static_cast<std::size_t>(Reason::packet_too_large)].add();
        close_transport(client);  // no DISCONNECT without a CONNACK [MQTT-3.14.0-1]
        return finish(client, true);
    }
    want_flush(client);
    if (!observers_.empty()) tell_connected(client);
    std::int64_t due = now_.steady_ms + std::min(1'000 + client.keep_alive_s * std::int64_t{1'500},
                                                 limits_.write_stall_s * std::int64_t{1'000});
    (void)has_expired(client, due);  // one that has is ended at the next tick
    watch_deadline(client, due);
    if (log_enabled(Level::debug)) log(Level::debug, "client_connected", {{"client_id", session.client_id}});
    if (client.extra && !client.extra->early.empty()) {
        const std::string early = std::move(client.extra->early);
        client.extra->early.clear();
        client.extra->early = early.substr(consume(client, early));
        if (client.state == ClientState::closed) return;
    }
    if (client.reading_paused && client.transport) {
        client.reading_paused = false;
        client.transport->set_reading(true);
    }
    drop_extra(client);
    if (session.out) pump(client);
}

void Shard::drop_extra(Client& client) {
    if (!client.extra) return;
    const ClientExtra& extra = *client.extra;
    if (!extra.exchange && !extra.login && extra.early.empty() && extra.release_to.empty() &&
        extra.waits_for_release == 0) {
        client.extra.reset();
    }
}

void Shard::note_failure(const Client& client, Reason reason) {
    if (!broker_.connect_failed_ || client.state == ClientState::connected) return;
    switch (reason) {
        case Reason::malformed_packet:
        case Reason::protocol_error:
        case Reason::packet_too_large:
        case Reason::unsupported_protocol_version:
        case Reason::client_identifier_not_valid:
        case Reason::bad_user_name_or_password:
        case Reason::not_authorized:
        case Reason::bad_authentication_method:
        case Reason::keep_alive_timeout: return broker_.connect_failed_(client.peer);
        default: return;  // our own limits, and what has nothing to do with who it is
    }
}

void Shard::refuse_connect(Client& client, Reason reason, std::string_view what, std::string_view server_reference) {
    counters.connects[static_cast<std::size_t>(reason)].add();
    note_failure(client, reason);
    mqtt::Connack packet;
    packet.reason = for_connack(reason);  // [MQTT-3.2.2-6]: Session Present stays 0
    if (client.v5() && !what.empty()) packet.reason_string = what;
    if (client.v5() && !server_reference.empty()) packet.server_reference = server_reference;
    mqtt::encode(client.out, client.version, packet, client.max_packet_bytes);
    log(Level::info, "connect_refused", {{"address", client.peer.to_string()}, {"reason", mqtt::reason_name(reason)},
                                         {"detail", what}});
    if (client.session) client.session->will.reset();
    close_transport(client);  // [MQTT-3.2.2-7]
    finish(client, false);
}

void Shard::on_disconnect(Client& client, const mqtt::Frame& frame) {
    const auto decoded = mqtt::decode_disconnect(frame.body, client.version);
    if (decoded.has_error()) return disconnect(client, decoded.error().reason, decoded.error().what);
    Session& session = *client.session;
    if (decoded->session_expiry_s) {
        if (session.expiry_s == 0 && *decoded->session_expiry_s != 0) {  // section 3.14.2.2.2
            return disconnect(client, Reason::protocol_error,
                              "a session without expiry can't be given one by DISCONNECT");
        }
        session.expiry_s = std::min(*decoded->session_expiry_s, limits_.max_session_expiry_s);
    }
    client.ended_by = decoded->reason;
    counters.disconnects[static_cast<std::size_t>(decoded->reason)].add();
    if (client.traced) [[unlikely]] trace_goodbye(client);
    counters.bytes_sent.add(client.out.size());
    std::exchange(client.transport, nullptr)->close_after_goodbye(std::move(client.out));
    finish(client, decoded->reason != Reason::success);  // [MQTT-3.14.4-3]
}

void Shard::disconnect(Client& client, Reason reason, std::string_view what, std::string_view server_reference) {
    if (client.state == ClientState::closed) return;
    client.ended_by = reason;
    counters.disconnects[static_cast<std::size_t>(reason)].add();
    note_failure(client, reason);
    if (client.state == ClientState::connected && client.v5()) {  // [MQTT-3.14.0-1]
        mqtt::Disconnect packet;
        packet.reason = for_disconnect(reason);
        if (client.problem_information && !what.empty()) packet.reason_string = what;
        if (!server_reference.empty()) packet.server_reference = server_reference;
        mqtt::encode(client.out, client.version, packet, client.max_packet_bytes);
    } else if (client.state != ClientState::fresh && client.state != ClientState::connected) {
        mqtt::Connack packet;
        packet.reason = for_connack(reason);
        if (client.v5() && !what.empty()) packet.reason_string = what;
        if (client.v5() && !server_reference.empty()) packet.server_reference = server_reference;
        mqtt::encode(client.out, client.version, packet, client.max_packet_bytes);
    }
    log(Level::info, "client_disconnected",
        {{"client_id", client.session ? std::string_view(client.session->client_id) : std::string_view()},
         {"address", client.peer.to_string()}, {"reason", mqtt::reason_name(reason)}, {"detail", what}});
    close_transport(client);
    finish(client, true);
}

void Shard::finish(Client& client, bool with_will) {
    if (client.state == ClientState::closed) return;
    const ClientState was = client.state;
    client.state = ClientState::closed;
    client.unlink();
    if (client.traced) [[unlikely]] end_trace_of(client);
    if (client.extra && client.extra->login) client.extra->login->abandoned.store(true, std::memory_order_relaxed);
    counters.sockets.sub();
    if (std::exchange(client.counted, false)) broker_.connections_.fetch_sub(1, std::memory_order_relaxed);
    if (was == ClientState::connected) {
        counters.connections.sub();
        counters.connections_by_version[static_cast<std::size_t>(client.version) - 3].sub();
        Session& session = *client.session;
        if (!observers_.empty()) tell_disconnected(client);
        drop_subscriptions(client, session);
        if (session.durable != 0) {
            detach_durable(client, session, with_will);
        } else {
            end_transient(client, session, with_will);
        }
        std::replace(with_acks_.begin(), with_acks_.end(), &session, static_cast<Session*>(nullptr));
    }
    if (client.session) registry_.release(client.session->client_id, client.number);
    client.session.reset();
    release_waiters(client);
    if (client.extra && client.extra->waits_for_release > 0) return;  // released() goes on
    clients_.erase(client.number);
    if (client.pending_log == 0) bury(client);
}

void Shard::drop_subscriptions(Client& client, Session& session) {
    for (const ClientSubscription& subscription : session.subscriptions) unroute_subscription(client, subscription);
}

void Shard::end_transient(Client& client, Session& session, bool with_will) {
    if (with_will && session.will) {  // [MQTT-3.1.2-8]
        publish_will(sender_of(client), client.identity, *session.will, 0);
    }
    counters.inflight_out.sub(session.window.open());
    // What a leaving member of a shared subscription did not acknowledge is offered to the others, unless a QoS 2
    // exchange had begun [MQTT-4.8.2-5].
    const auto offer = [&](MessagePtr message, const std::string& filter) {
        offer_to_group(message->view(), filter, {client.number}, message);
    };
    for (const SharedInflight& sent : session.shared_inflight) {
        if (session.window.state(sent.n) == OutState::wait_puback) offer(sent.message, sent.shared_filter);
    }
    if (session.queue) {
        counters.queued_transient.sub(session.queue->size());
        for (const QueuedMessage& waiting : *session.queue) {
            if (!waiting.shared_filter.empty()) offer(waiting.message, waiting.shared_filter);
        }
    }
}

void Shard::detach_durable(Client& client, Session& session, bool with_will) {
    durable_.erase(session.durable);
    counters.inflight_out.sub(session.open_out());
    submit_acks(session);
    // With an expiry of 0 the log ends the session at once and hands out its will.
    submission().ops->add(store::DetachOp{session.durable, client.number, session.out->window.next(), session.expiry_s,
                                          !with_will});
}

void Shard::publish_will(const Sender& sender, std::uint64_t publisher, const store::WillRecord& will,
                         SessionId session) {
    const auto give_up = [&](std::string_view why) {
        log(Level::warn, "will_refused", {{"client_id", sender.client_id}, {"detail", why}});
        if (session != 0) submission().ops->add(store::WillSentOp{session});
    };
    const Verdict verdict = judge_topic(will.topic);
    if (verdict.reason != Reason::success) return give_up(verdict.what);
    if (const std::string why = will_not_authorised(sender, will.topic); !why.empty()) return give_up(why);
    MessageView message;
    message.qos = will.qos;
    message.retain = will.retain;  // [MQTT-3.1.2-14] [MQTT-3.1.2-15]
    message.expires_at_ms = will.message_expiry_s ? now_.wall_ms + will.message_expiry_s * std::int64_t{1'000} : 0;
    message.publisher = publisher;
    message.topic = will.topic;
    message.properties = will.properties;
    message.payload = will.payload;
    Route* route = governed_ ? &router_.find(will.topic) : nullptr;
    if (route && !keeps_contract(*route, message.retain, message.payload)) {
        // Who may write was judged at CONNECT: of a session that is gone the user may not be known.
        const uns::Verdict judged = judge_by_model(*route, sender, message, session != 0 && sender.user.empty());
        note_verdict(judged, sender, message);
        if (judged.outcome == uns::Outcome::reject) return give_up(judged.finding->rule + " " + judged.finding->text);
        if (judged.outcome == uns::Outcome::quarantine) {
            quarantine(nullptr, 0, sender, message, *judged.finding);
            if (session != 0) submission().ops->add(store::WillSentOp{session});
            return;
        }
        move_on(route, message);
    }
    publish_internal(message, session, sender.client_id);
}

}  // namespace trunkline::broker
