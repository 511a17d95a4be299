#include "bench/frames.h"

#include <algorithm>

#include <unistd.h>

#include "broker/mqtt/encode.h"

namespace trunkline::bench {

std::uint32_t stamp_magic() {
    static const std::uint32_t magic = stamp_magic_family | (static_cast<std::uint32_t>(getpid()) & 0xFFFFU);
    return magic;
}

PublishFrame::PublishFrame(mqtt::Version version, std::string_view topic, std::uint8_t qos, bool retain,
                           std::uint32_t payload_bytes) {
    std::string payload(std::max(payload_bytes, stamp_bytes), '.');
    for (std::size_t i = stamp_bytes; i < payload.size(); ++i) payload[i] = static_cast<char>('a' + i % 26);
    mqtt::PublishOut packet;
    packet.qos = qos;
    packet.retain = retain;
    packet.packet_id = qos ? 1 : 0;
    packet.topic = topic;
    packet.payload = payload;
    mqtt::Buffer encoded;
    packet_id_at_ = mqtt::encode(encoded, version, packet);
    bytes_.assign(encoded.view());
    stamp_at_ = static_cast<std::uint32_t>(bytes_.size() - payload.size());
}

}  // namespace trunkline::bench
