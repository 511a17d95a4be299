// Counters of one shard: written by its thread alone with relaxed stores, summed by whoever scrapes.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

namespace trunkline::broker {

/// A counter with one writer: an add costs a load and a store, no locked instruction.
class Counter {
public:
    void add(std::uint64_t n = 1) {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    void sub(std::uint64_t n = 1) {
        value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed);
    }
    void set(std::uint64_t n) { value_.store(n, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

enum class Drop : std::uint8_t {
    qos0_slow_consumer, qos0_offline, queue_full, too_large, expired, memory, no_local_member, not_authorized, count_
};
inline constexpr std::array<const char*, static_cast<std::size_t>(Drop::count_)> drop_names = {
    "qos0_slow_consumer", "qos0_offline", "queue_full", "too_large", "expired", "memory", "no_shared_member",
    "not_authorized"};

/// unavailable: the service that should have judged it could not be reached, or gave no answer that can be used.
enum class LoginResult : std::uint8_t { accepted, refused, busy, unavailable };
inline constexpr std::array<const char*, 4> login_result_names = {"accepted", "refused", "busy", "unavailable"};
/// How somebody logged in, or tried to; "none": no method of the listener fitted, or nobody was asked.
inline constexpr std::array<std::string_view, 9> login_methods = {
    "none", "anonymous", "password", "certificate", "jwt", "scram-sha-256", "plugin", "http", "ldap"};
[[nodiscard]] constexpr std::size_t login_method(std::string_view name) {
    for (std::size_t i = 1; i < login_methods.size(); ++i) {
        if (login_methods[i] == name) return i;
    }
    return 0;
}

struct Counters {
    std::array<Counter, 3> messages_received;       // by QoS
    std::array<Counter, 3> messages_sent;           // by QoS
    Counter bytes_received, bytes_sent;
    Counter payload_bytes_received, payload_bytes_sent;   // of PUBLISH packets
    std::array<Counter, static_cast<std::size_t>(Drop::count_)> dropped;
    std::array<Counter, 256> disconnects;           // by reason code sent or received; 0: normal
    std::array<Counter, 256> connects;              // by CONNACK reason code
    /// Attempts to log in, by login_methods and LoginResult.
    std::array<std::array<Counter, login_result_names.size()>, login_methods.size()> logins;
    Counter network_errors;                         // connections lost without DISCONNECT
    Counter connections;                            // gauge: accepted CONNECTs, now
    Counter sockets;                                // gauge: open connections, CONNECT or not
    std::array<Counter, 3> connections_by_version;  // gauge: 3.1, 3.1.1, 5
    Counter subscriptions;                          // gauge: of sessions on this shard
    Counter shared_subscriptions;                   // gauge: of these, the shared ones
    Counter inflight_out, queued_transient;         // gauges
    Counter publishes_refused;
    std::array<Counter, 256> refused_by_reason;     // PUBACK/PUBREC/SUBACK reason of 0x80 and more
    /// Verdicts of the model by uns::Outcome and stage (see VerdictCounts); without a model nothing is counted.
    std::array<std::array<Counter, 6>, 4> verdicts;
    /// Decisions by auth::Action, then denied and allowed; without authorisation nothing is counted.
    std::array<std::array<Counter, 2>, 4> authorisations;
    // publish -> PUBACK latency: bucket i counts samples up to ack_bounds_us[i]
    static constexpr std::array<std::uint32_t, 12> ack_bounds_us = {50,    100,   250,    500,    1'000,   2'500,
                                                                    5'000, 10'000, 25'000, 100'000, 500'000, 2'500'000};
    std::array<Counter, 13> ack_latency;
    Counter ack_latency_sum_us;
};

}  // namespace trunkline::broker
