// Whichever control packet stands in a frame, as one value: for tests that treat all types alike.
#pragma once

#include <string_view>
#include <variant>

#include "broker/mqtt/buffer.h"
#include "broker/mqtt/decode.h"

namespace trunkline::tests {

struct Ping {
    mqtt::PacketType type = mqtt::PacketType::pingreq;
    bool operator==(const Ping&) const = default;
};

using AnyPacket = std::variant<mqtt::Connect, mqtt::Connack, mqtt::Publish, mqtt::Ack, mqtt::Subscribe, mqtt::Suback,
                               mqtt::Unsubscribe, mqtt::Unsuback, mqtt::Disconnect, mqtt::Auth, Ping>;

/// Decodes the body of a whole frame. A CONNECT brings its own version, `version` is that of all others.
mqtt::Decoded<AnyPacket> decode_any(const mqtt::Frame& frame, mqtt::Version version);

/// Encodes what decode_any() gave.
void encode_any(mqtt::Buffer& out, mqtt::Version version, const AnyPacket& packet);

/// Equal but for the order in which a PUBLISH's hop properties stood among the others.
bool same_values(const AnyPacket& one, const AnyPacket& other);

}  // namespace trunkline::tests
