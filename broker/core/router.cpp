#include "broker/core/router.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <new>

#include "broker/core/live_feed.h"

namespace trunkline::broker {

Route::Route(std::string_view topic, std::uint64_t topic_hash)
    : hash(topic_hash), topic_size_(static_cast<std::uint32_t>(topic.size())) {
    if (!topic.empty()) std::memcpy(static_cast<void*>(this + 1), topic.data(), topic.size());
}

Route::Ptr Route::make(std::string_view topic, std::uint64_t hash) {
    void* memory = std::malloc(sizeof(Route) + topic.size());
    if (!memory) throw std::bad_alloc();
    return Ptr(new (memory) Route(topic, hash));
}

void Route::Free::operator()(Route* route) const {
    route->~Route();
    std::free(route);
}

void Router::subscribe(Session& session, const ClientSubscription& subscription) {
    auto& entries = tree_.insert(subscription.filter).value.entries;
    const auto same =
        std::find_if(entries.begin(), entries.end(), [&](const Local& e) { return e.session == &session; });
    if (same != entries.end()) {
        *same = {&session, subscription.options, subscription.identifier};  // [MQTT-3.8.4-3]
        index_.remove(shard_, subscription.filter);
    } else {
        if (entries.capacity() == 0) entries.reserve(1);
        entries.push_back({&session, subscription.options, subscription.identifier});
    }
    index_.add(shard_, subscription.filter);
}

void Router::unsubscribe(Session& session, std::string_view filter) {
    auto* node = tree_.find(filter);
    assert(node);
    auto& entries = node->value.entries;
    const auto mine =
        std::find_if(entries.begin(), entries.end(), [&](const Local& e) { return e.session == &session; });
    assert(mine != entries.end());
    entries.erase(mine);
    tree_.prune(*node);
    index_.remove(shard_, filter);
}

Route& Router::add(std::string_view topic, std::uint64_t hash) {
    if (routes_.size() >= max_routes) {
        feed_.drop_routes();
        routes_.clear();
        ++epoch_;
    }
    Route::Ptr& place = routes_[hash];
    if (place) ++epoch_;  // two topics of one hash: the newer takes the place
    place = Route::make(topic, hash);
    Route& route = *place;
    compute(route);
    return route;
}

void Router::compute(Route& route) {
    route.generation = index_.generation(route.hash);
    auto match = index_.match(route.topic());
    route.durable = match.durable;
    route.other_shards = match.shards & ~(std::uint64_t{1} << shard_);
    route.look_for_room = !match.groups.empty() || !match.crowded.empty();
    found_.clear();
    tree_.match(route.topic(), [this](const Locals& locals) {
        found_.insert(found_.end(), locals.entries.begin(), locals.entries.end());
    });
    if (found_.empty() && !route.look_for_room) return route.audience.reset();

    if (!route.audience) route.audience = std::make_unique<Audience>();
    auto& [targets, identifiers, groups, crowded] = *route.audience;
    groups = std::move(match.groups);
    crowded = std::move(match.crowded);
    targets.clear();
    identifiers.clear();
    std::stable_sort(found_.begin(), found_.end(),
                     [](const Local& a, const Local& b) { return a.session->number < b.session->number; });
    for (const Local& local : found_) {
        if (targets.empty() || targets.back().session != local.session) {
            targets.push_back({local.session, 0, false, false, static_cast<std::uint32_t>(identifiers.size()), 0});
        }
        Target& target = targets.back();
        target.qos = std::max(target.qos, local.options.qos);
        target.retain_as_published |= local.options.retain_as_published;
        target.no_local |= local.options.no_local;
        if (local.identifier != 0) {
            identifiers.push_back(local.identifier);
            ++target.identifier_count;
        }
    }
}

}  // namespace trunkline::broker
