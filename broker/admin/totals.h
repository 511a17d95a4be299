// Counters of all shards added up, and how fast they grow.
#pragma once

#include <array>
#include <cstdint>
#include <deque>

#include "broker/core/broker.h"

namespace trunkline::admin {

struct Totals {
    std::array<std::uint64_t, 3> messages_received{}, messages_sent{};   // by QoS
    std::uint64_t bytes_received = 0, bytes_sent = 0, payload_bytes_received = 0, payload_bytes_sent = 0;
    std::array<std::uint64_t, static_cast<std::size_t>(broker::Drop::count_)> dropped{};
    std::array<std::uint64_t, 256> disconnects{}, connects{}, refused_by_reason{};
    std::array<std::array<std::uint64_t, broker::login_result_names.size()>, broker::login_methods.size()> logins{};
    std::uint64_t network_errors = 0, connections = 0, sockets = 0;
    std::array<std::uint64_t, 3> connections_by_version{};
    std::uint64_t subscriptions = 0, shared_subscriptions = 0, inflight_out = 0, queued_transient = 0;
    std::uint64_t publishes_refused = 0;
    std::array<std::uint64_t, 13> ack_latency{};
    std::uint64_t ack_latency_sum_us = 0;
    std::array<std::array<std::uint64_t, 2>, 4> authorisations{};        // by auth::Action, then denied and allowed
    std::uint64_t violations = 0;                                        // of the model, whatever became of them

    [[nodiscard]] std::uint64_t received() const;
    [[nodiscard]] std::uint64_t sent() const;
    [[nodiscard]] std::uint64_t all_dropped() const;
    [[nodiscard]] std::uint64_t all_connects() const;
};
[[nodiscard]] Totals sum_counters(const broker::Broker& broker);
void add_counters(Totals& totals, const broker::Counters& counters);

/// Per-second rates over the last ten seconds, and the averages over 1, 5 and 15 minutes that $SYS/broker/load gives
/// (per minute, weighted exponentially as Mosquitto does). Used on the administration's thread.
class Meter {
public:
    struct Rates {
        double messages_received = 0, messages_sent = 0, bytes_received = 0, bytes_sent = 0;   // per second
    };
    enum Load { received, sent, publish_received, publish_sent, publish_dropped, bytes_in, bytes_out, sockets,
                connections, load_count };
    struct Averages { double one = 0, five = 0, fifteen = 0; };

    /// Call about once a second.
    void sample(const Totals& totals, std::int64_t now_ms);
    [[nodiscard]] Rates rates() const;
    /// Of the last minute; of the time since the start in the first one.
    [[nodiscard]] double violations_per_minute() const;
    [[nodiscard]] Averages load(Load which) const { return loads_[which]; }
    [[nodiscard]] std::uint64_t most_connections() const { return most_connections_; }

private:
    struct Sample {
        std::int64_t at_ms = 0;
        std::array<std::uint64_t, load_count> values{};
    };
    std::deque<Sample> samples_;                  // of the last ten seconds
    struct Violations { std::int64_t at_ms = 0; std::uint64_t count = 0; };
    std::deque<Violations> minute_;               // of the last sixty
    std::array<Averages, load_count> loads_{};
    std::uint64_t most_connections_ = 0;
};

}  // namespace trunkline::admin
