// MQTT over WebSocket (chapter 6 of MQTT 5.0). Boost.Beast speaks the protocol; the bytes come and go through the same
// StreamSocket and the same readiness as everywhere else, so ws and wss are one.
#pragma once

#include <memory>

#include "broker/net/connection.h"

namespace trunkline::net {

/// What the WebSocket connections of one runner share: the queue of Beast's completions. On the runner's thread.
class WebSocketContext {
public:
    WebSocketContext();
    ~WebSocketContext();

    /// Runs the completions that are due, a bounded number of them.
    void run();
    /// True when there may be completions to run.
    [[nodiscard]] bool has_work() const;

    struct Impl;
    [[nodiscard]] Impl& impl() { return *impl_; }

private:
    std::unique_ptr<Impl> impl_;
};

[[nodiscard]] Connection* make_web_socket_connection(ShardRunner& runner, const AcceptedSocket& socket);

}  // namespace trunkline::net
