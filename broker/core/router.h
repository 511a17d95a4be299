// From a topic to the sessions of this shard that get it, and to what the other shards and the log must be told. One
// look-up per publish; the trees are walked only when subscriptions changed since the route was computed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "broker/core/client.h"
#include "broker/core/filter_index.h"
#include "broker/core/live_note.h"
#include "namespace/model/model.h"
#include "namespace/topic_tree.h"

namespace trunkline::broker {

/// One local session in a route: its overlapping subscriptions merged into one copy at the highest QoS
/// [MQTT-3.3.4-2], with the identifiers of all [MQTT-3.3.4-4].
struct Target {
    Session* session = nullptr;
    std::uint8_t qos = 0;                 // highest granted
    bool retain_as_published = false;
    bool no_local = false;                // one of the subscriptions at least: look closer for its own messages
    std::uint32_t first_identifier = 0;   // index into Audience::identifiers
    std::uint32_t identifier_count = 0;
};

/// Who gets a topic. Apart from the route, since most topics of a plant are subscribed to by nobody here.
struct Audience {
    std::vector<Target> targets;
    std::vector<std::uint32_t> identifiers;
    std::vector<std::shared_ptr<const Group>> groups;
    std::vector<std::shared_ptr<const QueueLevel>> crowded;   ///< of all shards: queues that may be full
};

/// What the model in force leaves to be looked at of a message, once the topic is known.
enum class Standing : std::uint8_t {
    open,      ///< nothing
    payload,   ///< the payload's contract
    judged,    ///< all of it: Model::judge()
};

class LiveFeed;

/// One allocation with its topic: a shard keeps tens of thousands.
class Route {
public:
    struct Free { void operator()(Route* route) const; };
    using Ptr = std::unique_ptr<Route, Free>;
    static Ptr make(std::string_view topic, std::uint64_t hash);

    [[nodiscard]] std::string_view topic() const { return {reinterpret_cast<const char*>(this + 1), topic_size_}; }

    const std::uint64_t hash;
    FilterIndex::Generation generation;
    std::uint64_t other_shards = 0;
    std::unique_ptr<Audience> audience;   ///< null: nobody here, nothing shared, nothing crowded
    bool durable = false;
    bool regulated = false;               ///< by the model and with an audit trail: a publish leaves its leaf there
    bool look_for_room = false;           ///< before a QoS 1 or 2 message: there are crowded queues or groups
    Standing standing = Standing::open;   ///< by the model of `model_generation`, as what follows
    std::uint32_t model_generation = 0;   ///< 0: none yet
    const uns::PayloadContract* payload = nullptr;
    std::unique_ptr<uns::Resolution> resolution;   ///< null: nothing is judged
    Permissions permissions;              ///< who may publish and receive, as far as it was asked
    LiveSlot live;                        ///< for browsing; beside the topic, which is read, too

private:
    Route(std::string_view topic, std::uint64_t hash);
    const std::uint32_t topic_size_;
};

/// Owned by a shard, used on its thread alone.
class Router {
public:
    Router(FilterIndex& index, std::uint32_t shard, LiveFeed& feed) : index_(index), shard_(shard), feed_(feed) {}

    /// Plain filters only; shared ones live in the index.
    void subscribe(Session& session, const ClientSubscription& subscription);
    void unsubscribe(Session& session, std::string_view filter);

    /// The route of a topic, up to date. Valid while epoch() stays the same; refresh() before each use.
    [[nodiscard]] Route& find(std::string_view topic) {
        const std::uint64_t hash = FilterIndex::hash(topic);
        Route* known = find_known(topic, hash);
        return known ? *known : add(topic, hash);
    }
    /// The same in two steps, for who does not want a route of any topic: null when there is none, then add().
    [[nodiscard]] Route* find_known(std::string_view topic, std::uint64_t hash) {
        const auto at = routes_.find(hash);
        if (at == routes_.end() || at->second->topic() != topic) return nullptr;
        refresh(*at->second);
        return at->second.get();
    }
    [[nodiscard]] Route& add(std::string_view topic, std::uint64_t hash);
    /// Brings a route held from an earlier find() up to date.
    void refresh(Route& route) {
        if (route.generation != index_.generation(route.hash)) compute(route);
    }
    /// Changes when routes were dropped from the cache: pointers from before are void.
    [[nodiscard]] std::uint64_t epoch() const { return epoch_; }

private:
    struct Local {
        Session* session = nullptr;
        mqtt::SubscriptionOptions options;
        std::uint32_t identifier = 0;
    };
    struct Locals {
        std::vector<Local> entries;
        [[nodiscard]] bool empty() const { return entries.empty(); }
    };
    void compute(Route& route);

    static constexpr std::size_t max_routes = 65'536;
    FilterIndex& index_;
    const std::uint32_t shard_;
    LiveFeed& feed_;                       // told before routes go
    uns::TopicTree<Locals> tree_;
    boost::unordered_flat_map<std::uint64_t, Route::Ptr> routes_;  // by hash of the topic
    std::vector<Local> found_;
    std::uint64_t epoch_ = 1;
};

}  // namespace trunkline::broker
