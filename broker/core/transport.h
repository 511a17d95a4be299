// Where the protocol meets the sockets: the shard knows a connection as a Transport, the socket side knows it as a
// Client. Both live on the shard's thread; neither blocks.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "auth/principal.h"
#include "broker/mqtt/buffer.h"

namespace trunkline::broker {

/// An IP address or none (Unix sockets, in-process).
struct PeerAddress {
    std::array<std::uint8_t, 16> ip{};   // IPv4 in the first four bytes
    std::uint16_t port = 0;
    std::uint8_t family = 0;             // 0 none, 4, 6
    [[nodiscard]] std::string to_string() const;
    [[nodiscard]] std::string host() const;   ///< without the port; "" when there is none
    [[nodiscard]] bool is_loopback() const;
};

/// What is known of a connection before its CONNECT.
struct ConnectionInfo {
    PeerAddress peer;
    std::uint16_t listener = 0;          // index into Config::listeners
    std::int64_t arrival_ns = 0;         // steady: when the system gave it to us; 0: nobody knows
    bool secure = false;                 // TLS
    bool local = false;                  // loopback, Unix socket or in-process: anonymous is allowed
    std::string certificate;             // the verified client certificate in DER, or empty
    bool administration = false;   // of the broker itself, for those whom it has let in: nobody asks who that is
    std::shared_ptr<const auth::Principal> principal;   // of administration: whose rules hold; null: it may read all
};

class Transport {
public:
    virtual ~Transport() = default;
    /// Bytes wait in `out`: write what the socket takes, consume it from `out`. What remains is written when the
    /// socket can take more; the transport then calls Shard::on_writable(). Called at most once a turn.
    virtual void flush(mqtt::Buffer& out) = 0;
    /// The shard is done with this connection: write the rest of `out` (moved in), shut down writing, read and drop for
    /// a moment so that the peer gets the last packet, close. The shard forgets the transport at this call and the
    /// transport must not call the shard for this client again.
    virtual void close(mqtt::Buffer&& out) = 0;
    /// The same after the peer's own DISCONNECT: it reads nothing any more, so nobody needs to wait for it.
    virtual void close_after_goodbye(mqtt::Buffer&& out) { close(std::move(out)); }
    /// The CONNECT has been accepted: from here on the peer is one of those who are served first.
    virtual void let_in() {}
    /// The peer has ended its side of the connection, whether or not that was read yet. Costs a system call.
    [[nodiscard]] virtual bool peer_has_ended() const { return false; }
    /// Backpressure: stop or go on reading from this peer.
    virtual void set_reading(bool enabled) = 0;
};

}  // namespace trunkline::broker
