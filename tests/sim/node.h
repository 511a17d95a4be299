// One node of the simulation: a disk that survives crashes, and a log and state that don't. Time is the world's, chance
// the seed's. A batch passes through phases, and a crash may fall between any two of them: applied and not on disk,
// on disk and nobody knows, told to one shard and not to the other.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker/core/state.h"
#include "persistence/memory_store.h"
#include "tests/sim/breaks.h"
#include "tests/sim/random.h"
#include "tests/sim/story.h"

namespace trunkline::sim {

using broker::BatchInfo;
using broker::Effects;
using broker::ShardEffects;
using broker::Submission;
using broker::Token;
using store::SessionId;

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

    /// Loads from the disk, or now and then from that of a follower that got the log reordered and repeated, and begins
    /// a new epoch. `retained` and `listener` are the broker's, which this life of the node serves.
    void start(std::int64_t time_ms, uns::RetainedTree& retained, broker::StateListener* listener);
    void crash();
    [[nodiscard]] bool up() const { return state_ != nullptr; }
    /// The next phase of the batch under way, or a new batch. False when there was nothing to do.
    bool step(std::int64_t time_ms);
    [[nodiscard]] bool idle() const {
        return phase_ == Phase::none && queue_.empty() && fetches_.empty() && outgoing_.empty();
    }

    void submit(std::uint32_t shard, std::shared_ptr<const store::OpBatch> batch, Token token) override;
    void fetch(std::uint32_t shard, SessionId session, std::uint64_t owner, std::uint64_t from_n,
               std::uint32_t bytes) override;
    [[nodiscard]] broker::Health health() const override { return {}; }

    [[nodiscard]] const broker::State& state() const { return *state_; }

    /// What the disk has, in order.
    [[nodiscard]] const std::vector<LoggedBatch>& history() const { return history_; }
    [[nodiscard]] std::uint32_t crashes() const { return crashes_; }

    /// Applies the whole history to fresh nodes, reordered, repeated and mixed with batches of older epochs, and from
    /// copies of the disk taken on the way: every hash must be the same.
    void check_replays();

    /// Sees what a shard submits, as it submitted it.
    std::function<void(const store::OpBatch& ops)> on_submit;

    // Faults, as the world chooses.
    bool growth_allowed = true;        ///< false: what needs space is refused
    std::uint32_t full_percent = 0;    ///< of batches that find the disk full and are refused as a whole
    std::uint32_t follower_percent = 0;   ///< of starts from a follower's disk

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
    void refuse_batch();
    void release_effects();
    void post_one();
    void serve_fetches();
    store::MemoryStore::Tables replay(const DiskCopy& from, bool disorder);

    Random& random_;
    const broker::StateLimits limits_;
    const Broken broken_;
    const Post post_;
    std::unique_ptr<store::MemoryStore> disk_;   // survives
    std::vector<LoggedBatch> history_;     // what the disk has, in order; survives
    std::vector<DiskCopy> copies_;
    std::uint32_t crashes_ = 0;

    std::unique_ptr<broker::State> state_;
    std::deque<Submission> queue_;
    std::vector<Fetch> fetches_;
    std::deque<std::pair<std::uint32_t, Effects>> outgoing_;   // safe, not yet in the shards' mailboxes
    Phase phase_ = Phase::none;
    LoggedBatch batch_;
    store::WriteSet writes_;
};

}  // namespace trunkline::sim
