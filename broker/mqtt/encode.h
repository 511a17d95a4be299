// Packets in, bytes out: each function appends one whole control packet to a Buffer.
//
// Properties are written in one order, that of the packet's section in the specification (which is the order of the
// fields in packets.h, User Properties where that section has them); a PUBLISH begins with Message Expiry Interval,
// Topic Alias and Subscription Identifiers and ends with the forwarded properties as they came. Bytes in that order,
// with properties and reason codes left out where they may be, come back unchanged from decode -> encode.
// Strings and binary data must not be longer than 65,535 bytes; a longer one is a broken invariant.
#pragma once

#include <cstdint>
#include <string>

#include "broker/mqtt/buffer.h"
#include "broker/mqtt/packets.h"

namespace trunkline::mqtt {

/// `maximum_packet_size` is what the receiver accepts, in bytes. A Reason String, then the User Properties, are left
/// out of a packet that would exceed it ([MQTT-3.2.2-19], [MQTT-3.4.2-2] and their like); when it still does not fit,
/// nothing is appended and false comes back.
inline constexpr std::uint32_t no_limit = 0xFFFFFFFF;

bool encode(Buffer& out, Version version, const Connack& packet, std::uint32_t maximum_packet_size = no_limit);
bool encode(Buffer& out, Version version, const Ack& packet, std::uint32_t maximum_packet_size = no_limit);
bool encode(Buffer& out, Version version, const Suback& packet, std::uint32_t maximum_packet_size = no_limit);
bool encode(Buffer& out, Version version, const Unsuback& packet, std::uint32_t maximum_packet_size = no_limit);
bool encode(Buffer& out, Version version, const Disconnect& packet, std::uint32_t maximum_packet_size = no_limit);
bool encode(Buffer& out, Version version, const Auth& packet, std::uint32_t maximum_packet_size = no_limit);
void encode(Buffer& out, const Connect& packet);                       // version is in the packet
void encode(Buffer& out, Version version, const Subscribe& packet);
void encode(Buffer& out, Version version, const Unsubscribe& packet);
void encode_pingreq(Buffer& out);
void encode_pingresp(Buffer& out);

/// No packet can be longer than this: a remaining length of 268,435,455 bytes and its five bytes of header.
inline constexpr std::uint32_t largest_packet = 268'435'460;

/// The hot path. Size of the packet that encode() would append, header included. What is above largest_packet cannot
/// be sent: a message that came in just below it may grow by its hop properties.
[[nodiscard]] std::uint32_t encoded_size(Version version, const PublishOut& packet);
/// Appends the packet; the caller has compared encoded_size() with what the receiver accepts where that is limited.
/// Returns the offset in bytes, from the first byte appended, of the packet identifier (0 at QoS 0), so that the same
/// bytes can serve several subscribers.
std::uint32_t encode(Buffer& out, Version version, const PublishOut& packet);

/// PUBACK, PUBREC, PUBREL or PUBCOMP with reason 0: four bytes, the same in every version.
inline void encode_ack(Buffer& out, PacketType type, std::uint16_t packet_id) {
    char* to = out.prepare(4);
    const bool pubrel = type == PacketType::pubrel;
    to[0] = static_cast<char>((static_cast<unsigned>(type) << 4) | (pubrel ? 2U : 0U));  // [MQTT-3.6.1-1]
    to[1] = 2;
    to[2] = static_cast<char>(packet_id >> 8);
    to[3] = static_cast<char>(packet_id);
    out.commit(4);
}

/// The same for PUBACK and PUBREC of version 5 with User Properties, as append_user_property() makes them: for many
/// acknowledgements that say the same. They are left out where the packet would exceed `maximum_packet_size`.
void encode_ack(Buffer& out, PacketType type, std::uint16_t packet_id, std::string_view user_properties,
                std::uint32_t maximum_packet_size);

/// Property bytes for one User Property, for building PublishOut::forwarded_properties by hand.
void append_user_property(std::string& out, std::string_view name, std::string_view value);

}  // namespace trunkline::mqtt
