#include <catch2/catch.hpp>

#include <cmath>
#include <memory>
#include <string>

#include "broker/admin/metrics.h"

using namespace trunkline;
using namespace trunkline::admin;

namespace {

bool has_line(const std::string& text, const std::string& line) {
    return text.starts_with(line + "\n") || text.find("\n" + line + "\n") != std::string::npos;
}

std::unique_ptr<Snapshot> snapshot() {
    auto now = std::make_unique<Snapshot>();
    broker::Counters first, second;
    first.messages_received[1].add(7);
    second.messages_received[1].add(5);
    first.payload_bytes_received.add(100);
    second.payload_bytes_received.add(200);
    second.payload_bytes_sent.add(20);
    second.shared_subscriptions.add(2);
    first.dropped[static_cast<std::size_t>(broker::Drop::queue_full)].add(3);
    first.disconnects[0x8D].add(2);
    first.connects[0].add(4);
    first.ack_latency[0].add(10);   // up to 50 us
    second.ack_latency[12].add(1);  // over 2.5 s
    second.ack_latency_sum_us.add(3'000'500);
    add_counters(now->totals, first);
    add_counters(now->totals, second);
    now->version = "1.2.3";
    now->ready = true;
    now->listeners.push_back({"mqtt://127.0.0.1:1883", "mqtt://127.0.0.1:1883", "mqtt", 6, 0});
    now->listeners.push_back({"mqtts://\"odd\\\":8883", "x", "mqtts", 0, 1'900'000'000});
    CommitNumbers commits;
    commits.time_bounds_s = {0.001, 0.002};
    commits.time_buckets = {1, 2, 3};
    commits.batch_bounds = {1, 2};
    commits.batch_buckets = {0, 0, 6};
    commits.messages = 60;
    commits.queued_messages = 21;
    commits.sessions_offline = 4;
    commits.sessions_expired = 9;
    commits.queue_oldest_age_s = 12.5;
    now->alarms = {{"disk", true}, {"memory", false}};
    now->commits = commits;
    now->verdicts.verdicts[static_cast<std::size_t>(uns::Outcome::accept)][5] = 900;
    now->verdicts.verdicts[static_cast<std::size_t>(uns::Outcome::reject)][1] = 8;
    now->verdicts.verdicts[static_cast<std::size_t>(uns::Outcome::observe)][2] = 3;
    now->verdicts.rules = {{"TL-2103", 8}, {"TL-3102", 3}};
    now->verdicts.quarantined_messages = 4;
    now->model_name = "acme";
    now->model_version = "3.1.0";
    return now;
}

}  // namespace

TEST_CASE("counters of the shards are summed and named as documented", "[admin]") {
    const std::string text = metrics_text(*snapshot(), false);
    CHECK(has_line(text, "# TYPE trunkline_messages_received_total counter"));
    CHECK(has_line(text, "trunkline_messages_received_total{qos=\"1\"} 12"));
    CHECK(has_line(text, "trunkline_messages_dropped_total{reason=\"queue_full\"} 3"));
    CHECK(has_line(text, "trunkline_disconnects_total{reason=\"keep_alive_timeout\"} 2"));
    CHECK(has_line(text, "trunkline_connects_total{result=\"success\"} 4"));
    CHECK(has_line(text, "trunkline_build_info{version=\"1.2.3\"} 1"));
    CHECK(has_line(text, "trunkline_ready 1"));
    CHECK(has_line(text, "trunkline_connections{listener=\"mqtt://127.0.0.1:1883\",protocol=\"mqtt\"} 6"));
    CHECK(has_line(text, "trunkline_alarms{alarm=\"disk\"} 1"));
    CHECK(has_line(text, "trunkline_alarms{alarm=\"memory\"} 0"));
    CHECK(has_line(text, "trunkline_sessions{state=\"offline\"} 4"));
    CHECK(has_line(text, "trunkline_queued_messages{kind=\"durable\"} 21"));
    CHECK(has_line(text, "trunkline_queue_oldest_age_seconds 12.5"));
    CHECK(has_line(text, "trunkline_sessions_expired_total 9"));
    CHECK(has_line(text, "trunkline_payload_bytes_received_total 300"));
    CHECK(has_line(text, "trunkline_payload_bytes_sent_total 20"));
    CHECK(has_line(text, "trunkline_shared_subscriptions 2"));
    CHECK(has_line(text, "trunkline_durability_relaxed 0"));
    CHECK(text.find("trunkline_store_bytes") == std::string::npos);   // the snapshot has no store
}

TEST_CASE("verdicts, rules, quarantine and model are named as documented, each with few labels", "[admin]") {
    const std::string text = metrics_text(*snapshot(), false);
    CHECK(has_line(text, "# TYPE trunkline_publish_verdicts_total counter"));
    CHECK(has_line(text, "trunkline_publish_verdicts_total{verdict=\"accept\",stage=\"none\"} 900"));
    CHECK(has_line(text, "trunkline_publish_verdicts_total{verdict=\"reject\",stage=\"name\"} 8"));
    CHECK(has_line(text, "trunkline_publish_verdicts_total{verdict=\"observe\",stage=\"payload\"} 3"));
    CHECK(has_line(text, "trunkline_publish_verdicts_total{verdict=\"quarantine\",stage=\"payload\"} 0"));
    CHECK(text.find("{verdict=\"accept\",stage=\"name\"}") == std::string::npos);
    CHECK(text.find("{verdict=\"reject\",stage=\"none\"}") == std::string::npos);
    CHECK(has_line(text, "trunkline_violations_total{rule=\"TL-2103\"} 8"));
    CHECK(has_line(text, "trunkline_quarantined_messages 4"));
    CHECK(has_line(text, "trunkline_model_info{name=\"acme\",version=\"3.1.0\"} 1"));
    CHECK(metrics_text(Snapshot{}, false).find("trunkline_model_info") == std::string::npos);  // none was applied
}

TEST_CASE("violations a minute are those of the last sixty seconds", "[admin]") {
    Meter meter;
    Totals totals;
    CHECK(meter.violations_per_minute() == 0);
    for (int second = 0; second <= 30; ++second) {
        totals.violations = static_cast<std::uint64_t>(second);
        meter.sample(totals, second * 1'000);
    }
    CHECK(meter.violations_per_minute() == Approx(30));  // in half a minute, and not 60: so many there have been
    for (int second = 31; second <= 300; ++second) {
        totals.violations = static_cast<std::uint64_t>(second * 5);
        meter.sample(totals, second * 1'000);
    }
    CHECK(meter.violations_per_minute() == Approx(300));
    for (int second = 301; second <= 361; ++second) meter.sample(totals, second * 1'000);
    CHECK(meter.violations_per_minute() == Approx(0));
}

TEST_CASE("histograms are cumulative and end with everything", "[admin]") {
    const std::string text = metrics_text(*snapshot(), false);
    CHECK(has_line(text, "trunkline_publish_ack_seconds_bucket{le=\"2.5\"} 10"));
    CHECK(has_line(text, "trunkline_publish_ack_seconds_bucket{le=\"+Inf\"} 11"));
    CHECK(has_line(text, "trunkline_publish_ack_seconds_count 11"));
    CHECK(has_line(text, "trunkline_publish_ack_seconds_sum 3.0005"));
    CHECK(has_line(text, "trunkline_commit_seconds_bucket{le=\"+Inf\"} 6"));
}

TEST_CASE("OpenMetrics has its own names, escapes and end", "[admin]") {
    const std::string text = metrics_text(*snapshot(), true);
    CHECK(has_line(text, "# TYPE trunkline_messages_received counter"));
    CHECK(has_line(text, "trunkline_messages_received_total{qos=\"1\"} 12"));
    CHECK(has_line(text, "trunkline_commit_batch_messages_bucket{le=\"2.0\"} 0"));
    CHECK(text.find("listener=\"mqtts://\\\"odd\\\\\\\":8883\"") != std::string::npos);
    CHECK(text.ends_with("\n# EOF\n"));
}

TEST_CASE("rates cover the last seconds, load averages settle at the rate", "[admin]") {
    Meter meter;
    Totals totals;
    for (int second = 0; second <= 3'600; ++second) {
        totals.messages_received[0] = static_cast<std::uint64_t>(second) * 50;
        totals.connections = second == 10 ? 9 : 1;
        meter.sample(totals, second * 1'000);
    }
    CHECK(meter.rates().messages_received == Approx(50));
    CHECK(meter.load(Meter::received).one == Approx(3'000));        // per minute
    CHECK(meter.load(Meter::received).fifteen == Approx(3'000 * (1 - std::exp(-4.0))));
    CHECK(meter.most_connections() == 9);
    for (int second = 3'601; second <= 3'620; ++second) meter.sample(totals, second * 1'000);
    CHECK(meter.rates().messages_received == Approx(0));
    CHECK(meter.load(Meter::received).one < 3'000);
}
