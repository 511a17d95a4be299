// The retained values of the namespace, in memory, in topic order. Written by the log's thread once a batch is safe,
// read by every shard.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include "namespace/commit_time.h"
#include "namespace/topic_tree.h"

namespace trunkline::uns {

/// One retained message without its topic (the tree's path is the topic): one allocation, shared between threads,
/// never changed after it was made.
class RetainedMessage {
public:
    struct Fields {
        std::uint8_t qos = 0;
        std::int64_t expires_at_ms = 0;   ///< since 1970; 0: never
        CommitTime stored_at = 0;         ///< of its batch
        std::string_view properties;      ///< forwarded MQTT 5 property bytes
        std::string_view payload;         ///< never empty [MQTT-3.3.1-7]
    };
    static boost::intrusive_ptr<const RetainedMessage> make(const Fields& fields);

    [[nodiscard]] Fields fields() const;
    [[nodiscard]] std::size_t memory_bytes() const { return memory_bytes(expires_, properties_size_ + payload_size_); }

    friend void intrusive_ptr_add_ref(const RetainedMessage* message) {
        message->references_.fetch_add(1, std::memory_order_relaxed);
    }
    friend void intrusive_ptr_release(const RetainedMessage* message);

private:
    explicit RetainedMessage(const Fields& fields);
    static constexpr std::size_t memory_bytes(bool expires, std::size_t text) {
        return text_offset + (expires ? sizeof(std::int64_t) : 0) + text;
    }
    [[nodiscard]] char* text() const {
        return reinterpret_cast<char*>(const_cast<RetainedMessage*>(this)) + text_offset;
    }
    /// Packed, since there are millions: the text begins right after the last of these.
    static constexpr std::size_t text_offset = 20;
    CommitTime stored_at_;
    mutable std::atomic<std::uint32_t> references_{0};
    std::uint32_t payload_size_;
    std::uint32_t properties_size_ : 28;   // as long as a packet can be
    std::uint32_t qos_ : 2;
    std::uint32_t expires_ : 1;
    // when it expires, if it does, then properties and payload follow in the same allocation
};
using RetainedPtr = boost::intrusive_ptr<const RetainedMessage>;

/// Thread safe.
class RetainedTree {
public:
    struct Change {
        std::string_view topic;
        RetainedPtr message;   ///< null: remove
    };

    /// Applies the changes of a batch, in order, under one lock. `time`: of the batch; 0 for what no batch brings.
    void apply(const Change* changes, std::size_t count, CommitTime time = 0);
    void set(std::string_view topic, RetainedPtr message) {
        const Change change{topic, std::move(message)};
        apply(&change, 1);
    }
    /// Of the last batch that changed a value: older retained messages that are still under way are in the tree, or
    /// replaced.
    [[nodiscard]] CommitTime changed_at() const { return changed_at_.load(std::memory_order_acquire); }

    /// Null when there is none. Expired messages are returned: the caller compares with its clock.
    [[nodiscard]] RetainedPtr get(std::string_view topic) const;

    /// Visits up to `most` retained messages that match `filter`, in topic order, starting after the topic `after`
    /// (empty: from the first). Returns true when there may be more. The lock is held shared during the call, so
    /// `visit` must be quick and must not call back. The last visited topic is the next `after`: `visit` may put it
    /// there.
    using Visit = std::function<void(std::string_view topic, const RetainedPtr& message)>;
    bool scan(std::string_view filter, std::string_view after, std::size_t most, const Visit& visit) const;

    /// Visits the children of one level: name, whether it has children, its value or null. At most `most`, after the
    /// child `after`. Without `path` the first levels; the path "" is the empty first level of topics such as "/a".
    /// Without `after` from the first child. Returns true when there are more.
    using VisitChild = std::function<void(std::string_view level, bool has_children, const RetainedPtr& message)>;
    bool children(std::optional<std::string_view> path, std::optional<std::string_view> after, std::size_t most,
                  const VisitChild& visit) const;

    [[nodiscard]] std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

private:
    struct Value {
        RetainedPtr message;
        [[nodiscard]] bool empty() const { return !message; }
    };
    mutable std::shared_mutex mutex_;
    TopicTree<Value> tree_;
    std::atomic<CommitTime> changed_at_{0};
    std::atomic<std::uint64_t> count_{0};
    std::atomic<std::uint64_t> bytes_{0};
};

}  // namespace trunkline::uns
