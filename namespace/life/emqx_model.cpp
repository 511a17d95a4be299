#include "namespace/life/emqx_model.h"

#include <algorithm>
#include <optional>
#include <set>

#include "namespace/model/level_pattern.h"
#include "namespace/model/text.h"

namespace trunkline::uns::emqx {
namespace {

constexpr std::size_t depth_max = 100;      // of the JSON
constexpr std::size_t nodes_max = 250'000;  // of one tree
constexpr std::size_t problems_max = 100;

bool is_identifier(std::string_view text) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    return !text.empty() && text.size() <= 48 && letter(text.front()) &&
           std::all_of(text.begin(), text.end(),
                       [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.'; });
}

/// Nested more deeply than a reader should follow; brackets within strings do not count.
bool too_deep(std::string_view text) {
    std::size_t depth = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\')
                ++i;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > depth_max) return true;
        } else if ((c == '}' || c == ']') && depth > 0) {
            --depth;
        }
    }
    return false;
}

std::string escape_regex(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                           c == '_' || static_cast<unsigned char>(c) >= 0x80;
        out += plain ? std::string(1, c) : "\\" + std::string(1, c);
    }
    return out;
}

/// EMQX searches for the pattern anywhere in the level; ours holds for the whole level.
std::string whole_level(std::string_view pattern) {
    int depth = 0;
    bool alternatives = false, in_class = false, escaped = false, ends_escaped = false;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const char c = pattern[i];
        ends_escaped = escaped;
        if (escaped) {
            escaped = false;
            continue;
        }
        if (c == '\\')
            escaped = true;
        else if (in_class)
            in_class = c != ']';
        else if (c == '[')
            in_class = true;
        else if (c == '(')
            ++depth;
        else if (c == ')')
            --depth;
        else if (c == '|' && depth == 0)
            alternatives = true;
    }
    const bool from_start = pattern.starts_with('^'), to_end = pattern.ends_with('$') && !ends_escaped;
    if (!alternatives && from_start && to_end && pattern.size() >= 2)
        return std::string(pattern.substr(1, pattern.size() - 2));
    if (!alternatives) {
        const std::string_view inner =
            pattern.substr(from_start ? 1 : 0, pattern.size() - (from_start ? 1 : 0) - (to_end ? 1 : 0));
        return (from_start ? "" : ".*") + ("(?:" + std::string(inner) + ")") + (to_end ? "" : ".*");
    }
    return ".*(?:" + std::string(pattern) + ").*";
}

class Reader {
public:
    Reader(const EmqxFile& file, Model& model, std::vector<Problem>& problems, std::vector<std::string>& notes)
        : file_(file), model_(model), problems_(problems), notes_(notes) {}

    void run(const Json& json, const std::string& at) {
        model_.file = file_.name;
        if (!json.is_object())
            return add("TL-9107", at, "a model is a JSON object", "write {\"id\": ..., \"tree\": {...}}");
        for (const auto& [key, value] : json.items()) {
            if (key != "id" && key != "name" && key != "variable_types" && key != "payload_types" && key != "tree" &&
                key != "active" && key != "summary" && key != "updated_at_ms") {
                note(at + "/" + key, "is not part of a model, and was left out");
            }
        }
        head(json, at);
        if (const auto types = json.find("variable_types"); types != json.end())
            variable_types(*types, at + "/variable_types");
        if (const auto types = json.find("payload_types"); types != json.end())
            payload_types(*types, at + "/payload_types");
        const auto tree = json.find("tree");
        if (tree == json.end() || !tree->is_object()) {
            return add("TL-9106", at, "the model has no tree", "write \"tree\": {\"level\": {...}}");
        }
        model_.root.place = at + "/tree";
        children(*tree, model_.root, at + "/tree");
    }

private:
    void add(std::string rule, const std::string& at, std::string message, std::string fix) {
        if (problems_.size() < problems_max) {
            problems_.push_back(
                {std::move(rule), file_.name + ": " + (at.empty() ? "/" : at), std::move(message), std::move(fix)});
        }
    }
    void note(const std::string& at, const std::string& text) {
        if (notes_.size() < problems_max) notes_.push_back(file_.name + ": " + at + " " + text);
    }

    void head(const Json& json, const std::string& at) {
        const auto id = json.find("id");
        const bool good = id != json.end() && id->is_string() && !id->get_ref<const std::string&>().empty() &&
                          id->get_ref<const std::string&>().size() <= 256 &&
                          id->get_ref<const std::string&>().find_first_not_of(
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == std::string::npos;
        if (!good)
            return add("TL-9111", at + "/id", "the model's id is missing, or not made of letters, digits, _ and -",
                       "write \"id\": \"model-v1\"");
        model_.id = id->get<std::string>();
        model_.name = json.value("name", Json(model_.id)).is_string() ? json.value("name", model_.id) : model_.id;
    }

    // A form that is not known matches anything, as EMQX documents it.
    void variable_types(const Json& types, const std::string& at) {
        if (!types.is_object()) return add("TL-9107", at, "variable_types is an object", "write {\"site_id\": {...}}");
        for (const auto& [name, type] : types.items()) {
            const std::string here = at + "/" + name;
            const std::string kind = type.is_object() && type.contains("type") && type["type"].is_string()
                                         ? type["type"].get<std::string>()
                                         : std::string();
            if (kind == "string" && type.contains("pattern") && type["pattern"].is_string()) {
                const std::string match = whole_level(type["pattern"].get<std::string>());
                LevelPattern::Error error;
                if (!LevelPattern::compile(match, error)) add("TL-9150", here + "/pattern", error.message, error.mend);
                matches_[name] = match;
            } else if (kind == "enum" && type.contains("values") && type["values"].is_array()) {
                std::string match;
                for (const Json& value : type["values"]) {
                    match += (match.empty() ? "" : "|") +
                             escape_regex(value.is_string() ? value.get<std::string>() : value.dump());
                }
                if (match.empty()) {
                    add("TL-9161", here + "/values", "an enum without values lets nothing through", "list the values");
                    continue;
                }
                LevelPattern::Error error;
                if (!LevelPattern::compile(match, error)) add("TL-9150", here + "/values", error.message, error.mend);
                matches_[name] = match;
            } else {
                matches_[name].clear();
                note(here,
                     "is neither a string with a pattern nor an enum with values: EMQX lets any name through, and so "
                     "does the import");
            }
        }
    }

    void payload_types(const Json& types, const std::string& at) {
        if (!types.is_object()) return add("TL-9107", at, "payload_types is an object", "write {\"reading\": {...}}");
        for (const auto& [name, schema] : types.items()) {
            const std::string here = at + "/" + name;
            if (!schema.is_object()) {
                add("TL-9171", here, "a payload type is a JSON Schema, an object", "write {\"type\": \"object\", ...}");
                continue;
            }
            Json patched = schema;
            if (!patched.contains("type")) patched["type"] = "object";
            if (patched["type"] != "object") {
                add("TL-9171", here + "/type",
                    "the root of a payload schema must be an object, found " + quote(patched["type"].dump()),
                    "wrap the value: {\"type\": \"object\", \"properties\": {...}}");
                continue;
            }
            model_.payloads[name] = patched.dump();
        }
    }

    void children(const Json& list, Node& into, const std::string& at) {
        for (const auto& [key, json] : list.items()) {
            if (++nodes_ > nodes_max)
                return add("TL-9102", at, "the tree has more than 250,000 nodes", "use variables");
            auto node = std::make_unique<Node>();
            node->place = at + "/" + key;
            if (read_node(key, json, *node)) into.children.push_back(std::move(node));
        }
        std::set<std::string> patterns;
        for (const auto& child : into.children) {
            if (child->kind == Node::Kind::variable && !patterns.insert(child->name).second) {
                add("TL-9143", child->place, "\"+\" and {any} stand side by side", "rename the variable");
            }
        }
    }

    bool read_node(const std::string& key, const Json& json, Node& node) {
        if (!json.is_object()) {
            add("TL-9107", node.place, "a node of the tree is an object", "write {} or {\"children\": {...}}");
            return false;
        }
        for (const auto& [name, value] : json.items()) {
            if (name != "children" && name != "_payload" && name != "_type" && name != "_var_type") {
                note(node.place + "/" + name, "is no key of a node, and was left out");
            }
        }
        const auto found = json.find("children");
        const bool has_children = found != json.end() && found->is_object();
        const bool is_variable_key = key == "+" || (key.size() > 2 && key.front() == '{' && key.back() == '}');
        std::string type =
            json.contains("_type") && json["_type"].is_string() ? json["_type"].get<std::string>() : std::string();
        if (type != "namespace" && type != "variable" && type != "endpoint") {
            if (!type.empty())
                note(node.place + "/_type", "is none of namespace, variable and endpoint: inferred instead");
            type = !has_children ? "endpoint" : is_variable_key ? "variable" : "namespace";
        }
        if (type == "endpoint" && has_children && !found->empty()) {
            add("TL-9107", node.place, "an endpoint has children", "take _type or the children away");
            return false;
        }
        if (type != "endpoint" && !has_children) {
            add("TL-9106", node.place, "a " + type + " has no children",
                "write \"children\": {...}, or leave _type out");
            return false;
        }
        if (!set_name(key, type, json, node)) return false;
        if (type == "endpoint")
            set_payload(json, node);
        else if (json.contains("_payload"))
            note(node.place, "has children, so its _payload counts for nothing");
        if (node.kind == Node::Kind::rest && type != "endpoint") {
            add("TL-9144", node.place, "\"#\" stands for everything below it and can't have children",
                "take the children away");
            return false;
        }
        if (has_children) children(*found, node, node.place + "/children");
        return true;
    }

    bool set_name(const std::string& key, const std::string& type, const Json& json, Node& node) {
        if (key == "#") {
            node.kind = Node::Kind::rest;
            node.name = key;
            return true;
        }
        if (key == "+") {
            node.kind = Node::Kind::variable;
            node.name = "any";
            return true;
        }
        if (key.empty() || key.find_first_of("/+#") != std::string::npos || !is_utf8(key)) {
            add("TL-9141", node.place, quote(key) + " matches no level of a topic", "one key is one level");
            return false;
        }
        const bool braces = key.size() > 2 && key.front() == '{' && key.back() == '}';
        if (type == "variable") {
            if (!braces) {
                add("TL-9141", node.place, quote(key) + " can't name a variable", "write {" + key + "}");
                return false;
            }
            node.kind = Node::Kind::variable;
            node.name = key.substr(1, key.size() - 2);
            std::string of = node.name;
            if (json.contains("_var_type") && json["_var_type"].is_string()) of = json["_var_type"].get<std::string>();
            const auto match = matches_.find(of);
            if (match == matches_.end())
                note(node.place, "is of the variable type " + quote(of) + ", which does not exist: any name fits");
            else
                node.match = match->second;
            return true;
        }
        node.name = key;
        if (braces || key.front() == '$') {
            if (braces)
                note(node.place, "is " + std::string(type == "endpoint" ? "an endpoint" : "a namespace") +
                                     ": EMQX takes it for that very name, braces and all, not for a variable");
            node.match = escape_regex(key);
            node.name = braces ? key.substr(1, key.size() - 2) + "_literal" : key.substr(1);
        }
        return true;
    }

    void set_payload(const Json& json, Node& node) {
        node.payload = "any";
        const auto payload = json.find("_payload");
        if (payload == json.end() || !payload->is_string() || *payload == "any") return;
        const auto& name = payload->get_ref<const std::string&>();
        if (!model_.payloads.contains(name)) {
            return add("TL-9170", node.place + "/_payload", "there is no payload type " + quote(name),
                       "define it under payload_types, or write \"any\"");
        }
        node.payload = name;
    }

    const EmqxFile& file_;
    Model& model_;
    std::vector<Problem>& problems_;
    std::vector<std::string>& notes_;
    std::map<std::string, std::string> matches_;  // of variable types; empty: any name
    std::size_t nodes_ = 0;
};

/// nullopt with a problem when the text is no JSON that can be taken.
std::optional<Json> parse(const EmqxFile& file, std::vector<Problem>& problems) {
    const auto refuse = [&](const char* rule, std::string message, std::string fix) {
        problems.push_back({rule, file.name, std::move(message), std::move(fix)});
        return std::nullopt;
    };
    if (!is_utf8(file.text)) return refuse("TL-9101", "the file is not UTF-8", "save it as UTF-8");
    if (too_deep(file.text)) return refuse("TL-9102", "the JSON is nested more than 100 levels deep", "flatten it");
    std::string twice;
    std::vector<std::set<std::string>> keys;
    const auto watch = [&](int, Json::parse_event_t event, Json& value) {
        if (event == Json::parse_event_t::object_start) keys.emplace_back();
        if (event == Json::parse_event_t::object_end) keys.pop_back();
        if (event == Json::parse_event_t::key && !keys.empty() &&
            !keys.back().insert(value.get<std::string>()).second && twice.empty()) {
            twice = value.get<std::string>();
        }
        return true;
    };
    try {
        Json json = Json::parse(file.text, watch);
        if (!twice.empty())
            return refuse("TL-9104", "the key " + quote(twice) + " stands twice in one object", "keep one");
        return json;
    } catch (const Json::exception& error) {
        return refuse("TL-9101", "the file is no JSON: " + std::string(error.what()).substr(0, 200), "export it again");
    }
}

}  // namespace

std::string payload_name(const Model& model, const std::string& name, bool several_models) {
    constexpr std::string_view built_in[]{"reading", "plain", "umh", "sparkplug", "json", "any"};
    std::string out = is_identifier(name) ? name : std::string();
    if (out.empty()) {
        for (const char c : name) {
            const bool good =
                (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
            out += good ? c : '_';
        }
        out = "payload_" + out.substr(0, 40);
    }
    if (several_models) out = "m_" + model.id.substr(0, 24) + "." + out.substr(0, 36);
    if (std::find(std::begin(built_in), std::end(built_in), out) != std::end(built_in)) out = "emqx_" + out;
    return out;
}

void read_models(const EmqxFile& file, std::vector<Model>& models, std::vector<Problem>& problems,
                 std::vector<std::string>& notes) {
    const auto json = parse(file, problems);
    if (!json) return;
    const auto read = [&](const Json& one, const std::string& at) {
        Model model;
        const Json* inner = &one;  // entries of the API's list hold the model under "model"
        if (one.is_object() && !one.contains("tree") && one.contains("model")) inner = &one["model"];
        Reader(file, model, problems, notes).run(*inner, at);
        models.push_back(std::move(model));
    };
    const Json* list = nullptr;
    if (json->is_array()) list = &*json;
    for (const char* key : {"models", "data"}) {
        if (json->is_object() && !json->contains("tree") && json->contains(key) && (*json)[key].is_array())
            list = &(*json)[key];
    }
    if (!list) return read(*json, "");
    for (std::size_t i = 0; i < list->size(); ++i) read((*list)[i], "/" + std::to_string(i));
}

}  // namespace trunkline::uns::emqx
