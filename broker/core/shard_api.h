// What the socket side may call of a shard. Shard (shard.h) implements it; net/ and the tests see only this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "broker/core/transport.h"

namespace trunkline::broker {

class Client;  // one connection as the shard sees it; opaque here

/// Time as handed to the core: it reads no clock itself.
struct Now {
    std::int64_t steady_ms = 0;   // monotonic
    std::int64_t wall_ms = 0;     // since 1970, UTC
};

/// All calls on the shard's own thread.
class ShardApi {
public:
    virtual ~ShardApi() = default;
    /// Sets the time for everything until the next call: once at the start of a turn.
    virtual void set_time(Now now) = 0;
    /// A new connection, TLS, WebSocket and PROXY handshakes done. The shard keeps `transport` until it calls close()
    /// on it or on_closed() was called. Null when the connection is refused at once (limits): close the socket.
    virtual Client* on_open(Transport& transport, const ConnectionInfo& info) = 0;
    /// Bytes from the peer, in order, starting at a packet boundary or at what an earlier call left. Returns how many
    /// were used: keep the rest (an incomplete packet) and pass it again with more behind it. When the client was
    /// closed during the call the result is `bytes.size()` and Transport::close() has been called.
    virtual std::size_t on_bytes(Client& client, std::string_view bytes) = 0;
    /// All of `out` has been written after a flush() that could not write all.
    virtual void on_writable(Client& client) = 0;
    /// The peer or the network ended it. `client` is gone after the call.
    virtual void on_closed(Client& client) = 0;
    /// Mail from other threads, see wake function of the shard.
    virtual void on_mail() = 0;
    /// Timers: call every 100 ms or so.
    virtual void on_tick() = 0;
    /// End of a turn of the loop: flushes what was encoded, submits what was collected. Call after a bounded number of
    /// the calls above, always before waiting.
    virtual void end_turn() = 0;
};

}  // namespace trunkline::broker
