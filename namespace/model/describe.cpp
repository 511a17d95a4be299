// What the model says, told to people and programs: metadata, children, the whole tree, JSON.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "namespace/model/model_data.h"
#include "namespace/model/text.h"

namespace trunkline::uns {
namespace {

using Json = nlohmann::ordered_json;

void set_text(Json& out, const char* key, std::string_view text) {
    if (!text.empty()) out[key] = std::string(text);
}

std::string_view name_of(ValueType::Kind kind) {
    constexpr std::string_view names[]{"any", "number", "integer", "boolean", "string", "object", "array"};
    return names[static_cast<std::size_t>(kind)];
}

// Later keys win: what the type says, then what the node says.
void merge_metadata(Json& out, std::string_view json) {
    if (json.empty()) return;
    const Json more = Json::parse(json, nullptr, false);
    if (!more.is_object()) return;
    for (const auto& [key, value] : more.items()) out["metadata"][key] = value;
}

Json writers_json(const std::vector<Writer>& writers) {
    Json out = Json::array();
    for (const Writer& writer : writers) {
        const std::string_view kind = writer.kind == Writer::Kind::role   ? "role:"
                                      : writer.kind == Writer::Kind::user ? "user:"
                                                                          : "client:";
        out.push_back(std::string(kind) + writer.name);
    }
    return out;
}

// A bound as the model's author wrote it: 120 and not 120.0.
Json number_json(double value) { return Json::parse(number_text(value), nullptr, false); }

void describe_member(const Member& member, Json& out) {
    set_text(out, "payload", member.payload_name);
    if (member.value.kind != ValueType::Kind::any) out["type"] = std::string(name_of(member.value.kind));
    set_text(out, "unit", member.value.unit);
    if (member.value.min) out["min"] = number_json(*member.value.min);
    if (member.value.max) out["max"] = number_json(*member.value.max);
    if (member.value.max_length) out["max_length"] = *member.value.max_length;
    set_text(out, "pattern", member.value.pattern);
    if (!member.value.enumeration.empty()) out["enum"] = member.value.enumeration;
    if (member.every_ms > 0) out["every_ms"] = member.every_ms;
    if (!member.default_json.empty()) out["default"] = Json::parse(member.default_json, nullptr, false);
    merge_metadata(out, member.metadata_json);
}

Json model_json(const Model& model) { return {{"name", model.name()}, {"version", model.version()}}; }

std::string level_of(const TreeNode& node) {
    return node.is_pattern ? "{" + std::string(node.name) + "}" : std::string(node.name);
}

MemberKind kind_of(const TreeNode& node) {
    if (node.type) return MemberKind::asset;
    return node.self ? node.self->kind : MemberKind::structure;
}

bool has_children(const Model::Data& data, const TreeNode& node) {
    return node.child_count > 0 || node.pattern_count > 0 || node.open ||
           (node.type && !data.type_nodes[node.type->root].children.empty());
}

// Goes to `topic`, whose levels may be "{name}" for a pattern; no_node in `type_node` when it ends in the tree.
struct Spot {
    NodeId node = tree_root;
    NodeId type_node = no_node;
};
std::optional<Spot> find_spot(const Model::Data& data, std::string_view topic) {
    Spot spot;
    if (topic.empty()) return spot;
    for (LevelCursor at(topic); !at.done(); at.next()) {
        const std::string_view level = at.level();
        if (spot.type_node != no_node) {
            spot.type_node = data.type_index.find(spot.type_node, level);
            if (spot.type_node == no_node) return std::nullopt;
            continue;
        }
        const TreeNode& here = data.nodes[spot.node];
        NodeId next = data.index.find(spot.node, level);
        if (next == no_node && here.type) {
            const NodeId member = data.type_index.find(here.type->root, level);
            if (member != no_node) {
                spot.type_node = member;
                continue;
            }
        }
        for (const NodeId id : data.patterns_of(here)) {
            if (next != no_node) break;
            const TreeNode& node = data.nodes[id];
            const bool named = level == level_of(node);
            if (named || (!level.empty() && (!node.pattern || node.pattern->matches(level)))) next = id;
        }
        if (next == no_node) return std::nullopt;
        spot.node = next;
    }
    return spot;
}

ModelChild child_of(const Model::Data& data, const TreeNode& node) {
    ModelChild child;
    child.name = level_of(node);
    if (node.is_pattern) child.pattern = node.pattern ? node.pattern->text() : ".+";
    child.kind = kind_of(node);
    child.level_kind = node.kind;
    if (node.type) child.type = node.type->id;
    child.description = node.description.empty() && node.type ? node.type->description : node.description;
    child.has_children = has_children(data, node);
    child.place = node.place;
    return child;
}

ModelChild child_of(const TypeNode& node) {
    ModelChild child;
    child.name = node.name;
    child.kind = node.member ? node.member->kind : MemberKind::structure;
    child.type = node.part_type;
    if (node.member) {
        child.unit = node.member->value.unit;
        child.description = node.member->description;
    }
    child.has_children = !node.children.empty();
    child.place = node.place;
    return child;
}

}  // namespace

std::optional<std::string> Model::describe(std::string_view topic) const {
    const Data& data = *data_;
    const auto spot = find_spot(data, topic);
    if (!spot || topic.empty()) return std::nullopt;
    const TreeNode& node = data.nodes[spot->node];
    Json out;
    out["topic"] = std::string(topic);
    const Member* member = spot->type_node != no_node ? data.type_nodes[spot->type_node].member : node.self;
    if (spot->type_node != no_node) {
        const TypeNode& at = data.type_nodes[spot->type_node];
        out["kind"] = member ? std::string(to_string(member->kind)) : "part";
        set_text(out, "asset_type", node.type->id);
        set_text(out, "part_type", at.part_type);
        if (member) set_text(out, "description", member->description);
    } else {
        out["kind"] = std::string(to_string(kind_of(node)));
        set_text(out, "level", node.kind);
        if (node.type) {
            set_text(out, "asset_type", node.type->id);
            set_text(out, "description", node.description.empty() ? node.type->description : node.description);
            merge_metadata(out, node.type->metadata_json);
        } else {
            set_text(out, "description", node.description);
        }
        merge_metadata(out, node.metadata_json);
    }
    if (member) describe_member(*member, out);
    set_text(out, "owner", node.owner);
    out["mode"] = std::string(to_string(member && member->mode ? *member->mode : node.mode));
    if (member && member->regulated ? *member->regulated : node.regulated) out["regulated"] = true;
    const auto* writers = member && member->writers ? &*member->writers : node.writers;
    if (writers) out["writers"] = writers_json(*writers);
    out["model"] = model_json(*this);
    return out.dump();
}

std::vector<ModelChild> Model::children(std::string_view topic, std::string_view after, std::size_t limit) const {
    const Data& data = *data_;
    std::vector<ModelChild> out;
    const auto spot = find_spot(data, topic);
    if (!spot) return out;
    if (spot->type_node != no_node) {
        for (const NodeId id : data.type_nodes[spot->type_node].children) out.push_back(child_of(data.type_nodes[id]));
    } else {
        const TreeNode& node = data.nodes[spot->node];
        const auto literals = data.children(node);
        auto from = std::upper_bound(literals.begin(), literals.end(), after,
                                     [&](std::string_view name, NodeId id) { return name < data.nodes[id].name; });
        if (after.starts_with("{") || after == "#") from = literals.end();
        for (; from != literals.end() && out.size() < limit; ++from) out.push_back(child_of(data, data.nodes[*from]));
        if (node.type) {
            for (const NodeId id : data.type_nodes[node.type->root].children)
                out.push_back(child_of(data.type_nodes[id]));
        }
        for (const NodeId id : data.patterns_of(node)) out.push_back(child_of(data, data.nodes[id]));
        if (node.open) {
            ModelChild open;
            open.name = "#";
            open.kind = MemberKind::open;
            open.place = node.open->place;
            out.push_back(std::move(open));
        }
    }
    // In order of the name; "{" sorts behind all letters, and "#" is moved behind them.
    const auto rank = [](const ModelChild& child) {
        return child.name == "#" ? 2 : child.name.starts_with("{") ? 1 : 0;
    };
    std::sort(out.begin(), out.end(), [&](const ModelChild& a, const ModelChild& b) {
        return std::pair(rank(a), std::string_view(a.name)) < std::pair(rank(b), std::string_view(b.name));
    });
    if (!after.empty()) {
        ModelChild last;
        last.name = after;
        std::erase_if(out, [&](const ModelChild& child) {
            return std::pair(rank(child), std::string_view(child.name)) <= std::pair(rank(last), after);
        });
    }
    if (out.size() > limit) out.resize(limit);
    return out;
}

namespace {

// Depth first; false: stopped.
class TreeWalk {
public:
    TreeWalk(const Model::Data& data, const std::function<bool(const Model::Entry&)>& visit)
        : data_(data), visit_(visit) {}

    bool below(const TreeNode& node) {
        if (node.type && !members(data_.type_nodes[node.type->root], node)) return false;
        for (const NodeId id : data_.children(node)) {
            if (!tree_node(data_.nodes[id])) return false;
        }
        for (const NodeId id : data_.patterns_of(node)) {
            if (!tree_node(data_.nodes[id])) return false;
        }
        return !node.open || entry("#", node, node.open->kind, node.open, node.open->place);
    }

private:
    bool entry(std::string_view level, const TreeNode& node, MemberKind kind, const Member* member, Place place) {
        const std::size_t before = path_.size();
        if (!path_.empty()) path_ += '/';
        path_ += level;
        const Mode mode = member && member->mode ? *member->mode : node.mode;
        const bool level_itself = !member || member == node.self;
        const bool going = visit_({path_, kind, level_itself ? node.kind : std::string_view(),
                                   node.type ? node.type->id : std::string_view(), node.owner, mode, member, place});
        path_.resize(before);
        return going;
    }

    bool tree_node(const TreeNode& node) {
        const std::string level = level_of(node);
        if (!entry(level, node, kind_of(node), node.self, node.place)) return false;
        const std::size_t before = path_.size();
        if (!path_.empty()) path_ += '/';
        path_ += level;
        const bool going = below(node);
        path_.resize(before);
        return going;
    }

    bool members(const TypeNode& at, const TreeNode& asset) {
        for (const NodeId id : at.children) {
            const TypeNode& node = data_.type_nodes[id];
            if (node.member && !entry(node.name, asset, node.member->kind, node.member, node.member->place))
                return false;
            const std::size_t before = path_.size();
            if (!path_.empty()) path_ += '/';
            path_ += node.name;
            const bool going = members(node, asset);
            path_.resize(before);
            if (!going) return false;
        }
        return true;
    }

    const Model::Data& data_;
    const std::function<bool(const Model::Entry&)>& visit_;
    std::string path_;
};

}  // namespace

void Model::walk(const std::function<bool(const Entry&)>& visit) const {
    TreeWalk(*data_, visit).below(data_->nodes[tree_root]);
}

std::string Model::json() const {
    Problems problems{data_->file};
    const auto yaml = YamlTree::parse(data_->source, problems);
    return yaml ? yaml->json(yaml->root()) : "{}";
}

namespace {

using Names = std::vector<std::pair<std::string_view, std::string_view>>;

// Whether `text` is pieces [at, end), and what its names then stand for. A name that is known already must stand for
// the same again. At most two names: the search is at most quadratic in the length of a name.
bool match_template(const Template& of, std::size_t at, std::string_view text, Names& names) {
    if (at == of.pieces.size()) return text.empty();
    const Template::Piece& piece = of.pieces[at];
    if (!piece.is_name)
        return text.starts_with(piece.text) && match_template(of, at + 1, text.substr(piece.text.size()), names);
    const auto known =
        std::find_if(names.begin(), names.end(), [&](const auto& name) { return name.first == piece.text; });
    if (known != names.end()) {
        const std::string_view value = known->second;
        return text.starts_with(value) && match_template(of, at + 1, text.substr(value.size()), names);
    }
    for (std::size_t length = 1; length <= text.size(); ++length) {
        names.emplace_back(piece.text, text.substr(0, length));
        if (match_template(of, at + 1, text.substr(length), names)) return true;
        names.pop_back();
    }
    return false;
}

}  // namespace

std::optional<std::string> Model::place_sparkplug(const SparkplugName& name) const {
    for (const SparkplugRow& row : data_->sparkplug) {
        if (row.has_device != !name.device.empty()) continue;
        if (!row.has_node && !name.node.empty()) continue;
        Names names;
        if (!match_template(row.group, 0, name.group, names)) continue;
        if (row.has_node && !match_template(row.node, 0, name.node, names)) continue;
        if (row.has_device && !match_template(row.device, 0, name.device, names)) continue;
        std::string out;
        for (const Template::Piece& piece : row.to.pieces) {
            if (!piece.is_name) {
                out += piece.text;
                continue;
            }
            const auto known =
                std::find_if(names.begin(), names.end(), [&](const auto& entry) { return entry.first == piece.text; });
            out += known == names.end() ? std::string_view() : known->second;
        }
        return out;
    }
    return std::nullopt;
}

}  // namespace trunkline::uns
