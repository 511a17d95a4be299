#include "broker/admin/namespace_json.h"

#include <vector>

#include <openssl/evp.h>

#include "broker/mqtt/decode.h"
#include "namespace/topic.h"

namespace trunkline::admin {
namespace {

constexpr std::size_t preview_bytes = 512;

class TreeWalk {
public:
    TreeWalk(const uns::RetainedTree& tree, std::size_t limit, std::int64_t now_ms)
        : tree_(tree), limit_(limit), now_ms_(now_ms) {}

    /// `resume`: the levels below `path` of the node after which to go on; null: from the start. False: page is full.
    bool below(std::optional<std::string_view> path, std::size_t depth_left, std::size_t level,
               const std::vector<std::string_view>* resume) {
        std::optional<std::string> after;
        const bool on_path = resume && level < resume->size();
        if (on_path) {   // what is left below the node on the path, then its later siblings
            after = std::string((*resume)[level]);
            if (depth_left > 1 && !below(join(path, *after), depth_left - 1, level + 1, resume)) return false;
        }
        while (true) {
            std::vector<Child> children;   // gathered first: the tree's lock is not held while building JSON
            const std::size_t most = std::min<std::size_t>(256, limit_ - page.nodes.size() + 1);
            const auto gather = [&](std::string_view name, bool inner, const uns::RetainedPtr& value) {
                children.push_back({std::string(name), inner, value});
            };
            const bool more = tree_.children(path, after, most, gather);
            for (const Child& child : children) {
                const std::string topic = join(path, child.name);
                if (page.nodes.size() == limit_) return full();
                add(topic, child);
                if (child.inner && depth_left > 1 && !below(topic, depth_left - 1, level + 1, nullptr)) return false;
            }
            if (!more || children.empty()) return true;
            after = children.back().name;
        }
    }

    TreePage page;

private:
    struct Child {
        std::string name;
        bool inner;
        uns::RetainedPtr value;
    };

    static std::string join(std::optional<std::string_view> path, std::string_view name) {
        return path ? std::string(*path) + "/" + std::string(name) : std::string(name);
    }
    bool full() {
        page.cursor = last_;
        return false;
    }
    void add(const std::string& topic, const Child& child) {
        Json node = {{"topic", topic}, {"name", child.name}, {"has_children", child.inner}};
        if (child.value) {
            const auto fields = child.value->fields();
            if (fields.expires_at_ms == 0 || fields.expires_at_ms > now_ms_) {
                Json value = {{"qos", fields.qos}, {"stored_at_ms", uns::commit_time_ms(fields.stored_at)}};
                add_payload(value, fields.payload, preview_bytes);
                node["value"] = std::move(value);
            }
        }
        page.nodes.push_back(std::move(node));
        last_ = topic;
    }

    const uns::RetainedTree& tree_;
    std::size_t limit_;
    std::int64_t now_ms_;
    std::string last_;
};

}  // namespace

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

TreePage tree_page(const uns::RetainedTree& tree, std::optional<std::string_view> root, std::size_t depth,
                   std::size_t limit, std::optional<std::string_view> after, std::int64_t now_ms) {
    TreeWalk walk(tree, limit, now_ms);
    std::vector<std::string_view> levels;
    if (after) {
        uns::split_levels(*after, levels);
        if (root) {   // levels of the cursor below the root
            const std::size_t above = uns::level_count(*root);
            const bool inside = levels.size() > above && after->starts_with(std::string(*root) + "/");
            if (!inside) return std::move(walk.page);
            levels.erase(levels.begin(), levels.begin() + static_cast<std::ptrdiff_t>(above));
        }
    }
    walk.below(root, depth, 0, after ? &levels : nullptr);
    return std::move(walk.page);
}

}  // namespace trunkline::admin
