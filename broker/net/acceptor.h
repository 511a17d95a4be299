// Accepts connections of one listening socket and hands each to the least loaded shard.
#pragma once

#include <functional>

#include "broker/net/connection.h"
#include "broker/net/shard_runner.h"

namespace trunkline::net {

/// Lives on the thread of the runner that watches it.
class Acceptor final : public EventSource {
public:
    /// `sockets_max`: open sockets in all, after which new ones are closed at once.
    Acceptor(ShardRunner& runner, Listener& listener, int descriptor, std::uint32_t sockets_max,
             const std::vector<std::unique_ptr<ShardRunner>>& runners);

    void on_event(std::uint32_t events) override;
    /// Goes on after a pause for want of descriptors.
    void on_tick(std::int64_t now_ms);
    /// Watches no longer.
    void stop();

private:
    void accepted(int descriptor, const broker::PeerAddress& peer);
    void pause(int error);

    ShardRunner& runner_;
    Listener& listener_;
    const int descriptor_;
    const std::uint32_t sockets_max_;
    const std::vector<std::unique_ptr<ShardRunner>>& runners_;
    bool watching_ = false;
    bool stopped_ = false;
    std::int64_t resume_ms_ = 0;
};

}  // namespace trunkline::net
