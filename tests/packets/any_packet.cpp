#include "tests/packets/any_packet.h"

#include <string>
#include <utility>
#include <vector>

#include "broker/mqtt/encode.h"

namespace trunkline::tests {
namespace {

using mqtt::Decoded;
using mqtt::PacketType;

template <class Packet>
Decoded<AnyPacket> any(Decoded<Packet> decoded) {
    if (!decoded) return decoded.error();
    return AnyPacket(*std::move(decoded));
}

std::vector<std::uint32_t> subscription_identifiers(const mqtt::Publish& publish) {
    std::vector<std::uint32_t> identifiers;
    for (std::string_view rest = publish.properties; !rest.empty();) {
        const auto property = mqtt::detail::first_property(rest);
        if (property.id == mqtt::Property::subscription_identifier) identifiers.push_back(property.number);
        rest = property.next;
    }
    return identifiers;
}

std::string forwarded(const mqtt::Publish& publish) {
    std::string properties;
    mqtt::append_forwarded_properties(publish.properties, properties);
    return properties;
}

void encode_publish(mqtt::Buffer& out, mqtt::Version version, const mqtt::Publish& publish) {
    const auto identifiers = subscription_identifiers(publish);
    const std::string properties = forwarded(publish);
    mqtt::PublishOut packet;
    packet.dup = publish.dup;
    packet.retain = publish.retain;
    packet.qos = publish.qos;
    packet.packet_id = publish.packet_id;
    packet.topic_alias = publish.topic_alias;
    packet.message_expiry_s = publish.message_expiry_s;
    packet.subscription_identifiers = identifiers.data();
    packet.subscription_identifier_count = static_cast<std::uint32_t>(identifiers.size());
    packet.topic = publish.topic;
    packet.forwarded_properties = properties;
    packet.payload = publish.payload;
    mqtt::encode(out, version, packet);
}

}  // namespace

Decoded<AnyPacket> decode_any(const mqtt::Frame& frame, mqtt::Version version) {
    switch (frame.type) {
        case PacketType::connect: return any(mqtt::decode_connect(frame.body));
        case PacketType::connack: return any(mqtt::decode_connack(frame.body, version));
        case PacketType::publish: return any(mqtt::decode_publish(frame.flags, frame.body, version));
        case PacketType::puback:
        case PacketType::pubrec:
        case PacketType::pubrel:
        case PacketType::pubcomp: return any(mqtt::decode_ack(frame.type, frame.body, version));
        case PacketType::subscribe: return any(mqtt::decode_subscribe(frame.body, version));
        case PacketType::suback: return any(mqtt::decode_suback(frame.body, version));
        case PacketType::unsubscribe: return any(mqtt::decode_unsubscribe(frame.body, version));
        case PacketType::unsuback: return any(mqtt::decode_unsuback(frame.body, version));
        case PacketType::disconnect: return any(mqtt::decode_disconnect(frame.body, version));
        case PacketType::auth: return any(mqtt::decode_auth(frame.body, version));
        case PacketType::pingreq:
        case PacketType::pingresp:
        case PacketType::reserved: break;
    }
    const auto empty = mqtt::decode_empty(frame.body);
    if (!empty) return empty.error();
    return AnyPacket(Ping{frame.type});
}

void encode_any(mqtt::Buffer& out, mqtt::Version version, const AnyPacket& packet) {
    std::visit(
        [&](const auto& value) {
            using Value = std::decay_t<decltype(value)>;
            if constexpr (std::is_same_v<Value, Ping>)
                value.type == PacketType::pingreq ? mqtt::encode_pingreq(out) : mqtt::encode_pingresp(out);
            else if constexpr (std::is_same_v<Value, mqtt::Publish>)
                encode_publish(out, version, value);
            else if constexpr (std::is_same_v<Value, mqtt::Connect>)
                mqtt::encode(out, value);
            else
                mqtt::encode(out, version, value);
        },
        packet);
}

bool same_values(const AnyPacket& one, const AnyPacket& other) {
    const auto* first = std::get_if<mqtt::Publish>(&one);
    const auto* second = std::get_if<mqtt::Publish>(&other);
    if (!first || !second) return one == other;
    auto first_plain = *first;
    auto second_plain = *second;
    first_plain.properties = second_plain.properties = {};
    return first_plain == second_plain && forwarded(*first) == forwarded(*second) &&
           subscription_identifiers(*first) == subscription_identifiers(*second);
}

}  // namespace trunkline::tests
