// Bytes in, packets out. Pure functions over memory: no state, no I/O, nothing throws on bad input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <boost/system/result.hpp>

#include "broker/mqtt/packets.h"

namespace trunkline::mqtt {

/// Why bytes are no packet: the reason code to answer with and a sentence for the Reason String and the log.
struct DecodeError {
    Reason reason = Reason::malformed_packet;
    const char* what = "";   // static text that names the field and the rule, such as "topic name holds a wildcard"
};
// decode.cpp: throwing accessors of result are never used; this satisfies boost::system::result's error traits.
[[noreturn]] void throw_exception_from_error(const DecodeError& error, const boost::source_location& location);

template <class T>
using Decoded = boost::system::result<T, DecodeError>;

/// A whole control packet at the front of a byte range, header parsed, body not yet.
struct Frame {
    PacketType type = PacketType::reserved;
    std::uint8_t flags = 0;       // the low four bits of the first byte
    std::uint32_t size = 0;       // header and body; 0: not complete yet
    std::uint32_t needed = 0;     // with size 0: total bytes needed as far as known (at least 2)
    std::string_view body;
};

/// Splits the first packet off `bytes`. Incomplete: size 0. Errors: a remaining length over four bytes or not in its
/// shortest form [MQTT-1.5.5-1], a packet over `maximum_packet_size` bytes (packet_too_large, seen from the header
/// alone), type 0, reserved flag bits [MQTT-2.1.3-1].
[[nodiscard]] Decoded<Frame> next_frame(std::string_view bytes, std::uint32_t maximum_packet_size);

/// Each takes the body of a Frame. `version` matters for properties and reason codes. All of the body must be used.
[[nodiscard]] Decoded<Connect> decode_connect(std::string_view body);   // unsupported_protocol_version where it applies
[[nodiscard]] Decoded<Connack> decode_connack(std::string_view body, Version version);
[[nodiscard]] Decoded<Publish> decode_publish(std::uint8_t flags, std::string_view body, Version version);
[[nodiscard]] Decoded<Ack> decode_ack(PacketType type, std::string_view body, Version version);
[[nodiscard]] Decoded<Subscribe> decode_subscribe(std::string_view body, Version version);
[[nodiscard]] Decoded<Suback> decode_suback(std::string_view body, Version version);
[[nodiscard]] Decoded<Unsubscribe> decode_unsubscribe(std::string_view body, Version version);
[[nodiscard]] Decoded<Unsuback> decode_unsuback(std::string_view body, Version version);
[[nodiscard]] Decoded<Disconnect> decode_disconnect(std::string_view body, Version version);
[[nodiscard]] Decoded<Auth> decode_auth(std::string_view body, Version version);
/// PINGREQ and PINGRESP: the body must be empty.
[[nodiscard]] Decoded<void> decode_empty(std::string_view body);

/// [MQTT-1.5.4-1/-2]: well-formed UTF-8 without surrogates and without U+0000. ASCII is checked a word at a time.
[[nodiscard]] bool is_valid_utf8(std::string_view text);

/// Appends to `out` those of a PUBLISH's (or will's) raw properties that travel with the message to its subscribers,
/// in their order: Payload Format Indicator, Content Type, Response Topic, Correlation Data, User Properties.
/// Where `publish.has_hop_properties` is false the raw bytes can be taken as they are.
void append_forwarded_properties(std::string_view raw_properties, std::string& out);

/// Calls `visit(name, value)` for each user property among raw, validated property bytes.
template <class Visit>
void for_each_user_property(std::string_view raw_properties, Visit&& visit);

/// How many user properties raw, validated property bytes hold and how many bytes they take.
struct UserPropertySize { std::uint32_t count = 0; std::uint32_t bytes = 0; };
[[nodiscard]] UserPropertySize user_property_size(std::string_view raw_properties);

namespace detail {
/// One property of raw bytes; `next` is what follows it. Strings are without their length prefix.
struct RawProperty { Property id{}; std::uint32_t number = 0; std::string_view text, value; std::string_view next; };
RawProperty first_property(std::string_view raw_properties);
}  // namespace detail

template <class Visit>
void for_each_user_property(std::string_view raw_properties, Visit&& visit) {
    while (!raw_properties.empty()) {
        const auto property = detail::first_property(raw_properties);
        if (property.id == Property::user_property) visit(property.text, property.value);
        raw_properties = property.next;
    }
}

}  // namespace trunkline::mqtt
