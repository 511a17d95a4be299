// What the traffic modes say in their report.
#pragma once

#include "bench/report.h"
#include "bench/traffic.h"

namespace trunkline::bench {

/// The outcome of one or more Traffic parts that ran side by side.
struct TrafficResult {
    TrafficCounters measured;
    TrafficCounters total;
    DeliveryVerdict verdict;
    Histogram delivery_ns;
    Histogram acknowledgement_ns;
    Histogram lag_ns;
    bool first = true;              ///< no part has been added yet
    double seconds = 0;
    std::int64_t own_cpu_ns = 0;

    void add(const Traffic& part);
};

void report_traffic(Report& report, const Options& options, const TrafficResult& result, const BrokerMeter& meter);
/// Losses and their like as failures, where the options do not allow them.
void report_verdict(Report& report, const Options& options, const TrafficResult& result);

}  // namespace trunkline::bench
