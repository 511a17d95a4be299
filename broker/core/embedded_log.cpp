#include "broker/core/embedded_log.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <limits>

namespace trunkline::broker {

using store::StoreError;
using store::StoreStatus;

namespace {

constexpr std::int64_t mark_when_idle_ms = 20;   // the recovery mark follows the last batch after this pause
constexpr std::int64_t retry_ms = 50;            // between attempts to write while the disk is full

std::int64_t steady_us() {
    using namespace std::chrono;
    return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

void bump(std::array<std::atomic<std::uint64_t>, CommitStats::buckets>& histogram, std::uint64_t value,
          std::uint64_t first) {
    const auto bucket = value <= first ? 0 : std::bit_width((value - 1) / first);
    histogram[std::min<std::size_t>(static_cast<std::size_t>(bucket), CommitStats::buckets - 1)].fetch_add(
        1, std::memory_order_relaxed);
}

}  // namespace

EmbeddedLog::EmbeddedLog(Options options, State& state, store::Store& store, EffectSink& sink)
    : options_(std::move(options)), state_(state), store_(store), sink_(sink) {}

EmbeddedLog::~EmbeddedLog() { stop(); }

std::int64_t EmbeddedLog::now_ms() const {
    if (options_.now_ms) return options_.now_ms();
    using namespace std::chrono;
    return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

StoreStatus EmbeddedLog::start() {
    probe(true);
    auto ops = std::make_shared<store::OpBatch>();
    ops->add(store::RestartOp{state_.stamp().epoch + 1});
    const Submission restart{0, 0, std::move(ops)};
    const BatchInfo batch{state_.stamp().epoch + 1, state_.stamp().position + 1, now_ms(), true};
    writes_.clear();
    state_.apply(batch, {&restart, 1}, writes_);
    if (!state_.failure().ok()) return state_.failure();
    if (StoreStatus status = store_.write(writes_, true); !status.ok()) return status;
    store_.mark(state_.stamp(), true);
    marked_ = state_.stamp();
    post(state_.release());
    thread_ = std::thread([this] { run(); });
    return {};
}

void EmbeddedLog::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    if (!thread_.joinable()) return;
    thread_.join();
    if (!failed_) store_.mark(state_.stamp(), true);
}

void EmbeddedLog::submit(std::uint32_t shard, std::shared_ptr<const store::OpBatch> batch, Token token) {
    backlog_bytes_.fetch_add(batch->bytes().size(), std::memory_order_relaxed);
    bool first = false;
    {
        const std::lock_guard lock(mutex_);
        first = submissions_.empty() && fetches_.empty() && looks_.empty();
        submissions_.push_back({shard, token, std::move(batch)});
    }
    if (first) wake_.notify_one();
}

void EmbeddedLog::fetch(std::uint32_t shard, SessionId session, std::uint64_t owner, std::uint64_t from_n,
                        std::uint32_t bytes) {
    bool first = false;
    {
        const std::lock_guard lock(mutex_);
        first = submissions_.empty() && fetches_.empty() && looks_.empty();
        fetches_.push_back({shard, session, owner, from_n, bytes});
    }
    if (first) wake_.notify_one();
}

void EmbeddedLog::inspect(std::function<void(const store::Store* store)> look) {
    {
        const std::lock_guard lock(mutex_);
        looks_.push_back(std::move(look));
    }
    wake_.notify_one();
}

Health EmbeddedLog::health() const {
    const std::lock_guard lock(mutex_);
    Health health = health_;
    health.backlog_bytes = backlog_bytes_.load(std::memory_order_relaxed);
    return health;
}

void EmbeddedLog::set_health(bool accepting, Refusal why, std::string detail) {
    const std::lock_guard lock(mutex_);
    health_.accepting = accepting;
    health_.why = why;
    health_.detail = std::move(detail);
}

void EmbeddedLog::run() {
    std::vector<Submission> submissions;
    std::vector<Fetch> fetches;
    while (wait_for_work(submissions, fetches)) {
        probe(false);
        if (!submissions.empty()) {
            commit_all(submissions);
        } else if (fetches.empty() || state_.next_due_ms() <= now_ms()) {
            commit_due();
        }
        serve(fetches);
        show();
        submissions.clear();
        fetches.clear();
    }
}

/// Sleeps until there is something to do; false when stopped and everything is done.
bool EmbeddedLog::wait_for_work(std::vector<Submission>& submissions, std::vector<Fetch>& fetches) {
    const std::int64_t now = now_ms();
    std::int64_t wait = std::clamp<std::int64_t>(std::max(state_.next_due_ms(), now) - now, 1, options_.probe_ms);
    if (state_.next_due_ms() <= now && !failed_ && !full_) wait = 0;
    const bool marks = options_.sync && !failed_ && !(marked_ == state_.stamp());
    if (marks) wait = std::min(wait, mark_when_idle_ms);
    std::unique_lock lock(mutex_);
    const auto ready = [this] {
        return stopping_ || !submissions_.empty() || !fetches_.empty() || !looks_.empty();
    };
    if (!wake_.wait_for(lock, std::chrono::milliseconds(wait), ready) && marks) {
        lock.unlock();
        store_.mark(state_.stamp(), false);
        marked_ = state_.stamp();
        lock.lock();
    }
    submissions.swap(submissions_);
    fetches.swap(fetches_);
    return !stopping_ || !submissions.empty() || !fetches.empty() || !looks_.empty();
}

/// In batches that are bounded, so that nobody waits for more than one of them.
void EmbeddedLog::commit_all(std::vector<Submission>& submissions) {
    for (std::size_t from = 0; from < submissions.size();) {
        std::size_t to = from, bytes = 0, operations = 0;
        do {
            bytes += submissions[to].ops->bytes().size();
            operations += submissions[to].ops->count();
            ++to;
        } while (to < submissions.size() && bytes + submissions[to].ops->bytes().size() <= options_.batch_bytes &&
                 operations + submissions[to].ops->count() <= options_.batch_operations);
        commit(std::span(submissions).subspan(from, to - from));
        backlog_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
        // on a slow disk the batches behind it wait for long: what is answered must not wait with them in memory
        for (; from < to; ++from) submissions[from].ops.reset();
    }
}

void EmbeddedLog::commit(std::span<const Submission> submissions) {
    if (failed_) return;  // what is submitted now is never answered: the process is about to end
    if (full_) return refuse_all(submissions, Refusal::no_space);
    writes_.clear();
    const BatchInfo batch{state_.stamp().epoch, state_.stamp().position + 1, now_ms(), growth_allowed_};
    if (state_.apply(batch, submissions, writes_) != Applied::yes) return fail(state_.failure());
    if (write(submissions)) post(state_.release());
}

void EmbeddedLog::commit_due() {
    if (failed_ || full_ || state_.next_due_ms() > now_ms()) return;
    commit({});
}

/// False when the batch was refused or the log has failed.
bool EmbeddedLog::write(std::span<const Submission> submissions) {
    const std::int64_t begin = steady_us();
    StoreStatus status = store_.write(writes_, options_.sync);
    if (status.error == StoreError::no_space && wait_for_space(status)) status = {};
    if (status.ok()) {
        count(submissions, steady_us() - begin);
        return true;
    }
    if (status.error != StoreError::no_space) return fail(status), false;
    full_ = true;
    growth_allowed_ = false;
    set_health(false, Refusal::no_space, status.detail);
    if (StoreStatus back = state_.rollback(); !back.ok()) return fail(back), false;
    post(state_.release());
    refuse_all(submissions, Refusal::no_space);
    return false;
}

/// Tries the same batch again until there is room or the wait is over.
bool EmbeddedLog::wait_for_space(StoreStatus& status) {
    const std::int64_t until = steady_us() + 1000 * options_.no_space_wait_ms;
    while (steady_us() < until) {
        std::this_thread::sleep_for(std::chrono::milliseconds(retry_ms));
        if (!store_.resume().ok()) continue;
        StoreStatus again = store_.write(writes_, options_.sync);
        if (again.ok()) return true;
        status = std::move(again);
        if (status.error != StoreError::no_space) return false;
    }
    return false;
}

void EmbeddedLog::refuse_all(std::span<const Submission> submissions, Refusal why) {
    ShardEffects effects;
    for (const Submission& submission : submissions) {
        Effects& to = effects[submission.shard];
        const std::string_view bytes = submission.ops->bytes();
        for (std::size_t at = 0; at < bytes.size();) {
            const auto header = store::peek_op(bytes.substr(at));
            to.refused.push_back({submission.token, static_cast<std::uint32_t>(at), why});
            at += header->size;
        }
        to.committed_through = std::max(to.committed_through, submission.token);
    }
    post(std::move(effects));
}

void EmbeddedLog::serve(const std::vector<Fetch>& fetches) {
    for (const Fetch& fetch : fetches) {
        if (failed_) return;
        Effects effects;
        StoreStatus status = state_.fetch(fetch.session, fetch.owner, fetch.from_n, fetch.bytes,
                                          effects.fetches.emplace_back());
        if (!status.ok()) return fail(status);
        sink_.post(fetch.shard, std::move(effects));
    }
}

void EmbeddedLog::show() {
    std::vector<std::function<void(const store::Store*)>> looks;
    {
        const std::lock_guard lock(mutex_);
        looks.swap(looks_);
    }
    for (const auto& look : looks) look(failed_ ? nullptr : &store_);
}

void EmbeddedLog::post(ShardEffects&& effects) {
    for (auto& [shard, one] : effects) {
        stats_.refused.fetch_add(one.refused.size(), std::memory_order_relaxed);
        sink_.post(options_.shards ? shard % options_.shards : shard, std::move(one));
    }
}

/// Looks at the free space now and then, and gets a full store going again.
void EmbeddedLog::probe(bool now) {
    const std::int64_t time = steady_us() / 1000;
    if (!now && time < next_probe_ms_) return;
    next_probe_ms_ = time + options_.probe_ms;
    if (failed_) return;
    if (options_.sync && !(marked_ == state_.stamp())) {
        store_.mark(state_.stamp(), false);
        marked_ = state_.stamp();
    }
    const store::StoreStats disk = store_.stats();
    stats_.store_bytes.store(disk.bytes_on_disk, std::memory_order_relaxed);
    stats_.disk_free.store(disk.disk_free, std::memory_order_relaxed);
    stats_.disk_size.store(disk.disk_size, std::memory_order_relaxed);
    stats_.sessions.store(state_.session_count(), std::memory_order_relaxed);
    stats_.sessions_offline.store(state_.session_count() - state_.connected_count(), std::memory_order_relaxed);
    stats_.queued_messages.store(state_.queued_messages(), std::memory_order_relaxed);
    stats_.sessions_expired.store(state_.expired_count(), std::memory_order_relaxed);
    stats_.oldest_queued_ms.store(state_.oldest_queued_ms(), std::memory_order_relaxed);
    const auto share = static_cast<std::uint64_t>(static_cast<double>(disk.disk_size) * options_.disk_reserve_share);
    const bool reserve = disk.disk_free >= options_.disk_reserve_bytes && disk.disk_free >= share;
    if (full_ && store_.resume().ok()) {
        full_ = false;
        if (StoreStatus back = state_.rollback(); !back.ok()) return fail(back);   // to what the store holds now
        post(state_.release());
    }
    if (!now && growth_allowed_ == (reserve && !full_)) return;
    growth_allowed_ = reserve && !full_;
    if (growth_allowed_) return set_health(true, Refusal::none, {});
    set_health(false, Refusal::no_space, "the data directory's disk has " + std::to_string(disk.disk_free >> 20) +
                                             " MiB left: durable messages are refused until there is more than " +
                                             std::to_string(std::max(options_.disk_reserve_bytes, share) >> 20) +
                                             " MiB");
}

void EmbeddedLog::fail(const StoreStatus& status) {
    failed_ = true;
    const std::string what = "the store failed, nothing is acknowledged any more: " + status.detail;
    set_health(false, Refusal::store_failed, what);
    if (options_.on_fatal) options_.on_fatal(what);
}

void EmbeddedLog::count(std::span<const Submission> submissions, std::int64_t us) {
    std::uint64_t operations = 0, bytes = 0;
    for (const Submission& submission : submissions) {
        operations += submission.ops->count();
        bytes += submission.ops->bytes().size();
    }
    stats_.commits.fetch_add(1, std::memory_order_relaxed);
    stats_.operations.fetch_add(operations, std::memory_order_relaxed);
    stats_.operation_bytes.fetch_add(bytes, std::memory_order_relaxed);
    stats_.commit_us.fetch_add(static_cast<std::uint64_t>(us), std::memory_order_relaxed);
    bump(stats_.duration, static_cast<std::uint64_t>(us), CommitStats::first_duration_us);
    bump(stats_.batch, operations, CommitStats::first_batch);
}

}  // namespace trunkline::broker
