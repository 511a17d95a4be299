#include "broker/admin/watch.h"

#include "broker/admin/namespace_json.h"
#include "broker/admin/sources.h"
#include "broker/mqtt/decode.h"
#include "broker/mqtt/encode.h"

namespace trunkline::admin {
namespace {

constexpr std::uint16_t keep_alive_s = 300;

std::string subscription_bytes(const std::string& filter, const std::string& client_id) {
    mqtt::Buffer bytes;
    mqtt::Connect connect;
    connect.version = mqtt::Version::v5;
    connect.clean_start = true;
    connect.keep_alive_s = keep_alive_s;
    connect.client_id = client_id;
    mqtt::encode(bytes, connect);
    mqtt::Subscribe subscribe;
    subscribe.packet_id = 1;
    subscribe.requests.push_back({filter, {.qos = 0, .retain_as_published = true}});
    mqtt::encode(bytes, mqtt::Version::v5, subscribe);
    return std::string(bytes.view());
}

}  // namespace

std::shared_ptr<Watch> Watch::open(broker::Broker& broker, const std::string& filter, std::string client_id,
                                   std::shared_ptr<const auth::Principal> reader, std::function<void()> wake) {
    std::shared_ptr<Watch> watch(new Watch(broker, std::move(reader), std::move(wake)));
    broker.run_on_shard(0, [watch, filter, client_id = std::move(client_id)](broker::ShardApi& shard) {
        watch->begin(shard, filter, client_id);
    });
    return watch;
}

void Watch::begin(broker::ShardApi& shard, const std::string& filter, const std::string& client_id) {
    {
        const std::lock_guard lock(mutex_);
        if (!wake_) return;   // stopped before it began
    }
    broker::ConnectionInfo info;
    info.local = true;
    info.administration = true;
    info.principal = reader_;
    client_ = shard.on_open(*this, info);
    if (!client_) return end("the broker refuses connections");
    self_ = shared_from_this();
    const std::string bytes = subscription_bytes(filter, client_id);
    shard.on_bytes(*client_, bytes);
}

void Watch::flush(mqtt::Buffer& out) {
    {
        const std::lock_guard lock(mutex_);
        if (wake_ && waiting_bytes_ >= waiting_bytes_max) {
            stalled_ = true;
            output_ = &out;
            return;
        }
    }
    output_ = nullptr;
    decode(out);
}

void Watch::close(mqtt::Buffer&& out) {
    client_ = nullptr;
    output_ = nullptr;
    decode(out);
    end("the broker ended the subscription");
    const auto last = std::move(self_);
}

void Watch::decode(mqtt::Buffer& out) {
    while (!out.empty()) {
        const auto frame = mqtt::next_frame(out.view(), mqtt::no_limit);
        if (!frame || frame->size == 0) break;   // the shard encodes whole packets
        on_packet(frame->type, frame->flags, frame->body);
        out.consume(frame->size);
    }
}

void Watch::on_packet(mqtt::PacketType type, std::uint8_t flags, std::string_view body) {
    if (type == mqtt::PacketType::publish) {
        const auto publish = mqtt::decode_publish(flags, body, mqtt::Version::v5);
        if (!publish) return;
        Json json = {{"topic", publish->topic}, {"qos", publish->qos}, {"retain", publish->retain},
                     {"received_at_ms", wall_ms()}};
        if (publish->message_expiry_s) json["message_expiry_s"] = *publish->message_expiry_s;
        add_payload(json, publish->payload);
        add_properties(json, publish->properties);
        push(dump(json));
    } else if (type == mqtt::PacketType::connack) {
        const auto connack = mqtt::decode_connack(body, mqtt::Version::v5);
        if (connack && connack->reason != mqtt::Reason::success) {
            end("refused: " + std::string(mqtt::reason_name(connack->reason)));
        }
    } else if (type == mqtt::PacketType::suback) {
        const auto suback = mqtt::decode_suback(body, mqtt::Version::v5);
        if (suback && !suback->reasons.empty() && suback->reasons[0] >= mqtt::Reason::unspecified_error) {
            end("refused: " + std::string(mqtt::reason_name(suback->reasons[0])));
        }
    } else if (type == mqtt::PacketType::disconnect) {
        const auto disconnect = mqtt::decode_disconnect(body, mqtt::Version::v5);
        if (disconnect) end("disconnected: " + std::string(mqtt::reason_name(disconnect->reason)));
    }
}

void Watch::push(std::string event) {
    std::function<void()> wake;
    {
        const std::lock_guard lock(mutex_);
        if (!wake_) return;
        if (waiting_.events.empty()) wake = wake_;
        waiting_bytes_ += event.size();
        waiting_.events.push_back(std::move(event));
    }
    if (wake) wake();
}

void Watch::end(std::string why) {
    std::function<void()> wake;
    {
        const std::lock_guard lock(mutex_);
        if (!waiting_.ended) waiting_.ended = std::move(why);
        wake = wake_;
    }
    if (wake) wake();
}

Watch::Batch Watch::take() {
    Batch batch;
    bool resume = false;
    {
        const std::lock_guard lock(mutex_);
        batch.events = std::move(waiting_.events);
        waiting_.events.clear();
        batch.ended = waiting_.ended;
        waiting_bytes_ = 0;
        resume = stalled_ && !resume_posted_;
        if (resume) resume_posted_ = true;
    }
    if (!resume) return batch;
    broker_.run_on_shard(0, [watch = shared_from_this()](broker::ShardApi& shard) {
        {
            const std::lock_guard lock(watch->mutex_);
            watch->stalled_ = watch->resume_posted_ = false;
        }
        if (!watch->output_ || !watch->client_) return;
        watch->decode(*std::exchange(watch->output_, nullptr));
        shard.on_writable(*watch->client_);
    });
    return batch;
}

void Watch::stop() {
    {
        const std::lock_guard lock(mutex_);
        wake_ = nullptr;
    }
    broker_.run_on_shard(0, [watch = shared_from_this()](broker::ShardApi& shard) {
        watch->output_ = nullptr;
        if (broker::Client* client = std::exchange(watch->client_, nullptr)) shard.on_closed(*client);
        const auto last = std::move(watch->self_);
    });
}

void Watch::keep_alive() {
    broker_.run_on_shard(0, [watch = shared_from_this()](broker::ShardApi& shard) {
        mqtt::Buffer ping;
        mqtt::encode_pingreq(ping);
        if (watch->client_) shard.on_bytes(*watch->client_, ping.view());
    });
}

}  // namespace trunkline::admin
