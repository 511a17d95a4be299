// What is read from the running broker for metrics, status and $SYS.
#include "broker/admin/governance_api.h"
#include "broker/admin/metrics.h"

namespace trunkline::admin {

Totals sum_counters(const broker::Broker& broker) {
    Totals totals;
    for (std::uint32_t shard = 0; shard < broker.shard_count(); ++shard) add_counters(totals, broker.counters(shard));
    totals.violations = violation_count(broker.governance().counts());
    return totals;
}

Snapshot take_snapshot(const Sources& sources, const Readiness& readiness) {
    broker::Broker& broker = sources.broker;
    Snapshot now;
    now.version = sources.version;
    now.ready = readiness.reasons(broker).empty();
    now.last_reload_ok = readiness.last_reload_ok;
    now.relaxed = broker.config().durability == broker::Durability::relaxed;
    if (sources.audit) now.audit = sources.audit->numbers();
    now.totals = sum_counters(broker);
    if (sources.listeners) now.listeners = sources.listeners();
    now.durable_sessions = broker.durable_session_count();
    now.subscriptions = broker.subscription_count();
    now.retained_messages = broker.retained().count();
    now.retained_bytes = broker.retained().bytes();
    now.health = broker.log().health();
    if (sources.alarms) now.alarms = sources.alarms();
    now.draining = broker.draining().has_value();
    if (sources.commits) now.commits = sources.commits();
    if (sources.store) now.store = sources.store();
    if (const broker::Browse* browse = sources.browse) {
        now.live = Snapshot::Live{browse->tree().numbers(), browse->samples().numbers(),
                                  broker.left_out_of_browsing(), browse->dropped()};
    }
    const broker::Governance& governance = broker.governance();
    now.verdicts = governance.counts();
    if (const auto current = governance.current()) {
        now.model_name = current->name;
        now.model_version = current->version;
    }
    now.process = process_stats();
    now.started_wall_ms = sources.started_wall_ms;
    return now;
}

}  // namespace trunkline::admin
