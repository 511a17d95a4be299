// What one client sends and is sent, packet by packet, for somebody who watches: clients that nobody watches pay with
// one flag that is loaded anyway.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "broker/mqtt/decode.h"

namespace trunkline::broker {

using TracedPairs = std::vector<std::pair<std::string, std::string>>;
using TracedValue = std::variant<bool, std::uint64_t, std::string, std::vector<std::string>, TracedPairs>;

/// A control packet, decoded, or what became of the connection. Texts and payloads are cut; passwords and
/// authentication data are not in it.
struct TracedPacket {
    static constexpr std::size_t text_bytes_max = 256, payload_bytes_max = 1'024, list_max = 32;

    std::int64_t at_ms = 0;               ///< since 1970
    std::uint64_t connection = 0;         ///< its number: a client may come back while it is watched
    bool from_client = false;
    std::string_view name;                ///< "PUBLISH"; "closed", "attached" for the connection itself
    std::uint32_t bytes = 0;              ///< on the wire, without TLS and WebSocket; 0: no packet
    std::vector<std::pair<std::string_view, TracedValue>> fields;
    std::optional<std::string> payload;   ///< its first bytes
    std::uint64_t payload_bytes = 0;      ///< all of it
};

/// Decodes a packet of either direction. A malformed one has a field that says why.
[[nodiscard]] TracedPacket describe_packet(const mqtt::Frame& frame, mqtt::Version version);

/// Between the shards and who watches. Bounded: who reads slowly misses packets and is told how many.
class ClientTrace {
public:
    static constexpr std::size_t waiting_max = 2'000;
    static constexpr std::uint32_t packets_per_s = 5'000;

    /// `wake` is called from a shard's thread when take() has something new.
    ClientTrace(std::string client_id, std::function<void()> wake)
        : client_id_(std::move(client_id)), wake_(std::move(wake)) {}

    [[nodiscard]] const std::string& client_id() const { return client_id_; }

    // On a shard's thread.
    /// False: there is no room for a packet now; it is counted as missed and need not be decoded.
    [[nodiscard]] bool has_room(std::int64_t now_ms);
    void add(const TracedPacket& packet);

    // On any thread.
    /// In order; where packets were missed there is one named "missed" with their `count`.
    [[nodiscard]] std::vector<TracedPacket> take();
    /// Nobody watches any more.
    void stop();
    [[nodiscard]] bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

private:
    void tell_missed();

    const std::string client_id_;
    std::atomic<bool> stopped_{false};
    mutable std::mutex mutex_;               // guards what follows
    std::function<void()> wake_;
    std::vector<TracedPacket> waiting_;
    std::uint64_t missed_ = 0;               // since the last in waiting_
    std::int64_t second_ = 0;
    std::uint32_t in_second_ = 0;
};

using ClientTracePtr = std::shared_ptr<ClientTrace>;

/// All traces there are. Thread safe.
class TraceBook {
public:
    static constexpr std::size_t traces_max = 16;

    /// False: there are too many.
    [[nodiscard]] bool add(const ClientTracePtr& trace);
    void remove(const ClientTracePtr& trace);
    [[nodiscard]] bool any() const { return count_.load(std::memory_order_relaxed) != 0; }
    [[nodiscard]] std::vector<ClientTracePtr> of(std::string_view client_id) const;

private:
    mutable std::mutex mutex_;
    std::vector<ClientTracePtr> traces_;
    std::atomic<std::size_t> count_{0};
};

}  // namespace trunkline::broker
