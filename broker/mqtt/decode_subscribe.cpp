// SUBSCRIBE and UNSUBSCRIBE. Whether a filter is a valid one is answered per filter by the session, not here.
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

/// Packet identifier and properties, which both packets begin with; an empty `what` on success.
template <class Take>
DecodeError read_head(Reader& reader, Version version, PropertyScope scope, std::uint16_t& packet_id, Take&& take) {
    if (!reader.u16(packet_id)) return malformed("packet identifier is missing");
    if (packet_id == 0) return violation("packet identifier is 0");  // [MQTT-2.2.1-3]
    DecodeError error;
    std::string_view list;
    if (version == Version::v5 && !read_properties(reader, scope, error, list, take)) return error;
    return {};
}

DecodeError read_filter(Reader& reader, std::string_view& filter) {
    if (!reader.binary(filter)) return malformed("topic filter is cut short");
    if (!is_valid_utf8(filter)) return malformed("topic filter is no valid UTF-8");  // [MQTT-3.8.3-1] [MQTT-3.10.3-1]
    return {};
}

/// The options byte, section 3.8.3.1; an empty `what` on success.
DecodeError read_options(std::uint8_t bits, Version version, SubscriptionRequest& request) {
    SubscriptionOptions& options = request.options;
    options.qos = bits & 3U;
    if (version != Version::v5) {
        if (bits > 2) return malformed("requested QoS is not 0, 1 or 2");  // [MQTT-3-8.3-4] of 3.1.1
        return {};
    }
    if (bits & 0xC0U) return malformed("reserved bits of the subscription options are set");  // [MQTT-3.8.3-5]
    if (options.qos == 3) return violation("Maximum QoS of a subscription is 3");
    const unsigned retain_handling = (bits >> 4) & 3U;
    if (retain_handling == 3) return violation("Retain Handling of a subscription is 3");
    options.no_local = bits & 4U;
    options.retain_as_published = bits & 8U;
    options.retain_handling = static_cast<RetainHandling>(retain_handling);
    if (options.no_local && request.filter.starts_with("$share/"))  // [MQTT-3.8.3-4]
        return violation("No Local is set on a shared subscription");
    return {};
}

}  // namespace

Decoded<Subscribe> decode_subscribe(std::string_view body, Version version) {
    Subscribe subscribe;
    Reader reader(body);
    DecodeError error =
        read_head(reader, version, PropertyScope::subscribe, subscribe.packet_id, [&](const RawProperty& property) {
            if (property.id == Property::subscription_identifier) subscribe.subscription_identifier = property.number;
            if (property.id == Property::user_property)
                subscribe.user_properties.emplace_back(property.text, property.value);
        });
    if (*error.what) return error;
    if (reader.done()) return violation("SUBSCRIBE without a topic filter");  // [MQTT-3.8.3-2]
    while (!reader.done()) {
        SubscriptionRequest request;
        error = read_filter(reader, request.filter);
        if (*error.what) return error;
        std::uint8_t options = 0;
        if (!reader.u8(options)) return malformed("subscription options are missing");
        error = read_options(options, version, request);
        if (*error.what) return error;
        subscribe.requests.push_back(request);
    }
    return subscribe;
}

Decoded<Unsubscribe> decode_unsubscribe(std::string_view body, Version version) {
    Unsubscribe unsubscribe;
    Reader reader(body);
    DecodeError error =
        read_head(reader, version, PropertyScope::unsubscribe, unsubscribe.packet_id, [&](const RawProperty& property) {
            unsubscribe.user_properties.emplace_back(property.text, property.value);
        });
    if (*error.what) return error;
    if (reader.done()) return violation("UNSUBSCRIBE without a topic filter");  // [MQTT-3.10.3-2]
    while (!reader.done()) {
        std::string_view filter;
        error = read_filter(reader, filter);
        if (*error.what) return error;
        unsubscribe.filters.push_back(filter);
    }
    return unsubscribe;
}

}  // namespace trunkline::mqtt
