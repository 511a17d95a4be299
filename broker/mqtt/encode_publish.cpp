// PUBLISH, the hot path: one reservation in the buffer, then copies.
#include <cassert>
#include <cstring>

#include "broker/mqtt/encode.h"
#include "broker/mqtt/writer.h"

namespace trunkline::mqtt {
namespace {

using detail::RawSink;
using detail::varint_size;

std::size_t properties_size(const PublishOut& packet) {
    std::size_t size = packet.forwarded_properties.size();
    if (packet.message_expiry_s) size += 5;
    if (packet.topic_alias) size += 3;
    for (std::uint32_t i = 0; i < packet.subscription_identifier_count; ++i)
        size += 1 + varint_size(packet.subscription_identifiers[i]);
    return size;
}

/// Body of the packet, given its properties' size where the version has them.
std::size_t body_size(Version version, const PublishOut& packet, std::size_t properties) {
    const std::size_t lengths = 2 + (packet.qos > 0 ? 2 : 0) + (version == Version::v5 ? varint_size(properties) : 0);
    return lengths + packet.topic.size() + properties + packet.payload.size();
}

void write_properties(RawSink& to, const PublishOut& packet) {
    if (packet.message_expiry_s) {
        to.id(Property::message_expiry_interval);
        to.u32(*packet.message_expiry_s);
    }
    if (packet.topic_alias) {
        to.id(Property::topic_alias);
        to.u16(packet.topic_alias);
    }
    for (std::uint32_t i = 0; i < packet.subscription_identifier_count; ++i) {
        to.id(Property::subscription_identifier);
        to.varint(packet.subscription_identifiers[i]);
    }
    to.raw(packet.forwarded_properties);
}

std::uint8_t first_byte(const PublishOut& packet) {
    const unsigned dup = packet.dup && packet.qos > 0 ? 8U : 0U;  // [MQTT-3.3.1-2]
    return static_cast<std::uint8_t>(0x30U | dup | unsigned{packet.qos} << 1 | (packet.retain ? 1U : 0U));
}

}  // namespace

std::uint32_t encoded_size(Version version, const PublishOut& packet) {
    const std::size_t body = body_size(version, packet, version == Version::v5 ? properties_size(packet) : 0);
    const std::size_t size = 1 + varint_size(body) + body;
    return size > UINT32_MAX ? UINT32_MAX : static_cast<std::uint32_t>(size);
}

std::uint32_t encode(Buffer& out, Version version, const PublishOut& packet) {
    assert(packet.qos <= 2 && (packet.qos == 0) == (packet.packet_id == 0));  // [MQTT-2.2.1-2] [MQTT-2.2.1-4]
    const std::size_t properties = version == Version::v5 ? properties_size(packet) : 0;
    const std::size_t body = body_size(version, packet, properties);
    assert(body <= detail::largest_body);
    char* const start = out.prepare(body + 5);
    RawSink to(start);
    to.u8(first_byte(packet));
    to.varint(static_cast<std::uint32_t>(body));
    to.text(packet.topic);
    std::uint32_t packet_id_at = 0;
    if (packet.qos > 0) {
        packet_id_at = static_cast<std::uint32_t>(to.at() - start);
        to.u16(packet.packet_id);
    }
    if (version == Version::v5) {
        to.varint(static_cast<std::uint32_t>(properties));
        if (properties) write_properties(to, packet);
    }
    to.raw(packet.payload);
    out.commit(static_cast<std::size_t>(to.at() - start));
    return packet_id_at;
}

}  // namespace trunkline::mqtt
