// To the subscribers: encoding, windows, queues, retained messages, and the acknowledgements that come back.
#include <algorithm>

#include "broker/core/shard.h"
#include "broker/mqtt/encode.h"
#include "namespace/topic.h"

namespace trunkline::broker {

using mqtt::PacketType;
using mqtt::Reason;

namespace {
constexpr std::size_t retained_step = 256;   // messages visited under one lock of the retained tree
constexpr std::size_t retained_judged = 32;  // where each is to be judged
constexpr std::size_t retained_first = 16;   // while their size is not known
constexpr std::size_t scans_per_turn = 8;    // so that one stream does not hold up the shard
constexpr std::size_t most_fresher = 65'536; // topics of a session; beyond it an older value may follow a newer one
// Publishers are refused while a queue is full. What was taken before they could know it must not be lost: it was on
// its way through the log or between shards, both of which hold less than this.
constexpr std::uint64_t beyond_messages = 65'536;
constexpr std::uint64_t beyond_bytes = 64ULL << 20;
}  // namespace

bool Shard::distribute(const MessageView& message, Route& route) {
    MessagePtr holder;
    bool anyone = route.audience && distribute_here(message, route, holder);
    for (std::uint64_t rest = route.other_shards; rest != 0; rest &= rest - 1) {
        forward(static_cast<std::uint32_t>(std::countr_zero(rest)), message, holder);
        anyone = true;
    }
    if (!route.audience) return anyone;
    for (const auto& group : route.audience->groups) {
        if (group->members.empty() || (message.qos > 0 && group->durable_members > 0)) continue;  // the log picks
        deliver_to_group(message, *group, route, holder);
        anyone = true;
    }
    return anyone;
}

void Shard::forward(std::uint32_t shard, const MessageView& message, MessagePtr& holder, std::uint64_t member,
                    std::string_view shared_filter, const Except& declined) {
    if (!holder) holder = Message::make(message);
    Forwards& outbox = outbox_[shard];
    outbox.messages.push_back({holder, member, std::string(shared_filter), declined});
    outbox.bytes += holder->memory_bytes();
}

bool Shard::distribute_here(const MessageView& message, Route& route, MessagePtr& holder) {
    const Audience& audience = *route.audience;
    for (const Target& target : audience.targets) {
        Session& session = *target.session;
        const std::uint8_t qos = std::min(message.qos, target.qos);  // [MQTT-3.8.4-8]
        if (qos > 0 && session.durable != 0) continue;               // comes from the log
        if (!may_receive(*session.client, route)) continue;
        if (message.retain && superseded(session, message)) continue;
        if (target.no_local && session.client->identity == message.publisher) {  // [MQTT-3.8.3-3]
            deliver_own(target, message, holder);
            continue;
        }
        DeliveryOptions options;
        options.qos = qos;
        options.retain = message.retain && target.retain_as_published;  // [MQTT-3.3.1-12] [MQTT-3.3.1-13]
        options.identifiers = audience.identifiers.data() + target.first_identifier;
        options.identifier_count = target.identifier_count;
        deliver(session, message, options, holder);
    }
    return !audience.targets.empty();
}

bool Shard::superseded(Session& session, const MessageView& message) {
    if (message.committed == 0) {
        if (session.retained.empty()) return false;
        if (!session.fresher) session.fresher = std::make_unique<boost::unordered_flat_set<std::uint64_t>>();
        if (session.fresher->size() < most_fresher) session.fresher->insert(FilterIndex::hash(message.topic));
        return false;
    }
    if (message.committed > session.retained_through) return false;
    return std::ranges::all_of(session.subscriptions, [&](const ClientSubscription& s) {
        return s.retained_through >= message.committed || !s.allowed || s.filter.starts_with("$share/") ||
               !uns::matches(s.filter, message.topic);
    });
}

void Shard::deliver_own(const Target& target, const MessageView& message, MessagePtr& holder) {
    bool any = false, retain = false;
    std::uint8_t qos = 0;
    std::vector<std::uint32_t> identifiers;
    for (const ClientSubscription& s : target.session->subscriptions) {
        if (s.options.no_local || !s.allowed || s.filter.starts_with("$share/")) continue;
        if (!uns::matches(s.filter, message.topic)) continue;
        any = true;
        qos = std::max(qos, s.options.qos);
        retain |= s.options.retain_as_published;
        if (s.identifier) identifiers.push_back(s.identifier);
    }
    if (!any) return;  // [MQTT-3.8.3-3]
    const DeliveryOptions options{std::min(qos, message.qos), message.retain && retain, false, identifiers.data(),
                                  static_cast<std::uint32_t>(identifiers.size())};
    deliver(*target.session, message, options, holder);
}

void Shard::deliver_to_group(const MessageView& message, const Group& group, Route& route, MessagePtr& holder,
                             const Except& except) {
    const std::size_t size = group.members.size();
    const std::uint32_t first = group.turn->fetch_add(1, std::memory_order_relaxed);
    const GroupMember* chosen = nullptr;
    const GroupMember* full = nullptr;
    for (std::size_t i = 0; i < size; ++i) {  // the next in turn that can take it now, else the next with room
        const GroupMember& member = group.members[(first + i) % size];
        if (member.durable && message.qos > 0 && member.qos > 0) continue;
        if (!except.empty() && std::find(except.begin(), except.end(), member.number) != except.end()) continue;
        Client* here = nullptr;
        if (member.shard == index_) {
            const auto at = clients_.find(member.number);
            here = at == clients_.end() || !at->second->session ? nullptr : at->second;
            if (here && !may_receive(*here, route)) continue;  // another shard looks itself, and hands it on
        }
        if (message.qos > 0 && member.queue && is_full(*member.queue)) {
            if (!full) full = &member;
            continue;
        }
        if (!chosen) chosen = &member;
        if (member.shard != index_) {
            chosen = &member;
            break;
        }
        if (!here) continue;
        if (has_room(*here) && (message.qos == 0 || quota(*here, *here->session, here->session->window) > 0)) {
            chosen = &member;
            break;
        }
    }
    if (!chosen) chosen = full;
    if (!chosen) return drop(Drop::no_local_member);
    if (chosen->shard != index_) return forward(chosen->shard, message, holder, chosen->number, group.filter, except);
    const auto at = clients_.find(chosen->number);
    if (at == clients_.end() || !at->second->session) return drop(Drop::no_local_member);
    DeliveryOptions options;
    options.qos = std::min(message.qos, chosen->qos);  // [MQTT-4.8.2-3]
    options.retain = message.retain && chosen->retain_as_published;
    options.identifiers = &chosen->identifier;
    options.identifier_count = chosen->identifier ? 1 : 0;
    deliver(*at->second->session, message, options, holder, group.filter);
}

void Shard::offer_to_group(const MessageView& message, std::string_view shared_filter, const Except& except,
                           MessagePtr& holder) {
    Route& route = router_.find(message.topic);
    if (!route.audience) return;
    for (const auto& group : route.audience->groups) {
        if (group->filter == shared_filter) return deliver_to_group(message, *group, route, holder, except);
    }
}

std::uint32_t Shard::quota(const Client& client, const Session& session, const OutWindow& window) const {
    const std::uint32_t most = std::min(client.receive_maximum, limits_.max_inflight_out), open = session.open_out();
    return open >= most ? 0 : std::min(most - open, window.room());
}

bool Shard::has_room(const Client& client) const { return client.out.size() < limits_.write_buffer_bytes; }

void Shard::deliver(Session& session, const MessageView& message, const DeliveryOptions& options, MessagePtr& holder,
                    std::string_view shared_filter) {
    Client& client = *session.client;
    if (options.qos == 0) {
        if (!has_room(client)) return drop(Drop::qos0_slow_consumer);
        if (client.blocked && broker_.memory_pressure() == Pressure::refuse) return drop(Drop::memory);
        emit(client, message, options, nullptr, OutState::done);
        return;
    }
    if (session.queue || quota(client, session, session.window) == 0 || !has_room(client)) {
        return enqueue(session, message, options, holder, shared_filter);
    }
    const std::uint64_t n = session.window.next();
    const OutState state = options.qos == 1 ? OutState::wait_puback : OutState::wait_pubrec;
    if (!emit(client, message, options, &session.window, state)) return;
    if (!shared_filter.empty()) {
        if (!holder) holder = Message::make(message);
        session.shared_inflight.push_back({n, holder, std::string(shared_filter)});
    }
}

void Shard::enqueue(Session& session, const MessageView& message, const DeliveryOptions& options, MessagePtr& holder,
                    std::string_view shared_filter) {
    if (!session.level) session.level = std::make_shared<QueueLevel>(index_);
    QueueLevel& level = *session.level;
    if (level.messages >= limits_.transient_queue_messages + beyond_messages ||
        level.bytes >= limits_.transient_queue_bytes + beyond_bytes) {
        return drop(Drop::queue_full);
    }
    if (!holder) holder = Message::make(message);
    if (!session.queue) session.queue = new std::deque<QueuedMessage>;
    session.queue->push_back({holder, options.qos, options.retain,
                              {options.identifiers, options.identifiers + options.identifier_count},
                              std::string(shared_filter)});
    level.messages = static_cast<std::uint32_t>(session.queue->size());
    level.bytes += holder->memory_bytes();
    counters.queued_transient.add();
    note_level(session);
}

void Shard::note_level(Session& session) {
    const QueueLevel& level = *session.level;
    const auto above = [&](std::uint32_t share) {
        return level.messages >= std::max(limits_.transient_queue_messages / share, 1U) ||
               level.bytes >= limits_.transient_queue_bytes / share;
    };
    if (session.crowded == above(session.crowded ? 4 : 2)) return;  // a gap, so that routes seldom change for it
    session.crowded = !session.crowded;
    for (const ClientSubscription& subscription : session.subscriptions) tell_crowded(session, subscription);
}

void Shard::tell_crowded(const Session& session, const ClientSubscription& subscription) {
    if (!session.level || subscription.filter.starts_with("$share/")) return;  // members of groups carry their level
    if (session.crowded && subscription.allowed && subscription.options.qos > 0) {
        filters_.crowd(subscription.filter, session.level);
    } else {
        filters_.uncrowd(subscription.filter, session.level.get());
    }
}

bool Shard::emit(Client& client, const MessageView& message, const DeliveryOptions& options, OutWindow* window,
                 OutState state) {
    mqtt::PublishOut packet;
    if (message.expires_at_ms != 0) {
        const std::int64_t left = message.expires_at_ms - now_.wall_ms;
        if (left <= 0) {  // [MQTT-3.3.2-5]
            drop(Drop::expired);
            return false;
        }
        packet.message_expiry_s = static_cast<std::uint32_t>((left + 999) / 1'000);  // [MQTT-3.3.2-6]
    }
    packet.dup = options.dup;
    packet.retain = options.retain;
    packet.qos = options.qos;
    packet.topic = message.topic;
    packet.forwarded_properties = message.properties;
    packet.payload = message.payload;
    packet.subscription_identifiers = options.identifiers;  // [MQTT-3.3.4-3]
    packet.subscription_identifier_count = options.identifier_count;
    if (client.max_packet_bytes != 0xFFFFFFFF && mqtt::encoded_size(client.version, packet) > client.max_packet_bytes) {
        drop(Drop::too_large);  // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
        return false;
    }
    if (client.alias_maximum != 0) {  // [MQTT-3.3.2-11]
        if (!client.aliases) client.aliases = std::make_unique<Aliases>();
        auto& known = client.aliases->outbound;
        const std::string topic(message.topic);
        if (const auto at = known.find(topic); at != known.end()) {
            packet.topic_alias = at->second;
            packet.topic = {};
        } else if (known.size() < std::min<std::size_t>(client.alias_maximum, limits_.topic_alias_maximum)) {
            packet.topic_alias = static_cast<std::uint16_t>(known.size() + 1);
            if (mqtt::encoded_size(client.version, packet) > client.max_packet_bytes) {
                packet.topic_alias = 0;
            } else {
                known.emplace(topic, packet.topic_alias);
            }
        }
    }
    if (window) {
        packet.packet_id = window->push(state);
        counters.inflight_out.add();
    }
    if (client.out.capacity() == 0 && !spare_buffers_.empty()) {
        client.out = std::move(spare_buffers_.back());
        spare_buffers_.pop_back();
    }
    mqtt::encode(client.out, client.version, packet);
    counters.messages_sent[options.qos].add();
    counters.payload_bytes_sent.add(packet.payload.size());
    ++client.messages_out;
    want_flush(client);
    return true;
}

void Shard::pump(Client& client) {
    Session& session = *client.session;
    if (session.out) pump_durable(client, session);
    if (client.state != ClientState::connected) return;
    if (session.queue) pump_queue(client, session);
    if (!session.retained.empty()) pump_retained(client, session);
}

void Shard::pump_queue(Client& client, Session& session) {
    std::deque<QueuedMessage>& queue = *session.queue;
    QueueLevel& level = *session.level;
    while (!queue.empty() && quota(client, session, session.window) > 0 && has_room(client)) {
        QueuedMessage next = std::move(queue.front());
        queue.pop_front();
        counters.queued_transient.sub();
        level.bytes -= next.message->memory_bytes();
        if (authority_.on() && !may_still_receive(client, next.message->view().topic, true)) {
            decline(client, next);
            continue;
        }
        const std::uint64_t n = session.window.next();
        const DeliveryOptions options{next.qos, next.retain, false, next.identifiers.data(),
                                      static_cast<std::uint32_t>(next.identifiers.size())};
        const OutState state = next.qos == 1 ? OutState::wait_puback : OutState::wait_pubrec;
        if (emit(client, next.message->view(), options, &session.window, state) && !next.shared_filter.empty()) {
            session.shared_inflight.push_back({n, std::move(next.message), std::move(next.shared_filter)});
        }
    }
    level.messages = static_cast<std::uint32_t>(queue.size());
    note_level(session);
    if (queue.empty()) {
        delete session.queue;
        session.queue = nullptr;
    }
}

void Shard::pump_retained(Client& client, Session& session) {
    for (std::size_t scans = 0; !session.retained.empty(); ++scans) {
        if (!has_room(client)) return;  // on_writable() or the turn's end goes on
        RetainedStream& stream = session.retained.front();
        // As many as the write buffer takes if all are as large as the largest so far.
        const std::size_t fit = 1 + (limits_.write_buffer_bytes - client.out.size()) / stream.largest_bytes;
        std::size_t most = stream.after.empty() ? retained_first : std::min(retained_step, fit);
        if (stream.qos > 0) {
            most = std::min<std::size_t>(most, quota(client, session, session.window));
            if (most == 0) return;  // an acknowledgement goes on
        }
        if (scans == scans_per_turn) return want_pump(client);
        const bool asks = authority_.on() && !receives_all(client);
        if (asks) most = std::min(most, retained_judged);
        const bool more = broker_.retained_.scan(stream.filter, stream.after, most, [&](std::string_view topic,
                                                                                        const uns::RetainedPtr& kept) {
            const auto fields = kept->fields();
            stream.after = topic;
            // at QoS 0 it has come live, before its commit, to whoever was subscribed then
            if (fields.stored_at > stream.through && fields.qos > 0) return;
            if (session.fresher && session.fresher->contains(FilterIndex::hash(topic))) return;
            if (asks && !may_receive_retained(client, topic)) return;
            MessageView message;
            message.qos = std::min(fields.qos, stream.qos);
            message.retain = true;
            message.expires_at_ms = fields.expires_at_ms;
            message.topic = topic;
            message.properties = fields.properties;
            message.payload = fields.payload;
            const DeliveryOptions options{message.qos, true, false, &stream.identifier, stream.identifier ? 1U : 0U};
            const OutState state = message.qos == 1 ? OutState::wait_puback : OutState::wait_pubrec;
            if (message.qos == 2) free_identifier(client, session);
            emit(client, message, options, message.qos ? &session.window : nullptr, state);
            stream.largest_bytes = std::max(stream.largest_bytes, topic.size() + kept->memory_bytes());
        });
        if (!more) session.retained.erase(session.retained.begin());
    }
    session.fresher.reset();
    retained_settled(session);
}

/// What goes out on this window is forgotten with its connection, but a client that comes back remembers identifiers
/// whose PUBREL it has not seen and would take the next message for a repetition. So each is released before its first
/// use; the PUBCOMP that answers is in nobody's way.
void Shard::free_identifier(Client& client, Session& session) {
    const std::uint64_t n = session.window.next();
    if (!session.out || !session.out->resumed || n >= OutWindow::modulus) return;
    mqtt::encode_ack(client.out, PacketType::pubrel, session.window.id_of(n));  // [MQTT-4.3.3-4] [MQTT-4.4.0-1]
}

void Shard::on_ack(Client& client, const mqtt::Frame& frame) {
    const auto decoded = mqtt::decode_ack(frame.type, frame.body, client.version);
    if (decoded.has_error()) return disconnect(client, decoded.error().reason, decoded.error().what);
    if (frame.type == PacketType::pubrel) return on_pubrel(client, *decoded);
    on_outgoing_ack(client, *decoded);
}

void Shard::on_outgoing_ack(Client& client, const mqtt::Ack& ack) {
    Session& session = *client.session;
    const bool durable = session.out && ack.packet_id < OutWindow::high_ids;
    OutWindow& window = durable ? session.out->window : session.window;
    const auto n = window.find(ack.packet_id);
    const OutState state = n ? window.state(*n) : OutState::done;
    const bool refused = static_cast<std::uint8_t>(ack.reason) >= 0x80;
    switch (ack.type) {
        case PacketType::puback:
            if (state == OutState::wait_puback) complete_out(client, window, *n, durable);  // [MQTT-4.4.0-2]
            return;
        case PacketType::pubcomp:
            if (state == OutState::wait_pubcomp) complete_out(client, window, *n, durable);
            return;
        default: break;  // PUBREC
    }
    if (state == OutState::wait_pubrec && refused) return complete_out(client, window, *n, durable);
    if (state == OutState::wait_pubrec && durable) {  // PUBREL must not be forgotten once it is sent
        window.set_state(*n, OutState::pubrec_committing);
        collect(session, session.out->received, *n);
        return;
    }
    if (state == OutState::pubrec_committing || refused) return;
    if (state == OutState::wait_pubrec) window.set_state(*n, OutState::wait_pubcomp);
    if (state == OutState::wait_pubrec || state == OutState::wait_pubcomp || !client.v5()) {
        mqtt::encode_ack(client.out, PacketType::pubrel, ack.packet_id);  // [MQTT-4.3.3-4]
    } else {
        mqtt::Ack answer;
        answer.type = PacketType::pubrel;
        answer.packet_id = ack.packet_id;
        answer.reason = Reason::packet_identifier_not_found;
        mqtt::encode(client.out, client.version, answer, client.max_packet_bytes);
    }
    want_flush(client);
}

void Shard::complete_out(Client& client, OutWindow& window, std::uint64_t n, bool durable) {
    Session& session = *client.session;
    window.complete(n);
    counters.inflight_out.sub();
    if (durable) {
        collect(session, session.out->complete, n);
    } else if (!session.retained_owed.empty()) {
        retained_settled(session);
    } else if (!session.shared_inflight.empty()) {
        std::erase_if(session.shared_inflight, [n](const SharedInflight& sent) { return sent.n == n; });
    }
    if (has_more(session)) want_pump(client);
}

}  // namespace trunkline::broker
