// One node of the simulation: a disk that survives crashes, and a log and state that don't. Time is the world's, chance
// the seed's. A batch passes through phases, and a crash may fall between any two of them.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "broker/core/state.h"
#include "persistence/memory_store.h"
#include "tests/sim/random.h"

namespace trunkline::sim {

using broker::BatchInfo;
using broker::Effects;
using broker::ShardEffects;
using broker::Submission;
using broker::Token;
using store::SessionId;

/// A broken invariant; main() prints it with its seed.
struct Violation : std::runtime_error {
    using std::runtime_error::runtime_error;
};

enum class Broken { nothing, ack_before_commit };

/// A batch as it was ordered, with the hash of the state after it.
struct LoggedBatch {
    BatchInfo info;
    std::vector<Submission> submissions;
    std::uint64_t hash_after = 0;      // 0: not taken
};

class SimNode final : public broker::CommitLog {
public:
    using Post = std::function<void(std::uint32_t shard, Effects&& effects)>;
    SimNode(Random& random, const broker::StateLimits& limits, Broken broken, Post post);

    /// Loads from the disk and begins a new epoch.
    void start(std::int64_t time_ms);
    void crash();
    [[nodiscard]] bool up() const { return state_ != nullptr; }
    /// The next phase of the batch under way, or a new batch. False when there was nothing to do.
    bool step(std::int64_t time_ms);
    [[nodiscard]] bool idle() const { return phase_ == Phase::none && queue_.empty() && fetches_.empty(); }

    void submit(std::uint32_t shard, std::shared_ptr<const store::OpBatch> batch, Token token) override;
    void fetch(std::uint32_t shard, SessionId session, std::uint64_t owner, std::uint64_t from_n,
               std::uint32_t bytes) override;
    [[nodiscard]] broker::Health health() const override { return {}; }

    [[nodiscard]] const broker::State& state() const { return *state_; }
    [[nodiscard]] const uns::RetainedTree& retained() const { return *retained_; }

    /// What the disk has, in order.
    [[nodiscard]] const std::vector<LoggedBatch>& history() const { return history_; }

    /// Applies the whole history to fresh nodes, reordered, repeated and mixed with batches of older epochs, and from
    /// copies of the disk taken on the way: every hash must be the same.
    void check_replays();

private:
    enum class Phase { none, applied, written };
    struct Fetch {
        std::uint32_t shard;
        SessionId session;
        std::uint64_t owner, from_n;
        std::uint32_t bytes;
    };
    struct DiskCopy {
        std::size_t batches;               // of the history that are in it
        store::MemoryStore::Tables tables;
    };
    void begin_batch(std::int64_t time_ms);
    void write_batch();
    void post_effects();
    void serve_fetches();
    void replay(const DiskCopy& from, bool disorder);

    Random& random_;
    const broker::StateLimits limits_;
    const Broken broken_;
    const Post post_;
    store::MemoryStore disk_;              // survives
    std::vector<LoggedBatch> history_;     // what the disk has, in order; survives
    std::vector<DiskCopy> copies_;

    std::unique_ptr<uns::RetainedTree> retained_;
    std::unique_ptr<broker::State> state_;
    std::deque<Submission> queue_;
    std::vector<Fetch> fetches_;
    Phase phase_ = Phase::none;
    LoggedBatch batch_;
    store::WriteSet writes_;
    bool posted_early_ = false;
};

}  // namespace trunkline::sim
