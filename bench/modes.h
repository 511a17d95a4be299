// The modes of trunkbench: each runs to its end, fills in the report and leaves the failures in it.
#pragma once

#include "bench/endpoint.h"
#include "bench/options.h"
#include "bench/report.h"

namespace trunkline::bench {

/// pairs, fan-in, fan-out, latency, filters, and durable while its subscribers are online.
void run_traffic(const Options& options, const Endpoint& endpoint, Report& report);
/// durable.
void run_durable(const Options& options, const Endpoint& endpoint, Report& report);
void run_connect(const Options& options, const Endpoint& endpoint, Report& report);
void run_retained(const Options& options, const Endpoint& endpoint, Report& report);
void run_plant(const Options& options, const Endpoint& endpoint, Report& report);
/// Prints the topics of the plant, one a line, with their kind.
void print_plant_topics(const Options& options);
void run_selftest(const Options& options, Report& report);

}  // namespace trunkline::bench
