// The life of a PUBLISH from its bytes to where it must go: route, judgement, then at once to its subscribers or first
// through the log.
#include <algorithm>

#include "broker/core/audit_sink.h"
#include "broker/core/log.h"
#include "broker/core/shard.h"
#include "broker/mqtt/encode.h"
#include "namespace/topic.h"

namespace trunkline::broker {

using mqtt::PacketType;
using mqtt::Reason;

namespace {

/// Why and what to do, as a refusal by the model says it. Views into `finding` and `text`.
void tell(const uns::Finding& finding, std::string& text, mqtt::Ack& ack) {
    text = finding.rule + " " + finding.text;
    ack.reason_string = text;
    const auto add = [&ack](std::string_view name, std::string_view value) {
        if (!value.empty()) ack.user_properties.emplace_back(name, value);
    };
    add("uns-rule", finding.rule);
    add("uns-at", finding.at);
    add("uns-expected", finding.expected);
    add("uns-fix", finding.fix);
}

}  // namespace

void Shard::on_publish(Client& client, const mqtt::Frame& frame) {
    auto decoded = mqtt::decode_publish(frame.flags, frame.body, client.version);
    if (decoded.has_error()) return disconnect(client, decoded.error().reason, decoded.error().what);
    mqtt::Publish& packet = *decoded;
    counters.messages_received[packet.qos].add();
    counters.payload_bytes_received.add(packet.payload.size());
    ++client.messages_in;
    if (broker_.memory_pressure() != Pressure::none) pause_publishers(client);
    if (packet.subscription_identifiers != 0) {  // [MQTT-3.3.4-6]
        return disconnect(client, Reason::protocol_error, "a client's PUBLISH carries a subscription identifier");
    }
    Route* route = nullptr;
    if (packet.topic_alias != 0 && !resolve_alias(client, packet, route)) return;
    if (packet.qos > 0 && client.unanswered_since_ms != 0) return;  // behind one that gets no answer: none either
    if (packet.qos > 0 && !take_packet_id(client, packet)) return;

    const bool known = route || (client.last_route && client.last_route_epoch == router_.epoch() &&
                                 client.last_route->topic() == packet.topic);
    const Verdict verdict = judge(packet, known);
    if (verdict.reason != Reason::success) {
        counters.publishes_refused.add();
        if (packet.qos == 0) {
            if (verdict.reason == Reason::payload_format_invalid)
                return disconnect(client, verdict.reason, verdict.what);
            counters.refused_by_reason[static_cast<std::size_t>(verdict.reason)].add();
            return;
        }
        return answer_publish(client, packet.qos, packet.packet_id, verdict.reason, verdict.what);
    }
    if (route) {
        router_.refresh(*route);
    } else {
        route = route_of(client, packet.topic);
        if (!route) return refuse_unauthorised(client, packet, packet.topic);
        if (packet.topic_alias != 0) {
            auto& alias = client.aliases->inbound[packet.topic_alias - 1U];
            alias.route = route;
            alias.route_epoch = router_.epoch();
        }
    }
    if (authority_.on() && !authority_.may_publish(client, *route, packet.qos, packet.retain)) {
        return refuse_unauthorised(client, packet, route->topic());
    }
    MessageView message;
    message.qos = packet.qos;
    message.retain = packet.retain;
    message.publisher = client.identity;
    message.topic = route->topic();
    message.payload = packet.payload;
    if (packet.has_hop_properties) {
        scratch_.clear();
        mqtt::append_forwarded_properties(packet.properties, scratch_);
        message.properties = scratch_;
        if (packet.message_expiry_s) {
            message.expires_at_ms = now_.wall_ms + std::max<std::int64_t>(*packet.message_expiry_s, 0) * 1'000;
            if (*packet.message_expiry_s == 0) message.expires_at_ms = now_.wall_ms;
        }
    } else {
        message.properties = packet.properties;
    }
    if (governed_) {
        if (keeps_contract(*route, message.retain, message.payload)) {
            counters.verdicts[0][VerdictCounts::no_stage].add();
        } else if (!govern(client, packet, route, message)) {
            return;
        }
    }
    feed.note(*route, client, message, now_.wall_ms);
    if (observes_publishes_) tell_published(client, message);
    publish(client, packet, *route, message);
}

bool Shard::resolve_alias(Client& client, mqtt::Publish& packet, Route*& route) {
    if (packet.topic_alias > limits_.topic_alias_maximum) {  // [MQTT-3.3.2-9]
        disconnect(client, Reason::topic_alias_invalid,
                   "the topic alias is above the Topic Alias Maximum of the CONNACK");
        return false;
    }
    if (!client.aliases) client.aliases = std::make_unique<Aliases>();
    auto& inbound = client.aliases->inbound;
    if (inbound.size() < packet.topic_alias) inbound.resize(packet.topic_alias);
    auto& alias = inbound[packet.topic_alias - 1U];  // [MQTT-3.3.2-12]
    if (!packet.topic.empty()) {
        alias.topic = packet.topic;
        alias.route = nullptr;
    } else if (alias.topic.empty()) {
        disconnect(client, Reason::protocol_error, "the topic alias stands for no topic yet on this connection");
        return false;
    } else {
        packet.topic = alias.topic;
        if (alias.route && alias.route_epoch == router_.epoch()) route = alias.route;
    }
    return true;
}

bool Shard::take_packet_id(Client& client, const mqtt::Publish& packet) {
    Session& session = *client.session;
    if (packet.qos == 2) {
        if (session.inbound.contains(packet.packet_id)) {  // a repetition [MQTT-4.3.3-10]
            if (client.pending_log > 0) {
                await(&client, Wait::refusal) = {
                    &client, Wait::refusal, 2, Reason::success, false, packet.packet_id, no_op, nullptr};
            } else {
                send_answer(client, 2, packet.packet_id, Reason::success, {});
            }
            return false;
        }
    }
    if (client.publishes_unanswered >= limits_.receive_maximum) {
        if (client.v5()) {  // [MQTT-3.3.4-7]
            disconnect(client, Reason::receive_maximum_exceeded,
                       "more QoS 1 and 2 messages under way than the CONNACK's Receive Maximum");
            return false;
        }
        if (client.pending_log >= 2U * limits_.receive_maximum) pause_publishers(client);
    }
    if (packet.qos == 2) session.inbound.insert(packet.packet_id);
    ++client.publishes_unanswered;
    return true;
}

Shard::Verdict Shard::judge_topic(std::string_view topic) const {
    if (topic.size() > limits_.max_topic_bytes)
        return {Reason::topic_name_invalid, "topic name longer than the limit max_topic_bytes"};
    if (uns::level_count(topic) > limits_.max_topic_levels) {
        return {Reason::topic_name_invalid, "topic name has more levels than the limit max_topic_levels"};
    }
    if (topic.front() == '$') {
        for (const std::string_view reserved : {"$SYS", "$UNS", "$share"}) {
            if (topic.starts_with(reserved) && (topic.size() == reserved.size() || topic[reserved.size()] == '/')) {
                return {Reason::topic_name_invalid, "topics below $SYS, $UNS and $share belong to the broker"};
            }
        }
    }
    return {};
}

Shard::Verdict Shard::judge(const mqtt::Publish& packet, bool known_topic) const {
    if (!known_topic) {
        const Verdict verdict = judge_topic(packet.topic);
        if (verdict.reason != Reason::success) return verdict;
    }
    if (packet.properties.empty()) return {};
    if (packet.payload_is_utf8 && !mqtt::is_valid_utf8_payload(packet.payload)) {
        return {Reason::payload_format_invalid, "the payload is not the UTF-8 that its Payload Format Indicator says"};
    }
    const auto user = mqtt::user_property_size(packet.properties);
    if (user.count > limits_.max_user_properties || user.bytes > limits_.max_user_property_bytes) {
        return {Reason::quota_exceeded,
                "more user properties than the limit max_user_properties or max_user_property_bytes"};
    }
    return {};
}

Route* Shard::route_of(Client& client, std::string_view topic) {
    if (client.last_route && client.last_route_epoch == router_.epoch() && client.last_route->topic() == topic) {
        router_.refresh(*client.last_route);
        return client.last_route;
    }
    const std::uint64_t hash = FilterIndex::hash(topic);
    Route* route = router_.find_known(topic, hash);
    if (!route) {
        if (authority_.knows_without_route() && authority_.denies(client, auth::Action::publish, topic)) return nullptr;
        route = &router_.add(topic, hash);
    }
    client.last_route = route;
    client.last_route_epoch = router_.epoch();
    return route;
}

void Shard::publish(Client& client, const mqtt::Publish& packet, Route& route, const MessageView& message) {
    if (held_up_by_ != 0 && is_held_up(route)) pause_publishers(client);
    if (packet.qos == 0) {
        if (packet.retain) {  // nobody waits for the disk
            submit_publish(nullptr, packet, message, true);
            if (route.regulated) leave_leaf(teller_of(client), message, false);
        }
        distribute(message, route);
        return;
    }
    if (route.look_for_room && !queues_have_room(*route.audience)) {
        counters.publishes_refused.add();
        return answer_publish(client, packet.qos, packet.packet_id, Reason::quota_exceeded,
                              "a subscriber's queue is full");
    }
    if (route.regulated && !broker_.audit()->takes_regulated()) {
        counters.publishes_refused.add();
        return answer_publish(client, packet.qos, packet.packet_id, Reason::quota_exceeded, trail_cannot_be_written);
    }
    const bool durable = packet.retain || route.durable || route.regulated ||
                         (packet.qos == 2 && client.session->durable != 0);
    if (durable) {
        submit_publish(&client, packet, message, false, route.regulated);
        if (unsafe_bytes_ > backlog_share()) pause_publishers(client);
        return;
    }
    if (client.pending_log > 0) {  // nothing overtakes what is on its way through the log
        Pending& held = await(&client, Wait::held_publish);
        held.qos = packet.qos;
        held.packet_id = packet.packet_id;
        held.message = Message::make(message);
        return;
    }
    const bool anyone = distribute(message, route);
    if (packet.qos == 1) --client.publishes_unanswered;
    if (anyone || !client.v5()) {
        mqtt::encode_ack(client.out, packet.qos == 1 ? PacketType::puback : PacketType::pubrec, packet.packet_id);
        return want_flush(client);
    }
    mqtt::Ack ack;
    ack.type = packet.qos == 1 ? PacketType::puback : PacketType::pubrec;
    ack.packet_id = packet.packet_id;
    ack.reason = Reason::no_matching_subscribers;
    mqtt::encode(client.out, client.version, ack, client.max_packet_bytes);
    want_flush(client);
}

bool Shard::is_full(const QueueLevel& queue) const {
    if (queue.messages == 0) return false;
    const UnderWay& coming = broker_.shards_[queue.shard]->forwards_under_way;
    // First what is coming: it is taken away there after it has been added to the queue.
    const std::uint64_t messages = coming.messages + outbox_[queue.shard].messages.size();
    const std::uint64_t bytes = coming.bytes + outbox_[queue.shard].bytes;
    return messages + queue.messages >= limits_.transient_queue_messages ||
           bytes + queue.bytes >= limits_.transient_queue_bytes;
}

bool Shard::queues_have_room(const Audience& audience) const {
    for (const auto& queue : audience.crowded) {
        if (is_full(*queue)) return false;
    }
    for (const auto& group : audience.groups) {
        if (group->members.empty() || group->durable_members > 0) continue;  // the log picks, and knows
        const bool full = std::all_of(group->members.begin(), group->members.end(),
                                      [this](const GroupMember& m) { return m.queue && is_full(*m.queue); });
        if (full) return false;
    }
    return true;
}

bool Shard::is_held_up(const Route& route) const {
    return (route.other_shards & held_up_by_) != 0 || (route.audience && !route.audience->groups.empty());
}

void Shard::submit_publish(Client* client, const mqtt::Publish& packet, const MessageView& message, bool no_queue,
                           bool regulated) {
    store::PublishOp op;
    op.qos = message.qos;
    op.retain = message.retain;
    op.no_queue = no_queue;
    if (client && client->session->durable != 0) {
        op.publisher = client->session->durable;
        if (packet.qos == 2) op.inbound_id = packet.packet_id;
    }
    op.expires_at_ms = message.expires_at_ms;
    op.topic = message.topic;
    op.properties = message.properties;
    op.payload = message.payload;
    const std::uint32_t offset = submission().ops->add(op);
    if (regulated) leave_leaf(teller_of(*client), message, true);
    if (no_queue) {
        ++submission().retained_qos0;
        broker_.retained_under_way_.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    Pending& pending = await(client, Wait::publish);
    pending.qos = message.qos;
    pending.regulated = regulated;
    pending.packet_id = packet.packet_id;
    pending.op_offset = offset;
}

void Shard::answer_publish(Client& client, std::uint8_t qos, std::uint16_t packet_id, Reason reason,
                           std::string_view what, std::shared_ptr<const uns::Finding> finding) {
    if (client.pending_log == 0) return send_answer(client, qos, packet_id, reason, what, finding.get());
    Pending& pending = await(&client, Wait::refusal);
    if (finding) {
        auto& findings = submissions_.back().findings;
        pending.op_offset = static_cast<std::uint32_t>(findings.size());
        findings.push_back(std::move(finding));
    }
    pending.qos = qos;
    pending.packet_id = packet_id;
    pending.reason = reason;
}

void Shard::send_answer(Client& client, std::uint8_t qos, std::uint16_t packet_id, Reason reason,
                        std::string_view what, const uns::Finding* finding) {
    const bool refused = static_cast<std::uint8_t>(reason) >= 0x80;
    if (refused) {
        counters.refused_by_reason[static_cast<std::size_t>(reason)].add();
        if (qos == 2) client.session->inbound.erase(packet_id);  // [MQTT-4.3.3-9]
    }
    if ((qos == 1 || refused) && client.publishes_unanswered > 0) --client.publishes_unanswered;
    if (refused && !client.v5() && reason == Reason::quota_exceeded) {
        // v3 has no negative answer: none, and close. Not at once: its acknowledgements may be what makes room.
        client.unanswered_since_ms = now_.steady_ms;
        return watch_deadline(client, now_.steady_ms + close_unanswered_after_ms);
    }
    mqtt::Ack ack;
    ack.type = qos == 1 ? PacketType::puback : PacketType::pubrec;
    ack.packet_id = packet_id;
    ack.reason = reason;
    std::string text;
    if (refused && client.problem_information) {  // [MQTT-3.1.2-29]
        ack.reason_string = what.empty() ? mqtt::reason_name(reason) : what;
        if (finding) broker::tell(*finding, text, ack);
    }
    mqtt::encode(client.out, client.version, ack, client.max_packet_bytes);
    want_flush(client);
}

void Shard::publish_internal(const MessageView& message, SessionId will_of, std::string_view client_id) {
    Route& route = router_.find(message.topic);
    feed.note(route, client_id, message, now_.wall_ms);
    const bool durable = message.retain || (message.qos > 0 && route.durable);
    if (will_of != 0 && !durable) submission().ops->add(store::WillSentOp{will_of});
    if (!durable) {
        distribute(message, route);
        return;
    }
    submit_publish(nullptr, {}, message, message.qos == 0);
    if (governed_ && message.retain) note_overwrite(route, message, client_id);
    if (message.qos == 0) distribute(message, route);
    if (will_of != 0) submission().ops->add(store::WillSentOp{will_of});
}

void Shard::publish_own(std::string_view topic, std::string_view payload, bool retain, std::uint8_t qos) {
    MessageView message;
    message.qos = qos;
    message.retain = retain;
    message.topic = topic;
    message.payload = payload;
    if (topic.starts_with("$SYS/") || topic.starts_with("$UNS/")) {  // owes nobody a sync
        if (retain) {
            const uns::CommitTime now = uns::commit_time(now_.wall_ms);
            broker_.retained_.set(topic, uns::RetainedMessage::make({0, 0, now, {}, payload}));
        }
        message.retain = false;
        distribute(message, router_.find(topic));
        return;
    }
    publish_internal(message, 0);
}

void Shard::on_pubrel(Client& client, const mqtt::Ack& ack) {
    Session& session = *client.session;
    const bool known = session.inbound.erase(ack.packet_id) > 0;
    if (known && client.publishes_unanswered > 0) --client.publishes_unanswered;
    if (known && session.durable != 0) {  // the id is free for a new message once that is on disk
        const std::uint32_t offset =
            submission().ops->add(store::ReleaseInboundOp{session.durable, client.number, ack.packet_id});
        Pending& pending = await(&client, Wait::pubcomp);
        pending.packet_id = ack.packet_id;
        pending.op_offset = offset;
        return;
    }
    if (known && client.pending_log > 0) {
        await(&client, Wait::pubcomp).packet_id = ack.packet_id;
        return;
    }
    if (known || !client.v5()) {
        mqtt::encode_ack(client.out, PacketType::pubcomp, ack.packet_id);  // [MQTT-4.3.3-11]
    } else {
        mqtt::Ack answer;
        answer.type = PacketType::pubcomp;
        answer.packet_id = ack.packet_id;
        answer.reason = Reason::packet_identifier_not_found;
        mqtt::encode(client.out, client.version, answer, client.max_packet_bytes);
    }
    want_flush(client);
}

}  // namespace trunkline::broker
