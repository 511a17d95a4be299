// YAML to the syntax tree of the model. What is wrong with a part is reported, and the rest is read on.
#include <algorithm>

#include "namespace/model/reader.h"
#include "namespace/model/text.h"

namespace trunkline::uns::syntax {
namespace {

bool is_identifier(std::string_view text, std::size_t bytes_max = 64) {
    if (text.empty() || text.size() > bytes_max) return false;
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    return letter(text.front()) && std::all_of(text.begin(), text.end(), [&](char c) {
               return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.';
           });
}

bool is_version(std::string_view text) {
    if (text.empty() || text.size() > 64 || text.front() < '0' || text.front() > '9') return false;
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' ||
               c == '+' || c == '_';
    });
}

// Why `text` can't be a level of a topic; empty: it can.
std::string_view level_fault(std::string_view text) {
    if (text.empty()) return "is empty";
    if (text.find('/') != std::string_view::npos) return "holds a slash; a key is one level of the topic";
    if (text.find_first_of("+#") != std::string_view::npos) return "holds a wildcard of MQTT";
    if (std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; })) {
        return "holds a control character";
    }
    if (text.size() > 256) return "is longer than 256 bytes";
    return {};
}

class Parser {
public:
    Parser(std::shared_ptr<const YamlTree> yaml, Problems& problems) : reader_(*yaml, problems), problems_(problems) {
        document_.yaml = std::move(yaml);
    }

    // nullopt: so much is wrong that the rest need not be looked at.
    std::optional<Document> run() {
        const YamlNode& root = reader_.yaml().root();
        document_.place = root.place;
        MapReader map(reader_, root, "the model");
        head(map);
        if (const auto* defaults = map.take("defaults")) read_defaults(*defaults);
        if (const auto* levels = map.take("levels")) read_levels(*levels);
        if (const auto* naming = map.take("naming")) read_naming(*naming);
        if (const auto* layout = map.take("layout")) read_layout(*layout);
        if (const auto* payloads = map.take("payloads")) read_payloads(*payloads);
        if (const auto* types = map.take("types")) read_types(*types);
        if (const auto* tree = map.take("tree")) read_tree(*tree);
        if (const auto* rows = map.take("sparkplug")) read_sparkplug(*rows);
        if (const auto* exempt = map.take("exempt")) read_exempt(*exempt);
        map.finish();
        if (too_many_ || problems_.full() || root.kind != YamlNode::Kind::mapping) return std::nullopt;
        return std::move(document_);
    }

private:
    void add(std::string_view rule, Place place, std::string message, std::string fix) {
        problems_.add(rule, place, std::move(message), std::move(fix));
    }
    const YamlNode& key_of(const YamlNode& map, std::size_t i) { return reader_.yaml().child(map, 2 * i); }
    const YamlNode& value_of(const YamlNode& map, std::size_t i) { return reader_.yaml().child(map, 2 * i + 1); }

    // A mapping of names to whatever: false and a report when it is something else.
    bool is_mapping(const YamlNode& node, std::string_view what) {
        if (node.kind == YamlNode::Kind::mapping) return true;
        if (!node.is_null()) {
            add("TL-9107", node.place, std::string(what) + " is a mapping, found " + Reader::shape(node),
                "write \"name: ...\" lines, indented");
        }
        return false;
    }

    void head(MapReader& map) {
        if (const auto* language = map.require("trunkline", "begin the file with trunkline: 1")) {
            if (language->kind != YamlNode::Kind::scalar || language->text != "1") {
                add("TL-9110", language->place,
                    "the language version is " + Reader::shape(*language) + ", this program reads 1",
                    "write trunkline: 1, or use a newer program");
            }
        }
        if (const auto* name = map.require("namespace", "write namespace: NAME")) {
            if (const auto text = reader_.text(*name, "namespace")) {
                document_.name = text->value;
                if (!is_identifier(text->value)) {
                    add("TL-9111", text->place, quote(text->value) + " can't name a namespace",
                        "use letters, digits, - _ . and begin with a letter, at most 64");
                }
            }
        }
        if (const auto* version = map.require("version", "write version: 1.0.0")) {
            if (const auto text = reader_.text(*version, "version")) {
                document_.version = text->value;
                if (!is_version(text->value)) {
                    add("TL-9111", text->place, quote(text->value) + " is no version", "write one such as 3.1.0");
                }
            }
        }
        if (const auto* owner = map.take("owner")) {
            if (const auto text = reader_.text(*owner, "owner")) document_.owner = text->value;
        }
        if (const auto* description = map.take("description")) {
            if (const auto text = reader_.text(*description, "description")) document_.description = text->value;
        }
    }

    void read_defaults(const YamlNode& node) {
        MapReader map(reader_, node, "defaults");
        if (const auto* mode = map.take("mode")) {
            if (const auto value = reader_.mode(*mode, "mode")) document_.mode = value->value;
        }
        if (const auto* payload = map.take("payload")) {
            if (const auto text = reader_.text(*payload, "payload")) document_.payload = *text;
        }
        if (const auto* unmodelled = map.take("unmodelled")) {
            if (const auto value = reader_.unknown(*unmodelled, "unmodelled")) document_.unmodelled = value->value;
        }
        if (const auto* reject = map.take("v3_reject")) {
            if (const auto index = reader_.choice(*reject, "v3_reject", {"ack", "disconnect"})) {
                document_.v3_reject = static_cast<V3Reject>(*index);
            }
        }
        map.finish();
    }

    void read_levels(const YamlNode& node) {
        if (node.kind == YamlNode::Kind::scalar && node.text == "isa95") {
            document_.levels = Document::Levels::isa95;
            return;
        }
        if (node.kind != YamlNode::Kind::sequence || node.link_count == 0) {
            add("TL-9107", node.place, "levels is isa95 or a list of names by depth, found " + Reader::shape(node),
                "write levels: isa95, or levels: [enterprise, site, area, line, cell]");
            return;
        }
        document_.levels = Document::Levels::list;
        for (std::size_t i = 0; i < node.link_count; ++i) {
            const auto text = reader_.text(reader_.yaml().child(node, i), "a level");
            if (!text) continue;
            const bool again = std::any_of(document_.level_list.begin(), document_.level_list.end(),
                                           [&](const Text& known) { return known.value == text->value; });
            if (!is_identifier(text->value) || again) {
                add(again ? "TL-9104" : "TL-9132", text->place,
                    again ? "the level " + quote(text->value) + " is listed twice"
                          : quote(text->value) + " can't name a kind of level",
                    again ? "a kind of level stands at one depth" : "use letters, digits, - and _");
                continue;
            }
            document_.level_list.push_back(*text);
        }
    }

    void read_naming(const YamlNode& node) {
        if (!is_mapping(node, "naming")) return;
        for (std::size_t i = 0; i < node.link_count / 2; ++i) {
            const YamlNode& key = key_of(node, i);
            const YamlNode& value = value_of(node, i);
            if (key.text == "unique_ignoring_case") {
                if (const auto flag = reader_.boolean(value, key.text)) {
                    document_.naming.unique_ignoring_case = flag->value;
                }
            } else if (const auto text = reader_.text(value, "naming." + std::string(key.text))) {
                document_.naming.expressions.emplace_back(Text{key.text, key.place}, *text);
            }
        }
    }

    void read_layout(const YamlNode& node) {
        MapReader map(reader_, node, "layout");
        for (const auto& [name, out] :
             {std::pair("metrics", &document_.layout.metrics), std::pair("events", &document_.layout.events),
              std::pair("commands", &document_.layout.commands)}) {
            const auto* value = map.take(name);
            const auto text = value ? reader_.text(*value, name) : std::nullopt;
            if (!text) continue;
            const std::string_view fault = level_fault(text->value);
            if (fault.empty() && text->value.front() != '$') {
                *out = text->value;
            } else {
                add("TL-9141", text->place,
                    quote(text->value) + " can't be a level: it " +
                        std::string(fault.empty() ? "begins with $" : fault),
                    "write one level such as _data");
            }
        }
        map.finish();
    }

    void places_of(const YamlNode& node, const std::string& pointer, Payload& out) {
        if (out.places.size() > 20'000) return;
        out.places.emplace(pointer, node.place);
        for (std::size_t i = 0; node.kind == YamlNode::Kind::mapping && i < node.link_count / 2; ++i) {
            std::string name;
            for (const char c : key_of(node, i).text) name += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
            places_of(value_of(node, i), pointer + "/" + name, out);
        }
        for (std::size_t i = 0; node.kind == YamlNode::Kind::sequence && i < node.link_count; ++i) {
            places_of(reader_.yaml().child(node, i), pointer + "/" + std::to_string(i), out);
        }
    }

    void read_payloads(const YamlNode& node) {
        if (!is_mapping(node, "payloads")) return;
        for (std::size_t i = 0; i < node.link_count / 2; ++i) {
            const YamlNode& key = key_of(node, i);
            Payload payload;
            payload.name = {key.text, key.place};
            if (!is_identifier(key.text)) {
                add("TL-9141", key.place, quote(key.text) + " can't name a payload", "use letters, digits, - and _");
            }
            MapReader map(reader_, value_of(node, i), "payload " + std::string(key.text));
            if (const auto* schema = map.require("schema", "write schema: and a JSON Schema (draft 7) below it")) {
                payload.schema_json = reader_.yaml().json(*schema);
                places_of(*schema, "", payload);
            }
            if (const auto* description = map.take("description")) (void)reader_.text(*description, "description");
            map.finish();
            document_.payloads.push_back(std::move(payload));
        }
    }

    void read_types(const YamlNode& node) {
        if (!is_mapping(node, "types")) return;
        for (std::size_t i = 0; i < node.link_count / 2; ++i) read_type(key_of(node, i), value_of(node, i));
    }

    void read_type(const YamlNode& key, const YamlNode& node) {
        Type type;
        const std::size_t at = key.text.find('@');
        type.name = {key.text.substr(0, at), key.place};
        if (!is_identifier(type.name.value)) {
            add("TL-9141", key.place, quote(key.text) + " can't name a type",
                "use letters, digits, - and _; NAME or NAME@2");
        }
        MapReader map(reader_, node, "type " + std::string(type.name.value));
        if (node.is_null()) {
            add("TL-9107", key.place, "type " + quote(key.text) + " says nothing", "write at least its version");
        }
        type.version = {1, key.place};
        const auto* version =
            at == std::string_view::npos ? map.require("version", "write version: 1") : map.take("version");
        if (version) {
            if (const auto value = reader_.count(*version, "version", 1, 1'000'000)) type.version = *value;
        }
        if (at != std::string_view::npos) {
            const auto named = parse_count(key.text.substr(at + 1));
            if (!named || (version && *named != type.version.value)) {
                add("TL-9121", key.place, quote(key.text) + " names another version than its key version",
                    "write the same number twice, or leave @N out");
            }
            type.version.value = named.value_or(type.version.value);
        }
        if (const auto* level = map.take("level")) type.level = reader_.text(*level, "level");
        if (const auto* text = map.take("description")) type.description = reader_.text(*text, "description");
        if (const auto* metadata = map.take("metadata")) type.metadata_json = reader_.metadata(*metadata, "metadata");
        if (const auto* unknown = map.take("unknown")) type.unknown = reader_.unknown(*unknown, "unknown");
        if (const auto* parts = map.take("parts")) read_parts(*parts, type);
        if (const auto* members = map.take("metrics")) read_members(*members, MemberKind::metric, type);
        if (const auto* members = map.take("events")) read_members(*members, MemberKind::event, type);
        if (const auto* members = map.take("commands")) read_members(*members, MemberKind::command, type);
        map.finish();
        document_.types.push_back(std::move(type));
    }

    void read_parts(const YamlNode& node, Type& type) {
        if (!is_mapping(node, "parts")) return;
        for (std::size_t i = 0; i < node.link_count / 2; ++i) {
            const YamlNode& key = key_of(node, i);
            if (!good_path(key, "a part")) continue;
            if (const auto of = reader_.text(value_of(node, i), "the type of part " + std::string(key.text))) {
                type.parts.push_back({{key.text, key.place}, *of});
            }
        }
    }

    // Names of members and parts may be paths: drive/speed.
    bool good_path(const YamlNode& key, std::string_view what) {
        std::string_view rest = key.text;
        for (bool more = true; more;) {
            const std::size_t slash = rest.find('/');
            std::string_view fault = level_fault(rest.substr(0, slash));
            if (fault.empty() && rest.front() == '$') fault = "begins with $";
            if (!fault.empty()) {
                add("TL-9141", key.place,
                    quote(key.text) + " can't name " + std::string(what) + ": a level " + std::string(fault),
                    "write a name such as temperature, or a path such as drive/speed");
                return false;
            }
            more = slash != std::string_view::npos;
            if (more) rest.remove_prefix(slash + 1);
        }
        return true;
    }

    void read_members(const YamlNode& node, MemberKind kind, Type& type) {
        if (!is_mapping(node, std::string(to_string(kind)) + "s")) return;
        for (std::size_t i = 0; i < node.link_count / 2; ++i) {
            const YamlNode& key = key_of(node, i);
            if (good_path(key, "a member")) type.members.push_back(read_member(key, value_of(node, i), kind));
        }
    }

    Member read_member(const YamlNode& key, const YamlNode& node, MemberKind kind) {
        Member member;
        member.kind = kind;
        member.name = {key.text, key.place};
        MapReader map(reader_, node, std::string(to_string(kind)) + " " + std::string(key.text));
        const auto text = [&](std::string_view name, std::optional<Text>& out) {
            if (const auto* value = map.take(name)) out = reader_.text(*value, name);
        };
        text("type", member.type);
        text("unit", member.unit);
        text("pattern", member.pattern);
        text("payload", member.payload);
        text("description", member.description);
        if (const auto* min = map.take("min")) member.min = reader_.number(*min, "min");
        if (const auto* max = map.take("max")) member.max = reader_.number(*max, "max");
        if (const auto* length = map.take("max_length")) {
            member.max_length = reader_.count(*length, "max_length", 0, 1'000'000);
        }
        if (const auto* values = map.take("enum")) read_enumeration(*values, member);
        if (const auto* value = map.take("default")) {
            member.default_json = At<std::string>{reader_.yaml().json(*value), value->place};
        }
        if (const auto* mode = map.take("mode")) member.mode = reader_.mode(*mode, "mode");
        if (const auto* writers = map.take("writers")) member.writers = reader_.writers(*writers, "writers");
        if (const auto* regulated = map.take("regulated")) {
            member.regulated = reader_.boolean(*regulated, "regulated");
        }
        if (const auto* metadata = map.take("metadata")) member.metadata_json = reader_.metadata(*metadata, "metadata");
        if (kind == MemberKind::metric) {
            if (const auto* every = map.take("every")) read_every(*every, member);
        }
        map.finish();
        return member;
    }

    void read_enumeration(const YamlNode& node, Member& member) {
        if (node.kind != YamlNode::Kind::sequence || node.link_count == 0 || node.link_count > 1000) {
            add("TL-9107", node.place, "enum is a list of 1 to 1,000 values, found " + Reader::shape(node),
                "write enum: [idle, running]");
            return;
        }
        for (std::size_t i = 0; i < node.link_count; ++i) {
            const YamlNode& item = reader_.yaml().child(node, i);
            if (item.kind == YamlNode::Kind::scalar && is_utf8(item.text)) {
                member.enumeration.push_back({item.text, item.place});
            } else {
                add("TL-9107", item.place, "a value of enum is a text or a number, found " + Reader::shape(item),
                    "write enum: [idle, running]");
            }
        }
    }

    void read_every(const YamlNode& node, Member& member) {
        const auto ms = node.kind == YamlNode::Kind::scalar ? parse_duration_ms(node.text) : std::nullopt;
        if (ms && *ms >= 10 && *ms <= 366ULL * 86'400'000) {
            member.every_ms = At<std::uint64_t>{*ms, node.place};
        } else {
            add("TL-9163", node.place, "every is a period from 10ms to 366d, found " + Reader::shape(node),
                "write 500ms, 5s, 10min, 1h or 1d");
        }
    }

    void read_tree(const YamlNode& node) {
        if (!is_mapping(node, "tree")) return;
        for (std::size_t i = 0; i < node.link_count / 2; ++i) {
            const YamlNode& key = key_of(node, i);
            if (key.text.starts_with("$")) {
                add("TL-9105", key.place, quote(key.text) + " describes a node, but the tree itself is none",
                    "move it below the first level");
            } else if (key.text == "#") {
                add("TL-9144", key.place, "\"#\" at the top would let every topic through",
                    "write defaults: {unmodelled: observe} instead");
            } else {
                document_.tree.push_back(read_node(key, value_of(node, i)));
            }
        }
    }

    Node read_node(const YamlNode& key, const YamlNode& value) {
        Node node;
        if (problems_.full() || too_many_) return node;  // what is wrong further on would not be told
        if (++document_.node_count > Document::nodes_max) {
            add("TL-9102", key.place, "the tree has more than 250,000 nodes",
                "place instances by a pattern, such as \"{line}\", instead of one by one");
            too_many_ = true;
            return node;
        }
        node.name = {key.text, key.place};
        if (key.text.starts_with("{") && key.text.ends_with("}") && key.text.size() > 2) {
            node.is_pattern = true;
            node.name.value = key.text.substr(1, key.text.size() - 2);
            if (!is_identifier(node.name.value)) {
                add("TL-9141", key.place, quote(key.text) + " can't name a pattern",
                    "write \"{line}\": letters, digits, - and _");
            }
        } else if (const std::string_view fault = level_fault(key.text); !fault.empty()) {
            add("TL-9141", key.place, quote(key.text) + " can't be a level: it " + std::string(fault),
                "one key is one level; \"{name}\" stands for any name, \"#\" for everything below");
        }
        if (value.kind == YamlNode::Kind::scalar && !value.is_null()) {  // name: payload
            keys(node).payload = reader_.text(value, "the payload of " + std::string(key.text));
        } else if (is_mapping(value, "node " + std::string(key.text))) {
            node.children.reserve(value.link_count / 2);
            for (std::size_t i = 0; i < value.link_count / 2; ++i) {
                const YamlNode& name = key_of(value, i);
                const YamlNode& inner = value_of(value, i);
                if (name.text == "#") {
                    read_open(inner, node);
                } else if (name.text.starts_with("$")) {
                    read_key(name, inner, node);
                } else {
                    node.children.push_back(read_node(name, inner));
                }
            }
        }
        return node;
    }

    void read_open(const YamlNode& value, Node& node) {
        if (value.kind == YamlNode::Kind::scalar && !value.is_null()) {
            node.open = reader_.text(value, "the payload under \"#\"");
        } else {
            add("TL-9144", value.place, "\"#\" takes the name of a payload, found " + Reader::shape(value),
                "write \"#\": any to let everything below through, or \"#\": json");
        }
    }

    static NodeKeys& keys(Node& node) {
        if (!node.keys) node.keys = std::make_unique<NodeKeys>();
        return *node.keys;
    }

    void read_key(const YamlNode& name, const YamlNode& value, Node& node) {
        if (problems_.full()) return;
        static const std::vector<std::string_view> known{"$kind",      "$type",        "$match",    "$mode",
                                                         "$owner",     "$description", "$metadata", "$writers",
                                                         "$regulated", "$quota",       "$aliases",  "$payload"};
        const std::string_view key = name.text;
        if (std::find(known.begin(), known.end(), key) == known.end()) {
            const std::string_view near = nearest_word(key, known);
            std::string all;
            for (const std::string_view word : known) all += (all.empty() ? "" : ", ") + std::string(word);
            add("TL-9105", name.place, "a node has no key " + quote(key),
                near.empty() ? "known are " + all : "did you mean " + std::string(near) + "?");
            return;
        }
        if (value.is_null()) return;
        if (key == "$kind") node.kind = reader_.text(value, key);
        if (key == "$type") node.type = reader_.text(value, key);
        if (key == "$match") node.match = reader_.text(value, key);
        if (key == "$mode") keys(node).mode = reader_.mode(value, key);
        if (key == "$owner") keys(node).owner = reader_.text(value, key);
        if (key == "$description") keys(node).description = reader_.text(value, key);
        if (key == "$metadata") keys(node).metadata_json = reader_.metadata(value, key);
        if (key == "$writers") keys(node).writers = reader_.writers(value, key);
        if (key == "$regulated") keys(node).regulated = reader_.boolean(value, key);
        if (key == "$quota") keys(node).quota = reader_.quota(value);
        if (key == "$aliases") keys(node).aliases = reader_.aliases(value);
        if (key == "$payload") keys(node).payload = reader_.text(value, key);
        if (key == "$match" && !node.is_pattern) {
            add("TL-9144", name.place, "$match on a node with a name of its own", "write the key as \"{name}\"");
        }
    }

    void read_sparkplug(const YamlNode& node) {
        if (node.kind != YamlNode::Kind::sequence) {
            add("TL-9107", node.place, "sparkplug is a list, found " + Reader::shape(node),
                "write - {group: G, node: N, device: D, to: path}");
            return;
        }
        for (std::size_t i = 0; i < node.link_count; ++i) {
            const YamlNode& item = reader_.yaml().child(node, i);
            MapReader map(reader_, item, "an entry of sparkplug");
            Sparkplug row;
            const auto* group = map.require("group", "write the Sparkplug group, or \"{name}\"");
            const auto* to = map.require("to", "write the path in the tree");
            if (const auto text = group ? reader_.text(*group, "group") : std::nullopt) row.group = *text;
            if (const auto text = to ? reader_.text(*to, "to") : std::nullopt) row.to = *text;
            if (const auto* edge = map.take("node")) row.node = reader_.text(*edge, "node");
            if (const auto* device = map.take("device")) row.device = reader_.text(*device, "device");
            map.finish();
            if (!row.group.value.empty() && !row.to.value.empty()) document_.sparkplug.push_back(row);
        }
    }

    void read_exempt(const YamlNode& node) {
        if (node.kind != YamlNode::Kind::sequence) {
            add("TL-9107", node.place, "exempt is a list of topic filters, found " + Reader::shape(node),
                "write exempt: [\"legacy/#\"]");
            return;
        }
        for (std::size_t i = 0; i < node.link_count; ++i) {
            if (const auto text = reader_.text(reader_.yaml().child(node, i), "a filter")) {
                document_.exempt.push_back(*text);
            }
        }
    }

    Reader reader_;
    Problems& problems_;
    Document document_;
    bool too_many_ = false;  // nodes of the tree
};

}  // namespace

std::optional<Document> parse(std::string_view text, Problems& problems) {
    auto yaml = YamlTree::parse(text, problems);
    if (!yaml) return std::nullopt;
    return Parser(std::move(yaml), problems).run();
}

}  // namespace trunkline::uns::syntax
