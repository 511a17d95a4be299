#include "broker/audit_service.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <span>

#include "broker/core/log.h"

namespace trunkline::broker {

namespace audit = auth::audit;
using audit::Moment;
using audit::Outcome;
using audit::Record;

namespace {

constexpr std::size_t leaf_bytes = store::RegulatedOp::leaf_bytes;
constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr std::uint64_t alarm_again_ns = 600 * second_ns;

Moment system_now() {
    using namespace std::chrono;
    return {duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count(),
            static_cast<std::uint64_t>(duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count())};
}

}  // namespace

AuditService::AuditService(Options options)
    : options_(std::move(options)), key_file_(options_.key_file.empty() ? options_.dir + "/key" : options_.key_file) {
    for (Stripe& stripe : stripes_) stripe.sampler = std::make_unique<audit::DenialSampler>(options_.sampler);
    last_ = now();
    next_drops_ns_ = last_.monotonic_ns + options_.drops_every_ns;
}

AuditService::~AuditService() { stop(); }

Moment AuditService::now() const { return options_.now ? options_.now() : system_now(); }

AuditService::Stripe& AuditService::stripe() {
    static std::atomic<std::size_t> next{0};
    thread_local const std::size_t mine = next.fetch_add(1, std::memory_order_relaxed);
    return stripes_[mine % stripe_count];
}

void AuditService::note(Record&& record) {
    record.at = now();
    Stripe& to = stripe();
    const std::lock_guard lock(to.mutex);
    if (to.records.size() >= options_.records_max / stripe_count) {
        to.lost += record.count;
        return;
    }
    to.records.push_back(std::move(record));
}

void AuditService::note(const Denial& denial) {
    const Moment at = now();
    Stripe& to = stripe();
    const std::lock_guard lock(to.mutex);
    const bool full = to.records.size() >= options_.records_max / stripe_count;
    // A sample that finds no room is lost; what is only counted never is.
    if (!to.sampler->should_record(denial.actor, denial.source, denial.action, denial.reason, at)) return;
    if (full) {
        ++to.lost;
        return;
    }
    Record record;
    record.at = at;
    record.actor = denial.actor;
    record.method = denial.method;
    record.source = denial.source;
    record.action = audit::action::denial;
    record.object = std::string(denial.action).append(" ").append(denial.object);
    record.reason = denial.reason;
    if (!denial.client_id.empty()) record.new_value = audit::Value::of("client " + std::string(denial.client_id));
    record.outcome = Outcome::denied;
    to.records.push_back(std::move(record));
}

void AuditService::leaves(std::uint64_t position, std::string_view leaves) {
    const std::uint64_t waiting =
        leaves_waiting_.fetch_add(leaves.size() / leaf_bytes, std::memory_order_relaxed) + leaves.size() / leaf_bytes;
    {
        const std::lock_guard lock(mutex_);
        batches_.push_back({position, std::string(leaves)});
    }
    if (waiting >= options_.leaves_max) update_takes();
}

void AuditService::record(Record record, std::function<void(bool safe)> done) {
    record.at = now();
    {
        const std::lock_guard lock(mutex_);
        jobs_.push_back({std::move(record), {}, std::move(done), false});
    }
    wake_.notify_one();
}

void AuditService::checkpoint(std::function<void(admin::AuditNumbers)> done) {
    {
        const std::lock_guard lock(mutex_);
        jobs_.push_back({{}, {}, [this, done = std::move(done)](bool) { done(numbers()); }, true});
    }
    wake_.notify_one();
}

admin::AuditNumbers AuditService::numbers() const {
    admin::AuditNumbers numbers;
    {
        const std::lock_guard lock(numbers_mutex_);
        numbers = numbers_;
    }
    numbers.records = records_.load(std::memory_order_relaxed);
    numbers.waiting = leaves_waiting_.load(std::memory_order_relaxed);
    numbers.witnesses = witnesses_.numbers();
    return numbers;
}

std::string AuditService::public_key() const { return numbers().key; }

// ---- the thread

void AuditService::start(Kept kept, Drops drops) {
    kept_ = std::move(kept);
    drops_ = std::move(drops);
    witnesses_.start();
    if (log_ && !log_->last_note().empty()) {
        witnesses_.tell(audit::witness_line(*log_->last_checkpoint(), log_->last_note()));
    }
    thread_ = std::thread([this] { run(); });
}

void AuditService::run() {
    for (bool last = false; !last;) {
        {
            std::unique_lock lock(mutex_);
            wake_.wait_for(lock, std::chrono::milliseconds(turn_ms), [this] { return stopping_ || !jobs_.empty(); });
            last = stopping_;
        }
        if (!last) turn();
    }
}

void AuditService::stop() {
    {
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
        stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
    if (log_) {
        const Moment at = now();
        tell_drops(at);
        std::vector<Record> records;
        take_records(records, true);
        for (Record& record : records) waiting_.push_back(std::move(record));
        add_own(audit::action::stop, options_.node, "");
        {
            const std::lock_guard lock(mutex_);
            for (Batch& batch : batches_) taken_.push_back(std::move(batch));
            batches_.clear();
        }
        if (append_leaves(at)) (void)append_records();
        commit(at, true);
        if (failure_.empty()) ::unlink((options_.dir + "/running").c_str());
    }
    witnesses_.stop();
    std::vector<Job> jobs;
    {
        const std::lock_guard lock(mutex_);
        jobs.swap(jobs_);
    }
    for (const Job& job : jobs) {
        if (job.done) job.done(false);
    }
}

void AuditService::turn() {
    const Moment at = now();
    std::vector<Job> jobs;
    {
        const std::lock_guard lock(mutex_);
        jobs.swap(jobs_);
        for (Batch& batch : batches_) taken_.push_back(std::move(batch));
        batches_.clear();
    }
    look_at_clocks(at);
    if (drops_ && at.monotonic_ns >= next_drops_ns_) tell_drops(at);
    if (waiting_.size() < options_.records_max) {
        std::vector<Record> records;
        take_records(records, false);
        for (Record& record : records) waiting_.push_back(std::move(record));
    }
    bool checkpoint = false, urgent = false;
    for (Job& job : jobs) {
        if (!log_ || broken_) {
            if (job.done) job.done(false);
            continue;
        }
        if (job.work) job.work();
        checkpoint = checkpoint || job.checkpoint;
        urgent = true;
        if (!job.record.action.empty()) waiting_.push_back(std::move(job.record));
        if (job.done) dones_.push_back(std::move(job.done));
    }
    if (log_ && !broken_) {
        if (append_leaves(at)) (void)append_records();
        commit(at, checkpoint);
        tell_kept();
    }
    if (urgent || broken_) {
        std::vector<std::function<void(bool)>> dones;
        dones.swap(dones_);
        for (const auto& done : dones) done(failure_.empty() && waiting_.empty());
    }
    update_takes();
}

/// `all`: with what is counted and not yet told.
void AuditService::take_records(std::vector<Record>& records, bool all) {
    const Moment at = now();
    const bool summaries = all || at.monotonic_ns >= next_summary_ns_;
    if (summaries) next_summary_ns_ = at.monotonic_ns + second_ns;
    std::uint64_t lost = 0;
    for (Stripe& from : stripes_) {
        const std::lock_guard lock(from.mutex);
        std::move(from.records.begin(), from.records.end(), std::back_inserter(records));
        from.records.clear();
        lost += std::exchange(from.lost, 0);
        if (!summaries) continue;
        for (Record& summary : all ? from.sampler->drain(at) : from.sampler->summaries(at)) {
            records.push_back(std::move(summary));
        }
    }
    std::stable_sort(records.begin(), records.end(), [](const Record& a, const Record& b) {
        return a.at.monotonic_ns < b.at.monotonic_ns;
    });
    if (lost == 0) return;
    add_own("audit.lost", "records", "more events at once than the queue of the audit trail holds", lost);
    const std::lock_guard lock(numbers_mutex_);
    numbers_.lost += lost;
}

void AuditService::add_own(std::string_view action, std::string object, std::string reason, std::uint64_t count) {
    Record record;
    record.at = now();
    record.actor = "trunkline";
    record.method = "broker";
    record.source = "broker";
    record.action = action;
    record.object = std::move(object);
    record.reason = std::move(reason);
    record.count = count;
    waiting_.push_back(std::move(record));
}

/// UTC that moves otherwise than the monotonic clock was set, by a person or a time server.
void AuditService::look_at_clocks(const Moment& at) {
    const std::int64_t elapsed = static_cast<std::int64_t>(at.monotonic_ns - last_.monotonic_ns);
    const std::int64_t step = at.utc_ns - last_.utc_ns - elapsed;
    if (static_cast<std::uint64_t>(std::abs(step)) >= options_.clock_step_ns) {
        add_own(audit::action::clock_step, "UTC", "the clock was set by " + std::to_string(step / 1'000'000) + " ms");
        waiting_.back().old_value = audit::Value::of(audit::utc_text(last_.utc_ns + elapsed));
        waiting_.back().new_value = audit::Value::of(audit::utc_text(at.utc_ns));
        log(Level::warn, "clock_step", {{"ms", std::to_string(step / 1'000'000)}});
    }
    last_ = at;
}

void AuditService::tell_drops(const Moment& at) {
    next_drops_ns_ = at.monotonic_ns + options_.drops_every_ns;
    if (!drops_) return;
    auto sums = drops_();
    for (const auto& [name, sum] : sums) {
        const auto before = std::find_if(told_drops_.begin(), told_drops_.end(),
                                         [&name = name](const auto& told) { return told.first == name; });
        const std::uint64_t more = sum - (before == told_drops_.end() ? 0 : before->second);
        if (more == 0) continue;
        add_own(audit::action::limit, name, "messages or requests that a limit has dropped or refused", more);
        waiting_.back().outcome = Outcome::denied;
    }
    told_drops_ = std::move(sums);
}

/// False: the trail takes nothing now.
bool AuditService::append_leaves(const Moment& at) {
    while (!taken_.empty()) {
        const Batch& batch = taken_.front();
        const std::uint64_t count = batch.leaves.size() / leaf_bytes;
        const std::uint64_t skip = std::min(skip_, count);
        static_assert(sizeof(audit::Digest) == leaf_bytes && alignof(audit::Digest) == 1);
        const std::span leaves(reinterpret_cast<const audit::Digest*>(batch.leaves.data()) + skip, count - skip);
        if (auto done = log_->append_leaves(leaves, at); !done) {
            set_failure(done.error().message);
            if (done.error().kind != audit::Failure::no_space) broken_ = true;
            return false;
        }
        skip_ -= skip;
        appended_.through = batch.position;
        kept_news_ = true;
        leaves_waiting_.fetch_sub(count, std::memory_order_relaxed);
        {
            const std::lock_guard lock(numbers_mutex_);
            numbers_.leaves += leaves.size();
        }
        taken_.pop_front();
    }
    return true;
}

bool AuditService::append_records() {
    while (!waiting_.empty()) {
        if (auto done = log_->append(waiting_.front()); !done) {
            set_failure(done.error().message);
            if (done.error().kind != audit::Failure::no_space) broken_ = true;
            return false;
        }
        records_.fetch_add(1, std::memory_order_relaxed);
        waiting_.pop_front();
    }
    return true;
}

void AuditService::commit(const Moment& at, bool checkpoint) {
    const auto done = log_->commit(at, checkpoint);
    if (!done) {
        broken_ = broken_ || done.error().kind != audit::Failure::no_space;
        return set_failure(done.error().message);
    }
    appended_.trail_size = done->size;
    if (!broken_) set_failure("");
    if (done->checkpoint) witnesses_.tell(audit::witness_line(*done->checkpoint, done->note));
    const std::lock_guard lock(numbers_mutex_);
    numbers_.size = done->size;
    if (const auto& newest = log_->last_checkpoint()) {
        numbers_.checkpoint_size = newest->size;
        numbers_.checkpoint_utc_ns = newest->at.utc_ns;
        numbers_.checkpoint_root = audit::to_base64(audit::view(newest->root));
    }
    numbers_.key = log_->key().to_text();
}

/// What the commit before has made durable may go from beside the messages. One at a time: a slow log is not hurried.
void AuditService::tell_kept() {
    if (!kept_news_ || !kept_ || !failure_.empty() || telling_kept_.exchange(true)) return;
    kept_news_ = false;
    kept_(appended_, [this](bool) { telling_kept_.store(false); });
}

void AuditService::set_failure(const std::string& what) {
    const std::uint64_t at = now().monotonic_ns;
    const bool was = !failure_.empty();
    if (!what.empty() && (!was || at - alarm_logged_ns_ >= alarm_again_ns)) {
        alarm_logged_ns_ = at;
        log(Level::error, "audit_cannot_be_written",
            {{"what", what},
             {"consequence", options_.refuse_unaudited ? "regulated publishes and changes by administration are refused"
                                                       : "what happens is not audited"}});
    }
    if (what.empty() && was) log(Level::info, "audit_written_again");
    failure_ = what;
    {
        const std::lock_guard lock(numbers_mutex_);
        numbers_.alarm = what;
        numbers_.open = what.empty();
    }
    update_takes();
}

void AuditService::update_takes() {
    bool open = false;
    {
        const std::lock_guard lock(numbers_mutex_);
        open = numbers_.open;
    }
    takes_changes_ = open || !options_.refuse_unaudited;
    // Without the trail leaves stay beside their messages: as many as memory holds.
    takes_regulated_ = takes_changes_ && leaves_waiting_.load(std::memory_order_relaxed) < options_.leaves_max;
}

}  // namespace trunkline::broker
