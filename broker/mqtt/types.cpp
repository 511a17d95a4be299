#include "broker/mqtt/types.h"

#include <array>
#include <initializer_list>

namespace trunkline::mqtt {

std::string_view reason_name(Reason reason) {
    switch (reason) {
        case Reason::success: return "Success";
        case Reason::granted_qos_1: return "Granted QoS 1";
        case Reason::granted_qos_2: return "Granted QoS 2";
        case Reason::disconnect_with_will: return "Disconnect with Will Message";
        case Reason::no_matching_subscribers: return "No matching subscribers";
        case Reason::no_subscription_existed: return "No subscription existed";
        case Reason::continue_authentication: return "Continue authentication";
        case Reason::re_authenticate: return "Re-authenticate";
        case Reason::unspecified_error: return "Unspecified error";
        case Reason::malformed_packet: return "Malformed Packet";
        case Reason::protocol_error: return "Protocol Error";
        case Reason::implementation_specific_error: return "Implementation specific error";
        case Reason::unsupported_protocol_version: return "Unsupported Protocol Version";
        case Reason::client_identifier_not_valid: return "Client Identifier not valid";
        case Reason::bad_user_name_or_password: return "Bad User Name or Password";
        case Reason::not_authorized: return "Not authorized";
        case Reason::server_unavailable: return "Server unavailable";
        case Reason::server_busy: return "Server busy";
        case Reason::banned: return "Banned";
        case Reason::server_shutting_down: return "Server shutting down";
        case Reason::bad_authentication_method: return "Bad authentication method";
        case Reason::keep_alive_timeout: return "Keep Alive timeout";
        case Reason::session_taken_over: return "Session taken over";
        case Reason::topic_filter_invalid: return "Topic Filter invalid";
        case Reason::topic_name_invalid: return "Topic Name invalid";
        case Reason::packet_identifier_in_use: return "Packet Identifier in use";
        case Reason::packet_identifier_not_found: return "Packet Identifier not found";
        case Reason::receive_maximum_exceeded: return "Receive Maximum exceeded";
        case Reason::topic_alias_invalid: return "Topic Alias invalid";
        case Reason::packet_too_large: return "Packet too large";
        case Reason::message_rate_too_high: return "Message rate too high";
        case Reason::quota_exceeded: return "Quota exceeded";
        case Reason::administrative_action: return "Administrative action";
        case Reason::payload_format_invalid: return "Payload format invalid";
        case Reason::retain_not_supported: return "Retain not supported";
        case Reason::qos_not_supported: return "QoS not supported";
        case Reason::use_another_server: return "Use another server";
        case Reason::server_moved: return "Server moved";
        case Reason::shared_subscriptions_not_supported: return "Shared Subscriptions not supported";
        case Reason::connection_rate_exceeded: return "Connection rate exceeded";
        case Reason::maximum_connect_time: return "Maximum connect time";
        case Reason::subscription_identifiers_not_supported: return "Subscription Identifiers not supported";
        case Reason::wildcard_subscriptions_not_supported: return "Wildcard Subscriptions not supported";
    }
    return "unknown";
}

std::string_view packet_name(PacketType type) {
    static constexpr std::array<std::string_view, 16> names = {
        "reserved",  "CONNECT", "CONNACK",     "PUBLISH",  "PUBACK",  "PUBREC",   "PUBREL",     "PUBCOMP",
        "SUBSCRIBE", "SUBACK",  "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"};
    return names[static_cast<std::size_t>(type) & 15U];
}

namespace {

/// A set of reason codes: all that exist lie below 0x40 or in 0x80 to 0xBF.
struct ReasonSet {
    std::uint64_t low = 0;
    std::uint64_t high = 0;

    constexpr ReasonSet() = default;
    constexpr ReasonSet(std::initializer_list<unsigned> codes) {
        for (const unsigned code : codes) (code < 0x80 ? low : high) |= std::uint64_t{1} << (code & 63U);
    }
    [[nodiscard]] constexpr bool has(unsigned code) const {
        if (code & 0x40U) return false;
        return ((code & 0x80U ? high : low) >> (code & 63U)) & 1U;
    }
};

constexpr ReasonSet publish_reasons = {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99};
constexpr ReasonSet release_reasons = {0x00, 0x92};

constexpr std::array<ReasonSet, 16> allowed_reasons = {
    ReasonSet{},                                                             // reserved
    ReasonSet{},                                                             // CONNECT
    ReasonSet{0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99,
              0x9A, 0x9B, 0x9C, 0x9D, 0x9F},                                 // CONNACK [MQTT-3.2.2-8]
    ReasonSet{},                                                             // PUBLISH
    publish_reasons,                                                         // PUBACK [MQTT-3.4.2-1]
    publish_reasons,                                                         // PUBREC [MQTT-3.5.2-1]
    release_reasons,                                                         // PUBREL [MQTT-3.6.2-1]
    release_reasons,                                                         // PUBCOMP [MQTT-3.7.2-1]
    ReasonSet{},                                                             // SUBSCRIBE
    ReasonSet{0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2},  // SUBACK [MQTT-3.9.3-2]
    ReasonSet{},                                                             // UNSUBSCRIBE
    ReasonSet{0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91},                     // UNSUBACK [MQTT-3.11.3-2]
    ReasonSet{},                                                             // PINGREQ
    ReasonSet{},                                                             // PINGRESP
    // DISCONNECT [MQTT-3.14.2-1]. 0x8C stands in the table of section 2.4 only; a peer may go by that one.
    ReasonSet{0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95,
              0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2},
    ReasonSet{0x00, 0x18, 0x19},                                             // AUTH [MQTT-3.15.2-1]
};

}  // namespace

bool reason_allowed(PacketType type, Reason reason) {
    return allowed_reasons[static_cast<std::size_t>(type) & 15U].has(static_cast<unsigned>(reason));
}

std::uint8_t v3_return_code(Reason reason) {
    switch (reason) {
        case Reason::success: return 0;
        case Reason::unsupported_protocol_version: return 1;
        case Reason::client_identifier_not_valid: return 2;
        case Reason::bad_user_name_or_password:
        case Reason::bad_authentication_method: return 4;
        case Reason::not_authorized:
        case Reason::banned:
        case Reason::topic_name_invalid:      // these four refuse the will of the CONNECT
        case Reason::payload_format_invalid:
        case Reason::retain_not_supported:
        case Reason::qos_not_supported: return 5;
        default: return 3;
    }
}

}  // namespace trunkline::mqtt
