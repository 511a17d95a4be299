#include "bench/mode_traffic.h"

#include <algorithm>
#include <barrier>
#include <mutex>
#include <thread>

#include "bench/modes.h"
#include "bench/plan.h"

namespace trunkline::bench {

void TrafficResult::add(const Traffic& part) {
    measured += part.measured();
    total += part.shared().counters;
    const DeliveryVerdict other = part.verdict();
    verdict.lost += other.lost;
    verdict.duplicated += other.duplicated;
    verdict.reordered += other.reordered;
    verdict.unacknowledged += other.unacknowledged;
    verdict.switches_fewest = first ? other.switches_fewest : std::min(verdict.switches_fewest, other.switches_fewest);
    verdict.switches_most = std::max(verdict.switches_most, other.switches_most);
    first = false;
    delivery_ns.merge(part.shared().delivery_ns);
    acknowledgement_ns.merge(part.shared().acknowledgement_ns);
    lag_ns.merge(part.shared().lag_ns);
    seconds = std::max(seconds, part.measured_s());
    own_cpu_ns = std::max(own_cpu_ns, part.measured_own_cpu_ns());  // of the whole process, in every part
}

void report_traffic(Report& report, const Options& options, const TrafficResult& result, const BrokerMeter& meter) {
    const double elapsed = std::max(result.seconds, 1e-9);
    if (options.rate > 0) {
        report.add("rate", options.rate);
    } else {
        report.add("inflight", options.inflight);
    }
    report.add_seconds("seconds", result.seconds, "measured");
    report.add_count("published", result.measured.published, "published");
    report.add_rate("published_per_second", static_cast<double>(result.measured.published) / elapsed, "publish rate");
    report.add_count("delivered", result.measured.delivered, "delivered");
    report.add_rate("delivered_per_second", static_cast<double>(result.measured.delivered) / elapsed, "delivery rate");
    if (options.qos != 0) {
        report.add_count("acknowledged", result.measured.acknowledged, "acknowledged");
        report.add_rate("acknowledged_per_second", static_cast<double>(result.measured.acknowledged) / elapsed,
                        "acknowledgement rate");
    }
    report.add_latency("latency_us.delivery", result.delivery_ns, "publish to delivery");
    report.add_latency("latency_us.acknowledgement", result.acknowledgement_ns, "publish to acknowledgement");
    if (options.rate > 0) report.add_latency("latency_us.generator_lag", result.lag_ns, "generator's own lag");
    report.add_broker(meter, elapsed, result.measured.delivered, result.measured.published);
    report.add_generator(result.own_cpu_ns, elapsed,
                         std::max(result.measured.delivered, result.measured.acknowledged));
}

void report_verdict(Report& report, const Options& options, const TrafficResult& result) {
    const DeliveryVerdict& verdict = result.verdict;
    report.add_count("total.published", result.total.published, "published, whole run");
    report.add_count("total.delivered", result.total.delivered, "delivered, whole run");
    report.add_count("total.lost", verdict.lost, "lost");
    report.add_count("total.duplicated", verdict.duplicated, "duplicated");
    report.add_count("total.reordered", verdict.reordered, "reordered");
    report.add("total.refused", result.total.refused);
    report.add("total.unacknowledged", verdict.unacknowledged);
    report.add("total.foreign", result.total.foreign);
    report.add("total.verdict_switches", {{"fewest", verdict.switches_fewest}, {"most", verdict.switches_most}});
    if (result.total.refused) report.add("total.refused", result.total.refused, "refused by the broker",
                                         with_commas(result.total.refused));
    const bool wrong_count =
        options.expect >= 0 && static_cast<std::uint64_t>(options.expect) != result.total.delivered;
    if (wrong_count) report.add_failure(exit_lost, "expected " + std::to_string(options.expect) + " deliveries");
    const auto complain = [&](std::uint64_t count, const char* what) {
        if (count == 0) return;
        report.add_failure(options.allow_loss ? exit_ok : exit_lost, with_commas(count) + " messages " + what);
    };
    complain(verdict.lost, "lost");
    complain(verdict.reordered, "reordered");
    complain(verdict.unacknowledged, "not acknowledged");
    if (options.qos == 2) complain(verdict.duplicated, "duplicated at QoS 2");
}

void run_traffic(const Options& options, const Endpoint& endpoint, Report& report) {
    const std::uint32_t parts = std::min(options.threads, std::max(1U, options.clients / 2));
    Progress progress(options.progress);
    BrokerMeter meter(options.broker_pid);
    TrafficResult result;
    std::mutex mutex;
    std::string failure;
    std::barrier connected(static_cast<std::ptrdiff_t>(parts));
    const auto work = [&](std::uint32_t part) {
        Traffic traffic(options, endpoint, make_plan(options, part, parts),
                        options.mode_name + "-" + (parts > 1 ? std::to_string(part) + "-" : ""));
        std::string why;
        bool alive = traffic.connect(why);
        connected.arrive_and_wait();
        if (alive) alive = traffic.run(part == 0 ? &meter : nullptr, part == 0 ? &progress : nullptr, why);
        const std::lock_guard lock(mutex);
        if (!alive) failure = why;
        result.add(traffic);
    };
    {
        std::vector<std::jthread> threads;
        for (std::uint32_t part = 1; part < parts; ++part) threads.emplace_back(work, part);
        work(0);
    }
    report_traffic(report, options, result, meter);
    report_verdict(report, options, result);
    if (!failure.empty()) report.add_failure(exit_connection, failure);
}

}  // namespace trunkline::bench
