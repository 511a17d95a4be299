// Everything Prometheus scrapes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/admin/process_stats.h"
#include "broker/admin/sources.h"
#include "broker/admin/totals.h"
#include "broker/core/governance.h"

namespace trunkline::admin {

/// All figures of one moment.
struct Snapshot {
    std::string version;
    bool ready = false, last_reload_ok = true, relaxed = false;
    Totals totals;
    std::vector<ListenerNumbers> listeners;
    std::uint64_t durable_sessions = 0, subscriptions = 0, retained_messages = 0, retained_bytes = 0;
    broker::Health health;
    std::vector<Alarm> alarms;
    bool draining = false;
    std::optional<CommitNumbers> commits;
    std::optional<StoreNumbers> store;
    struct Live {
        uns::LiveTree::Numbers tree;
        uns::SampleStore::Numbers samples;
        std::uint64_t left_out = 0, events_dropped = 0;
    };
    std::optional<Live> live;
    broker::VerdictCounts verdicts;
    std::string model_name, model_version;        ///< of the model in force; empty: none was applied
    std::optional<AuditNumbers> audit;            ///< absent: nothing is audited
    ProcessStats process;
    std::int64_t started_wall_ms = 0;
};
[[nodiscard]] Snapshot take_snapshot(const Sources& sources, const Readiness& readiness);

/// The Prometheus text format 0.0.4, or OpenMetrics 1.0 when `open_metrics`.
[[nodiscard]] std::string metrics_text(const Snapshot& snapshot, bool open_metrics);

}  // namespace trunkline::admin
