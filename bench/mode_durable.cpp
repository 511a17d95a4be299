// Persistent sessions under load: online, or away while messages are published and back to collect them.
#include <algorithm>

#include "bench/clock.h"
#include "bench/mode_traffic.h"
#include "bench/modes.h"
#include "bench/plan.h"

namespace trunkline::bench {

namespace {

/// A fresh persistent session: what an earlier run left is thrown away. 3.1.1 has no clean session that lasts, so it
/// takes two connections there; the same is done for 5.0.
bool make_sessions(Traffic& traffic, const Options& options, std::string& why) {
    for (auto& subscriber : traffic.subscribers()) subscriber->config().clean_start = true;
    if (!traffic.connect_subscribers(why)) return false;
    for (auto& subscriber : traffic.subscribers()) {
        subscriber->disconnect();
        subscriber->config().clean_start = false;
        subscriber->config().session_expiry_s =
            options.version == mqtt::Version::v5 ? options.session_expiry_s : 0;
    }
    return traffic.connect_subscribers(why);
}

/// Connects to the sessions as they are, without subscribing again.
bool resume_sessions(Traffic& traffic, std::string& why) {
    for (auto& subscriber : traffic.subscribers()) subscriber->config().filters.clear();
    if (!traffic.connect_subscribers(why)) return false;
    for (auto& subscriber : traffic.subscribers()) {
        if (subscriber->session_present()) continue;
        why = "the broker has forgotten the session";
        return false;
    }
    return true;
}

void drop_sessions(Traffic& traffic) {
    for (auto& subscriber : traffic.subscribers()) {
        subscriber->disconnect();
        subscriber->config().clean_start = true;
        subscriber->config().session_expiry_s = 0;
        subscriber->config().filters.clear();
    }
    std::string ignored;
    traffic.connect_subscribers(ignored);
}

/// The subscribers come back and collect; reports rate, memory and what the messages' fate was.
bool collect_offline(Traffic& traffic, const Options& options, Progress& progress, Report& report, std::string& why) {
    const std::uint64_t accepted = traffic.shared().counters.acknowledged - traffic.shared().counters.refused;
    const std::uint64_t expected = accepted * options.subscribers;
    BrokerMeter meter(options.broker_pid);
    const std::int64_t start = now_ns();
    if (!resume_sessions(traffic, why) || !traffic.drain(expected, &meter, &progress, why)) return false;
    const double elapsed = seconds(traffic.drained_ns() - start);
    const std::uint64_t delivered = traffic.shared().counters.delivered;
    report.add_count("drain.expected", expected, "queued while away");
    report.add_count("drain.delivered", delivered, "delivered on return");
    report.add_seconds("drain.seconds", elapsed, "time to collect");
    report.add_rate("drain.per_second", static_cast<double>(delivered) / std::max(elapsed, 1e-9), "collecting rate");
    if (!meter.measured() || delivered == 0) return true;
    const double each = static_cast<double>(meter.cpu_ns()) / 1000 / static_cast<double>(delivered);
    report.add("drain.broker_cpu_us_per_delivered", each);
    report.add("drain.broker_rss_before", meter.before().resident);
    report.add("drain.broker_rss_peak", meter.peak_resident(), "broker RSS while collecting, before and peak",
               bytes_text(static_cast<double>(meter.before().resident)) + ", " +
                   bytes_text(static_cast<double>(meter.peak_resident())));
    return true;
}

}  // namespace

void run_durable(const Options& options, const Endpoint& endpoint, Report& report) {
    if (options.qos == 0) return report.add_failure(exit_usage, "durable needs QoS 1 or 2");
    Progress progress(options.progress);
    BrokerMeter meter(options.broker_pid);
    Traffic traffic(options, endpoint, make_plan(options), "durable-");
    report.add("offline", options.offline);
    report.add("subscribers", options.subscribers);
    std::string why;
    bool alive = make_sessions(traffic, options, why) && traffic.connect_publishers(why);
    if (alive && options.offline) {
        for (auto& subscriber : traffic.subscribers()) subscriber->disconnect();
        traffic.expect_no_deliveries();
    }
    alive = alive && traffic.run(&meter, &progress, why);
    TrafficResult published;
    published.add(traffic);
    report_traffic(report, options, published, meter);
    if (alive && options.offline) alive = collect_offline(traffic, options, progress, report, why);
    TrafficResult all;
    all.add(traffic);
    report_verdict(report, options, all);
    if (!alive) return report.add_failure(exit_connection, why);
    if (!options.keep) drop_sessions(traffic);
}

}  // namespace trunkline::bench
