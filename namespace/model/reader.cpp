#include "namespace/model/reader.h"

#include <algorithm>

#include "namespace/model/text.h"

namespace trunkline::uns::syntax {
namespace {

std::string list_of(std::initializer_list<std::string_view> names) {
    std::string out;
    for (const std::string_view name : names) out += (out.empty() ? "" : ", ") + std::string(name);
    return out;
}

}  // namespace

std::string Reader::shape(const YamlNode& node) {
    if (node.is_null()) return "nothing";
    if (node.kind == YamlNode::Kind::sequence) return "a list";
    return node.kind == YamlNode::Kind::mapping ? "a mapping" : quote(node.text);
}

std::optional<Text> Reader::text(const YamlNode& node, std::string_view what) {
    if (node.kind == YamlNode::Kind::scalar && !node.is_null() && !node.text.empty()) {
        if (is_utf8(node.text)) return Text{node.text, node.place};
        add("TL-9107", node.place, std::string(what) + " holds U+0000", "leave it out");
        return std::nullopt;
    }
    add("TL-9107", node.place, std::string(what) + " is a text, found " + shape(node), "write it as a text");
    return std::nullopt;
}

std::optional<At<bool>> Reader::boolean(const YamlNode& node, std::string_view what) {
    if (node.kind == YamlNode::Kind::scalar && node.is_plain) {
        if (node.text == "true" || node.text == "True") return At<bool>{true, node.place};
        if (node.text == "false" || node.text == "False") return At<bool>{false, node.place};
    }
    add("TL-9107", node.place, std::string(what) + " is true or false, found " + shape(node), "write true or false");
    return std::nullopt;
}

std::optional<At<double>> Reader::number(const YamlNode& node, std::string_view what) {
    if (node.kind == YamlNode::Kind::scalar && node.is_plain) {
        if (const auto value = parse_number(node.text)) return At<double>{*value, node.place};
    }
    add("TL-9107", node.place, std::string(what) + " is a number, found " + shape(node),
        "write a number such as 120 or -0.5");
    return std::nullopt;
}

std::optional<At<std::uint64_t>> Reader::count(const YamlNode& node, std::string_view what, std::uint64_t min,
                                               std::uint64_t max) {
    const auto value = node.kind == YamlNode::Kind::scalar ? parse_count(node.text) : std::nullopt;
    if (value && *value >= min && *value <= max) return At<std::uint64_t>{*value, node.place};
    add(value ? "TL-9108" : "TL-9107", node.place,
        std::string(what) + " is a whole number from " + std::to_string(min) + " to " + std::to_string(max) +
            ", found " + shape(node),
        "write such a number");
    return std::nullopt;
}

std::optional<std::size_t> Reader::choice(const YamlNode& node, std::string_view what,
                                          std::initializer_list<std::string_view> names) {
    if (node.kind == YamlNode::Kind::scalar) {
        const auto* found = std::find(names.begin(), names.end(), node.text);
        if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
    }
    std::string mend = "write one of " + list_of(names);
    if (node.kind == YamlNode::Kind::scalar) {
        const std::string_view near = nearest_word(node.text, names);
        if (!near.empty()) mend = "did you mean " + std::string(near) + "? It is one of " + list_of(names);
    }
    add("TL-9108", node.place, std::string(what) + " is one of " + list_of(names) + ", found " + shape(node), mend);
    return std::nullopt;
}

std::optional<At<Mode>> Reader::mode(const YamlNode& node, std::string_view what) {
    const auto index = choice(node, what, {"enforce", "quarantine", "observe"});
    if (!index) return std::nullopt;
    return At<Mode>{static_cast<Mode>(*index), node.place};
}

std::optional<At<Unknown>> Reader::unknown(const YamlNode& node, std::string_view what) {
    const auto index = choice(node, what, {"reject", "quarantine", "observe"});
    if (!index) return std::nullopt;
    return At<Unknown>{static_cast<Mode>(*index), node.place};
}

std::optional<Writer> Reader::writer(const YamlNode& node) {
    const auto value = text(node, "a writer");
    if (!value) return std::nullopt;
    const std::size_t colon = value->value.find(':');
    const std::string_view kind = value->value.substr(0, colon);
    const std::string_view name = colon == std::string_view::npos ? "" : value->value.substr(colon + 1);
    for (const auto& [word, as] : {std::pair("role", Writer::Kind::role), std::pair("user", Writer::Kind::user),
                                   std::pair("client", Writer::Kind::client)}) {
        if (kind == word && !name.empty()) return Writer{as, std::string(name)};
    }
    add("TL-9180", value->place, quote(value->value) + " is no writer",
        "write role:NAME, user:NAME or client:PATTERN (* any characters, ? one)");
    return std::nullopt;
}

std::optional<Writers> Reader::writers(const YamlNode& node, std::string_view what) {
    Writers out;
    out.place = node.place;
    if (node.kind == YamlNode::Kind::scalar) {
        const auto one = writer(node);
        if (!one) return std::nullopt;
        out.list.push_back(*one);
        return out;
    }
    if (node.kind != YamlNode::Kind::sequence) {
        add("TL-9107", node.place, std::string(what) + " is a list of writers, found " + shape(node),
            "write [role:operator, client:edge-*]");
        return std::nullopt;
    }
    for (std::size_t i = 0; i < node.link_count; ++i) {
        if (auto one = writer(yaml_.child(node, i))) out.list.push_back(std::move(*one));
    }
    return out;
}

std::optional<At<Quota>> Reader::quota(const YamlNode& node) {
    MapReader map(*this, node, "$quota");
    At<Quota> out{{}, node.place};
    if (const auto* topics = map.take("topics")) {
        if (const auto value = count(*topics, "topics", 1, 1'000'000'000)) out.value.topics = value->value;
    }
    if (const auto* rate = map.take("rate")) {
        const auto value = rate->kind == YamlNode::Kind::scalar ? parse_rate(rate->text) : std::nullopt;
        if (value) {
            out.value.messages_per_s = value;
        } else {
            add("TL-9163", rate->place, "rate is messages in a time, found " + shape(*rate),
                "write 100/s, 600/min or 50/h");
        }
    }
    if (const auto* bytes = map.take("bytes")) {
        const auto value = bytes->kind == YamlNode::Kind::scalar ? parse_byte_rate(bytes->text) : std::nullopt;
        if (value) {
            out.value.bytes_per_s = value;
        } else {
            add("TL-9163", bytes->place, "bytes is an amount per second, found " + shape(*bytes),
                "write 1 MiB/s, 500 kB/s or 2000/s");
        }
    }
    map.finish();
    return out;
}

std::vector<Alias> Reader::aliases(const YamlNode& node) {
    std::vector<Alias> out;
    const bool list = node.kind == YamlNode::Kind::sequence;
    for (std::size_t i = 0; i < (list ? node.link_count : 1); ++i) {
        const YamlNode& item = list ? yaml_.child(node, i) : node;
        Alias alias;
        if (item.kind == YamlNode::Kind::mapping) {
            MapReader map(*this, item, "an entry of $aliases");
            const auto* path = map.require("path", "write {path: old/path, until: 2026-12-31}");
            if (const auto value = path ? text(*path, "path") : std::nullopt) alias.path = *value;
            if (const auto* until = map.take("until")) {
                const auto ms = until->kind == YamlNode::Kind::scalar ? parse_date_ms(until->text) : std::nullopt;
                if (ms) {
                    alias.until_ms = At<std::int64_t>{*ms, until->place};
                } else {
                    add("TL-9163", until->place, "until is a date, found " + shape(*until),
                        "write 2026-12-31, or 2026-12-31T12:00:00Z");
                }
            }
            map.finish();
        } else if (const auto value = text(item, "an old path")) {
            alias.path = *value;
        }
        if (!alias.path.value.empty()) out.push_back(alias);
    }
    return out;
}

std::string Reader::metadata(const YamlNode& node, std::string_view what) {
    if (node.kind == YamlNode::Kind::mapping) return yaml_.json(node);
    add("TL-9107", node.place, std::string(what) + " is a mapping, found " + shape(node), "write {vendor: Krones}");
    return {};
}

MapReader::MapReader(Reader& reader, const YamlNode& node, std::string what)
    : reader_(reader), node_(node), what_(std::move(what)) {
    usable_ = node.kind == YamlNode::Kind::mapping;
    if (usable_) used_.resize(node.link_count / 2);
    if (!usable_ && !node.is_null()) {
        reader_.add("TL-9107", node.place, what_ + " is a mapping, found " + Reader::shape(node),
                    "write \"key: value\" lines, indented");
    }
}

const YamlNode* MapReader::take(std::string_view key) {
    asked_.push_back(key);
    if (!usable_) return nullptr;
    const YamlNode* found = nullptr;
    for (std::size_t i = 0; i < used_.size(); ++i) {
        if (reader_.yaml().child(node_, 2 * i).text != key) continue;
        used_[i] = true;
        if (!found) found = &reader_.yaml().child(node_, 2 * i + 1);
    }
    return found && !found->is_null() ? found : nullptr;
}

const YamlNode* MapReader::require(std::string_view key, std::string_view mend) {
    const YamlNode* found = take(key);
    if (!found && (usable_ || node_.is_null())) {
        reader_.add("TL-9106", node_.place, what_ + " lacks " + quote(key), std::string(mend));
    }
    return found;
}

void MapReader::finish() {
    for (std::size_t i = 0; i < used_.size(); ++i) {
        if (used_[i]) continue;
        const YamlNode& key = reader_.yaml().child(node_, 2 * i);
        const std::string_view near = nearest_word(key.text, asked_);
        std::string known;
        for (const std::string_view word : asked_) known += (known.empty() ? "" : ", ") + std::string(word);
        if (key.is_plain && key.text == "<<") continue;  // YamlTree has told that
        reader_.add("TL-9105", key.place, what_ + " has no key " + quote(key.text),
                    near.empty() ? "known are " + known : "did you mean " + std::string(near) + "?");
    }
}

}  // namespace trunkline::uns::syntax
