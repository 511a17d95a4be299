#include "broker/core/client_trace.h"

#include <algorithm>

namespace trunkline::broker {
namespace {

using mqtt::PacketType;

std::string cut(std::string_view text, std::size_t most) {
    if (text.size() <= most) return std::string(text);
    std::size_t end = most;
    while (end > 0 && end + 4 > most && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    return std::string(text.substr(0, end)) + "...";
}

/// Adds fields under the names that the specification gives them.
class Fields {
public:
    explicit Fields(TracedPacket& packet) : packet_(packet) {}
    void put(std::string_view name, TracedValue value) { packet_.fields.emplace_back(name, std::move(value)); }
    void number(std::string_view name, std::uint64_t value) { put(name, value); }
    void flag(std::string_view name, bool value) { put(name, value); }
    void text(std::string_view name, std::string_view value) { put(name, cut(value, TracedPacket::text_bytes_max)); }
    /// What a packet may lack.
    void maybe(std::string_view name, const std::optional<std::string_view>& value) {
        if (value) text(name, *value);
    }
    template <class Number>
    void maybe_number(std::string_view name, const std::optional<Number>& value) {
        if (value) number(name, *value);
    }
    void maybe_flag(std::string_view name, const std::optional<bool>& value) {
        if (value) flag(name, *value);
    }
    void reason(mqtt::Reason reason) {
        number("reason_code", static_cast<std::uint64_t>(reason));
        text("reason", mqtt::reason_name(reason));
    }
    /// How much there was of what is not shown.
    void secret(std::string_view name, const std::optional<std::string_view>& value) {
        if (value) text(name, "(" + std::to_string(value->size()) + " bytes, not shown)");
    }
    void user_properties(const mqtt::UserProperties& properties) {
        TracedPairs pairs;
        for (const auto& [name, value] : properties) {
            if (pairs.size() == TracedPacket::list_max) break;
            pairs.emplace_back(cut(name, TracedPacket::text_bytes_max), cut(value, TracedPacket::text_bytes_max));
        }
        if (!pairs.empty()) put("user_properties", std::move(pairs));
    }

private:
    TracedPacket& packet_;
};

void put_payload(TracedPacket& packet, std::string_view payload) {
    packet.payload = std::string(payload.substr(0, TracedPacket::payload_bytes_max));
    packet.payload_bytes = payload.size();
}

/// The properties of a PUBLISH, which the decoder has validated and left as bytes.
void put_properties(Fields& fields, std::string_view properties) {
    TracedPairs pairs;
    while (!properties.empty()) {
        const auto property = mqtt::detail::first_property(properties);
        switch (property.id) {
            case mqtt::Property::content_type: fields.text("content_type", property.text); break;
            case mqtt::Property::correlation_data: fields.number("correlation_data_bytes", property.text.size()); break;
            case mqtt::Property::subscription_identifier:
                fields.number("subscription_identifier", property.number);
                break;
            case mqtt::Property::user_property:
                if (pairs.size() < TracedPacket::list_max) {
                    pairs.emplace_back(cut(property.text, TracedPacket::text_bytes_max),
                                       cut(property.value, TracedPacket::text_bytes_max));
                }
                break;
            default: break;
        }
        properties = property.next;
    }
    if (!pairs.empty()) fields.put("user_properties", std::move(pairs));
}

void describe(TracedPacket& packet, const mqtt::Connect& connect) {
    Fields fields(packet);
    fields.text("protocol", connect.version == mqtt::Version::v5     ? "5.0"
                            : connect.version == mqtt::Version::v311 ? "3.1.1"
                                                                     : "3.1");
    fields.text("client_id", connect.client_id);
    fields.flag("clean_start", connect.clean_start);
    fields.number("keep_alive_s", connect.keep_alive_s);
    fields.maybe("user_name", connect.user_name);
    fields.secret("password", connect.password);
    if (connect.has_session_expiry) fields.number("session_expiry_s", connect.session_expiry_s);
    if (connect.has_receive_maximum) fields.number("receive_maximum", connect.receive_maximum);
    fields.maybe_number("maximum_packet_size", connect.maximum_packet_size);
    if (connect.has_topic_alias_maximum) fields.number("topic_alias_maximum", connect.topic_alias_maximum);
    fields.maybe_flag("request_problem_information", connect.request_problem_information);
    fields.maybe_flag("request_response_information", connect.request_response_information);
    fields.maybe("authentication_method", connect.authentication_method);
    fields.secret("authentication_data", connect.authentication_data);
    fields.user_properties(connect.user_properties);
    if (!connect.will) return;
    fields.text("will_topic", connect.will->topic);
    fields.number("will_qos", connect.will->qos);
    fields.flag("will_retain", connect.will->retain);
    if (connect.will->delay_s != 0) fields.number("will_delay_s", connect.will->delay_s);
    put_payload(packet, connect.will->payload);
}

void describe(TracedPacket& packet, const mqtt::Connack& connack) {
    Fields fields(packet);
    fields.flag("session_present", connack.session_present);
    if (connack.v3_code != 0) fields.number("return_code", connack.v3_code);
    fields.reason(connack.reason);
    fields.maybe("reason_string", connack.reason_string);
    fields.maybe("assigned_client_id", connack.assigned_client_id);
    fields.maybe_number("session_expiry_s", connack.session_expiry_s);
    fields.maybe_number("server_keep_alive_s", connack.server_keep_alive_s);
    fields.maybe_number("receive_maximum", connack.receive_maximum);
    fields.maybe_number("maximum_packet_size", connack.maximum_packet_size);
    fields.maybe_number("topic_alias_maximum", connack.topic_alias_maximum);
    fields.maybe("response_information", connack.response_information);
    fields.maybe("server_reference", connack.server_reference);
    fields.maybe("authentication_method", connack.authentication_method);
    fields.secret("authentication_data", connack.authentication_data);
    fields.user_properties(connack.user_properties);
}

void describe(TracedPacket& packet, const mqtt::Publish& publish) {
    Fields fields(packet);
    fields.text("topic", publish.topic);
    if (publish.topic_alias != 0) fields.number("topic_alias", publish.topic_alias);
    fields.number("qos", publish.qos);
    fields.flag("retain", publish.retain);
    if (publish.dup) fields.flag("dup", true);
    if (publish.qos != 0) fields.number("packet_id", publish.packet_id);
    fields.maybe_number("message_expiry_s", publish.message_expiry_s);
    if (!publish.response_topic.empty()) fields.text("response_topic", publish.response_topic);
    put_properties(fields, publish.properties);
    put_payload(packet, publish.payload);
}

void describe(TracedPacket& packet, const mqtt::Ack& ack) {
    Fields fields(packet);
    fields.number("packet_id", ack.packet_id);
    fields.reason(ack.reason);
    fields.maybe("reason_string", ack.reason_string);
    fields.user_properties(ack.user_properties);
}

void describe(TracedPacket& packet, const mqtt::Subscribe& subscribe) {
    Fields fields(packet);
    fields.number("packet_id", subscribe.packet_id);
    if (subscribe.subscription_identifier != 0) {
        fields.number("subscription_identifier", subscribe.subscription_identifier);
    }
    std::vector<std::string> filters;
    for (const auto& [filter, options] : subscribe.requests) {
        if (filters.size() == TracedPacket::list_max) break;
        filters.push_back(cut(filter, TracedPacket::text_bytes_max) + " qos " + std::to_string(options.qos) +
                          (options.no_local ? " no-local" : "") +
                          (options.retain_as_published ? " retain-as-published" : ""));
    }
    fields.number("filter_count", subscribe.requests.size());
    fields.put("filters", std::move(filters));
    fields.user_properties(subscribe.user_properties);
}

void put_reasons(Fields& fields, const std::vector<mqtt::Reason>& reasons) {
    std::vector<std::string> texts;
    for (const mqtt::Reason reason : reasons) {
        if (texts.size() == TracedPacket::list_max) break;
        texts.emplace_back(reason == mqtt::Reason::success ? "success" : mqtt::reason_name(reason));
    }
    fields.put("reasons", std::move(texts));
}

void describe(TracedPacket& packet, const mqtt::Suback& suback) {
    Fields fields(packet);
    fields.number("packet_id", suback.packet_id);
    put_reasons(fields, suback.reasons);
    fields.maybe("reason_string", suback.reason_string);
    fields.user_properties(suback.user_properties);
}

void describe(TracedPacket& packet, const mqtt::Unsubscribe& unsubscribe) {
    Fields fields(packet);
    fields.number("packet_id", unsubscribe.packet_id);
    std::vector<std::string> filters;
    for (const std::string_view filter : unsubscribe.filters) {
        if (filters.size() == TracedPacket::list_max) break;
        filters.push_back(cut(filter, TracedPacket::text_bytes_max));
    }
    fields.number("filter_count", unsubscribe.filters.size());
    fields.put("filters", std::move(filters));
    fields.user_properties(unsubscribe.user_properties);
}

void describe(TracedPacket& packet, const mqtt::Unsuback& unsuback) {
    Fields fields(packet);
    fields.number("packet_id", unsuback.packet_id);
    put_reasons(fields, unsuback.reasons);
    fields.maybe("reason_string", unsuback.reason_string);
    fields.user_properties(unsuback.user_properties);
}

void describe(TracedPacket& packet, const mqtt::Disconnect& disconnect) {
    Fields fields(packet);
    fields.reason(disconnect.reason);
    fields.maybe_number("session_expiry_s", disconnect.session_expiry_s);
    fields.maybe("reason_string", disconnect.reason_string);
    fields.maybe("server_reference", disconnect.server_reference);
    fields.user_properties(disconnect.user_properties);
}

void describe(TracedPacket& packet, const mqtt::Auth& auth) {
    Fields fields(packet);
    fields.reason(auth.reason);
    fields.maybe("authentication_method", auth.method);
    fields.secret("authentication_data", auth.data);
    fields.maybe("reason_string", auth.reason_string);
    fields.user_properties(auth.user_properties);
}

template <class Packet>
void put(TracedPacket& packet, const mqtt::Decoded<Packet>& decoded) {
    if (decoded.has_error()) return Fields(packet).text("malformed", decoded.error().what);
    describe(packet, *decoded);
}

}  // namespace

TracedPacket describe_packet(const mqtt::Frame& frame, mqtt::Version version) {
    TracedPacket packet;
    packet.name = mqtt::packet_name(frame.type);
    packet.bytes = frame.size;
    switch (frame.type) {
        case PacketType::connect: put(packet, mqtt::decode_connect(frame.body)); break;
        case PacketType::connack: put(packet, mqtt::decode_connack(frame.body, version)); break;
        case PacketType::publish: put(packet, mqtt::decode_publish(frame.flags, frame.body, version)); break;
        case PacketType::puback:
        case PacketType::pubrec:
        case PacketType::pubrel:
        case PacketType::pubcomp: put(packet, mqtt::decode_ack(frame.type, frame.body, version)); break;
        case PacketType::subscribe: put(packet, mqtt::decode_subscribe(frame.body, version)); break;
        case PacketType::suback: put(packet, mqtt::decode_suback(frame.body, version)); break;
        case PacketType::unsubscribe: put(packet, mqtt::decode_unsubscribe(frame.body, version)); break;
        case PacketType::unsuback: put(packet, mqtt::decode_unsuback(frame.body, version)); break;
        case PacketType::disconnect: put(packet, mqtt::decode_disconnect(frame.body, version)); break;
        case PacketType::auth: put(packet, mqtt::decode_auth(frame.body, version)); break;
        case PacketType::pingreq:
        case PacketType::pingresp:
        case PacketType::reserved: break;
    }
    return packet;
}

bool ClientTrace::has_room(std::int64_t now_ms) {
    const std::lock_guard lock(mutex_);
    if (now_ms / 1'000 != second_) {
        second_ = now_ms / 1'000;
        in_second_ = 0;
    }
    const bool room = waiting_.size() < waiting_max && in_second_ < packets_per_s;
    if (!room) ++missed_;
    return room;
}

void ClientTrace::tell_missed() {
    if (missed_ == 0) return;
    TracedPacket told;
    told.name = "missed";
    if (!waiting_.empty()) told.at_ms = waiting_.back().at_ms;
    told.fields.emplace_back("count", std::exchange(missed_, 0));
    waiting_.push_back(std::move(told));
}

void ClientTrace::add(const TracedPacket& packet) {
    std::function<void()> wake;
    {
        const std::lock_guard lock(mutex_);
        if (!wake_) return;
        ++in_second_;
        if (waiting_.empty()) wake = wake_;
        tell_missed();
        waiting_.push_back(packet);
    }
    if (wake) wake();
}

std::vector<TracedPacket> ClientTrace::take() {
    const std::lock_guard lock(mutex_);
    tell_missed();
    return std::exchange(waiting_, {});
}

void ClientTrace::stop() {
    const std::lock_guard lock(mutex_);
    wake_ = nullptr;
    stopped_.store(true, std::memory_order_relaxed);
}

bool TraceBook::add(const ClientTracePtr& trace) {
    const std::lock_guard lock(mutex_);
    if (traces_.size() >= traces_max) return false;
    traces_.push_back(trace);
    count_.store(traces_.size(), std::memory_order_relaxed);
    return true;
}

void TraceBook::remove(const ClientTracePtr& trace) {
    const std::lock_guard lock(mutex_);
    std::erase(traces_, trace);
    count_.store(traces_.size(), std::memory_order_relaxed);
}

std::vector<ClientTracePtr> TraceBook::of(std::string_view client_id) const {
    const std::lock_guard lock(mutex_);
    std::vector<ClientTracePtr> found;
    for (const ClientTracePtr& trace : traces_) {
        if (trace->client_id() == client_id) found.push_back(trace);
    }
    return found;
}

}  // namespace trunkline::broker
