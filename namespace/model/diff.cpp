#include "namespace/model/diff.h"

#include <algorithm>
#include <map>
#include <set>

#include "namespace/model/model_data.h"
#include "namespace/model/text.h"

namespace trunkline::uns {
namespace {

using Change = ModelChange::Kind;
// What something says, by the name of what it says it about.
using Facts = std::map<std::string, std::string>;

std::string writers_text(const std::vector<Writer>* writers) {
    if (!writers) return {};
    std::set<std::string> sorted;
    for (const Writer& writer : *writers) {
        const std::string_view kind = writer.kind == Writer::Kind::role   ? "role:"
                                      : writer.kind == Writer::Kind::user ? "user:"
                                                                          : "client:";
        sorted.insert(std::string(kind) + writer.name);
    }
    std::string out;
    for (const std::string& writer : sorted) out += (out.empty() ? "" : ", ") + writer;
    return out.empty() ? "nobody" : out;
}

void put(Facts& facts, const std::string& key, std::string_view value) {
    if (!value.empty()) facts.emplace(key, value);
}

Facts facts_of(const Member& member) {
    Facts out;
    put(out, "kind", to_string(member.kind));
    put(out, "payload", member.payload_name);
    constexpr std::string_view types[]{"", "number", "integer", "boolean", "string", "object", "array"};
    put(out, "type", types[static_cast<std::size_t>(member.value.kind)]);
    put(out, "unit", member.value.unit);
    if (member.value.min) put(out, "min", number_text(*member.value.min));
    if (member.value.max) put(out, "max", number_text(*member.value.max));
    if (member.value.max_length) put(out, "max_length", std::to_string(*member.value.max_length));
    put(out, "pattern", member.value.pattern);
    std::set<std::string> values(member.value.enumeration.begin(), member.value.enumeration.end());
    std::string list;
    for (const std::string& value : values) list += (list.empty() ? "" : ", ") + value;
    put(out, "enum", list);
    if (member.every_ms > 0) put(out, "every", std::to_string(member.every_ms) + "ms");
    if (member.mode) put(out, "mode", to_string(*member.mode));
    if (member.writers) put(out, "writers", writers_text(&*member.writers));
    if (member.regulated) put(out, "regulated", *member.regulated ? "true" : "false");
    put(out, "description", member.description);
    put(out, "metadata", member.metadata_json);
    put(out, "default", member.default_json);
    return out;
}

std::string quota_text(const Quota* quota) {
    if (!quota) return {};
    std::string out;
    if (quota->topics) out += " topics " + std::to_string(*quota->topics);
    if (quota->messages_per_s) out += " rate " + number_text(*quota->messages_per_s) + "/s";
    if (quota->bytes_per_s) out += " bytes " + std::to_string(*quota->bytes_per_s) + "/s";
    return out.empty() ? "none" : out.substr(1);
}

// What a node says that its parent does not: a mode that is set once is told once.
Facts facts_of(const Model::Data& data, const TreeNode& node) {
    Facts out;
    const TreeNode& parent = data.nodes[node.parent];
    put(out, "kind", node.kind);
    if (node.type) put(out, "type", node.type->name);
    if (node.is_pattern) put(out, "match", node.pattern ? node.pattern->text() : ".+");
    if (node.self) put(out, "payload", node.self->payload_name);
    if (node.open) put(out, "#", node.open->payload_name);
    if (node.mode != parent.mode) put(out, "mode", to_string(node.mode));
    if (node.owner != parent.owner) put(out, "owner", node.owner);
    if (node.writers != parent.writers) put(out, "writers", writers_text(node.writers));
    if (node.regulated != parent.regulated) put(out, "regulated", node.regulated ? "true" : "false");
    if (node.quota != parent.quota) put(out, "quota", quota_text(node.quota));
    put(out, "description", node.description);
    put(out, "metadata", node.metadata_json);
    return out;
}

// Whether going from `before` to `after` may refuse what was accepted. Absent is an empty text.
bool narrows(const std::string& key, const std::string& before, const std::string& after) {
    if (key == "description" || key == "metadata" || key == "owner" || key == "every" || key == "default" ||
        key == "regulated") {
        return false;
    }
    if (key == "mode" || key == "unmodelled") {
        const auto strict = [](const std::string& mode) {
            return mode == "observe" ? 0 : mode == "quarantine" ? 1 : mode.empty() ? -1 : 2;
        };
        return strict(before) < 0 || strict(after) < 0 || strict(after) > strict(before);
    }
    if (after.empty()) return key == "payload" || key == "type" || key == "kind" || key == "#" || key == "unit";
    if (before.empty()) return key != "#" && key != "kind";
    const auto from = parse_number(before), to = parse_number(after);
    if (key == "min" && from && to) return *to > *from;
    if ((key == "max" || key == "max_length") && from && to) return *to < *from;
    if (key == "type") return !(before == "integer" && after == "number");
    if (key == "enum" || key == "writers") {  // fewer than before
        const std::string within = ", " + after + ",";
        for (std::size_t at = 0; at != std::string::npos;) {
            const std::size_t end = before.find(", ", at);
            if (within.find(", " + before.substr(at, end == std::string::npos ? end : end - at) + ",") ==
                std::string::npos) {
                return true;
            }
            at = end == std::string::npos ? end : end + 2;
        }
        return false;
    }
    return true;
}

class Differ {
public:
    Differ(const Model& before, const Model& after) : before_(before.data()), after_(after.data()) {}

    std::vector<ModelChange> run() {
        defaults();
        types();
        nodes(tree_root, tree_root, "");
        std::map<std::string, std::string> old_exempt, new_exempt;
        for (const std::string_view filter : before_.exempt) old_exempt.emplace(filter, "");
        for (const std::string_view filter : after_.exempt) new_exempt.emplace(filter, "");
        list("exempt", old_exempt, new_exempt);
        std::map<std::string, std::string> old_paths, new_paths;
        for (const auto& [path, entry] : before_.aliases) old_paths.emplace(path, alias_text(entry));
        for (const auto& [path, entry] : after_.aliases) new_paths.emplace(path, alias_text(entry));
        list("old path", old_paths, new_paths);
        list("sparkplug", sparkplug(before_), sparkplug(after_));
        return std::move(changes_);
    }

private:
    void add(Change kind, std::string subject, std::string what, std::string before, std::string after, bool breaking,
             std::size_t places = 0) {
        changes_.push_back(
            {kind, std::move(subject), std::move(what), std::move(before), std::move(after), breaking, places});
    }

    void compare(const std::string& subject, const std::string& prefix, const Facts& before, const Facts& after,
                 std::size_t places = 0) {
        std::set<std::string> keys;
        for (const auto& [key, value] : before) keys.insert(key);
        for (const auto& [key, value] : after) keys.insert(key);
        for (const std::string& key : keys) {
            const auto old = before.find(key), now = after.find(key);
            const std::string from = old == before.end() ? "" : old->second, to = now == after.end() ? "" : now->second;
            if (from != to) add(Change::changed, subject, prefix + key, from, to, narrows(key, from, to), places);
        }
    }

    void defaults() {
        const auto facts = [](const Model::Data& data) {
            Facts out;
            put(out, "mode", to_string(data.mode));
            put(out, "unmodelled", to_string(data.unmodelled));
            put(out, "v3_reject", data.v3_reject == V3Reject::ack ? "ack" : "disconnect");
            put(out, "unique_ignoring_case", data.unique_ignoring_case ? "true" : "false");
            put(out, "owner", data.owner);
            put(out, "description", data.description);
            return out;
        };
        compare("defaults", "", facts(before_), facts(after_));
    }

    static std::string alias_text(const AliasEntry& entry) {
        return std::string(entry.target) + (entry.until_ms ? " until " + date_text(*entry.until_ms) : "");
    }
    static std::string template_text(const Template& of) {
        std::string out;
        for (const auto& piece : of.pieces)
            out += piece.is_name ? "{" + std::string(piece.text) + "}" : std::string(piece.text);
        return out;
    }
    static std::map<std::string, std::string> sparkplug(const Model::Data& data) {
        std::map<std::string, std::string> out;
        for (const SparkplugRow& row : data.sparkplug) {
            out.emplace(template_text(row.group) + "/" + template_text(row.node) + "/" + template_text(row.device),
                        template_text(row.to));
        }
        return out;
    }

    void list(const std::string& subject, const std::map<std::string, std::string>& before,
              const std::map<std::string, std::string>& after) {
        for (const auto& [key, value] : before) {
            const auto now = after.find(key);
            if (now == after.end()) {
                add(Change::removed, subject, key, value, "", true);
            } else if (now->second != value) {
                add(Change::changed, subject, key, value, now->second, true);
            }
        }
        for (const auto& [key, value] : after) {
            if (!before.contains(key)) add(Change::added, subject, key, "", value, false);
        }
    }

    // A model may hold a type in several versions; versions are compared in their order, and a lone one with a lone
    // one.
    static std::map<std::string, const CompiledType*> by_name(const Model::Data& data) {
        std::map<std::string, std::vector<const CompiledType*>> versions;
        for (const CompiledType& type : data.types) versions[std::string(type.name)].push_back(&type);
        std::map<std::string, const CompiledType*> out;
        for (const auto& [name, list] : versions) {
            for (const CompiledType* type : list) out.emplace(list.size() == 1 ? name : std::string(type->id), type);
        }
        return out;
    }

    static std::map<const CompiledType*, std::size_t> uses(const Model::Data& data) {
        std::map<const CompiledType*, std::size_t> out;
        for (const TreeNode& node : data.nodes) {
            if (node.type) ++out[node.type];
        }
        return out;
    }

    static void members_below(const Model::Data& data, NodeId id, std::map<std::string, const Member*>& out) {
        const TypeNode& node = data.type_nodes[id];
        if (node.member) out.emplace(node.member->path, node.member);
        for (const NodeId child : node.children) members_below(data, child, out);
    }

    void types() {
        const auto old_types = by_name(before_), new_types = by_name(after_);
        const auto old_uses = uses(before_);
        const auto places = [&](const CompiledType* type) {
            const auto found = old_uses.find(type);
            return found == old_uses.end() ? std::size_t{0} : found->second;
        };
        for (const auto& [name, type] : old_types) {
            const auto found = new_types.find(name);
            if (found == new_types.end()) {
                add(Change::removed, "type " + std::string(type->id), "", "", "", places(type) > 0, places(type));
            } else {
                type_changes(*type, *found->second, places(type));
            }
        }
        for (const auto& [name, type] : new_types) {
            if (!old_types.contains(name)) add(Change::added, "type " + std::string(type->id), "", "", "", false);
        }
    }

    void type_changes(const CompiledType& before, const CompiledType& after, std::size_t places) {
        const std::string subject = "type " + std::string(after.id);
        const auto facts = [](const CompiledType& type) {
            Facts out;
            put(out, "version", std::to_string(type.version));
            put(out, "level", type.level);
            if (type.unknown) put(out, "unknown", *type.unknown == Mode::enforce ? "reject" : to_string(*type.unknown));
            put(out, "description", type.description);
            put(out, "metadata", type.metadata_json);
            return out;
        };
        Facts old_facts = facts(before), new_facts = facts(after);
        if (old_facts["version"] != new_facts["version"]) {
            add(Change::changed, subject, "version", old_facts["version"], new_facts["version"], false, places);
        }
        old_facts.erase("version");
        new_facts.erase("version");
        compare(subject, "", old_facts, new_facts, places);
        std::map<std::string, const Member*> old_members, new_members;
        members_below(before_, before.root, old_members);
        members_below(after_, after.root, new_members);
        for (const auto& [path, member] : old_members) {
            const std::string what = std::string(to_string(member->kind)) + " " + path;
            const auto found = new_members.find(path);
            if (found == new_members.end()) {
                add(Change::removed, subject, what, "", "", true, places);
                continue;
            }
            compare(subject, what + ": ", facts_of(*member), facts_of(*found->second), places);
            if (contracts(*member) != contracts(*found->second)) {
                add(Change::changed, subject, what + ": schema", contracts(*member), contracts(*found->second), true,
                    places);
            }
        }
        for (const auto& [path, member] : new_members) {
            if (!old_members.contains(path)) {
                add(Change::added, subject, std::string(to_string(member->kind)) + " " + path, "", "", false, places);
            }
        }
    }

    // A schema keeps its name and changes all the same; its text tells.
    static std::string contracts(const Member& member) { return member.schema_hash; }

    static std::string level_of(const TreeNode& node) {
        return node.is_pattern ? "{" + std::string(node.name) + "}" : std::string(node.name);
    }
    static std::map<std::string, NodeId> children_of(const Model::Data& data, NodeId id) {
        std::map<std::string, NodeId> out;
        for (const NodeId child : data.children(data.nodes[id])) out.emplace(level_of(data.nodes[child]), child);
        for (const NodeId child : data.patterns_of(data.nodes[id])) out.emplace(level_of(data.nodes[child]), child);
        return out;
    }

    void nodes(NodeId old_id, NodeId new_id, const std::string& path) {
        const auto old_children = children_of(before_, old_id), new_children = children_of(after_, new_id);
        for (const auto& [name, id] : old_children) {
            const std::string topic = path.empty() ? name : path + "/" + name;
            const auto found = new_children.find(name);
            if (found == new_children.end()) {
                add(Change::removed, topic, "", "", "", true, 1 + count_below(before_, id));
                continue;
            }
            compare(topic, "", facts_of(before_, before_.nodes[id]), facts_of(after_, after_.nodes[found->second]));
            nodes(id, found->second, topic);
        }
        for (const auto& [name, id] : new_children) {
            if (old_children.contains(name)) continue;
            add(Change::added, path.empty() ? name : path + "/" + name, "", "", "", false, 1 + count_below(after_, id));
        }
    }

    static std::size_t count_below(const Model::Data& data, NodeId id) {
        const TreeNode& node = data.nodes[id];
        std::size_t count = node.child_count + node.pattern_count;
        for (const NodeId child : data.children(node)) count += count_below(data, child);
        for (const NodeId child : data.patterns_of(node)) count += count_below(data, child);
        return count;
    }

    const Model::Data& before_;
    const Model::Data& after_;
    std::vector<ModelChange> changes_;
};

}  // namespace

std::vector<ModelChange> diff(const Model& before, const Model& after) {
    if (before.hash() == after.hash()) return {};
    return Differ(before, after).run();
}

std::string to_string(const ModelChange& change) {
    std::string out = change.kind == Change::added     ? "added    "
                      : change.kind == Change::removed ? "removed  "
                                                     : "changed  ";
    out += change.subject;
    if (!change.what.empty()) out += ": " + change.what;
    if (change.kind == Change::changed) {
        out += " " + (change.before.empty() ? "(none)" : change.before) + " -> " +
               (change.after.empty() ? "(none)" : change.after);
    }
    std::string notes = change.breaking ? "breaking" : "";
    if (change.places > 0) {
        notes +=
            (notes.empty() ? "" : ", ") + std::to_string(change.places) + (change.places == 1 ? " place" : " places");
    }
    return notes.empty() ? out : out + "  (" + notes + ")";
}

}  // namespace trunkline::uns
