#include "broker/admin/totals.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "broker/admin/sources.h"

namespace trunkline::admin {
namespace {

template <std::size_t N>
void add_all(std::array<std::uint64_t, N>& to, const std::array<broker::Counter, N>& from) {
    for (std::size_t i = 0; i < N; ++i) to[i] += from[i].get();
}

template <std::size_t N>
std::uint64_t sum(const std::array<std::uint64_t, N>& values) {
    return std::accumulate(values.begin(), values.end(), std::uint64_t{0});
}

}  // namespace

std::int64_t steady_ms() {
    using namespace std::chrono;
    return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

std::int64_t wall_ms() {
    using namespace std::chrono;
    return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

std::uint64_t Totals::received() const { return sum(messages_received); }
std::uint64_t Totals::sent() const { return sum(messages_sent); }
std::uint64_t Totals::all_dropped() const { return sum(dropped); }
std::uint64_t Totals::all_connects() const { return sum(connects); }

void add_counters(Totals& totals, const broker::Counters& counters) {
    add_all(totals.messages_received, counters.messages_received);
    add_all(totals.messages_sent, counters.messages_sent);
    add_all(totals.dropped, counters.dropped);
    add_all(totals.disconnects, counters.disconnects);
    add_all(totals.connects, counters.connects);
    add_all(totals.refused_by_reason, counters.refused_by_reason);
    for (std::size_t i = 0; i < totals.logins.size(); ++i) add_all(totals.logins[i], counters.logins[i]);
    add_all(totals.connections_by_version, counters.connections_by_version);
    add_all(totals.ack_latency, counters.ack_latency);
    for (std::size_t i = 0; i < totals.authorisations.size(); ++i) {
        add_all(totals.authorisations[i], counters.authorisations[i]);
    }
    totals.bytes_received += counters.bytes_received.get();
    totals.bytes_sent += counters.bytes_sent.get();
    totals.payload_bytes_received += counters.payload_bytes_received.get();
    totals.payload_bytes_sent += counters.payload_bytes_sent.get();
    totals.shared_subscriptions += counters.shared_subscriptions.get();
    totals.network_errors += counters.network_errors.get();
    totals.connections += counters.connections.get();
    totals.sockets += counters.sockets.get();
    totals.subscriptions += counters.subscriptions.get();
    totals.inflight_out += counters.inflight_out.get();
    totals.queued_transient += counters.queued_transient.get();
    totals.publishes_refused += counters.publishes_refused.get();
    totals.ack_latency_sum_us += counters.ack_latency_sum_us.get();
}

void Meter::sample(const Totals& totals, std::int64_t now_ms) {
    Sample fresh{now_ms, {}};
    fresh.values[received] = fresh.values[publish_received] = totals.received();
    fresh.values[sent] = fresh.values[publish_sent] = totals.sent();
    fresh.values[publish_dropped] = totals.all_dropped();
    fresh.values[bytes_in] = totals.bytes_received;
    fresh.values[bytes_out] = totals.bytes_sent;
    fresh.values[sockets] = fresh.values[connections] = totals.all_connects();
    most_connections_ = std::max(most_connections_, totals.connections);
    if (!samples_.empty() && now_ms > samples_.back().at_ms) {
        const Sample& last = samples_.back();
        const double minutes = static_cast<double>(now_ms - last.at_ms) / 60'000.0;
        for (std::size_t i = 0; i < load_count; ++i) {
            const double rate = static_cast<double>(fresh.values[i] - last.values[i]) / minutes;
            const auto mix = [&](double& average, double over) {
                average = rate + std::exp(-minutes / over) * (average - rate);
            };
            mix(loads_[i].one, 1);
            mix(loads_[i].five, 5);
            mix(loads_[i].fifteen, 15);
        }
    }
    samples_.push_back(fresh);
    while (samples_.size() > 2 && now_ms - samples_[1].at_ms >= 10'000) samples_.pop_front();
    minute_.push_back({now_ms, totals.violations});
    while (minute_.size() > 2 && now_ms - minute_[1].at_ms >= 60'000) minute_.pop_front();
}

double Meter::violations_per_minute() const {
    if (minute_.size() < 2) return 0;
    const double minutes = static_cast<double>(minute_.back().at_ms - minute_.front().at_ms) / 60'000.0;
    const auto count = static_cast<double>(minute_.back().count - minute_.front().count);
    return minutes > 0 ? count / std::max(minutes, 1.0) : 0;
}

Meter::Rates Meter::rates() const {
    if (samples_.size() < 2) return {};
    const Sample& first = samples_.front();
    const Sample& last = samples_.back();
    const double seconds = static_cast<double>(last.at_ms - first.at_ms) / 1'000.0;
    if (seconds <= 0) return {};
    const auto rate = [&](Load what) { return static_cast<double>(last.values[what] - first.values[what]) / seconds; };
    return {rate(received), rate(sent), rate(bytes_in), rate(bytes_out)};
}

}  // namespace trunkline::admin
