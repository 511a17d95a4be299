// The figures of a run, once for people and once for programs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/histogram.h"
#include "bench/options.h"
#include "bench/process_meter.h"

namespace trunkline::bench {

/// Exit statuses.
inline constexpr int exit_ok = 0;
inline constexpr int exit_lost = 1;      // messages lost, reordered, duplicated at QoS 2, or not as expected
inline constexpr int exit_usage = 2;
inline constexpr int exit_connection = 3;  // cannot connect, or a connection was lost during the run

/// Rows of a table, each with its place in the JSON document ("broker.cpu_seconds" nests).
class Report {
public:
    explicit Report(const Options& options);

    void add(std::string_view key, nlohmann::ordered_json value, std::string_view label, std::string text);
    /// In the JSON only.
    void add(std::string_view key, nlohmann::ordered_json value);
    void add_count(std::string_view key, std::uint64_t value, std::string_view label);
    void add_rate(std::string_view key, double per_second, std::string_view label);
    void add_seconds(std::string_view key, double value, std::string_view label);
    /// p50, p90, p99, p99.9 and maximum in microseconds.
    void add_latency(std::string_view key, const Histogram& histogram, std::string_view label);
    /// Broker CPU and memory. `delivered` and `published` are what the measured CPU time is divided by; 0: left out.
    void add_broker(const BrokerMeter& meter, double elapsed_s, std::uint64_t delivered, std::uint64_t published);
    /// Our own CPU over `elapsed_s`, and what a million messages (deliveries) a second would take of one core.
    void add_generator(std::int64_t cpu_ns, double elapsed_s, std::uint64_t delivered);
    /// The reason of a run that did not go as it should; makes the exit status.
    void add_failure(int exit_code, const std::string& why);

    /// Prints the report to standard output and returns the exit status.
    int print() const;

private:
    nlohmann::ordered_json json_;
    std::vector<std::pair<std::string, std::string>> rows_;
    bool as_json_;
    int exit_code_ = exit_ok;
};

/// "1,234,567"
std::string with_commas(std::uint64_t value);
/// "12.3 MiB"
std::string bytes_text(double bytes);

/// One line on standard error that is rewritten once a second; silent unless wanted and in the first two seconds.
class Progress {
public:
    explicit Progress(bool wanted);
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    /// True once a second: then call show().
    bool due(std::int64_t now);
    void show(const std::string& text);

private:
    bool wanted_;
    bool shown_ = false;
    std::int64_t next_ns_;
};

}  // namespace trunkline::bench
