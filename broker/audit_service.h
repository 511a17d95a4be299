// The audit trail in the broker: what shards, the log and administration tell goes through bounded queues to one
// thread, which owns the trail, makes it durable about ten times a second and signs it as configured.
#pragma once

#include <array>
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

#include "auth/audit/denial_sampler.h"
#include "auth/audit/log.h"
#include "auth/audit/store.h"
#include "broker/admin/audit_trail.h"
#include "broker/audit_witnesses.h"
#include "broker/core/audit_sink.h"
#include "persistence/record.h"

namespace trunkline::broker {

class AuditService final : public AuditSink, public admin::AuditTrail {
public:
    struct Options {
        std::string node = "trunkline";              ///< names a trail that is made
        std::string dir;                             ///< `trail/`, the key and what else belongs to it
        std::string key_file;                        ///< empty: `key` in `dir`
        auth::audit::CheckpointPolicy policy;
        auth::audit::SamplerPolicy sampler;
        bool refuse_unaudited = true;
        bool receipts = true;
        bool begin_anew = false;
        std::size_t records_max = 65'536;            ///< told and not yet in the trail; beyond it they are counted
        std::uint64_t leaves_max = 4'000'000;        ///< the same; beyond it regulated publishes are refused
        std::uint64_t pending_bytes_max = 64 << 20;  ///< in the trail and not yet on the disk
        std::uint64_t segment_bytes_max = 16 << 20;
        std::uint64_t clock_step_ns = 1'000'000'000; ///< UTC against the monotonic clock: more in one turn is a record
        std::uint64_t drops_every_ns = 60'000'000'000;
        std::function<auth::audit::Moment()> now;    ///< empty: the system's clocks
        auth::audit::AuditStore* store = nullptr;    ///< for tests; null: `trail/` in `dir`
    };

    explicit AuditService(Options options);
    ~AuditService() override;

    /// Adds who keeps checkpoints elsewhere. Before start().
    void add_witness(std::unique_ptr<auth::audit::Witness> witness) { witnesses_.add(std::move(witness)); }

    /// Opens the trail, or makes it with its key, and finds which of the leaves() so far it has already. `kept` is what
    /// the durable state knows of it. Returns "" or what is wrong and the mend. A damaged trail is no error here: the
    /// alarm is on, nothing is written, and what must be audited is refused.
    [[nodiscard]] std::string open(const store::LeavesKeptOp& kept);
    /// `kept` is called when leaves are on the trail's disk; it calls `done` when the durable state knows.
    using Kept = std::function<void(const store::LeavesKeptOp& kept, std::function<void(bool safe)> done)>;
    /// Sums of what limits have dropped since the start, by name.
    using Drops = std::function<std::vector<std::pair<std::string, std::uint64_t>>()>;
    void start(Kept kept, Drops drops);
    /// One turn of the thread; for tests, instead of start().
    void turn();
    /// Everything that was told is in the trail, under a last checkpoint, as far as the disk takes it. Shards and log
    /// have ended.
    void stop();

    // AuditSink
    void note(auth::audit::Record&& record) override;
    void note(const Denial& denial) override;
    [[nodiscard]] bool takes_regulated() const override { return takes_regulated_.load(std::memory_order_relaxed); }
    [[nodiscard]] bool gives_receipts() const override { return options_.receipts; }
    void leaves(std::uint64_t position, std::string_view leaves) override;

    // admin::AuditTrail
    [[nodiscard]] bool takes_changes() const override { return takes_changes_.load(std::memory_order_relaxed); }
    void record(auth::audit::Record record, std::function<void(bool safe)> done) override;
    [[nodiscard]] admin::AuditNumbers numbers() const override;
    [[nodiscard]] std::string folder() const override { return options_.dir + "/trail"; }
    void checkpoint(std::function<void(admin::AuditNumbers)> done) override;
    void rotate_key(std::string actor, std::string reason, std::function<void(std::string wrong)> done) override;

    [[nodiscard]] std::string public_key() const;
    /// The process before this one did not end by stop().
    [[nodiscard]] bool after_crash() const { return after_crash_; }

private:
    /// Where shards leave what they have to tell; several, so that they rarely meet.
    struct alignas(64) Stripe {
        std::mutex mutex;
        std::vector<auth::audit::Record> records;
        std::uint64_t lost = 0;
        std::unique_ptr<auth::audit::DenialSampler> sampler;
    };
    struct Batch {
        std::uint64_t position = 0;
        std::string leaves;
    };
    struct Job {
        auth::audit::Record record;                  ///< without an action: none
        std::function<void()> work;                  ///< on the thread, before the commit
        std::function<void(bool safe)> done;         ///< after it
        bool checkpoint = false;
    };
    static constexpr std::size_t stripe_count = 8;
    static constexpr std::uint64_t turn_ms = 100;

    [[nodiscard]] std::string load_key();
    [[nodiscard]] std::string open_log(std::uint64_t durable_at_least);
    [[nodiscard]] std::string reconcile(const store::LeavesKeptOp& kept);
    void run();
    void take_records(std::vector<auth::audit::Record>& records, bool all);
    void look_at_clocks(const auth::audit::Moment& now);
    void tell_drops(const auth::audit::Moment& now);
    bool append_leaves(const auth::audit::Moment& now);
    bool append_records();
    void commit(const auth::audit::Moment& now, bool checkpoint);
    void tell_kept();
    void set_failure(const std::string& what);
    void update_takes();
    void add_own(std::string_view action, std::string object, std::string reason, std::uint64_t count = 1);
    [[nodiscard]] Stripe& stripe();
    [[nodiscard]] auth::audit::Moment now() const;

    const Options options_;
    std::string key_file_;
    std::array<Stripe, stripe_count> stripes_;

    std::mutex mutex_;                               // guards what follows, up to the blank line
    std::condition_variable wake_;
    std::deque<Batch> batches_;
    std::vector<Job> jobs_;
    bool stopping_ = false;

    mutable std::mutex numbers_mutex_;               // of numbers_
    admin::AuditNumbers numbers_;

    std::atomic<bool> takes_regulated_{false}, takes_changes_{false};
    std::atomic<std::uint64_t> leaves_waiting_{0};
    std::atomic<bool> telling_kept_{false};          // `kept` has not answered yet
    std::atomic<std::uint64_t> records_{0};

    // of the thread
    std::unique_ptr<auth::audit::AuditStore> owned_store_;
    auth::audit::AuditStore* store_ = nullptr;
    std::unique_ptr<auth::audit::SigningKey> key_;
    std::unique_ptr<auth::audit::AuditLog> log_;
    AuditWitnesses witnesses_;
    Kept kept_;
    Drops drops_;
    std::deque<Batch> taken_;                        // not yet in the trail
    std::uint64_t skip_ = 0;                         // leaves at the front of taken_ that the trail has already
    std::deque<auth::audit::Record> waiting_;        // taken off the stripes, not yet in the trail
    std::vector<std::function<void(bool)>> dones_;   // of jobs whose records wait for the commit
    store::LeavesKeptOp appended_;                   // by the last batch in the trail
    bool kept_news_ = false;                         // appended_ is durable and `kept` does not know
    std::vector<std::pair<std::string, std::uint64_t>> told_drops_;
    std::uint64_t next_drops_ns_ = 0, next_summary_ns_ = 0, alarm_logged_ns_ = 0;
    auth::audit::Moment last_;
    std::string failure_;                            // why the trail takes nothing; empty: it does
    bool broken_ = false;                            // for good: damaged, or the disk failed
    bool after_crash_ = false;
    std::thread thread_;
};

}  // namespace trunkline::broker
