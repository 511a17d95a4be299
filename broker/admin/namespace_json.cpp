#include "broker/admin/namespace_json.h"

#include <openssl/evp.h>

#include "broker/mqtt/decode.h"

namespace trunkline::admin {
std::string base64(std::string_view bytes) {
    std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
    const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(bytes.data()),
                                     static_cast<int>(bytes.size()));
    out.resize(static_cast<std::size_t>(size));
    return out;
}

std::optional<std::string> from_base64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    std::string out(text.size() / 4 * 3 + 1, '\0');
    const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
    if (size < 0) return std::nullopt;
    std::size_t padding = 0;
    while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
    out.resize(static_cast<std::size_t>(size) - padding);
    return out;
}

void add_payload(Json& json, std::string_view payload, std::size_t most) {
    json["bytes"] = payload.size();
    std::string_view shown = payload.substr(0, most);
    const bool truncated = shown.size() < payload.size();
    // A cut in the middle of a character must not turn text into base64.
    while (truncated && !shown.empty() && (static_cast<unsigned char>(payload[shown.size()]) & 0xC0) == 0x80 &&
           shown.size() + 4 > most) {
        shown.remove_suffix(1);
    }
    if (mqtt::is_valid_utf8(shown)) {
        json["payload"] = shown;
    } else {
        json["payload"] = base64(payload.substr(0, most));
        json["encoding"] = "base64";
    }
    if (truncated) json["truncated"] = true;
}

void add_properties(Json& json, std::string_view properties) {
    Json user = Json::array();
    while (!properties.empty()) {
        const auto property = mqtt::detail::first_property(properties);
        switch (property.id) {
            case mqtt::Property::payload_format_indicator:
                json["payload_format"] = property.number == 1 ? "utf-8" : "bytes";
                break;
            case mqtt::Property::content_type: json["content_type"] = property.text; break;
            case mqtt::Property::response_topic: json["response_topic"] = property.text; break;
            case mqtt::Property::correlation_data: json["correlation_data"] = base64(property.text); break;
            case mqtt::Property::user_property: user.push_back({property.text, property.value}); break;
            default: break;
        }
        properties = property.next;
    }
    if (!user.empty()) json["user_properties"] = std::move(user);
}

Json retained_json(std::string_view topic, const uns::RetainedMessage& message) {
    const auto fields = message.fields();
    Json json = {{"topic", topic}, {"qos", fields.qos}, {"retain", true},
                 {"stored_at_ms", uns::commit_time_ms(fields.stored_at)}};
    if (fields.expires_at_ms) json["expires_at_ms"] = fields.expires_at_ms;
    add_payload(json, fields.payload);
    add_properties(json, fields.properties);
    return json;
}

}  // namespace trunkline::admin
