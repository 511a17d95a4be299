// Who may connect at all, before a byte is read: the rate of new connections and of addresses that failed before.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <unordered_map>

#include "broker/core/limits.h"
#include "broker/core/transport.h"

namespace trunkline::net {

enum class Admit : std::uint8_t { yes, rate, address };

/// Token buckets: one for all connections that are not from loopback (Limits::connect_rate a second), one per address
/// with recent failures (Limits::connect_failures_per_address a second). IPv6 addresses count by their /64. Remembers
/// at most `addresses_max` addresses, the least recently failed go first. Thread safe; the caller brings the time.
class Admission {
public:
    static constexpr std::size_t addresses_max = 16'384;
    static constexpr std::int64_t forget_after_ms = 60'000;

    explicit Admission(const broker::Limits& limits)
        : rate_(limits.connect_rate), rate_after_failure_(limits.connect_failures_per_address), tokens_(rate_) {}

    /// Takes a token for a connection from `peer` at `now_ms`. A rate of 0 means no limit; loopback and Unix sockets
    /// are always admitted.
    [[nodiscard]] Admit admit(const broker::PeerAddress& peer, std::int64_t now_ms);
    /// A connection from `peer` failed to authenticate, to finish its handshake or to send CONNECT in time.
    void failed(const broker::PeerAddress& peer, std::int64_t now_ms);

private:
    struct Failures {
        double tokens = 0;
        std::int64_t filled_ms = 0;
        std::int64_t failed_ms = 0;
        std::list<std::uint64_t>::iterator position;
    };
    static std::uint64_t key_of(const broker::PeerAddress& peer);

    std::mutex mutex_;
    const double rate_, rate_after_failure_;
    double tokens_;
    std::int64_t filled_ms_ = 0;
    std::unordered_map<std::uint64_t, Failures> failures_;
    std::list<std::uint64_t> oldest_first_;
};

}  // namespace trunkline::net
