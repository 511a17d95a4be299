#include "broker/admin/metrics.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <string_view>
#include <utility>
#include <vector>

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "broker/mqtt/types.h"

namespace trunkline::admin {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<std::pair<std::string, std::string>>;

ClientMetric labelled(const Labels& labels) {
    ClientMetric metric;
    for (const auto& [name, value] : labels) metric.label.push_back({name, value});
    return metric;
}

/// Builds families; names get the prefix.
class Families {
public:
    Families& counter(std::string name, std::string help) { return family(std::move(name), std::move(help), true); }
    Families& gauge(std::string name, std::string help) { return family(std::move(name), std::move(help), false); }
    Families& value(double number, const Labels& labels = {}) {
        ClientMetric metric = labelled(labels);
        (families_.back().type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = number;
        families_.back().metric.push_back(std::move(metric));
        return *this;
    }
    template <class Number>
    Families& value(Number number, const Labels& labels = {}) {
        return value(static_cast<double>(number), labels);
    }
    /// `buckets` has one more entry than `bounds` and is not cumulative.
    template <class Bounds, class Buckets>
    void histogram(std::string name, std::string help, const Bounds& bounds, double scale, const Buckets& buckets,
                   double sum) {
        family(std::move(name), std::move(help), false);
        families_.back().type = MetricType::Histogram;
        ClientMetric metric;
        std::uint64_t below = 0;
        std::size_t i = 0;
        for (const auto bound : bounds) {
            below += buckets[i++];
            metric.histogram.bucket.push_back({below, static_cast<double>(bound) * scale});
        }
        below += buckets[i];
        metric.histogram.bucket.push_back({below, INFINITY});
        metric.histogram.sample_count = below;
        metric.histogram.sample_sum = sum;
        families_.back().metric.push_back(std::move(metric));
    }
    Families& unprefixed(std::string name, std::string help, bool is_counter) {
        family(std::move(name), std::move(help), is_counter);
        families_.back().name.erase(0, std::string_view("trunkline_").size());
        return *this;
    }
    [[nodiscard]] std::vector<MetricFamily> take() { return std::move(families_); }

private:
    Families& family(std::string name, std::string help, bool is_counter) {
        MetricFamily made;
        made.name = "trunkline_" + std::move(name);
        made.help = std::move(help);
        made.type = is_counter ? MetricType::Counter : MetricType::Gauge;
        families_.push_back(std::move(made));
        return *this;
    }
    std::vector<MetricFamily> families_;
};

std::string reason_label(std::size_t code) {
    std::string label;
    for (const char c : mqtt::reason_name(static_cast<mqtt::Reason>(code))) {
        label += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c == ' ' || c == '/' || c == '-' ? '_' : c;
    }
    return label == "unknown" ? std::to_string(code) : label;
}

void add_traffic(Families& out, const Totals& totals) {
    out.counter("messages_received_total", "PUBLISH packets received from clients.");
    for (std::size_t qos = 0; qos < 3; ++qos) out.value(totals.messages_received[qos], {{"qos", std::to_string(qos)}});
    out.counter("messages_sent_total", "PUBLISH packets sent to clients.");
    for (std::size_t qos = 0; qos < 3; ++qos) out.value(totals.messages_sent[qos], {{"qos", std::to_string(qos)}});
    out.counter("bytes_received_total", "Bytes of MQTT received.").value(totals.bytes_received);
    out.counter("bytes_sent_total", "Bytes of MQTT sent.").value(totals.bytes_sent);
    out.counter("payload_bytes_received_total", "Bytes of payload in PUBLISH packets received.")
        .value(totals.payload_bytes_received);
    out.counter("payload_bytes_sent_total", "Bytes of payload in PUBLISH packets sent.")
        .value(totals.payload_bytes_sent);
    out.counter("messages_dropped_total", "Messages that did not reach a subscriber, by reason.");
    for (std::size_t i = 0; i < totals.dropped.size(); ++i) {
        out.value(totals.dropped[i], {{"reason", broker::drop_names[i]}});
    }
    out.counter("publishes_refused_total", "Messages refused to their publisher.").value(totals.publishes_refused);
    out.counter("refusals_total", "Acknowledgements with an error, by reason code.");
    for (std::size_t code = 0x80; code < 256; ++code) {
        if (totals.refused_by_reason[code]) out.value(totals.refused_by_reason[code], {{"reason", reason_label(code)}});
    }
    out.histogram("publish_ack_seconds", "From PUBLISH to its PUBACK or PUBREC.", broker::Counters::ack_bounds_us, 1e-6,
                  totals.ack_latency, static_cast<double>(totals.ack_latency_sum_us) / 1e6);
}

void add_authorisations(Families& out, const Totals& totals) {
    constexpr std::array<const char*, 3> actions = {"publish", "subscribe", "receive"};
    out.counter("authz_decisions_total", "What clients asked to do, by action and whether they may.");
    for (std::size_t action = 0; action < actions.size(); ++action) {
        out.value(totals.authorisations[action][1], {{"action", actions[action]}, {"result", "allow"}});
        out.value(totals.authorisations[action][0], {{"action", actions[action]}, {"result", "deny"}});
    }
}

void add_clients(Families& out, const Snapshot& now) {
    const Totals& totals = now.totals;
    out.gauge("connections", "Open connections of a listener.");
    for (const ListenerNumbers& listener : now.listeners) {
        if (listener.protocol == "https") continue;   // no client's
        out.value(listener.connections, {{"listener", listener.url}, {"protocol", listener.protocol}});
    }
    constexpr std::array<const char*, 3> versions = {"3.1", "3.1.1", "5.0"};
    out.gauge("clients", "Connected clients by MQTT version.");
    for (std::size_t i = 0; i < 3; ++i) out.value(totals.connections_by_version[i], {{"version", versions[i]}});
    out.counter("connects_total", "Answers to CONNECT.");
    for (std::size_t code = 0; code < 256; ++code) {
        if (code == 0 || totals.connects[code]) out.value(totals.connects[code], {{"result", reason_label(code)}});
    }
    out.counter("authn_total", "Attempts to log in, by the method that decided.");
    for (std::size_t method = 0; method < totals.logins.size(); ++method) {
        const std::string name(broker::login_methods[method]);
        for (std::size_t result = 0; result < totals.logins[method].size(); ++result) {
            const std::uint64_t count = totals.logins[method][result];
            if (count == 0 && result != 0) continue;
            out.value(count, {{"method", name}, {"result", broker::login_result_names[result]}});
        }
    }
    out.counter("disconnects_total", "Ends of connections; network_error: without DISCONNECT.");
    for (std::size_t code = 0; code < 256; ++code) {
        const std::string reason = code == 0 ? "normal" : reason_label(code);
        if (code == 0 || totals.disconnects[code]) out.value(totals.disconnects[code], {{"reason", reason}});
    }
    out.value(totals.network_errors, {{"reason", "network_error"}});
    out.gauge("sessions", "Sessions that outlive their connection, and those that do not.");
    out.value(now.durable_sessions, {{"state", "durable"}});
    out.value(totals.connections, {{"state", "connected"}});
    if (now.commits) out.value(now.commits->sessions_offline, {{"state", "offline"}});
    if (now.commits) {
        out.counter("sessions_expired_total", "Sessions that ended by their expiry.")
            .value(now.commits->sessions_expired);
    }
    out.gauge("subscriptions", "Subscriptions.").value(now.subscriptions);
    out.gauge("shared_subscriptions", "Of these, the shared ones.").value(totals.shared_subscriptions);
    out.gauge("inflight_messages", "Messages sent and not acknowledged.").value(totals.inflight_out);
    out.gauge("tls_certificate_expiry_timestamp_seconds", "End of a listener's certificate.");
    for (const ListenerNumbers& listener : now.listeners) {
        if (listener.certificate_expires_s) out.value(listener.certificate_expires_s, {{"listener", listener.url}});
    }
}

void add_store(Families& out, const Snapshot& now) {
    out.gauge("retained_messages", "Topics with a retained message.").value(now.retained_messages);
    out.gauge("retained_bytes", "Memory of the retained messages.").value(now.retained_bytes);
    out.gauge("log_backlog_bytes", "Submitted and not yet safe.").value(now.health.backlog_bytes);
    out.gauge("durable_accepting", "1: durable messages are taken.").value(now.health.accepting ? 1 : 0);
    out.gauge("queued_messages", "Messages that wait for their subscriber.");
    out.value(now.totals.queued_transient, {{"kind", "transient"}});
    if (now.commits) out.value(now.commits->queued_messages, {{"kind", "durable"}});
    if (now.commits) {
        const CommitNumbers& commits = *now.commits;
        out.gauge("queue_oldest_age_seconds", "Age of the oldest message that waits for a durable session.")
            .value(commits.queue_oldest_age_s);
        out.histogram("commit_seconds", "Writing and syncing a batch.", commits.time_bounds_s, 1, commits.time_buckets,
                      static_cast<double>(commits.commit_sum_us) / 1e6);
        out.histogram("commit_batch_messages", "Operations in a batch.", commits.batch_bounds, 1,
                      commits.batch_buckets, static_cast<double>(commits.messages));
        out.counter("commit_bytes_total", "Bytes of operations committed.").value(commits.bytes);
    }
    if (now.store) {
        const StoreNumbers& store = *now.store;
        out.gauge("store_bytes", "Size of the store on disk.").value(store.bytes);
        out.gauge("disk_free_bytes", "Free space where the store is.").value(store.disk_free);
        out.gauge("disk_size_bytes", "Size of the disk where the store is.").value(store.disk_size);
    }
}

void add_namespace(Families& out, const Snapshot::Live& live) {
    out.gauge("namespace_nodes", "Topics, and levels that the model has, by what they are.");
    for (std::size_t kind = 0; kind < live.tree.kinds.size(); ++kind) {
        const auto name = uns::to_string(static_cast<uns::Meaning::Kind>(kind));
        out.value(live.tree.kinds[kind], {{"kind", std::string(name)}});
    }
    out.gauge("stale_metrics", "Metrics without a value for three periods.").value(live.tree.stale);
    out.gauge("silent_metrics", "Metrics of the model without any value yet.").value(live.tree.silent);
    out.gauge("live_topics", "Topics that browsing knows.").value(live.tree.topics);
    out.gauge("live_values", "Topics whose last value is not retained.").value(live.tree.live_values);
    out.gauge("live_bytes", "Memory of last values that are not retained.").value(live.tree.live_bytes);
    out.gauge("live_index_bytes", "Memory of what finds topics and counts their messages.")
        .value(live.tree.index_bytes);
    out.counter("live_refused_total", "Messages whose topic browsing did not take for want of room.")
        .value(live.tree.refused_topics);
    out.counter("live_evicted_total", "Topics that made room for others in browsing.").value(live.tree.evicted_topics);
    out.counter("live_left_out_total", "Messages browsing was not told of: too many topics at once.")
        .value(live.left_out);
    out.gauge("live_sample_bytes", "Memory of messages kept for learning and planning.").value(live.samples.bytes);
    out.gauge("live_sampled_topics", "Topics with messages kept for learning and planning.")
        .value(live.samples.topics);
    out.gauge("live_unsampled_topics", "Topics without, since there was no room.").value(live.samples.topics_left_out);
    out.counter("namespace_events_dropped_total", "Messages below $UNS that subscribers did not get: too many at once.")
        .value(live.events_dropped);
}

void add_governance_families(Families& out, const Snapshot& now) {
    constexpr std::array<const char*, 6> stages = {"writers", "name", "payload", "retain", "quota", "none"};
    out.counter("publish_verdicts_total", "Messages judged by the model, by outcome and the check that failed first.");
    for (std::size_t outcome = 0; outcome < now.verdicts.verdicts.size(); ++outcome) {
        const std::string verdict(uns::to_string(static_cast<uns::Outcome>(outcome)));
        for (std::size_t stage = 0; stage < stages.size(); ++stage) {
            const bool accepted = outcome == 0, none_failed = stage + 1 == stages.size();
            if (accepted != none_failed) continue;
            out.value(now.verdicts.verdicts[outcome][stage], {{"verdict", verdict}, {"stage", stages[stage]}});
        }
    }
    out.counter("violations_total", "Messages that broke the model, by rule.");
    for (const auto& rule : now.verdicts.rules) out.value(rule.count, {{"rule", rule.rule}});
    out.gauge("quarantined_messages", "Messages in the quarantine.").value(now.verdicts.quarantined_messages);
    out.gauge("quarantined_bytes", "Bytes of the messages in the quarantine.").value(now.verdicts.quarantined_bytes);
    out.gauge("model_info", "Always 1; the model in force.");
    if (!now.model_name.empty()) out.value(1, {{"name", now.model_name}, {"version", now.model_version}});
}

void add_process(Families& out, const Snapshot& now) {
    const ProcessStats& process = now.process;
    out.unprefixed("process_cpu_seconds_total", "User and system time.", true).value(process.cpu_seconds);
    out.unprefixed("process_resident_memory_bytes", "Resident memory.", false).value(process.resident_bytes);
    out.unprefixed("process_virtual_memory_bytes", "Virtual memory.", false).value(process.virtual_bytes);
    out.unprefixed("process_threads", "Threads.", false).value(process.threads);
    out.unprefixed("process_open_fds", "Open descriptors.", false).value(process.open_descriptors);
    out.unprefixed("process_max_fds", "Descriptors that may be open.", false).value(process.max_descriptors);
    out.unprefixed("process_start_time_seconds", "Start, since 1970.", false)
        .value(static_cast<double>(now.started_wall_ms) / 1e3);
}

class Scrape : public prometheus::Collectable {
public:
    explicit Scrape(const Snapshot& now) : now_(now) {}
    [[nodiscard]] std::vector<MetricFamily> Collect() const override {
        Families out;
        out.gauge("build_info", "Always 1.").value(1, {{"version", now_.version}});
        out.gauge("durability_relaxed", "1: acknowledged messages may be lost when power fails.")
            .value(now_.relaxed ? 1 : 0);
        out.gauge("ready", "1: clients are served, as /readyz says.").value(now_.ready ? 1 : 0);
        if (now_.audit) {
            out.counter("audit_records_total", "Records written to the audit trail.").value(now_.audit->records);
            out.counter("audit_leaves_total", "Publishes on regulated topics that left their leaf in the audit trail.")
                .value(now_.audit->leaves);
            out.counter("audit_records_lost_total", "Records that found the queue of the audit trail full.")
                .value(now_.audit->lost);
            out.gauge("audit_last_checkpoint_timestamp_seconds", "When the audit trail was last signed.")
                .value(static_cast<double>(now_.audit->checkpoint_utc_ns) / 1e9);
        }
        out.gauge("config_last_reload_success", "1: the last reload of the configuration was taken.")
            .value(now_.last_reload_ok ? 1 : 0);
        out.gauge("draining", "1: clients are sent to another broker.").value(now_.draining ? 1 : 0);
        out.gauge("alarms", "1: disk or memory is beyond the limit that warns.");
        for (const Alarm& alarm : now_.alarms) out.value(alarm.on ? 1 : 0, {{"alarm", alarm.name}});
        add_traffic(out, now_.totals);
        add_authorisations(out, now_.totals);
        add_clients(out, now_);
        add_store(out, now_);
        if (now_.live) add_namespace(out, *now_.live);
        add_governance_families(out, now_);
        add_process(out, now_);
        return out.take();
    }

private:
    const Snapshot& now_;
};

std::string number_text(double number) {
    if (std::isinf(number)) return number > 0 ? "+Inf" : "-Inf";
    char text[32];
    const bool whole = std::abs(number) < 9e15 && number == std::floor(number);
    std::snprintf(text, sizeof text, whole ? "%.0f" : "%.10g", number);
    return text;
}

void append_sample(std::string& out, const std::string& name, const ClientMetric& metric, double number,
                   const std::string& bound = {}) {
    out += name;
    std::string labels;
    const auto add = [&](const std::string& label, const std::string& text) {
        labels += (labels.empty() ? "{" : ",") + label + "=\"";
        for (const char c : text) {
            if (c == '\\' || c == '"') labels += '\\';
            labels += c == '\n' ? ' ' : c;
        }
        labels += '"';
    };
    for (const auto& label : metric.label) add(label.name, label.value);
    if (!bound.empty()) add("le", bound);
    if (!labels.empty()) out += labels + "}";
    out += " " + number_text(number) + "\n";
}

// OpenMetrics 1.0: a counter's family is named without _total, bounds are canonical floats, the text ends with # EOF.
std::string open_metrics_text(const std::vector<MetricFamily>& families) {
    std::string out;
    for (const MetricFamily& family : families) {
        const bool counter = family.type == MetricType::Counter;
        const bool histogram = family.type == MetricType::Histogram;
        const std::string name = counter ? family.name.substr(0, family.name.size() - 6) : family.name;
        out += "# TYPE " + name + (counter ? " counter\n" : histogram ? " histogram\n" : " gauge\n");
        out += "# HELP " + name + " " + family.help + "\n";
        for (const ClientMetric& metric : family.metric) {
            if (!histogram) {
                append_sample(out, family.name, metric, counter ? metric.counter.value : metric.gauge.value);
                continue;
            }
            for (const auto& bucket : metric.histogram.bucket) {
                std::string bound = number_text(bucket.upper_bound);
                if (bound.find_first_of(".eI") == std::string::npos) bound += ".0";
                append_sample(out, name + "_bucket", metric, static_cast<double>(bucket.cumulative_count), bound);
            }
            append_sample(out, name + "_count", metric, static_cast<double>(metric.histogram.sample_count));
            append_sample(out, name + "_sum", metric, metric.histogram.sample_sum);
        }
    }
    return out + "# EOF\n";
}

}  // namespace

std::string metrics_text(const Snapshot& snapshot, bool open_metrics) {
    std::vector<MetricFamily> families = Scrape(snapshot).Collect();
    std::erase_if(families, [](const MetricFamily& family) { return family.metric.empty(); });
    return open_metrics ? open_metrics_text(families) : prometheus::TextSerializer().Serialize(families);
}

}  // namespace trunkline::admin
