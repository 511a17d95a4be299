#include "broker/mqtt/properties.h"

#include <array>
#include <cassert>
#include <cstddef>
#include <initializer_list>

namespace trunkline::mqtt {
namespace detail {
namespace {

enum class Kind : std::uint8_t { unknown, byte, two_bytes, four_bytes, varint, text, binary, text_pair };

/// What section 2.2.2.2 says of one property, with the sentences for a client that breaks it.
struct Rule {
    Kind kind = Kind::unknown;
    std::uint16_t scopes = 0;
    std::uint32_t lowest = 0;
    std::uint32_t highest = 0xFFFFFFFF;
    const char* misplaced = "";
    const char* repeated = "";
    const char* cut_short = "";
    const char* out_of_range = "";
};

constexpr std::size_t rule_count = 0x2B;

constexpr std::uint16_t in(std::initializer_list<PropertyScope> scopes) {
    std::uint16_t bits = 0;
    for (const auto scope : scopes) bits |= static_cast<std::uint16_t>(scope);
    return bits;
}

constexpr std::array<Rule, rule_count> make_rules() {
    using enum PropertyScope;
    using enum Kind;
    std::array<Rule, rule_count> rules{};
    // Sentences are static text, so the preprocessor joins them; a function could not hand out such literals.
#define TRUNKLINE_PROPERTY(id, name, kind, lowest, highest, ...)                                              \
    rules[static_cast<std::size_t>(Property::id)] = {                                                         \
        kind, in({__VA_ARGS__}), lowest, highest, name " is not allowed in this packet",                      \
        name " is there more than once", name " is cut short or badly encoded", name " is not within its range"}
    constexpr std::uint32_t any = 0xFFFFFFFF;
    TRUNKLINE_PROPERTY(payload_format_indicator, "Payload Format Indicator", byte, 0, 1, publish, will);
    TRUNKLINE_PROPERTY(message_expiry_interval, "Message Expiry Interval", four_bytes, 0, any, publish, will);
    TRUNKLINE_PROPERTY(content_type, "Content Type", text, 0, any, publish, will);
    TRUNKLINE_PROPERTY(response_topic, "Response Topic", text, 0, any, publish, will);
    TRUNKLINE_PROPERTY(correlation_data, "Correlation Data", binary, 0, any, publish, will);
    TRUNKLINE_PROPERTY(subscription_identifier, "Subscription Identifier", varint, 1, any, publish, subscribe);
    TRUNKLINE_PROPERTY(session_expiry_interval, "Session Expiry Interval", four_bytes, 0, any, connect, connack,
                       disconnect);
    TRUNKLINE_PROPERTY(assigned_client_identifier, "Assigned Client Identifier", text, 0, any, connack);
    TRUNKLINE_PROPERTY(server_keep_alive, "Server Keep Alive", two_bytes, 0, any, connack);
    TRUNKLINE_PROPERTY(authentication_method, "Authentication Method", text, 0, any, connect, connack, auth);
    TRUNKLINE_PROPERTY(authentication_data, "Authentication Data", binary, 0, any, connect, connack, auth);
    TRUNKLINE_PROPERTY(request_problem_information, "Request Problem Information", byte, 0, 1, connect);
    TRUNKLINE_PROPERTY(will_delay_interval, "Will Delay Interval", four_bytes, 0, any, will);
    TRUNKLINE_PROPERTY(request_response_information, "Request Response Information", byte, 0, 1, connect);
    TRUNKLINE_PROPERTY(response_information, "Response Information", text, 0, any, connack);
    TRUNKLINE_PROPERTY(server_reference, "Server Reference", text, 0, any, connack, disconnect);
    TRUNKLINE_PROPERTY(reason_string, "Reason String", text, 0, any, connack, ack, suback, disconnect, auth);
    TRUNKLINE_PROPERTY(receive_maximum, "Receive Maximum", two_bytes, 1, any, connect, connack);
    TRUNKLINE_PROPERTY(topic_alias_maximum, "Topic Alias Maximum", two_bytes, 0, any, connect, connack);
    TRUNKLINE_PROPERTY(topic_alias, "Topic Alias", two_bytes, 1, any, publish);
    TRUNKLINE_PROPERTY(maximum_qos, "Maximum QoS", byte, 0, 1, connack);
    TRUNKLINE_PROPERTY(retain_available, "Retain Available", byte, 0, 1, connack);
    TRUNKLINE_PROPERTY(user_property, "User Property", text_pair, 0, any, connect, connack, publish, will, ack,
                       subscribe, suback, unsubscribe, disconnect, auth);
    TRUNKLINE_PROPERTY(maximum_packet_size, "Maximum Packet Size", four_bytes, 1, any, connect, connack);
    TRUNKLINE_PROPERTY(wildcard_subscription_available, "Wildcard Subscription Available", byte, 0, 1, connack);
    TRUNKLINE_PROPERTY(subscription_identifier_available, "Subscription Identifier Available", byte, 0, 1, connack);
    TRUNKLINE_PROPERTY(shared_subscription_available, "Shared Subscription Available", byte, 0, 1, connack);
#undef TRUNKLINE_PROPERTY
    return rules;
}

constexpr std::array<Rule, rule_count> rules = make_rules();

bool read_value(Reader& reader, Kind kind, RawProperty& property) {
    std::uint8_t byte = 0;
    std::uint16_t two_bytes = 0;
    switch (kind) {
        case Kind::byte:
            if (!reader.u8(byte)) return false;
            property.number = byte;
            return true;
        case Kind::two_bytes:
            if (!reader.u16(two_bytes)) return false;
            property.number = two_bytes;
            return true;
        case Kind::four_bytes: return reader.u32(property.number);
        case Kind::varint: return reader.varint(property.number);
        case Kind::text:
        case Kind::binary: return reader.binary(property.text);
        case Kind::text_pair: return reader.binary(property.text) && reader.binary(property.value);
        case Kind::unknown: break;
    }
    return false;
}

bool may_repeat(Property id, PropertyScope scope) {
    return id == Property::user_property ||
           (id == Property::subscription_identifier && scope == PropertyScope::publish);
}

/// Section 3.3.2.3.5: a Response Topic is a topic name.
const char* response_topic_fault(std::string_view topic) {
    if (topic.empty()) return "Response Topic is empty";
    if (topic.find('+') != topic.npos) return "Response Topic holds the wildcard '+'";  // [MQTT-3.3.2-14]
    if (topic.find('#') != topic.npos) return "Response Topic holds the wildcard '#'";
    return nullptr;
}

}  // namespace

bool PropertyWalk::next(RawProperty& property) {
    std::uint8_t id = 0;
    if (!reader_.u8(id)) return false;
    if (id >= rule_count || rules[id].kind == Kind::unknown) return fail(malformed("unknown property identifier"));
    const Rule& rule = rules[id];
    property.id = static_cast<Property>(id);
    if (!(rule.scopes & static_cast<std::uint16_t>(scope_))) return fail(malformed(rule.misplaced));
    const std::uint64_t bit = std::uint64_t{1} << id;
    if ((seen_ & bit) && !may_repeat(property.id, scope_)) return fail(violation(rule.repeated));
    seen_ |= bit;
    if (!read_value(reader_, rule.kind, property)) return fail(malformed(rule.cut_short));
    property.next = reader_.rest();

    if (rule.kind == Kind::text || rule.kind == Kind::text_pair) {
        if (!is_valid_utf8(property.text)) return fail(malformed("a property's string is no valid UTF-8"));
        if (rule.kind == Kind::text_pair && !is_valid_utf8(property.value))  // [MQTT-1.5.7-1]
            return fail(malformed("a User Property's value is no valid UTF-8"));
        if (property.id == Property::response_topic) {
            if (const char* fault = response_topic_fault(property.text)) return fail(violation(fault));
        }
    } else if (rule.kind != Kind::binary && (property.number < rule.lowest || property.number > rule.highest)) {
        const bool alias = property.id == Property::topic_alias;  // [MQTT-3.3.2-8]
        return fail({alias ? Reason::topic_alias_invalid : Reason::protocol_error, rule.out_of_range});
    }
    return true;
}

RawProperty first_property(std::string_view raw_properties) {
    RawProperty property;
    Reader reader(raw_properties);
    std::uint8_t id = 0;
    const bool good = reader.u8(id) && id < rule_count && read_value(reader, rules[id].kind, property);
    assert(good);  // the bytes went through PropertyWalk
    if (!good) return property;
    property.id = static_cast<Property>(id);
    property.next = reader.rest();
    return property;
}

}  // namespace detail

void append_forwarded_properties(std::string_view raw_properties, std::string& out) {
    while (!raw_properties.empty()) {
        const auto property = detail::first_property(raw_properties);
        switch (property.id) {
            case Property::payload_format_indicator:
            case Property::content_type:
            case Property::response_topic:
            case Property::correlation_data:
            case Property::user_property:
                out.append(raw_properties.substr(0, raw_properties.size() - property.next.size()));
                break;
            default: break;
        }
        raw_properties = property.next;
    }
}

UserPropertySize user_property_size(std::string_view raw_properties) {
    UserPropertySize size;
    for_each_user_property(raw_properties, [&](std::string_view name, std::string_view value) {
        size.count += 1;
        size.bytes += static_cast<std::uint32_t>(5 + name.size() + value.size());
    });
    return size;
}

}  // namespace trunkline::mqtt
