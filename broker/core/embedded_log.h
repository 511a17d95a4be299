// The commit log of one machine: batches what all shards submit, applies it and writes it with one sync a batch.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "broker/core/commit_log.h"
#include "broker/core/state.h"
#include "persistence/store.h"

namespace trunkline::broker {

/// Counters that any thread may read. Histogram buckets double: bucket i counts values up to bound * 2^i, the last
/// all others.
struct CommitStats {
    static constexpr std::size_t buckets = 16;
    static constexpr std::uint64_t first_duration_us = 64;
    static constexpr std::uint64_t first_batch = 1;
    std::atomic<std::uint64_t> commits{0}, operations{0}, operation_bytes{0}, refused{0}, commit_us{0};
    std::array<std::atomic<std::uint64_t>, buckets> duration{};   ///< of the write with its sync
    std::array<std::atomic<std::uint64_t>, buckets> batch{};      ///< operations in a batch
    std::atomic<std::uint64_t> store_bytes{0}, disk_free{0}, disk_size{0};
    std::atomic<std::uint64_t> sessions{0}, sessions_offline{0}, queued_messages{0};   ///< once a second, as the disk
    std::atomic<std::uint64_t> sessions_expired{0};
    std::atomic<std::int64_t> oldest_queued_ms{0};   ///< since 1970; 0: nothing is queued
};

/// The log's thread owns state and store; submit(), fetch() and health() come from any thread.
class EmbeddedLog final : public CommitLog {
public:
    struct Options {
        bool sync = true;                                ///< false: durability relaxed, chosen by name only
        std::size_t batch_bytes = 4 << 20;
        std::uint32_t batch_operations = 16'384;
        std::uint32_t shards = 0;                        ///< effects go to session.shard modulo this; 0: as they are
        std::uint64_t disk_reserve_bytes = std::uint64_t{2} << 30;   ///< durable publishes are refused below this
        double disk_reserve_share = 0.05;                            ///< or below this share of the disk
        std::int64_t no_space_wait_ms = 500;             ///< how long a batch waits for room before it is refused
        std::int64_t probe_ms = 1'000;                   ///< between looks at the free space
        std::function<std::int64_t()> now_ms;            ///< since 1970; empty: the system clock
        std::function<void(const std::string& what)> on_fatal;   ///< nothing is acknowledged any more: end the process
    };

    /// All references outlive the log.
    EmbeddedLog(Options options, State& state, store::Store& store, EffectSink& sink);
    /// Stops after everything submitted so far is safe.
    ~EmbeddedLog() override;

    /// Begins a new life of the node (a RestartOp in an epoch of its own) and starts the thread. State is loaded.
    /// Fails when the store can't be written.
    store::StoreStatus start();
    void stop();

    void submit(std::uint32_t shard, std::shared_ptr<const store::OpBatch> batch, Token token) override;
    void fetch(std::uint32_t shard, SessionId session, std::uint64_t owner, std::uint64_t from_n,
               std::uint32_t bytes) override;
    void inspect(std::function<void(const store::Store* store)> look) override;
    [[nodiscard]] Health health() const override;

    [[nodiscard]] const CommitStats& stats() const { return stats_; }

private:
    struct Fetch {
        std::uint32_t shard;
        SessionId session;
        std::uint64_t owner, from_n;
        std::uint32_t bytes;
    };

    void run();
    bool wait_for_work(std::vector<Submission>& submissions, std::vector<Fetch>& fetches);
    void commit_all(std::vector<Submission>& submissions);
    void commit(std::span<const Submission> submissions);
    void commit_due();
    bool write(std::span<const Submission> submissions);
    bool wait_for_space(store::StoreStatus& status);
    void refuse_all(std::span<const Submission> submissions, Refusal why);
    void serve(const std::vector<Fetch>& fetches);
    void show();
    void post(ShardEffects&& effects);
    void probe(bool now);
    void set_health(bool accepting, Refusal why, std::string detail);
    void fail(const store::StoreStatus& status);
    void count(std::span<const Submission> submissions, std::int64_t us);
    [[nodiscard]] std::int64_t now_ms() const;

    const Options options_;
    State& state_;
    store::Store& store_;
    EffectSink& sink_;
    CommitStats stats_;

    mutable std::mutex mutex_;                 // guards what follows, up to the blank line
    std::condition_variable wake_;
    std::vector<Submission> submissions_;
    std::vector<Fetch> fetches_;
    std::vector<std::function<void(const store::Store*)>> looks_;
    bool stopping_ = false;
    Health health_;

    std::atomic<std::uint64_t> backlog_bytes_{0};
    // of the log's thread
    store::WriteSet writes_;
    std::int64_t next_probe_ms_ = 0;
    store::Stamp marked_;
    bool growth_allowed_ = true;               // the disk has its reserve
    bool full_ = false;                        // a write has failed for want of space
    bool failed_ = false;
    std::thread thread_;
};

}  // namespace trunkline::broker
