#include "broker/admin/advice.h"

#include <algorithm>
#include <cstdio>

#include "broker/admin/process_stats.h"
#include "broker/core/governance.h"

namespace trunkline::admin {
namespace {

using Severity = Advice::Severity;

constexpr std::int64_t certificate_warning_s = 14 * 86'400;
constexpr std::uint64_t queued_many = 1'000'000;
constexpr double queued_long_s = 6 * 3'600;

std::string mebibytes(std::uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

Advice alarm_advice(const ApiContext& context, const std::string& name) {
    const Sources& sources = context.sources;
    const broker::Config& config = sources.broker.config();
    if (name == "disk") {
        const StoreNumbers store = sources.store ? sources.store() : StoreNumbers();
        char percent[16];
        std::snprintf(percent, sizeof percent, "%.1f", config.limits.disk_refuse_percent * 1.0);
        return {Severity::warning, name,
                "the disk of " + config.data_dir + " has " + mebibytes(store.disk_free) + " left",
                std::string("free some or grow it, before durable publishes are refused at ") + percent + " % or " +
                    mebibytes(config.limits.disk_refuse_bytes) +
                    "; trunkctl sessions ls --state offline shows queues that nobody fetches, sessions rm ends them"};
    }
    if (name == "memory") {
        return {Severity::warning, name, "memory is short: publishers are slowed down, then clients refused",
                "trunkctl clients ls: who has a large QUEUED reads too slowly, clients kick frees that; or give the "
                "process more memory (MemoryMax of the service, the container's limit)"};
    }
    if (name == "audit") {
        const std::string why = sources.audit ? sources.audit->numbers().alarm : "";
        return {Severity::critical, name,
                "the audit trail cannot be written" + (why.empty() ? "" : ": " + why) +
                    "; changes and regulated publishes are refused",
                "trunkctl audit status; free the disk or mend the trail as docs/audit.md says, then restart"};
    }
    return {Severity::warning, name, "the alarm " + name + " is on", "see the log"};
}

void advise_readiness(const ApiContext& context, std::vector<Advice>& list) {
    broker::Broker& broker = context.sources.broker;
    const bool draining = broker.draining().has_value();
    if (draining) {
        list.push_back({Severity::critical, "drain", "the broker is being drained: every client is refused",
                        "trunkctl drain --end when clients are to come back"});
    }
    const broker::Health health = broker.log().health();
    if (!health.accepting) {
        const bool space = health.why == broker::Refusal::no_space;
        list.push_back({Severity::critical, "log",
                        "durable messages are refused" + (health.detail.empty() ? "" : ": " + health.detail),
                        space ? "free disk space; it goes on by itself, without a restart"
                              : "look at the log and the disk; restart the broker once the disk is well"});
    }
    for (const std::string& reason : context.readiness.reasons(broker)) {
        if (reason.starts_with("the audit trail")) {
            list.push_back(alarm_advice(context, "audit"));
            continue;
        }
        if (reason == "being drained" || reason == health.detail || reason.starts_with("durable messages")) continue;
        list.push_back({Severity::critical, "ready", "clients are not served: " + reason,
                        reason == "starting" ? "wait: a large store takes its time to load"
                                             : "wait until it has stopped, or look at the log"});
    }
}

void advise_certificates(const ApiContext& context, std::vector<Advice>& list) {
    if (!context.sources.listeners) return;
    const std::int64_t now_s = wall_ms() / 1'000;
    for (const ListenerNumbers& listener : context.sources.listeners()) {
        if (listener.certificate_expires_s == 0) continue;
        const std::int64_t left_s = listener.certificate_expires_s - now_s;
        if (left_s > certificate_warning_s) continue;
        const bool over = left_s <= 0;
        list.push_back({over ? Severity::critical : Severity::warning, "certificate",
                        "the certificate of " + listener.url +
                            (over ? std::string(" has expired: TLS clients refuse to connect")
                                  : " expires in " + std::to_string(left_s / 86'400) + " days"),
                        "replace the files that tls.cert and tls.key name, then trunkctl config reload"});
    }
}

void advise_operation(const ApiContext& context, std::vector<Advice>& list) {
    const Sources& sources = context.sources;
    if (!context.readiness.last_reload_ok) {
        list.push_back({Severity::warning, "config", "the last reload of the configuration was not taken",
                        "trunkctl config check names every mistake; mend them, then trunkctl config reload"});
    }
    if (sources.broker.config().durability == broker::Durability::relaxed) {
        list.push_back({Severity::warning, "durability",
                        "durability is relaxed: acknowledged messages may be lost when power fails",
                        "set durability: strict and restart"});
    }
    const ProcessStats process = process_stats();
    if (process.max_descriptors > 0 && process.open_descriptors > process.max_descriptors / 10 * 9) {
        list.push_back({Severity::warning, "descriptors", "nine of ten file descriptors are in use",
                        "raise LimitNOFILE of the service; trunkctl clients ls shows who connects so often"});
    }
    if (!sources.commits) return;
    const CommitNumbers commits = sources.commits();
    const auto hours = static_cast<std::int64_t>(commits.queue_oldest_age_s) / 3'600;
    if (commits.queued_messages > queued_many || commits.queue_oldest_age_s > queued_long_s) {
        list.push_back({Severity::note, "queues",
                        std::to_string(commits.queued_messages) +
                            " messages wait for durable sessions, the oldest for " + std::to_string(hours) + " h",
                        "trunkctl sessions ls --state offline: get those consumers going, or sessions rm what is gone "
                        "for good"});
    }
}

void advise_governance(const ApiContext& context, std::vector<Advice>& list) {
    const auto counts = context.sources.broker.governance().counts();
    if (counts.quarantined_messages == 0) return;
    list.push_back({Severity::note, "quarantine",
                    std::to_string(counts.quarantined_messages) + " messages are in the quarantine",
                    "trunkctl quarantine ls says why and how to mend each; then quarantine replay or drop"});
}

}  // namespace

std::vector<Advice> advice(const ApiContext& context) {
    std::vector<Advice> list;
    advise_readiness(context, list);
    if (context.sources.alarms) {
        for (const Alarm& alarm : context.sources.alarms()) {
            const bool told = std::any_of(list.begin(), list.end(),
                                          [&](const Advice& one) { return one.name == alarm.name; });
            if (alarm.on && !told) list.push_back(alarm_advice(context, alarm.name));
        }
    }
    advise_certificates(context, list);
    advise_operation(context, list);
    advise_governance(context, list);
    std::stable_sort(list.begin(), list.end(),
                     [](const Advice& a, const Advice& b) { return a.severity < b.severity; });
    return list;
}

Json advice_json(const std::vector<Advice>& list) {
    Json json = Json::array();
    for (const Advice& one : list) {
        const char* severity = one.severity == Severity::critical  ? "critical"
                               : one.severity == Severity::warning ? "warning"
                                                                   : "note";
        json.push_back({{"severity", severity}, {"name", one.name}, {"what", one.what}, {"fix", one.fix}});
    }
    return json;
}

}  // namespace trunkline::admin
