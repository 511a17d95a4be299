// What one shard must know of everybody's subscriptions: which other shards want a topic, whether something durable is
// owed a message of it, and the members of shared subscriptions. Routes are computed from it on a cache miss.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "namespace/topic_tree.h"

namespace trunkline::broker {

/// How much waits in memory for a transient session. Written by its shard, read by those of who publishes to it.
struct QueueLevel {
    explicit QueueLevel(std::uint32_t of_shard) : shard(of_shard) {}
    const std::uint32_t shard;
    std::atomic<std::uint32_t> messages{0};
    std::atomic<std::uint64_t> bytes{0};
};

/// A connected member of a shared subscription.
struct GroupMember {
    std::uint32_t shard = 0;
    std::uint64_t number = 0;            // of the connection
    std::uint8_t qos = 0;                // granted
    bool retain_as_published = false;
    bool durable = false;                // its QoS 1 and 2 messages come through the log
    std::uint32_t identifier = 0;
    std::shared_ptr<const QueueLevel> queue;  // null: none that could be full
};

/// A shared subscription at one moment; a change makes a new one. Only the turn is shared and moves.
struct Group {
    std::string filter;                  // as sent: `$share/NAME/FILTER`
    std::vector<GroupMember> members;    // connected ones
    std::uint32_t durable_members = 0;   // connected or not, granted QoS 1 or 2: the log picks among them
    std::shared_ptr<std::atomic<std::uint32_t>> turn = std::make_shared<std::atomic<std::uint32_t>>(0);
};

/// Thread safe.
class FilterIndex {
public:
    explicit FilterIndex(std::uint32_t shards) : shards_(shards) {}

    /// A session on `shard` subscribed to or left a plain filter.
    void add(std::uint32_t shard, std::string_view filter);
    void remove(std::uint32_t shard, std::string_view filter);
    /// A connected client joined or left a shared subscription; `filter` as sent and valid.
    void join(std::string_view filter, const GroupMember& member);
    void leave(std::string_view filter, std::uint64_t number);
    /// From the log: a durable session's subscription, connected or not; `filter` as sent.
    void add_durable(std::string_view filter, std::uint8_t qos);
    void remove_durable(std::string_view filter, std::uint8_t qos);

    /// The queue of a transient session is crowded: routes of its filter carry the level, so that publishers on all
    /// shards know when it is full. Again, or of a filter that was not told: nothing happens.
    void crowd(std::string_view filter, const std::shared_ptr<const QueueLevel>& queue);
    void uncrowd(std::string_view filter, const QueueLevel* queue);

    /// Somebody may get a message on `topic`, which is below $UNS.
    [[nodiscard]] bool wants_news(std::string_view topic) const;

    struct Match {
        bool durable = false;            // QoS 1 and 2 go through the log
        std::uint64_t shards = 0;        // bit per shard that has subscribers
        std::vector<std::shared_ptr<const Group>> groups;
        std::vector<std::shared_ptr<const QueueLevel>> crowded;
    };
    [[nodiscard]] Match match(std::string_view topic) const;

    /// A route is stale when the generation it was computed from is no longer this one. Read before match().
    struct Generation {
        std::uint64_t wildcards = 0;
        std::uint32_t literals = 0;
        bool operator==(const Generation&) const = default;
    };
    [[nodiscard]] Generation generation(std::uint64_t topic_hash) const {
        return {wildcards_.load(std::memory_order_acquire),
                literals_[topic_hash % literals_.size()].load(std::memory_order_acquire)};
    }
    [[nodiscard]] static std::uint64_t hash(std::string_view topic);

private:
    struct Value {
        std::uint32_t durable = 0;
        std::vector<std::uint32_t> by_shard;   // empty until a session of some shard subscribes
        std::map<std::string, std::shared_ptr<const Group>, std::less<>> groups;
        std::vector<std::shared_ptr<const QueueLevel>> crowded;
        [[nodiscard]] bool empty() const {
            return durable == 0 && by_shard.empty() && groups.empty() && crowded.empty();
        }
    };
    void changed(std::string_view filter);
    template <class Change>
    void change_group(std::string_view as_sent, Change&& change);

    const std::uint32_t shards_;
    std::atomic<std::uint32_t> news_filters_{0};   // filters of sessions that begin with $UNS
    mutable std::shared_mutex mutex_;
    uns::TopicTree<Value> tree_;
    std::atomic<std::uint64_t> wildcards_{1};
    std::array<std::atomic<std::uint32_t>, 4096> literals_{};
};

}  // namespace trunkline::broker
