#include "tests/sim/node.h"

#include <algorithm>

namespace trunkline::sim {

using broker::Applied;
using broker::State;

SimNode::SimNode(Random& random, const broker::StateLimits& limits, Broken broken, Post post)
    : random_(random), limits_(limits), broken_(broken), post_(std::move(post)),
      disk_(std::make_unique<store::MemoryStore>()) {
    copies_.push_back({0, {}});
}

void SimNode::start(std::int64_t time_ms, uns::RetainedTree& retained, broker::StateListener* listener) {
    if (!history_.empty() && random_.chance(follower_percent)) {
        disk_ = std::make_unique<store::MemoryStore>(replay(copies_[random_.below(copies_.size())], true));
    }
    state_ = std::make_unique<State>(limits_, retained, listener);
    if (const auto status = state_->load(*disk_); !status.ok()) throw Violation("load: " + status.detail);
    if (!history_.empty() && history_.back().hash_after && state_->state_hash() != history_.back().hash_after) {
        throw Violation("the state after a restart is not the one before");
    }
    auto ops = std::make_shared<store::OpBatch>();
    const std::uint64_t epoch = state_->stamp().epoch + 1;
    ops->add(store::RestartOp{epoch});
    batch_ = {{epoch, state_->stamp().position + 1, time_ms, true}, {Submission{0, 0, std::move(ops)}}};
    writes_.clear();
    if (state_->apply(batch_.info, batch_.submissions, writes_) != Applied::yes) throw Violation("restart not applied");
    write_batch();
    release_effects();
    while (!outgoing_.empty()) post_one();
}

void SimNode::crash() {
    ++crashes_;
    state_.reset();
    queue_.clear();
    fetches_.clear();
    outgoing_.clear();
    phase_ = Phase::none;
}

bool SimNode::step(std::int64_t time_ms) {
    if (!outgoing_.empty()) {
        post_one();
    } else if (phase_ == Phase::applied) {
        if (random_.chance(full_percent)) return refuse_batch(), true;
        write_batch();
        phase_ = Phase::written;
    } else if (phase_ == Phase::written) {
        phase_ = Phase::none;
        if (broken_ != Broken::ack_before_commit) release_effects();
    } else if (!queue_.empty() || state_->next_due_ms() <= time_ms) {
        begin_batch(time_ms);
    } else if (!fetches_.empty()) {
        serve_fetches();
    } else {
        return false;
    }
    return true;
}

void SimNode::begin_batch(std::int64_t time_ms) {
    serve_fetches();
    std::size_t most = random_.chance(50) ? queue_.size() : std::min<std::size_t>(queue_.size(), 1 + random_.below(4));
    const std::int64_t jitter = static_cast<std::int64_t>(random_.below(20));   // clocks step back, too
    batch_ = {{state_->stamp().epoch, state_->stamp().position + 1, time_ms - jitter, growth_allowed}, {}};
    for (; most > 0; --most) {
        batch_.submissions.push_back(std::move(queue_.front()));
        queue_.pop_front();
    }
    writes_.clear();
    if (state_->apply(batch_.info, batch_.submissions, writes_) != Applied::yes) throw Violation("batch not applied");
    phase_ = Phase::applied;
    if (broken_ == Broken::ack_before_commit) release_effects();
}

void SimNode::write_batch() {
    if (!disk_->write(writes_, true).ok()) throw Violation("write failed");
    history_.push_back(batch_);
    if (random_.chance(2) && copies_.size() < 5) copies_.push_back({history_.size(), disk_->snapshot()});
}

/// The disk was full and stayed so: the state goes back to what the disk has, and everyone is told.
void SimNode::refuse_batch() {
    phase_ = Phase::none;
    if (!state_->rollback().ok()) throw Violation("rollback failed");
    if (history_.back().hash_after && state_->state_hash() != history_.back().hash_after) {
        throw Violation("the state after a rollback is not the one before");
    }
    for (auto& [shard, one] : state_->release()) outgoing_.emplace_back(shard, std::move(one));
    for (const Submission& submission : batch_.submissions) {
        Effects effects;
        const std::string_view bytes = submission.ops->bytes();
        for (std::size_t at = 0; at < bytes.size(); at += store::peek_op(bytes.substr(at))->size) {
            effects.refused.push_back(
                {submission.token, static_cast<std::uint32_t>(at), broker::Refusal::no_space});
        }
        effects.committed_through = submission.token;
        outgoing_.emplace_back(submission.shard, std::move(effects));
    }
}

void SimNode::release_effects() {
    ShardEffects effects = state_->release();
    if (broken_ == Broken::nothing && random_.chance(5)) history_.back().hash_after = state_->state_hash();
    for (auto& [shard, one] : effects) {
        sabotage(broken_, one);
        outgoing_.emplace_back(shard, std::move(one));
    }
}

void SimNode::post_one() {
    auto [shard, effects] = std::move(outgoing_.front());
    outgoing_.pop_front();
    post_(shard, std::move(effects));
}

void SimNode::serve_fetches() {
    for (const Fetch& fetch : std::exchange(fetches_, {})) {
        Effects effects;
        const auto status = state_->fetch(fetch.session, fetch.owner, fetch.from_n, fetch.bytes,
                                          effects.fetches.emplace_back());
        if (!status.ok()) throw Violation("fetch: " + status.detail);
        post_(fetch.shard, std::move(effects));
    }
}

void SimNode::submit(std::uint32_t shard, std::shared_ptr<const store::OpBatch> batch, Token token) {
    if (on_submit) on_submit(*batch);
    Submission submission{shard, token, sabotage(broken_, std::move(batch))};
    if (broken_ == Broken::swap_submissions && !queue_.empty() && queue_.back().shard == shard) {
        std::swap(queue_.back().ops, submission.ops);
    }
    queue_.push_back(std::move(submission));
}

void SimNode::fetch(std::uint32_t shard, SessionId session, std::uint64_t owner, std::uint64_t from_n,
                    std::uint32_t bytes) {
    fetches_.push_back({shard, session, owner, from_n, bytes});
}

void SimNode::check_replays() {
    const std::uint64_t hash = state_->state_hash();
    history_.back().hash_after = hash;
    for (std::size_t i = 0; i < copies_.size(); ++i) (void)replay(copies_[i], i % 2 == 0);
}

/// A node that gets the log over a network that repeats and reorders; returns its disk.
store::MemoryStore::Tables SimNode::replay(const DiskCopy& from, bool disorder) {
    uns::RetainedTree retained;
    State state(limits_, retained, nullptr);
    store::MemoryStore disk(from.tables);
    if (const auto status = state.load(disk); !status.ok()) throw Violation("replay, load: " + status.detail);
    const auto deliver = [&](std::size_t index) {
        const LoggedBatch& batch = history_[index];
        store::WriteSet writes;
        const Applied applied = state.apply(batch.info, batch.submissions, writes);
        if (applied != Applied::yes) return applied;
        if (!disk.write(writes, true).ok()) throw Violation("replay, write");
        (void)state.release();
        if (batch.hash_after && state.state_hash() != batch.hash_after) {
            throw Violation("replay from batch " + std::to_string(from.batches) + ": another state after batch " +
                            std::to_string(index + 1));
        }
        return applied;
    };
    for (std::size_t next = from.batches; next < history_.size();) {
        std::size_t index = next;
        if (disorder && random_.chance(30)) {   // something other than the next one: must change nothing
            index = random_.below(history_.size());
            if (index == next) continue;
            if (deliver(index) == Applied::yes) throw Violation("a batch out of order was applied");
            continue;
        }
        if (deliver(index) != Applied::yes) throw Violation("the next batch was not applied");
        ++next;
    }
    if (history_.back().hash_after && state.state_hash() != history_.back().hash_after) {
        throw Violation("replay: another state at the end");
    }
    return disk.snapshot();
}

}  // namespace trunkline::sim
