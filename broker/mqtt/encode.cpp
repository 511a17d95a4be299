// Every packet but PUBLISH. A packet is laid out by one function over a sink, run once to count and once to write.
#include "broker/mqtt/encode.h"

#include <cassert>
#include <optional>

#include "broker/mqtt/writer.h"

namespace trunkline::mqtt {
namespace {

using detail::CountingSink;
using detail::RawSink;

/// What of a packet's diagnostics is written; both false is the smallest form.
struct Diagnostics {
    bool reason_string = true;
    bool user_properties = true;
};

/// One property when there is a value, in the width of its type.
template <class Sink>
void put(Sink& to, Property id, const std::optional<bool>& value) {
    if (!value) return;
    to.id(id);
    to.u8(*value ? 1 : 0);
}
template <class Sink>
void put(Sink& to, Property id, const std::optional<std::uint8_t>& value) {
    if (!value) return;
    to.id(id);
    to.u8(*value);
}
template <class Sink>
void put(Sink& to, Property id, const std::optional<std::uint16_t>& value) {
    if (!value) return;
    to.id(id);
    to.u16(*value);
}
template <class Sink>
void put(Sink& to, Property id, const std::optional<std::uint32_t>& value) {
    if (!value) return;
    to.id(id);
    to.u32(*value);
}
template <class Sink>
void put(Sink& to, Property id, const std::optional<std::string_view>& value) {
    if (!value) return;
    to.id(id);
    to.text(*value);
}
template <class Sink>
void put_user_properties(Sink& to, const UserProperties& properties) {
    for (const auto& [name, value] : properties) {
        to.id(Property::user_property);
        to.text(name);
        to.text(value);
    }
}
template <class Sink, class Packet>
void put_diagnostics(Sink& to, const Packet& packet, Diagnostics with) {
    if (with.reason_string) put(to, Property::reason_string, packet.reason_string);
    if (with.user_properties) put_user_properties(to, packet.user_properties);
}

template <class Write>
std::size_t size_of(Write&& write) {
    CountingSink count;
    write(count);
    return count.size();
}

/// A property length and the properties that `write(sink)` makes.
template <class Sink, class Write>
void put_list(Sink& to, Write&& write) {
    to.varint(static_cast<std::uint32_t>(size_of(write)));
    write(to);
}

/// Appends the packet whose body `write(sink)` makes, or nothing (and false) where it is over the limit.
template <class Write>
bool put_packet(Buffer& out, PacketType type, unsigned flags, std::uint32_t maximum_packet_size, Write&& write) {
    const std::size_t body = size_of(write);
    if (body > detail::largest_body) return false;
    const std::size_t total = 1 + detail::varint_size(body) + body;
    if (total > maximum_packet_size) return false;
    RawSink to(out.prepare(total));
    to.u8(static_cast<std::uint8_t>(static_cast<unsigned>(type) << 4 | flags));
    to.varint(static_cast<std::uint32_t>(body));
    write(to);
    out.commit(total);
    return true;
}

/// The same for `write(sink, Diagnostics)`: leaves out the Reason String, then the User Properties too, to make it fit.
template <class Write>
bool put_shrinking(Buffer& out, PacketType type, unsigned flags, std::uint32_t maximum_packet_size, Write&& write) {
    for (const Diagnostics with : {Diagnostics{true, true}, Diagnostics{false, true}, Diagnostics{false, false}}) {
        const auto body = [&](auto& to) { write(to, with); };
        if (put_packet(out, type, flags, maximum_packet_size, body)) return true;
    }
    return false;
}

template <class Sink>
void put_connack_properties(Sink& to, const Connack& packet, Diagnostics with) {
    put(to, Property::session_expiry_interval, packet.session_expiry_s);
    put(to, Property::receive_maximum, packet.receive_maximum);
    put(to, Property::maximum_qos, packet.maximum_qos);
    put(to, Property::retain_available, packet.retain_available);
    put(to, Property::maximum_packet_size, packet.maximum_packet_size);
    put(to, Property::assigned_client_identifier, packet.assigned_client_id);
    put(to, Property::topic_alias_maximum, packet.topic_alias_maximum);
    put_diagnostics(to, packet, with);
    put(to, Property::wildcard_subscription_available, packet.wildcard_subscription_available);
    put(to, Property::subscription_identifier_available, packet.subscription_identifier_available);
    put(to, Property::shared_subscription_available, packet.shared_subscription_available);
    put(to, Property::server_keep_alive, packet.server_keep_alive_s);
    put(to, Property::response_information, packet.response_information);
    put(to, Property::server_reference, packet.server_reference);
    put(to, Property::authentication_method, packet.authentication_method);
    put(to, Property::authentication_data, packet.authentication_data);
}

bool has_diagnostics(const auto& packet, Diagnostics with) {
    return (with.reason_string && packet.reason_string) || (with.user_properties && !packet.user_properties.empty());
}

std::uint8_t code(Reason reason) { return static_cast<std::uint8_t>(reason); }

}  // namespace

bool encode(Buffer& out, Version version, const Connack& packet, std::uint32_t maximum_packet_size) {
    return put_shrinking(out, PacketType::connack, 0, maximum_packet_size, [&](auto& to, Diagnostics with) {
        const bool can_tell = packet.reason == Reason::success && version != Version::v31;  // [MQTT-3.2.2-6]
        to.u8(packet.session_present && can_tell ? 1 : 0);                                  // [MQTT-3.2.2-1]
        if (version != Version::v5) return to.u8(v3_return_code(packet.reason));
        to.u8(code(packet.reason));
        put_list(to, [&](auto& list) { put_connack_properties(list, packet, with); });
    });
}

bool encode(Buffer& out, Version version, const Ack& packet, std::uint32_t maximum_packet_size) {
    const unsigned flags = packet.type == PacketType::pubrel ? 2 : 0;  // [MQTT-3.6.1-1]
    return put_shrinking(out, packet.type, flags, maximum_packet_size, [&](auto& to, Diagnostics with) {
        to.u16(packet.packet_id);
        if (version != Version::v5) return;
        const bool properties = has_diagnostics(packet, with);
        if (packet.reason == Reason::success && !properties) return;
        to.u8(code(packet.reason));
        if (properties) put_list(to, [&](auto& list) { put_diagnostics(list, packet, with); });
    });
}

void encode_ack(Buffer& out, PacketType type, std::uint16_t packet_id, std::string_view user_properties,
                std::uint32_t maximum_packet_size) {
    const bool fits = put_packet(out, type, 0, maximum_packet_size, [&](auto& to) {
        to.u16(packet_id);
        to.u8(code(Reason::success));
        to.varint(static_cast<std::uint32_t>(user_properties.size()));
        to.raw(user_properties);
    });
    if (!fits) encode_ack(out, type, packet_id);
}

bool encode(Buffer& out, Version version, const Suback& packet, std::uint32_t maximum_packet_size) {
    return put_shrinking(out, PacketType::suback, 0, maximum_packet_size, [&](auto& to, Diagnostics with) {
        to.u16(packet.packet_id);
        if (version == Version::v5) put_list(to, [&](auto& list) { put_diagnostics(list, packet, with); });
        for (const Reason reason : packet.reasons) {
            const bool v3_failure = version != Version::v5 && reason > Reason::granted_qos_2;
            to.u8(v3_failure ? 0x80 : code(reason));
        }
    });
}

bool encode(Buffer& out, Version version, const Unsuback& packet, std::uint32_t maximum_packet_size) {
    return put_shrinking(out, PacketType::unsuback, 0, maximum_packet_size, [&](auto& to, Diagnostics with) {
        to.u16(packet.packet_id);
        if (version != Version::v5) return;
        put_list(to, [&](auto& list) { put_diagnostics(list, packet, with); });
        for (const Reason reason : packet.reasons) to.u8(code(reason));
    });
}

bool encode(Buffer& out, Version version, const Disconnect& packet, std::uint32_t maximum_packet_size) {
    return put_shrinking(out, PacketType::disconnect, 0, maximum_packet_size, [&](auto& to, Diagnostics with) {
        if (version != Version::v5) return;
        const bool properties = has_diagnostics(packet, with) || packet.session_expiry_s || packet.server_reference;
        if (packet.reason == Reason::success && !properties) return;
        to.u8(code(packet.reason));
        if (!properties) return;
        put_list(to, [&](auto& list) {
            put(list, Property::session_expiry_interval, packet.session_expiry_s);
            put_diagnostics(list, packet, with);
            put(list, Property::server_reference, packet.server_reference);
        });
    });
}

bool encode(Buffer& out, Version version, const Auth& packet, std::uint32_t maximum_packet_size) {
    assert(version == Version::v5);
    static_cast<void>(version);
    return put_shrinking(out, PacketType::auth, 0, maximum_packet_size, [&](auto& to, Diagnostics with) {
        to.u8(code(packet.reason));
        put_list(to, [&](auto& list) {
            put(list, Property::authentication_method, packet.method);
            put(list, Property::authentication_data, packet.data);
            put_diagnostics(list, packet, with);
        });
    });
}

namespace {

template <class Value>
std::optional<Value> only_if(bool there, Value value) {
    return there ? std::optional<Value>(value) : std::nullopt;
}

template <class Sink>
void put_connect_properties(Sink& to, const Connect& packet) {
    put(to, Property::session_expiry_interval, only_if(packet.has_session_expiry, packet.session_expiry_s));
    put(to, Property::receive_maximum, only_if(packet.has_receive_maximum, packet.receive_maximum));
    put(to, Property::maximum_packet_size, packet.maximum_packet_size);
    put(to, Property::topic_alias_maximum, only_if(packet.has_topic_alias_maximum, packet.topic_alias_maximum));
    put(to, Property::request_response_information, packet.request_response_information);
    put(to, Property::request_problem_information, packet.request_problem_information);
    put_user_properties(to, packet.user_properties);
    put(to, Property::authentication_method, packet.authentication_method);
    put(to, Property::authentication_data, packet.authentication_data);
}

template <class Sink>
void put_will_properties(Sink& to, const Will& will) {
    if (!will.properties.empty()) return to.raw(will.properties);
    put(to, Property::will_delay_interval, only_if(will.delay_s != 0, will.delay_s));
    put(to, Property::payload_format_indicator, only_if(will.has_payload_format, will.payload_is_utf8));
    put(to, Property::message_expiry_interval, will.message_expiry_s);
    put(to, Property::response_topic, only_if(!will.response_topic.empty(), will.response_topic));
}

std::uint8_t connect_flags(const Connect& packet) {
    unsigned flags = packet.clean_start ? 0x02U : 0U;
    if (packet.will) flags |= 0x04U | unsigned{packet.will->qos} << 3 | (packet.will->retain ? 0x20U : 0U);
    if (packet.password) flags |= 0x40U;
    if (packet.user_name) flags |= 0x80U;
    return static_cast<std::uint8_t>(flags);
}

}  // namespace

void encode(Buffer& out, const Connect& packet) {
    const bool v5 = packet.version == Version::v5;
    const bool whole = put_packet(out, PacketType::connect, 0, no_limit, [&](auto& to) {
        to.text(packet.version == Version::v31 ? "MQIsdp" : "MQTT");
        to.u8(static_cast<std::uint8_t>(packet.version));
        to.u8(connect_flags(packet));
        to.u16(packet.keep_alive_s);
        if (v5) put_list(to, [&](auto& list) { put_connect_properties(list, packet); });
        to.text(packet.client_id);  // [MQTT-3.1.3-1]: the payload's order
        if (packet.will) {
            if (v5) put_list(to, [&](auto& list) { put_will_properties(list, *packet.will); });
            to.text(packet.will->topic);
            to.text(packet.will->payload);
        }
        if (packet.user_name) to.text(*packet.user_name);
        if (packet.password) to.text(*packet.password);
    });
    assert(whole);
    static_cast<void>(whole);
}

void encode(Buffer& out, Version version, const Subscribe& packet) {
    const bool whole = put_packet(out, PacketType::subscribe, 2, no_limit, [&](auto& to) {  // [MQTT-3.8.1-1]
        to.u16(packet.packet_id);
        if (version == Version::v5) {
            put_list(to, [&](auto& list) {
                if (packet.subscription_identifier) {
                    list.id(Property::subscription_identifier);
                    list.varint(packet.subscription_identifier);
                }
                put_user_properties(list, packet.user_properties);
            });
        }
        for (const auto& [filter, options] : packet.requests) {
            to.text(filter);
            unsigned bits = options.qos;
            if (version == Version::v5) {
                bits |= (options.no_local ? 4U : 0U) | (options.retain_as_published ? 8U : 0U) |
                        static_cast<unsigned>(options.retain_handling) << 4;
            }
            to.u8(static_cast<std::uint8_t>(bits));
        }
    });
    assert(whole);
    static_cast<void>(whole);
}

void encode(Buffer& out, Version version, const Unsubscribe& packet) {
    const bool whole = put_packet(out, PacketType::unsubscribe, 2, no_limit, [&](auto& to) {  // [MQTT-3.10.1-1]
        to.u16(packet.packet_id);
        if (version == Version::v5)
            put_list(to, [&](auto& list) { put_user_properties(list, packet.user_properties); });
        for (const auto filter : packet.filters) to.text(filter);
    });
    assert(whole);
    static_cast<void>(whole);
}

void encode_pingreq(Buffer& out) { out.append({"\xC0\0", 2}); }

void encode_pingresp(Buffer& out) { out.append({"\xD0\0", 2}); }

void append_user_property(std::string& out, std::string_view name, std::string_view value) {
    char head[3];
    RawSink to(head);
    assert(name.size() <= 0xFFFF && value.size() <= 0xFFFF);
    to.id(Property::user_property);
    to.u16(static_cast<std::uint16_t>(name.size()));
    out.append(head, 3).append(name);
    RawSink second(head);
    second.u16(static_cast<std::uint16_t>(value.size()));
    out.append(head, 2).append(value);
}

}  // namespace trunkline::mqtt
