// The control packets as plain values. Strings and payloads are views over the bytes that were decoded: valid until
// those bytes go. The same structures are what the encoder takes, so that decode -> encode gives the same bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/mqtt/types.h"

namespace trunkline::mqtt {

using UserProperties = std::vector<std::pair<std::string_view, std::string_view>>;

/// PUBLISH, the packet of the hot path: no allocation to decode it.
struct Publish {
    bool dup = false;
    bool retain = false;
    std::uint8_t qos = 0;
    bool has_payload_format = false;     // Payload Format Indicator present
    bool payload_is_utf8 = false;        // its value
    bool has_hop_properties = false;     // topic alias, message expiry or subscription identifier among `properties`
    std::uint16_t packet_id = 0;         // 0 at QoS 0
    std::uint16_t topic_alias = 0;       // 0: none
    std::optional<std::uint32_t> message_expiry_s;
    std::uint32_t subscription_identifiers = 0;  // how many (only a server may send them)
    std::string_view topic;
    std::string_view response_topic;     // empty: none
    std::string_view properties;         // the raw, validated property bytes without their length
    std::string_view payload;
    bool operator==(const Publish&) const = default;
};

/// What differs from subscriber to subscriber when a message goes out.
struct PublishOut {
    bool dup = false;
    bool retain = false;
    std::uint8_t qos = 0;
    std::uint16_t packet_id = 0;
    std::uint16_t topic_alias = 0;                          // 0: none; with an alias `topic` may be empty
    std::optional<std::uint32_t> message_expiry_s;          // what is left of it
    const std::uint32_t* subscription_identifiers = nullptr;
    std::uint32_t subscription_identifier_count = 0;
    std::string_view topic;
    std::string_view forwarded_properties;                  // from append_forwarded_properties(); ignored before v5
    std::string_view payload;
};

struct Will {
    std::uint8_t qos = 0;
    bool retain = false;
    std::uint32_t delay_s = 0;
    std::optional<std::uint32_t> message_expiry_s;
    bool payload_is_utf8 = false;
    bool has_payload_format = false;
    std::string_view topic;
    std::string_view payload;
    std::string_view response_topic;
    std::string_view properties;   // raw will properties without their length; the encoder takes these when not empty
                                   // and else builds them from the fields above
    bool operator==(const Will&) const = default;
};

struct Connect {
    Version version = Version::v5;
    bool clean_start = false;
    std::uint16_t keep_alive_s = 0;
    std::string_view client_id;
    std::optional<Will> will;
    std::optional<std::string_view> user_name;
    std::optional<std::string_view> password;
    std::uint32_t session_expiry_s = 0;            // 0xFFFFFFFF: never. Before v5: 0 when clean, else never
    bool has_session_expiry = false;
    std::uint16_t receive_maximum = 65535;
    bool has_receive_maximum = false;
    std::optional<std::uint32_t> maximum_packet_size;
    std::uint16_t topic_alias_maximum = 0;
    bool has_topic_alias_maximum = false;
    std::optional<bool> request_response_information;  // absent: false
    std::optional<bool> request_problem_information;   // absent: true
    std::optional<std::string_view> authentication_method;
    std::optional<std::string_view> authentication_data;
    UserProperties user_properties;
    bool operator==(const Connect&) const = default;
};

struct Connack {
    bool session_present = false;
    Reason reason = Reason::success;               // before v5 the encoder maps it with v3_return_code()
    std::uint8_t v3_code = 0;                      // decoder only: the return code as it stood in a v3 CONNACK
    std::optional<std::uint32_t> session_expiry_s;
    std::optional<std::uint16_t> receive_maximum;
    std::optional<std::uint8_t> maximum_qos;
    std::optional<bool> retain_available;
    std::optional<std::uint32_t> maximum_packet_size;
    std::optional<std::string_view> assigned_client_id;
    std::optional<std::uint16_t> topic_alias_maximum;
    std::optional<std::string_view> reason_string;
    UserProperties user_properties;
    std::optional<bool> wildcard_subscription_available;
    std::optional<bool> subscription_identifier_available;
    std::optional<bool> shared_subscription_available;
    std::optional<std::uint16_t> server_keep_alive_s;
    std::optional<std::string_view> response_information;
    std::optional<std::string_view> server_reference;
    std::optional<std::string_view> authentication_method;
    std::optional<std::string_view> authentication_data;
    bool operator==(const Connack&) const = default;
};

/// PUBACK, PUBREC, PUBREL and PUBCOMP share one layout.
struct Ack {
    PacketType type = PacketType::puback;
    std::uint16_t packet_id = 0;
    Reason reason = Reason::success;
    std::optional<std::string_view> reason_string;
    UserProperties user_properties;
    bool operator==(const Ack&) const = default;
};

/// Retain Handling, section 3.8.3.1.
enum class RetainHandling : std::uint8_t { send = 0, send_if_new = 1, do_not_send = 2 };

struct SubscriptionOptions {
    std::uint8_t qos = 0;
    bool no_local = false;
    bool retain_as_published = false;
    RetainHandling retain_handling = RetainHandling::send;
    bool operator==(const SubscriptionOptions&) const = default;
};

struct SubscriptionRequest {
    std::string_view filter;        // as sent, also when it is no valid filter: the session answers that per filter
    SubscriptionOptions options;
    bool operator==(const SubscriptionRequest&) const = default;
};

struct Subscribe {
    std::uint16_t packet_id = 0;
    std::uint32_t subscription_identifier = 0;  // 0: none
    UserProperties user_properties;
    std::vector<SubscriptionRequest> requests;  // never empty
    bool operator==(const Subscribe&) const = default;
};

struct Suback {
    std::uint16_t packet_id = 0;
    std::optional<std::string_view> reason_string;
    UserProperties user_properties;
    std::vector<Reason> reasons;                // before v5 the encoder sends 0x80 for every failure
    bool operator==(const Suback&) const = default;
};

struct Unsubscribe {
    std::uint16_t packet_id = 0;
    UserProperties user_properties;
    std::vector<std::string_view> filters;      // never empty
    bool operator==(const Unsubscribe&) const = default;
};

struct Unsuback {
    std::uint16_t packet_id = 0;
    std::optional<std::string_view> reason_string;
    UserProperties user_properties;
    std::vector<Reason> reasons;                // not sent before v5
    bool operator==(const Unsuback&) const = default;
};

struct Disconnect {
    Reason reason = Reason::success;
    std::optional<std::uint32_t> session_expiry_s;
    std::optional<std::string_view> reason_string;
    std::optional<std::string_view> server_reference;
    UserProperties user_properties;
    bool operator==(const Disconnect&) const = default;
};

struct Auth {
    Reason reason = Reason::success;
    std::optional<std::string_view> method;
    std::optional<std::string_view> data;
    std::optional<std::string_view> reason_string;
    UserProperties user_properties;
    bool operator==(const Auth&) const = default;
};

}  // namespace trunkline::mqtt
