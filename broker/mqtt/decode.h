// Bytes in, packets out. Pure functions over memory: no state, no I/O, nothing throws on bad input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
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
/// boost::system::result calls this when value() is asked of an error. Nobody may: it is a broken invariant and stops.
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
/// alone), type 0, reserved flag bits [MQTT-2.1.3-1]. With v31 PUBREL, SUBSCRIBE and UNSUBSCRIBE may have DUP set, as
/// MQTT 3.1 has it for repetitions.
[[nodiscard]] Decoded<Frame> next_frame(std::string_view bytes, std::uint32_t maximum_packet_size,
                                        Version version = Version::v5);

/// Each takes the body of a Frame. `version` matters for properties and reason codes. All of the body must be used.
/// CONNECT brings its version along; one we do not speak is unsupported_protocol_version [MQTT-3.1.2-1]. An empty
/// client identifier is well-formed here; which versions and clean starts allow it is the session's to say.
[[nodiscard]] Decoded<Connect> decode_connect(std::string_view body);
/// The version that a CONNECT names, also when the rest of it is malformed: it decides how the refusal is written.
[[nodiscard]] std::optional<Version> connect_version(std::string_view body);
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
/// The same for a payload that Payload Format Indicator 1 declares as text: there U+0000 is a character like others
/// (section 3.3.2.3.2 asks for well-formed UTF-8 only).
[[nodiscard]] bool is_valid_utf8_payload(std::string_view payload);

/// Appends to `out` those of a PUBLISH's (or will's) raw properties that travel with the message to its subscribers,
/// in their order: Payload Format Indicator, Content Type, Response Topic, Correlation Data, User Properties.
/// Where `publish.has_hop_properties` is false the raw bytes can be taken as they are.
void append_forwarded_properties(std::string_view raw_properties, std::string& out);

/// Calls `visit(name, value)` for each user property among raw, validated property bytes.
template <class Visit>
void for_each_user_property(std::string_view raw_properties, Visit&& visit);

/// How many user properties raw, validated property bytes hold and how many bytes they take on the wire.
struct UserPropertySize {
    std::uint32_t count = 0;
    std::uint32_t bytes = 0;
};
[[nodiscard]] UserPropertySize user_property_size(std::string_view raw_properties);

namespace detail {
/// One property of raw bytes; `next` is what follows it. Strings are without their length prefix.
struct RawProperty {
    Property id{};
    std::uint32_t number = 0;
    std::string_view text;
    std::string_view value;
    std::string_view next;
};
RawProperty first_property(std::string_view raw_properties);

/// Flags that a packet type must have: PUBLISH any, the three with 0010 [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1],
/// else 0.
inline bool flags_allowed(unsigned type, unsigned flags, Version version) {
    constexpr unsigned publish_type = 1U << 3;
    constexpr unsigned with_two = 1U << 6 | 1U << 8 | 1U << 10;
    if ((publish_type >> type) & 1U) return true;
    const unsigned wanted = ((with_two >> type) & 1U) << 1;
    return flags == wanted || (wanted && version == Version::v31 && flags == 0x0A);
}
/// Why next_frame() refused `bytes`.
DecodeError frame_error(std::string_view bytes, Version version);
}  // namespace detail

namespace detail {
/// next_frame() into `frame`, which is as constructed; an empty `what` on success.
inline DecodeError read_frame(std::string_view bytes, std::uint32_t maximum_packet_size, Version version,
                              Frame& frame) {
    frame.needed = 2;
    if (bytes.empty()) return {};
    const unsigned first = static_cast<unsigned char>(bytes[0]);
    if (first < 0x10 || !flags_allowed(first >> 4, first & 15U, version)) return frame_error(bytes, version);
    frame.type = static_cast<PacketType>(first >> 4);
    frame.flags = static_cast<std::uint8_t>(first & 15U);
    std::uint32_t remaining = 0;
    std::uint32_t header = 1;
    for (unsigned shift = 0;; shift += 7) {
        if (header == bytes.size()) {
            frame.needed = header + 1;
            return {};
        }
        const std::uint32_t next = static_cast<unsigned char>(bytes[header++]);
        remaining |= (next & 0x7FU) << shift;
        if ((next & 0x80U) ? shift == 21 : (next == 0 && shift > 0)) return frame_error(bytes, version);
        if (!(next & 0x80U)) break;
    }
    const std::uint32_t total = header + remaining;
    if (total > maximum_packet_size) return frame_error(bytes, version);
    frame.needed = total;
    if (bytes.size() < total) return {};
    frame.size = total;
    frame.body = bytes.substr(header, remaining);
    return {};
}
}  // namespace detail

inline Decoded<Frame> next_frame(std::string_view bytes, std::uint32_t maximum_packet_size, Version version) {
    Decoded<Frame> result(boost::system::in_place_value);
    const DecodeError error = detail::read_frame(bytes, maximum_packet_size, version, *result);
    if (*error.what) result = error;
    return result;
}

template <class Visit>
void for_each_user_property(std::string_view raw_properties, Visit&& visit) {
    while (!raw_properties.empty()) {
        const auto property = detail::first_property(raw_properties);
        if (property.id == Property::user_property) visit(property.text, property.value);
        raw_properties = property.next;
    }
}

}  // namespace trunkline::mqtt
