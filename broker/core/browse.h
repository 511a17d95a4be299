// Browsing: takes what the shards noted, keeps the live tree and the samples of traffic, and publishes $UNS/model,
// $UNS/meta/# and $UNS/health/#. On a thread of its own, of low priority; nothing here is ever waited for by a shard.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "broker/core/limits.h"
#include "broker/core/live_note.h"
#include "namespace/live/live_tree.h"
#include "namespace/live/sample_store.h"
#include "persistence/value_journal.h"

namespace trunkline::broker {

class Broker;

class Browse final : public LiveSink {
public:
    static constexpr std::uint64_t inbox_bytes_max = 64ULL << 20;    ///< more: the shards leave new topics out
    static constexpr std::size_t outbox_max = 50'000;                ///< $UNS messages to subscribers; more: dropped
    static constexpr std::size_t publishes_per_turn = 64;            ///< of them, on a shard
    static constexpr std::int64_t health_interval_ms = 1'000;
    static constexpr std::int64_t tidy_interval_ms = 10'000;
    static constexpr std::int64_t journal_retry_ms = 60'000;         ///< after it could not be written

    /// `model` gives the model in force, from any thread; null: none.
    using ModelSource = std::function<std::shared_ptr<const uns::Model>()>;
    /// With a journal, values of topics that are not retained are there again after a restart.
    Browse(Broker& broker, ModelSource model, std::unique_ptr<store::ValueJournal> journal = nullptr);
    ~Browse() override;

    void start();
    /// Before the shards end.
    void stop();
    /// One round, as the thread does it. True when there is more to do at once.
    bool step(std::int64_t now_ms);

    // LiveSink
    [[nodiscard]] bool has_room() const override {
        return inbox_bytes_.load(std::memory_order_relaxed) < inbox_bytes_max;
    }
    void put(LiveNotes&& notes) override;
    void missed_retained() override { missed_retained_.store(true, std::memory_order_relaxed); }

    [[nodiscard]] const uns::LiveTree& tree() const { return tree_; }
    [[nodiscard]] const uns::SampleStore& samples() const { return samples_; }
    /// Recent messages of all topics, those that were refused or quarantined too.
    [[nodiscard]] uns::Traffic traffic() const {
        return [this](const uns::TrafficVisit& visit) { visit_traffic(visit); };
    }
    /// Messages on $UNS that subscribers did not get, since there were too many at once.
    [[nodiscard]] std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

private:
    void run();
    bool take_notes();
    void take_note(const LiveNote& note);
    void visit_traffic(const uns::TrafficVisit& visit) const;
    bool know_retained();
    void read_journal();
    void remember(const uns::LiveUpdate& update);
    void write_journal(std::int64_t now_ms);
    /// Calls `visit` with every value that is not retained.
    void visit_values(const store::ValueJournal::Visit& visit) const;
    void follow_model(std::int64_t now_ms);
    bool learn(std::int64_t now_ms);
    bool remove_old_meta(std::int64_t now_ms);
    void publish_health(const uns::AssetHealth& health, std::int64_t now_ms);
    /// Retains `payload` (empty: no longer) where that is news, and tells subscribers.
    void publish(std::string topic, std::string payload, std::int64_t now_ms);
    void send_some();

    Broker& broker_;
    const ModelSource source_;
    uns::LiveTree tree_;
    uns::SampleStore samples_;
    std::atomic<std::uint64_t> inbox_bytes_{0};
    std::atomic<std::uint64_t> dropped_{0};
    std::atomic<bool> missed_retained_{false};

    std::mutex mutex_;                           // guards the inbox and stopping_
    std::condition_variable wake_;
    std::vector<LiveNotes> inbox_;
    bool stopping_ = false;
    std::thread thread_;

    // Of the thread alone.
    const std::unique_ptr<store::ValueJournal> journal_;   // null: none
    bool journal_open_ = false;
    std::int64_t next_journal_ms_ = 0;           // not tried before
    bool knows_retained_ = false;
    std::string retained_after_;                 // how far know_retained() is
    std::shared_ptr<const uns::Model> model_;    // that the tree has
    bool learning_ = false, sweeping_ = false;
    std::string swept_after_;                    // how far remove_old_meta() is
    std::int64_t next_health_ms_ = 0, next_tidy_ms_ = 0;
    std::deque<std::pair<std::string, std::string>> outbox_;
    const std::shared_ptr<std::atomic<bool>> sending_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace trunkline::broker
