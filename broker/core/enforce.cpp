// Who may do what: what follows for publishes, subscriptions, deliveries and wills. The decisions are in authorize.cpp.
#include <algorithm>

#include "broker/core/shard.h"
#include "namespace/topic.h"

namespace trunkline::broker {

using auth::Action;

namespace {
constexpr std::size_t judged_per_turn = 512;   // subscriptions, some microseconds each at worst
}  // namespace

void Shard::judge_everybody() {
    to_judge_.clear();
    to_judge_.reserve(clients_.size());
    for (const auto& [number, client] : clients_) {
        if (client->state == ClientState::connected) to_judge_.push_back(number);
    }
    judge_some();
}

void Shard::judge_some() {
    std::size_t judged = 0;
    while (!to_judge_.empty() && judged < judged_per_turn) {
        const auto at = clients_.find(to_judge_.back());
        to_judge_.pop_back();
        if (at == clients_.end() || at->second->state != ClientState::connected) continue;
        judged += 1 + at->second->session->subscriptions.size();
        if (at->second->rights.subscriptions_epoch != authority_.epoch()) judge_subscriptions(*at->second);
    }
    if (!to_judge_.empty()) broker_.wake_(index_);
}

void Shard::judge_subscriptions(Client& client, bool routed) {
    if (!authority_.on()) return;
    Session& session = *client.session;
    bool whole = true;
    session.filters_denied = 0;
    for (ClientSubscription& subscription : session.subscriptions) {
        const Authority::Subscribed may =
            authority_.may_subscribe(client, subscription.filter, subscription.options.qos);
        if (!may.allowed) {
            if (routed && subscription.allowed) unroute_subscription(client, subscription);
            if (subscription.allowed) (void)tell_not_subscribed(client, subscription.filter);
            subscription.allowed = false;
            ++session.filters_denied;
            continue;
        }
        const bool again = !std::exchange(subscription.allowed, true);
        if (routed && again) route_subscription(client, subscription);
        whole = whole && may.whole;
    }
    client.rights.receives_all = whole;
    client.rights.subscriptions_epoch = authority_.epoch();
}

void Shard::refuse_unauthorised(Client& client, const mqtt::Publish& packet, std::string_view topic) {
    uns::Verdict verdict;
    verdict.outcome = uns::Outcome::reject;
    verdict.reason = uns::VerdictReason::not_authorized;
    verdict.finding = authority_.why(client, Action::publish, topic);
    authority_.tell_denied(authority_.principal_of(client), Action::publish, topic, *verdict.finding);
    refuse_publish(client, packet, verdict);
}

std::string Shard::tell_not_subscribed(Client& client, std::string_view filter) {
    const auto finding = authority_.why(client, Action::subscribe, filter);
    authority_.tell_denied(authority_.principal_of(client), Action::subscribe, filter, *finding);
    return finding->rule + " " + finding->text;
}

bool Shard::may_still_receive(Client& client, std::string_view topic, bool fresh) {
    Session& session = *client.session;
    if (client.rights.subscriptions_epoch != authority_.epoch()) judge_subscriptions(client);
    if (session.filters_denied > 0) {
        const bool any = std::ranges::any_of(session.subscriptions, [topic](const ClientSubscription& one) {
            return one.allowed && uns::matches(uns::parse_shared(one.filter).filter, topic);
        });
        if (!any) return authority_.count_not_received();
    }
    if (fresh && !client.rights.has_left_filters && client.rights.receives_all) {
        authority_.count_received();
        return true;
    }
    return authority_.may_receive(client, router_.find(topic));
}

void Shard::decline(const Client& client, QueuedMessage& queued) {
    if (queued.shared_filter.empty()) return drop(Drop::not_authorized);
    offer_to_group(queued.message->view(), queued.shared_filter, {client.number}, queued.message);
}

bool Shard::may_receive_retained(Client& client, std::string_view topic) {
    Route* route = router_.find_known(topic, FilterIndex::hash(topic));
    return route ? authority_.may_receive(client, *route) : authority_.may_now(client, Action::receive, topic);
}

Sender Shard::sender_of(Client& client) {
    Sender sender{client.session->client_id, client.user, client.peer.to_string()};
    if (authority_.on()) sender.principal = &authority_.principal_of(client);
    return sender;
}

std::string Shard::will_not_authorised(const Sender& sender, std::string_view topic) {
    if (!authority_.on()) return {};
    const auth::Principal& principal = *sender.principal;
    if (authority_.may_now(principal, Action::publish, topic)) return {};
    const auto finding = authority_.why(principal, Action::publish, topic);
    authority_.tell_denied(principal, Action::publish, topic, *finding);
    return finding->rule + " " + finding->text;
}

}  // namespace trunkline::broker
