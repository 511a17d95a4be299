// SUBSCRIBE and UNSUBSCRIBE (sections 3.8 to 3.11).
#include <algorithm>

#include "broker/core/filter_index.h"
#include "broker/core/shard.h"
#include "broker/mqtt/encode.h"
#include "namespace/topic.h"

namespace trunkline::broker {

using mqtt::Reason;

Reason Shard::check_filter(const Session& session, std::string_view filter, const char*& what) const {
    const auto shared = uns::parse_shared(filter);
    if (!shared.valid || !uns::is_valid_topic_filter(shared.filter)) {
        what = "not a valid topic filter: # only last, + and # alone in their level, $share/NAME/FILTER";
        return Reason::topic_filter_invalid;
    }
    if (filter.size() > limits_.max_topic_bytes || uns::level_count(shared.filter) > limits_.max_topic_levels) {
        what = "topic filter over the limit max_topic_bytes or max_topic_levels";
        return Reason::topic_filter_invalid;
    }
    if (session.subscriptions.size() >= limits_.max_subscriptions_per_client &&
        !const_cast<Session&>(session).find(filter)) {
        what = "limit max_subscriptions_per_client reached";
        return Reason::quota_exceeded;
    }
    return Reason::success;
}

void Shard::on_subscribe(Client& client, const mqtt::Frame& frame) {
    const auto decoded = mqtt::decode_subscribe(frame.body, client.version);
    if (decoded.has_error()) return disconnect(client, decoded.error().reason, decoded.error().what);
    Session& session = *client.session;
    Answer answer;
    answer.packet_id = decoded->packet_id;
    for (const mqtt::SubscriptionRequest& request : decoded->requests) {  // [MQTT-3.8.4-5]
        const char* what = "";
        const Reason refusal = check_filter(session, request.filter, what);
        if (refusal != Reason::success) {
            counters.refused_by_reason[static_cast<std::size_t>(refusal)].add();
            answer.reasons.push_back(refusal);
            answer.reason_string = what;
            continue;
        }
        const Authority::Subscribed may = may_subscribe(client, request);
        if (!may.allowed) {
            counters.refused_by_reason[static_cast<std::size_t>(Reason::not_authorized)].add();
            answer.reasons.push_back(Reason::not_authorized);  // [MQTT-3.8.4-6]
            answer.reason_string = tell_not_subscribed(client, request.filter);
            continue;
        }
        if (!may.whole) client.rights.receives_all = false;
        const bool fresh = session.find(request.filter) == nullptr;
        const auto handling = request.options.retain_handling;
        const bool retained = !request.filter.starts_with("$share/") &&
                              (handling == mqtt::RetainHandling::send ||
                               (fresh && handling == mqtt::RetainHandling::send_if_new));
        ClientSubscription subscription{std::string(request.filter), request.options, decoded->subscription_identifier};
        const std::uint32_t offset = add_subscription(client, subscription, retained);
        if (offset != no_op) {
            answer.ops.push_back({offset, static_cast<std::uint32_t>(answer.reasons.size()),
                                  fresh ? subscription.filter : std::string()});
        }
        answer.reasons.push_back(static_cast<Reason>(request.options.qos));  // [MQTT-3.8.4-7]
        if (!observers_.empty()) tell_subscribed(client, request.filter, request.options.qos);
        if (retained) {
            answer.retained.push_back(
                {std::move(subscription.filter), {}, request.options.qos, subscription.identifier, !fresh});
        }
    }
    // A retained QoS 0 message went out live before its commit: who subscribes in between waits for the log's turn, so
    // that it gets the message one way or the other.
    const bool wait = !answer.retained.empty() && broker_.retained_under_way_.load(std::memory_order_relaxed) > 0;
    if (session.durable == 0 && !wait) {
        answer_subscribe(client, answer, false);
        return begin_retained(client, std::move(answer.retained));
    }
    submission();
    Pending& pending = await(&client, Wait::suback);
    pending.op_offset = static_cast<std::uint32_t>(submissions_.back().answers.size());
    submissions_.back().answers.push_back(std::move(answer));
}

std::uint32_t Shard::add_subscription(Client& client, const ClientSubscription& subscription, bool retained_owed) {
    Session& session = *client.session;
    if (ClientSubscription* old = session.find(subscription.filter)) {  // [MQTT-3.8.4-3]
        const bool shared = subscription.filter.starts_with("$share/");
        const uns::CommitTime retained_through = old->retained_through;
        const bool routed = old->allowed;
        *old = subscription;
        old->retained_through = retained_through;
        if (!routed) {  // it was not allowed before
            --session.filters_denied;
            route_subscription(client, *old);
        } else if (shared) {
            unroute_subscription(client, subscription);
            route_subscription(client, subscription);
        } else {
            router_.subscribe(session, subscription);
            tell_crowded(session, subscription);
        }
    } else {
        session.subscriptions.push_back(subscription);
        route_subscription(client, subscription);
    }
    if (session.durable == 0) return no_op;
    std::erase(session.retained_owed, subscription.filter);
    return store_subscription(session, subscription, retained_owed);
}

std::uint32_t Shard::store_subscription(const Session& session, const ClientSubscription& subscription,
                                        bool retained_owed) {
    store::SubscribeOp op;
    op.session = session.durable;
    op.owner = session.number;
    op.qos = subscription.options.qos;
    op.no_local = subscription.options.no_local;
    op.retain_as_published = subscription.options.retain_as_published;
    const auto handling = retained_owed ? mqtt::RetainHandling::send : mqtt::RetainHandling::do_not_send;
    op.retain_handling = static_cast<std::uint8_t>(handling);
    op.subscription_identifier = subscription.identifier;
    op.filter = subscription.filter;
    return submission().ops->add(op);
}

void Shard::remove_subscription(Client& client, ClientSubscription& subscription) {
    Session& session = *client.session;
    unroute_subscription(client, subscription);
    if (!subscription.allowed) --session.filters_denied;
    client.rights.has_left_filters = true;
    std::erase_if(session.retained, [&](const RetainedStream& r) { return r.filter == subscription.filter; });
    std::erase(session.retained_owed, subscription.filter);
    session.subscriptions.erase(session.subscriptions.begin() + (&subscription - session.subscriptions.data()));
}

void Shard::retained_settled(Session& session) {
    if (session.retained_owed.empty() || !session.retained.empty() || session.window.open() > 0) return;
    for (const std::string& filter : session.retained_owed) {
        if (const ClientSubscription* subscription = session.find(filter)) {
            store_subscription(session, *subscription, false);
        }
    }
    session.retained_owed.clear();
}

void Shard::route_subscription(Client& client, const ClientSubscription& subscription) {
    if (!subscription.allowed) return;
    counters.subscriptions.add();
    Session& session = *client.session;
    if (!subscription.filter.starts_with("$share/")) {
        router_.subscribe(session, subscription);
        return tell_crowded(session, subscription);
    }
    counters.shared_subscriptions.add();
    GroupMember member;
    member.shard = index_;
    member.number = client.number;
    member.qos = subscription.options.qos;
    member.retain_as_published = subscription.options.retain_as_published;
    member.durable = session.durable != 0;
    member.identifier = subscription.identifier;
    if (!member.durable && member.qos > 0) {
        if (!session.level) session.level = std::make_shared<QueueLevel>(index_);
        member.queue = session.level;
    }
    filters_.join(subscription.filter, member);
}

void Shard::unroute_subscription(Client& client, const ClientSubscription& subscription) {
    if (!subscription.allowed) return;
    counters.subscriptions.sub();
    const Session& session = *client.session;
    if (!subscription.filter.starts_with("$share/")) {
        router_.unsubscribe(*client.session, subscription.filter);
        if (session.level) filters_.uncrowd(subscription.filter, session.level.get());
        return;
    }
    counters.shared_subscriptions.sub();
    filters_.leave(subscription.filter, client.number);
}

void Shard::answer_subscribe(Client& client, const Answer& answer, bool unsubscribe) {
    const auto fill = [&](auto packet) {
        packet.packet_id = answer.packet_id;  // [MQTT-3.8.4-2] [MQTT-3.10.4-5]
        packet.reasons = answer.reasons;      // [MQTT-3.9.3-1] [MQTT-3.11.3-1]
        if (!answer.reason_string.empty() && client.problem_information) packet.reason_string = answer.reason_string;
        mqtt::encode(client.out, client.version, packet, client.max_packet_bytes);
    };
    if (unsubscribe) {
        fill(mqtt::Unsuback{});
    } else {
        fill(mqtt::Suback{});
    }
    want_flush(client);
}

/// The stream has what is retained by now, and later messages come live, each once and in order: whatever is still
/// under way to this shard although the tree has it is left out (superseded()).
void Shard::await_retained(Session& session, RetainedStream& stream) {
    // a durable session gets everything after its SUBSCRIBE's own batch from the log
    stream.through = session.durable != 0 ? commit_time_ : broker_.retained_.changed_at();
    ClientSubscription& subscription = *session.find(stream.filter);
    if (!stream.renewed) {
        subscription.retained_through = stream.through;
        session.retained_through = std::max(session.retained_through, stream.through);
    }
    // its own messages don't come live, but retained ones do, whoever published them
    if (subscription.options.no_local) stream.through = UINT64_MAX;
}

void Shard::begin_retained(Client& client, std::vector<RetainedStream>&& streams) {
    if (streams.empty()) return;
    auto& retained = client.session->retained;
    for (RetainedStream& stream : streams) {
        if (!client.session->find(stream.filter)) continue;  // unsubscribed meanwhile [MQTT-3.10.4-2]
        std::erase_if(retained, [&](const RetainedStream& r) { return r.filter == stream.filter; });
        if (client.session->durable != 0) client.session->retained_owed.push_back(stream.filter);
        await_retained(*client.session, stream);
        retained.push_back(std::move(stream));
    }
    pump_retained(client, *client.session);
}

void Shard::on_unsubscribe(Client& client, const mqtt::Frame& frame) {
    const auto decoded = mqtt::decode_unsubscribe(frame.body, client.version);
    if (decoded.has_error()) return disconnect(client, decoded.error().reason, decoded.error().what);
    Session& session = *client.session;
    Answer answer;
    answer.packet_id = decoded->packet_id;
    for (const std::string_view filter : decoded->filters) {  // [MQTT-3.10.4-6]
        ClientSubscription* subscription = session.find(filter);  // [MQTT-3.10.4-1]
        if (!subscription) {
            const auto shared = uns::parse_shared(filter);
            const bool valid = shared.valid && uns::is_valid_topic_filter(shared.filter);
            if (!valid) answer.reason_string = "not a valid topic filter";
            answer.reasons.push_back(valid ? Reason::no_subscription_existed : Reason::topic_filter_invalid);
            continue;
        }
        remove_subscription(client, *subscription);
        if (session.durable != 0) {
            const store::UnsubscribeOp op{session.durable, client.number, filter};
            answer.ops.push_back({submission().ops->add(op), static_cast<std::uint32_t>(answer.reasons.size()), {}});
        }
        answer.reasons.push_back(Reason::success);
    }
    if (session.durable == 0) return answer_subscribe(client, answer, true);
    Pending& pending = await(&client, Wait::unsuback);
    pending.op_offset = static_cast<std::uint32_t>(submissions_.back().answers.size());
    submissions_.back().answers.push_back(std::move(answer));
}

}  // namespace trunkline::broker
