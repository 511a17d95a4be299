// CONNECT and CONNACK.
#include "broker/mqtt/decode.h"
#include "broker/mqtt/properties.h"
#include "broker/mqtt/reader.h"

namespace trunkline::mqtt {
namespace {

using detail::malformed;
using detail::PropertyScope;
using detail::RawProperty;
using detail::Reader;
using detail::violation;

constexpr std::uint32_t never = 0xFFFFFFFF;

/// The Connect Flags byte, section 3.1.2.3.
struct ConnectFlags {
    std::uint8_t bits = 0;

    [[nodiscard]] bool reserved() const { return bits & 0x01U; }
    [[nodiscard]] bool clean_start() const { return bits & 0x02U; }
    [[nodiscard]] bool will() const { return bits & 0x04U; }
    [[nodiscard]] std::uint8_t will_qos() const { return (bits >> 3) & 3U; }
    [[nodiscard]] bool will_retain() const { return bits & 0x20U; }
    [[nodiscard]] bool password() const { return bits & 0x40U; }
    [[nodiscard]] bool user_name() const { return bits & 0x80U; }

    /// The rule that the flags break, null when they are consistent.
    [[nodiscard]] const char* fault(Version version) const {
        const bool v31 = version == Version::v31;  // leaves unused bits to the client
        if (reserved() && !v31) return "the reserved bit of the Connect Flags is set";            // [MQTT-3.1.2-3]
        if (!will() && will_qos() != 0 && !v31) return "Will QoS is set without the Will Flag";   // [MQTT-3.1.2-11]
        if (!will() && will_retain() && !v31) return "Will Retain is set without the Will Flag";  // [MQTT-3.1.2-13]
        if (will() && will_qos() == 3) return "Will QoS is 3";                                    // [MQTT-3.1.2-12]
        if (password() && !user_name() && version != Version::v5) return "a password without a user name";
        return nullptr;
    }
};

DecodeError read_version(Reader& reader, Version& version) {
    std::string_view name;
    std::uint8_t level = 0;
    if (!reader.binary(name) || !reader.u8(level)) return malformed("protocol name or level is cut short");
    const bool mqtt = name == "MQTT" && (level == 4 || level == 5);
    const bool mqisdp = name == "MQIsdp" && level == 3;
    if (!mqtt && !mqisdp)  // [MQTT-3.1.2-1] [MQTT-3.1.2-2]
        return {Reason::unsupported_protocol_version, "protocol is none of MQTT 5.0, 3.1.1 and 3.1"};
    version = static_cast<Version>(level);
    return {};
}

void take_connect_property(Connect& connect, const RawProperty& property) {
    switch (property.id) {
        case Property::session_expiry_interval:
            connect.session_expiry_s = property.number;
            connect.has_session_expiry = true;
            break;
        case Property::receive_maximum:
            connect.receive_maximum = static_cast<std::uint16_t>(property.number);
            connect.has_receive_maximum = true;
            break;
        case Property::maximum_packet_size: connect.maximum_packet_size = property.number; break;
        case Property::topic_alias_maximum:
            connect.topic_alias_maximum = static_cast<std::uint16_t>(property.number);
            connect.has_topic_alias_maximum = true;
            break;
        case Property::request_response_information: connect.request_response_information = property.number == 1; break;
        case Property::request_problem_information: connect.request_problem_information = property.number == 1; break;
        case Property::user_property: connect.user_properties.emplace_back(property.text, property.value); break;
        case Property::authentication_method: connect.authentication_method = property.text; break;
        case Property::authentication_data: connect.authentication_data = property.text; break;
        default: break;
    }
}

DecodeError read_connect_properties(Reader& reader, Connect& connect) {
    DecodeError error;
    std::string_view list;
    const auto take = [&](const RawProperty& property) { take_connect_property(connect, property); };
    if (!read_properties(reader, PropertyScope::connect, error, list, take)) return error;
    if (connect.authentication_data && !connect.authentication_method)  // section 3.1.2.11.10
        return violation("Authentication Data without an Authentication Method");
    return {};
}

void take_will_property(Will& will, const RawProperty& property) {
    switch (property.id) {
        case Property::will_delay_interval: will.delay_s = property.number; break;
        case Property::message_expiry_interval: will.message_expiry_s = property.number; break;
        case Property::response_topic: will.response_topic = property.text; break;
        case Property::payload_format_indicator:
            will.has_payload_format = true;
            will.payload_is_utf8 = property.number == 1;
            break;
        default: break;
    }
}

DecodeError read_will(Reader& reader, Version version, Will& will) {
    if (version == Version::v5) {
        DecodeError error;
        const auto take = [&](const RawProperty& property) { take_will_property(will, property); };
        if (!read_properties(reader, PropertyScope::will, error, will.properties, take)) return error;
    }
    if (!reader.binary(will.topic)) return malformed("will topic is cut short");  // [MQTT-3.1.2-9]
    if (!is_valid_utf8(will.topic)) return malformed("will topic is no valid UTF-8");  // [MQTT-3.1.3-11]
    if (will.topic.empty()) return {Reason::topic_name_invalid, "will topic is empty"};
    if (will.topic.find_first_of("+#") != will.topic.npos)
        return {Reason::topic_name_invalid, "will topic holds a wildcard"};
    if (!reader.binary(will.payload)) return malformed("will payload is cut short");
    return {};
}

DecodeError read_credentials(Reader& reader, ConnectFlags flags, Connect& connect) {
    // MQTT 3.1 lets the end of the packet take precedence over the flags.
    const auto may_be_absent = [&] { return connect.version == Version::v31 && reader.done(); };
    if (flags.user_name() && !may_be_absent()) {
        std::string_view user_name;
        if (!reader.binary(user_name)) return malformed("user name is cut short");  // [MQTT-3.1.2-17]
        if (!is_valid_utf8(user_name)) return malformed("user name is no valid UTF-8");  // [MQTT-3.1.3-12]
        connect.user_name = user_name;
    }
    if (flags.password() && !may_be_absent()) {
        std::string_view password;
        if (!reader.binary(password)) return malformed("password is cut short");  // [MQTT-3.1.2-19]
        connect.password = password;
    }
    if (!reader.done()) return malformed("bytes are left over after the packet's last field");
    return {};
}

/// Payload in the order of [MQTT-3.1.3-1].
DecodeError read_connect_payload(Reader& reader, ConnectFlags flags, Connect& connect) {
    if (!reader.binary(connect.client_id)) return malformed("client identifier is cut short");  // [MQTT-3.1.3-3]
    if (!is_valid_utf8(connect.client_id)) return malformed("client identifier is no valid UTF-8");  // [MQTT-3.1.3-4]
    if (flags.will()) {
        Will& will = connect.will.emplace();
        will.qos = flags.will_qos();
        will.retain = flags.will_retain();
        const DecodeError error = read_will(reader, connect.version, will);
        if (*error.what) return error;
    }
    return read_credentials(reader, flags, connect);
}

DecodeError read_connect(std::string_view body, Connect& connect) {
    Reader reader(body);
    DecodeError error = read_version(reader, connect.version);
    if (*error.what) return error;
    ConnectFlags flags;
    if (!reader.u8(flags.bits)) return malformed("Connect Flags are missing");
    if (const char* fault = flags.fault(connect.version)) return malformed(fault);
    connect.clean_start = flags.clean_start();
    if (!reader.u16(connect.keep_alive_s)) return malformed("Keep Alive is cut short");
    if (connect.version == Version::v5)
        error = read_connect_properties(reader, connect);
    else
        connect.session_expiry_s = connect.clean_start ? 0 : never;
    if (*error.what) return error;
    return read_connect_payload(reader, flags, connect);
}

}  // namespace

std::optional<Version> connect_version(std::string_view body) {
    Reader reader(body);
    Version version{};
    if (*read_version(reader, version).what) return std::nullopt;
    return version;
}

Decoded<Connect> decode_connect(std::string_view body) {
    Decoded<Connect> result(boost::system::in_place_value);
    const DecodeError error = read_connect(body, *result);
    if (*error.what) result = error;
    return result;
}

namespace {

void take_connack_property(Connack& connack, const RawProperty& property) {
    const auto two_bytes = static_cast<std::uint16_t>(property.number);
    const bool yes = property.number == 1;
    switch (property.id) {
        case Property::session_expiry_interval: connack.session_expiry_s = property.number; break;
        case Property::receive_maximum: connack.receive_maximum = two_bytes; break;
        case Property::maximum_qos: connack.maximum_qos = static_cast<std::uint8_t>(property.number); break;
        case Property::retain_available: connack.retain_available = yes; break;
        case Property::maximum_packet_size: connack.maximum_packet_size = property.number; break;
        case Property::assigned_client_identifier: connack.assigned_client_id = property.text; break;
        case Property::topic_alias_maximum: connack.topic_alias_maximum = two_bytes; break;
        case Property::reason_string: connack.reason_string = property.text; break;
        case Property::user_property: connack.user_properties.emplace_back(property.text, property.value); break;
        case Property::wildcard_subscription_available: connack.wildcard_subscription_available = yes; break;
        case Property::subscription_identifier_available: connack.subscription_identifier_available = yes; break;
        case Property::shared_subscription_available: connack.shared_subscription_available = yes; break;
        case Property::server_keep_alive: connack.server_keep_alive_s = two_bytes; break;
        case Property::response_information: connack.response_information = property.text; break;
        case Property::server_reference: connack.server_reference = property.text; break;
        case Property::authentication_method: connack.authentication_method = property.text; break;
        case Property::authentication_data: connack.authentication_data = property.text; break;
        default: break;
    }
}

/// The MQTT 5 reason of a CONNACK return code of section 3.2.2.3 of 3.1.1; the code is at most 5.
Reason reason_of_v3_code(std::uint8_t code) {
    constexpr Reason reasons[] = {Reason::success,           Reason::unsupported_protocol_version,
                                  Reason::client_identifier_not_valid, Reason::server_unavailable,
                                  Reason::bad_user_name_or_password,   Reason::not_authorized};
    return reasons[code];
}

}  // namespace

Decoded<Connack> decode_connack(std::string_view body, Version version) {
    Decoded<Connack> result(boost::system::in_place_value);
    Connack& connack = *result;
    Reader reader(body);
    std::uint8_t flags = 0;
    std::uint8_t code = 0;
    if (!reader.u8(flags) || !reader.u8(code)) return malformed("CONNACK is cut short");
    if (version == Version::v31) flags = 0;  // reserved and unused there
    if (flags > 1) return malformed("reserved bits of the Connect Acknowledge Flags are set");  // [MQTT-3.2.2-1]
    connack.session_present = flags == 1;
    if (connack.session_present && code != 0) return violation("Session Present in a refusal");  // [MQTT-3.2.2-6]
    if (version == Version::v5) {
        connack.reason = static_cast<Reason>(code);
        if (!reason_allowed(PacketType::connack, connack.reason))
            return violation("reason code is not one of this packet type's");
        DecodeError error;
        std::string_view list;
        const auto take = [&](const RawProperty& property) { take_connack_property(connack, property); };
        if (!read_properties(reader, PropertyScope::connack, error, list, take)) return error;
    } else {
        if (code > 5) return violation("CONNACK return code is not one of MQTT 3.1.1's");
        connack.v3_code = code;
        connack.reason = reason_of_v3_code(code);
    }
    if (!reader.done()) return malformed("bytes are left over after the packet's last field");
    return result;
}

}  // namespace trunkline::mqtt
