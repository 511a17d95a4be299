// Framing and the packets that are few bytes long. Each bigger packet has a file of its own.
#include "broker/mqtt/decode.h"

#include <cstdio>
#include <cstdlib>

#include "broker/mqtt/properties.h"
#include "broker/mqtt/reader.h"

namespace trunkline::mqtt {

using detail::malformed;
using detail::PropertyScope;
using detail::RawProperty;
using detail::Reader;
using detail::violation;

void throw_exception_from_error(const DecodeError& error, const boost::source_location& location) {
    std::fprintf(stderr, "%s:%u: value of a failed decode taken: %s\n", location.file_name(),
                 static_cast<unsigned>(location.line()), error.what);
    std::abort();
}

namespace detail {

DecodeError frame_error(std::string_view bytes, Version version) {
    const unsigned first = static_cast<unsigned char>(bytes[0]);
    if (first < 0x10) return malformed("packet type 0 is reserved");
    if (!flags_allowed(first >> 4, first & 15U, version))
        return malformed("reserved flag bits of the fixed header are not as the packet type wants them");
    Reader reader(bytes.substr(1));
    std::uint32_t remaining = 0;
    if (!reader.varint(remaining)) return malformed("remaining length is over four bytes or not in its shortest form");
    return {Reason::packet_too_large, "packet is larger than the receiver's Maximum Packet Size"};
}

}  // namespace detail

namespace {

constexpr DecodeError no_packet_id = {Reason::malformed_packet, "packet identifier is missing"};
constexpr DecodeError packet_id_zero = {Reason::protocol_error, "packet identifier is 0"};
constexpr DecodeError trailing_bytes = {Reason::malformed_packet, "bytes are left over after the packet's last field"};
constexpr DecodeError unlisted_reason = {Reason::protocol_error, "reason code is not one of this packet type's"};

/// Reason String and User Properties, which most answers share.
template <class Packet>
void take_diagnostics(Packet& packet, const RawProperty& property) {
    if (property.id == Property::reason_string) packet.reason_string = property.text;
    if (property.id == Property::user_property) packet.user_properties.emplace_back(property.text, property.value);
}

}  // namespace

Decoded<Ack> decode_ack(PacketType type, std::string_view body, Version version) {
    Ack ack;
    ack.type = type;
    Reader reader(body);
    if (!reader.u16(ack.packet_id)) return no_packet_id;
    if (ack.packet_id == 0) return packet_id_zero;
    if (reader.done()) return ack;
    if (version != Version::v5) return trailing_bytes;

    std::uint8_t reason = 0;
    if (!reader.u8(reason)) return malformed("reason code is missing");
    ack.reason = static_cast<Reason>(reason);
    if (!reason_allowed(type, ack.reason)) return unlisted_reason;
    if (reader.done()) return ack;  // section 3.4.2.2.1: below four bytes there are no properties
    DecodeError error;
    std::string_view list;
    if (!read_properties(reader, PropertyScope::ack, error, list,
                         [&](const RawProperty& property) { take_diagnostics(ack, property); }))
        return error;
    if (!reader.done()) return trailing_bytes;
    return ack;
}

namespace {

/// SUBACK and UNSUBACK of MQTT 5: properties, then one reason code a filter up to the end.
template <class Packet>
Decoded<Packet> decode_filter_answers(PacketType type, Packet&& packet, Reader reader) {
    DecodeError error;
    std::string_view list;
    if (!read_properties(reader, PropertyScope::suback, error, list,
                         [&](const RawProperty& property) { take_diagnostics(packet, property); }))
        return error;
    if (reader.done()) return violation("no reason code in an answer to SUBSCRIBE or UNSUBSCRIBE");
    packet.reasons.reserve(reader.left());
    for (const char code : reader.rest()) {
        const auto reason = static_cast<Reason>(code);
        if (!reason_allowed(type, reason)) return unlisted_reason;
        packet.reasons.push_back(reason);
    }
    return std::move(packet);
}

}  // namespace

Decoded<Suback> decode_suback(std::string_view body, Version version) {
    Suback suback;
    Reader reader(body);
    if (!reader.u16(suback.packet_id)) return no_packet_id;
    if (suback.packet_id == 0) return packet_id_zero;
    if (version == Version::v5) return decode_filter_answers(PacketType::suback, std::move(suback), reader);

    if (reader.done()) return malformed("SUBACK without a return code");
    for (const char code : reader.rest()) {
        const auto reason = static_cast<Reason>(code);
        if (reason > Reason::granted_qos_2 && reason != Reason::unspecified_error) return unlisted_reason;
        suback.reasons.push_back(reason);
    }
    return suback;
}

Decoded<Unsuback> decode_unsuback(std::string_view body, Version version) {
    Unsuback unsuback;
    Reader reader(body);
    if (!reader.u16(unsuback.packet_id)) return no_packet_id;
    if (unsuback.packet_id == 0) return packet_id_zero;
    if (version == Version::v5) return decode_filter_answers(PacketType::unsuback, std::move(unsuback), reader);
    if (!reader.done()) return trailing_bytes;
    return unsuback;
}

Decoded<Disconnect> decode_disconnect(std::string_view body, Version version) {
    Disconnect disconnect;
    Reader reader(body);
    if (reader.done()) return disconnect;
    if (version != Version::v5) return trailing_bytes;

    std::uint8_t reason = 0;
    if (!reader.u8(reason)) return malformed("reason code is missing");
    disconnect.reason = static_cast<Reason>(reason);
    if (!reason_allowed(PacketType::disconnect, disconnect.reason)) return unlisted_reason;
    if (reader.done()) return disconnect;  // section 3.14.2.2.1: below two bytes there are no properties
    DecodeError error;
    std::string_view list;
    if (!read_properties(reader, PropertyScope::disconnect, error, list, [&](const RawProperty& property) {
            take_diagnostics(disconnect, property);
            if (property.id == Property::session_expiry_interval) disconnect.session_expiry_s = property.number;
            if (property.id == Property::server_reference) disconnect.server_reference = property.text;
        }))
        return error;
    if (!reader.done()) return trailing_bytes;
    return disconnect;
}

Decoded<Auth> decode_auth(std::string_view body, Version version) {
    if (version != Version::v5) return malformed("packet type 15 is reserved before MQTT 5");
    Auth auth;
    Reader reader(body);
    if (!reader.done()) {
        std::uint8_t reason = 0;
        if (!reader.u8(reason)) return malformed("reason code is missing");
        auth.reason = static_cast<Reason>(reason);
        if (!reason_allowed(PacketType::auth, auth.reason)) return unlisted_reason;
        DecodeError error;
        std::string_view list;
        if (!read_properties(reader, PropertyScope::auth, error, list, [&](const RawProperty& property) {
                take_diagnostics(auth, property);
                if (property.id == Property::authentication_method) auth.method = property.text;
                if (property.id == Property::authentication_data) auth.data = property.text;
            }))
            return error;
        if (!reader.done()) return trailing_bytes;
    }
    if (!auth.method) return violation("AUTH without an Authentication Method");  // section 3.15.2.2.2
    return auth;
}

Decoded<void> decode_empty(std::string_view body) {
    if (!body.empty()) return malformed("PINGREQ and PINGRESP have no body");
    return {};
}

}  // namespace trunkline::mqtt
