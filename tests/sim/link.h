// One connection as bytes under way: the socket buffers of both ends and the wire between them. It can be cut anywhere.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "broker/core/shard_api.h"

namespace trunkline::sim {

class Link final : public broker::Transport {
public:
    /// `room`: bytes that fit between the broker and the client until the broker's write stalls.
    Link(std::uint32_t shard, std::size_t room) : shard(shard), room_(room) {}

    void flush(mqtt::Buffer& out) override {
        const std::size_t size = std::min(out.size(), room_ - std::min(room_, down.size()));
        if (!client_gone) down.append(out.view().substr(0, size));
        out.consume(size);
        stalled = out.empty() ? nullptr : &out;
    }
    void close(mqtt::Buffer&& out) override {
        if (!client_gone) down.append(out.view());
        out.clear();
        stalled = nullptr;
        client = nullptr;
    }
    void close_after_goodbye(mqtt::Buffer&& out) override {
        said_goodbye = true;
        close(std::move(out));
    }
    void set_reading(bool enabled) override { reading = enabled; }

    /// The client's end goes. The broker still gets `arrives` bytes of what is under way, and learns of it later.
    void cut(std::size_t arrives) {
        client_gone = true;
        up.resize(std::min(up.size(), arrives));
        down.clear();
    }
    /// The broker's end goes with its machine; `arrives` bytes of what it wrote still reach the client.
    void crash(std::size_t arrives) {
        client = nullptr;
        stalled = nullptr;
        up.clear();
        down.resize(std::min(down.size(), arrives));
    }

    const std::uint32_t shard;
    broker::Client* client = nullptr;    ///< null once the broker let go of it
    std::string up;                      ///< written by the client, not yet read by the broker
    std::string unread;                  ///< read by the broker: the front of a packet
    std::string down;                    ///< written by the broker, not yet read by the client
    mqtt::Buffer* stalled = nullptr;     ///< what the broker could not write yet
    bool reading = true;
    bool client_gone = false;
    bool said_goodbye = false;           ///< the broker got the client's DISCONNECT
    bool cancels_will = false;           ///< if the broker gets it: reason 0
    std::uint64_t will = 0;              ///< uid of the will that this connection brought; 0: none

private:
    const std::size_t room_;
};

}  // namespace trunkline::sim
