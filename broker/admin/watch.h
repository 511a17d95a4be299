// A subscription of the administration's own: an MQTT client inside the process, without a socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "broker/admin/event_source.h"
#include "broker/admin/http.h"
#include "broker/core/broker.h"
#include "broker/mqtt/types.h"

namespace trunkline::admin {

/// Speaks MQTT 5 to shard 0 as any client does, so that a watcher sees what a subscriber sees. QoS 0. What it receives
/// waits here as JSON up to `waiting_bytes_max`; beyond, the shard's write buffer fills and its own rules apply, so a
/// slow reader of /watch costs a bounded amount of memory and loses QoS 0 messages, counted as for any client.
class Watch final : public EventSource,
                    public broker::Transport,
                    public std::enable_shared_from_this<Watch> {
public:
    static constexpr std::size_t waiting_bytes_max = 1 << 20;

    /// `wake` is called from the shard's thread when take() has something new.
    /// `reader`: whose rules hold for what is read; null: everything may be.
    static std::shared_ptr<Watch> open(broker::Broker& broker, const std::string& filter, std::string client_id,
                                       std::shared_ptr<const auth::Principal> reader, std::function<void()> wake);
    /// Lets the shard go on when it waited.
    [[nodiscard]] Batch take() override;
    void stop() override;
    /// Call at least once a minute, or the keep-alive ends the session.
    void keep_alive() override;

    // Transport, on the shard's thread
    void flush(mqtt::Buffer& out) override;
    void close(mqtt::Buffer&& out) override;
    void set_reading(bool) override {}

private:
    Watch(broker::Broker& broker, std::shared_ptr<const auth::Principal> reader, std::function<void()> wake)
        : broker_(broker), reader_(std::move(reader)), wake_(std::move(wake)) {}
    void begin(broker::ShardApi& shard, const std::string& filter, const std::string& client_id);
    void decode(mqtt::Buffer& out);
    void on_packet(mqtt::PacketType type, std::uint8_t flags, std::string_view body);
    void end(std::string why);
    void push(std::string event);

    broker::Broker& broker_;
    const std::shared_ptr<const auth::Principal> reader_;
    // of the shard's thread
    broker::Client* client_ = nullptr;
    mqtt::Buffer* output_ = nullptr;           // the shard's, while it waits for take()
    std::shared_ptr<Watch> self_;              // the shard holds a reference until close()

    std::mutex mutex_;                         // guards what follows
    std::function<void()> wake_;
    Batch waiting_;
    std::size_t waiting_bytes_ = 0;
    bool stalled_ = false;
    bool resume_posted_ = false;
};

}  // namespace trunkline::admin
