// Types: parts taken apart, members with their payload contracts.
#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "namespace/model/compiler.h"
#include "namespace/model/text.h"
#include "namespace/model/units.h"

namespace trunkline::uns {
namespace {

constexpr std::size_t type_members_max = 10'000;  // of one type, with its parts
constexpr std::size_t members_max = 100'000;      // of all types
constexpr std::size_t part_depth_max = 32;

std::optional<PayloadSpec::Format> built_in_format(std::string_view name) {
    using Format = PayloadSpec::Format;
    for (const auto& [word, format] :
         {std::pair("reading", Format::reading), std::pair("plain", Format::plain), std::pair("umh", Format::umh),
          std::pair("sparkplug", Format::sparkplug), std::pair("json", Format::json), std::pair("any", Format::any)}) {
        if (name == word) return format;
    }
    return std::nullopt;
}

// Built-in payloads that carry one value of the member's type.
bool carries_value(PayloadSpec::Format format) {
    using Format = PayloadSpec::Format;
    return format == Format::reading || format == Format::plain || format == Format::umh || format == Format::sparkplug;
}

// The same for contracts that are the same. A schema is known by its payload's name.
std::string cache_key(const PayloadSpec& spec, std::string_view schema) {
    std::string key = std::to_string(static_cast<int>(spec.format)) + '\1' + std::string(schema) + '\1' +
                      std::to_string(static_cast<int>(spec.value.kind));
    key += '\1' + (spec.value.min ? number_text(*spec.value.min) : "") + '\1' +
           (spec.value.max ? number_text(*spec.value.max) : "") + '\1' +
           (spec.value.max_length ? std::to_string(*spec.value.max_length) : "") + '\1' + spec.value.pattern + '\1' +
           spec.value.unit;
    for (const std::string& value : spec.value.enumeration) key += '\1' + value;
    return key;
}

std::string hash_text(std::string_view text) {
    char out[20];
    std::snprintf(out, sizeof out, "%016llx", static_cast<unsigned long long>(XXH3_64bits(text.data(), text.size())));
    return out;
}

std::string type_id(const syntax::Type& type) {
    return std::string(type.name.value) + "@" + std::to_string(type.version.value);
}

}  // namespace

const syntax::Type* Compiler::find_type(const syntax::Text& reference, std::string_view user) {
    const std::size_t at = reference.value.find('@');
    const std::string_view name = reference.value.substr(0, at);
    const auto found = type_names_.find(name);
    if (found == type_names_.end()) {
        std::vector<std::string_view> names;
        for (std::size_t i = 0; !problems_.full() && i < document_.types.size(); ++i) {
            names.push_back(document_.types[i].name.value);
        }
        const std::string_view near = nearest_word(name, names);
        add("TL-9120", reference.place,
            std::string(user) + " is of type " + quote(reference.value) + ", which does not exist",
            near.empty() ? "define it under types" : "did you mean " + std::string(near) + "?");
        return nullptr;
    }
    if (at == std::string_view::npos) {
        if (found->second.size() == 1) return &document_.types[found->second.front()];
        add("TL-9121", reference.place, "there are several versions of type " + quote(name),
            "say which, such as " + type_id(document_.types[found->second.back()]));
        return nullptr;
    }
    std::string known;
    for (const std::size_t index : found->second) {
        const syntax::Type& type = document_.types[index];
        if (reference.value.substr(at + 1) == std::to_string(type.version.value)) return &type;
        known += (known.empty() ? "" : ", ") + type_id(type);
    }
    add("TL-9121", reference.place,
        std::string(user) + " is of type " + quote(reference.value) + ", but the model has " + known,
        "write " + known + ", or define that version too");
    return nullptr;
}

// Also those that nothing uses: what can't be compiled is refused, wherever it stands.
void Compiler::compile_payloads() {
    for (const syntax::Payload& payload : document_.payloads) {
        Member member;
        if (set_format(payload.name, member) && member.format == PayloadSpec::Format::schema) {
            compile_contract(member, nullptr, payload.name.place);
        }
    }
}

void Compiler::compile_types() {
    for (std::size_t i = 0; i < document_.types.size(); ++i) {
        const syntax::Type& type = document_.types[i];
        auto& versions = type_names_[type.name.value];
        for (const std::size_t other : versions) {
            if (document_.types[other].version.value != type.version.value) continue;
            add("TL-9104", type.name.place, "the type " + type_id(type) + " is defined twice",
                "give one another version");
        }
        versions.push_back(i);
    }
    marks_.assign(document_.types.size(), 0);
    compiled_types_.assign(document_.types.size(), nullptr);
    member_counts_.assign(document_.types.size(), 0);
    heights_.assign(document_.types.size(), 0);
    check_cycles();
    std::size_t total = 0;
    for (const syntax::Type& type : document_.types) {
        const auto index = static_cast<std::size_t>(&type - document_.types.data());
        const std::size_t count = marks_[index] == 3 ? 0 : count_members(index);
        if (count > type_members_max || (total += count) > members_max) {
            add("TL-9124", type.name.place,
                "type " + type_id(type) + " comes to " +
                    (count > type_members_max ? "more than 10,000 members with its parts"
                                              : "more than 100,000 members together with the types before it"),
                "split it into assets of their own in the tree");
            continue;
        }
        compile_type(type);
    }
}

// Marks: 0 not seen, 1 on the trail, 2 fine, 3 part of a circle or using one.
bool Compiler::visit_type(std::size_t index, std::vector<std::size_t>& trail) {
    if (marks_[index] == 2) return true;
    if (marks_[index] == 3) return false;
    const syntax::Type& type = document_.types[index];
    if (marks_[index] == 1 || trail.size() > part_depth_max) {
        std::string circle;
        const auto begin = marks_[index] == 1 ? std::find(trail.begin(), trail.end(), index) : trail.begin();
        for (auto at = begin; at != trail.end(); ++at) circle += type_id(document_.types[*at]) + " > ";
        const bool is_circle = marks_[index] == 1;
        const syntax::Type& last = document_.types[trail.back()];
        if (circle.size() > 300) circle = circle.substr(0, 300) + "... > ";
        add(is_circle ? "TL-9122" : "TL-9124", last.parts.empty() ? type.name.place : last.parts.front().type.place,
            is_circle ? "parts go round in a circle: " + circle + type_id(type)
                      : "parts within parts, more than 32 deep: " + circle + type_id(type),
            is_circle ? "take one of these parts away" : "flatten the parts");
        return false;
    }
    marks_[index] = 1;
    trail.push_back(index);
    bool good = true;
    std::size_t height = 0;
    for (const syntax::Part& part : type.parts) {
        const syntax::Type* of = find_type(part.type, "part " + quote(part.name.value));
        const auto of_index = of ? static_cast<std::size_t>(of - document_.types.data()) : 0;
        if (!of || !visit_type(of_index, trail)) {
            good = false;
            continue;
        }
        part_types_[&part] = of_index;
        height = std::max(height, heights_[of_index] + 1);
    }
    trail.pop_back();
    heights_[index] = height;
    if (good && height > part_depth_max) {  // of types that were fine one by one, the innermost first
        add("TL-9124", type.parts.front().type.place, "parts within parts, more than 32 deep, in " + type_id(type),
            "flatten the parts");
        good = false;
    }
    marks_[index] = good ? 2 : 3;
    return good;
}

void Compiler::check_cycles() {
    std::vector<std::size_t> trail;
    for (std::size_t i = 0; i < document_.types.size(); ++i) visit_type(i, trail);
}

// Members and parts of a type, with those of its parts; saturates. Types in circles are not asked for: what has no
// mark 3 has parts without it alone, less deep than part_depth_max.
std::size_t Compiler::count_members(std::size_t index) {
    if (member_counts_[index] > 0) return member_counts_[index] - 1;
    const syntax::Type& type = document_.types[index];
    std::size_t count = type.members.size() + type.parts.size();
    for (const syntax::Part& part : type.parts) {
        count = std::min<std::size_t>(count + count_members(part_types_.at(&part)) + 1, 1'000'000);
    }
    member_counts_[index] = count + 1;
    return count;
}

void Compiler::compile_type(const syntax::Type& type) {
    const auto index = static_cast<std::size_t>(&type - document_.types.data());
    CompiledType compiled;
    compiled.id = data_.texts.keep(type_id(type));
    compiled.name = data_.texts.keep(type.name.value);
    compiled.version = type.version.value;
    compiled.place = type.name.place;
    if (type.level) {
        compiled.level = data_.texts.keep(type.level->value);
        if (!is_kind(type.level->value)) {
            const auto kinds = all_kinds();
            const std::string_view near = nearest_word(type.level->value, kinds);
            add("TL-9132", type.level->place, "there is no kind of level " + quote(type.level->value),
                near.empty() ? "use a kind that levels names" : "did you mean " + std::string(near) + "?");
        }
    }
    if (type.description) compiled.description = data_.texts.keep(type.description->value);
    compiled.metadata_json = data_.texts.keep(type.metadata_json);
    if (type.unknown) compiled.unknown = type.unknown->value;
    compiled.root = static_cast<NodeId>(data_.type_nodes.size());
    data_.type_nodes.push_back({});
    for (const syntax::Member& member : type.members) {
        if (!compiled_members_.contains(&member)) compiled_members_.emplace(&member, compile_member(member));
    }
    for (const syntax::Part& part : type.parts) check_name(part.name, "");
    if (marks_[index] != 3) expand(type, "", compiled);
    data_.types.push_back(compiled);
    compiled_types_[index] = &data_.types.back();
}

// Puts the members of `type` below the path `prefix`; those of parts below the part's name, in their turn.
void Compiler::expand(const syntax::Type& type, const std::string& prefix, CompiledType& into) {
    for (const syntax::Member& member : type.members) place_member(member, prefix, into);
    for (const syntax::Part& part : type.parts) {
        const syntax::Type& of = document_.types[part_types_.at(&part)];
        // With a layout the first level says what kind of member follows, and a part has no one place.
        const auto& layout = document_.layout;
        if (layout.metrics.empty() && layout.events.empty() && layout.commands.empty()) {
            const std::string path = prefix + std::string(part.name.value);
            TypeNode& child = data_.type_nodes[type_child(into.root, path, part.name.place)];
            if (child.member || !child.part_type.empty()) {
                add("TL-9125", part.name.place, quote(path) + " names two things of type " + std::string(into.id),
                    "rename one of them");
            }
            child.part_type = data_.texts.keep(type_id(of));
        }
        for (const syntax::Member& member : of.members) {
            if (!compiled_members_.contains(&member)) compiled_members_.emplace(&member, compile_member(member));
        }
        expand(of, prefix + std::string(part.name.value) + "/", into);
    }
}

NodeId Compiler::type_child(NodeId parent, std::string_view path, Place place) {
    for (bool more = true; more;) {
        const std::size_t slash = path.find('/');
        const std::string_view level = data_.texts.keep(path.substr(0, slash));
        more = slash != std::string_view::npos;
        if (more) path.remove_prefix(slash + 1);
        NodeId child = data_.type_index.find(parent, level);
        if (child == no_node) {
            const NodeId near = data_.type_index.find_folded(parent, level);
            if (near != no_node && data_.unique_ignoring_case) {
                add("TL-9142", place,
                    quote(level) + " and " + quote(data_.type_nodes[near].name) + " differ only in case",
                    "rename one, or drop naming.unique_ignoring_case");
            }
            child = static_cast<NodeId>(data_.type_nodes.size());
            TypeNode& node = data_.type_nodes.emplace_back();
            node.name = level;
            node.place = place;
            data_.type_index.exact.emplace(ChildKey{parent, level}, child);
            data_.type_index.folded.emplace(
                ChildKey{parent, is_folded(level) ? level : data_.texts.keep(fold_case(level))}, child);
            auto& siblings = data_.type_nodes[parent].children;
            siblings.insert(
                std::lower_bound(siblings.begin(), siblings.end(), level,
                                 [&](NodeId id, std::string_view name) { return data_.type_nodes[id].name < name; }),
                child);
        }
        parent = child;
    }
    return parent;
}

void Compiler::place_member(const syntax::Member& member, const std::string& prefix, CompiledType& into) {
    const auto& layout = document_.layout;
    const std::string_view extra = member.kind == MemberKind::metric  ? layout.metrics
                                   : member.kind == MemberKind::event ? layout.events
                                                                      : layout.commands;
    Member compiled = compiled_members_.at(&member);
    compiled.path = prefix + std::string(member.name.value);
    if (!extra.empty()) compiled.path = std::string(extra) + "/" + compiled.path;
    const NodeId at = type_child(into.root, compiled.path, member.name.place);
    TypeNode& node = data_.type_nodes[at];
    if (node.member || !node.part_type.empty()) {
        add("TL-9125", member.name.place, quote(compiled.path) + " names two things of type " + std::string(into.id),
            "rename one of them");
        return;
    }
    node.member = &data_.members.emplace_back(std::move(compiled));
    ++into.member_count;
}

Member Compiler::compile_member(const syntax::Member& member) {
    Member out;
    out.kind = member.kind;
    out.place = member.name.place;
    out.metadata_json = member.metadata_json;
    if (member.description) out.description = member.description->value;
    if (member.every_ms) out.every_ms = member.every_ms->value;
    if (member.mode) out.mode = member.mode->value;
    if (member.writers) out.writers = member.writers->list;
    if (member.regulated) out.regulated = member.regulated->value;
    check_name(member.name, to_string(member.kind));
    // An event or command without type and payload is any JSON; a metric is what defaults say.
    const bool valueless = member.kind != MemberKind::metric && !member.type && !member.payload;
    const bool known = set_format(member.payload ? *member.payload
                                  : valueless    ? syntax::Text{"json", member.name.place}
                                                 : syntax::Text{document_.payload.value, member.name.place},
                                  out);
    const std::size_t before = problems_.count();
    compile_value(member, out);
    const bool sound = problems_.count() == before;
    if (!known) return out;
    if (!carries_value(out.format)) {
        if (member.type || member.unit || member.min || member.max || member.pattern || member.max_length ||
            !member.enumeration.empty()) {
            add("TL-9161", member.name.place,
                quote(member.name.value) + " says what its value is, but the payload " + out.payload_name +
                    " carries no value of that form",
                "use payload: reading, plain, umh or sparkplug, or put the restrictions into the schema");
        }
    } else if (!member.type && out.format != PayloadSpec::Format::sparkplug) {
        add("TL-9106", member.name.place,
            std::string(to_string(member.kind)) + " " + quote(member.name.value) + " lacks \"type\"",
            "write type: number, integer, boolean, string, object or array");
    }
    // What is wrong with the value has been told; the contract would only say it again.
    if (sound || !carries_value(out.format)) compile_contract(out, &member, member.name.place);
    return out;
}

bool Compiler::set_format(const syntax::Text& name, Member& out) {
    out.payload_name = name.value;
    if (const auto format = built_in_format(name.value)) {
        out.format = *format;
        return true;
    }
    if (payload_names_.contains(name.value)) {
        out.format = PayloadSpec::Format::schema;
        return true;
    }
    std::vector<std::string_view> known{"reading", "plain", "umh", "sparkplug", "json", "any"};
    if (!problems_.full()) {
        for (const syntax::Payload& payload : document_.payloads) known.push_back(payload.name.value);
    }
    const std::string_view near = nearest_word(name.value, known);
    add("TL-9170", name.place, "there is no payload " + quote(name.value),
        near.empty() ? "define it under payloads, or use reading, plain, umh, sparkplug, json or any"
                     : "did you mean " + std::string(near) + "?");
    return false;
}

void Compiler::compile_value(const syntax::Member& member, Member& out) {
    using Kind = ValueType::Kind;
    if (member.type) {
        const std::vector<std::pair<std::string_view, Kind>> kinds{
            {"number", Kind::number}, {"integer", Kind::integer}, {"boolean", Kind::boolean},
            {"string", Kind::string}, {"object", Kind::object},   {"array", Kind::array}};
        std::vector<std::string_view> names;
        bool known = false;
        for (const auto& [name, kind] : kinds) {
            names.push_back(name);
            if (name != member.type->value) continue;
            out.value.kind = kind;
            known = true;
        }
        if (!known) {
            const std::string_view near = nearest_word(member.type->value, names);
            add("TL-9108", member.type->place, quote(member.type->value) + " is no type of a value",
                near.empty() ? "write number, integer, boolean, string, object or array"
                             : "did you mean " + std::string(near) + "?");
        }
    }
    if (member.unit) {
        out.value.unit = member.unit->value;
        if (const auto error = check_unit(member.unit->value)) {
            add("TL-9160", member.unit->place, error->message, error->mend);
        }
    }
    if (member.min) out.value.min = member.min->value;
    if (member.max) out.value.max = member.max->value;
    if (member.max_length) out.value.max_length = member.max_length->value;
    if (member.pattern) out.value.pattern = member.pattern->value;
    for (const syntax::Text& value : member.enumeration) out.value.enumeration.emplace_back(value.value);
    if (member.type) check_range(member, out);
    if (member.default_json) check_default(member, out);
}

// What narrows a value must fit its type.
void Compiler::check_range(const syntax::Member& member, const Member& out) {
    using Kind = ValueType::Kind;
    const Kind kind = out.value.kind;
    const bool numeric = kind == Kind::number || kind == Kind::integer;
    const auto misfit = [&](Place place, std::string_view key, std::string_view of) {
        add("TL-9161", place,
            std::string(key) + " narrows " + with_article(of) + ", but " + quote(member.name.value) + " is of type " +
                std::string(member.type->value),
            "take " + std::string(key) + " away, or change the type");
    };
    if (member.min && !numeric) misfit(member.min->place, "min", "number");
    if (member.max && !numeric) misfit(member.max->place, "max", "number");
    if (member.unit && !numeric) misfit(member.unit->place, "unit", "number");
    if (member.pattern && kind != Kind::string) misfit(member.pattern->place, "pattern", "string");
    if (member.max_length && kind != Kind::string) misfit(member.max_length->place, "max_length", "string");
    if (member.min && member.max && member.min->value > member.max->value) {
        add("TL-9161", member.min->place,
            "min " + number_text(member.min->value) + " is above max " + number_text(member.max->value), "swap them");
    }
    for (const syntax::Text& value : member.enumeration) {
        const auto number = parse_number(value.value);
        if (kind == Kind::object || kind == Kind::array) {
            misfit(value.place, "enum", "string or number");
            break;
        }
        const bool fits =
            kind == Kind::string || (kind == Kind::boolean && (value.value == "true" || value.value == "false")) ||
            (kind == Kind::number && number) ||
            (kind == Kind::integer && number && *number == static_cast<double>(static_cast<std::int64_t>(*number)));
        if (!fits) {
            add("TL-9161", value.place,
                "enum holds " + quote(value.value) + ", which is no " + std::string(member.type->value),
                "list values of the type alone");
        } else if (number && numeric &&
                   ((out.value.min && *number < *out.value.min) || (out.value.max && *number > *out.value.max))) {
            add("TL-9161", value.place, "enum holds " + quote(value.value) + ", which is outside of min and max",
                "widen the range, or take the value away");
        }
    }
}

void Compiler::check_default(const syntax::Member& member, const Member& out) {
    using Kind = ValueType::Kind;
    const auto json = nlohmann::json::parse(member.default_json->value, nullptr, false);
    const ValueType& value = out.value;
    const bool fits = json.is_discarded()           ? false
                      : value.kind == Kind::number  ? json.is_number()
                      : value.kind == Kind::integer ? json.is_number_integer()
                      : value.kind == Kind::boolean ? json.is_boolean()
                      : value.kind == Kind::string  ? json.is_string()
                      : value.kind == Kind::object  ? json.is_object()
                      : value.kind == Kind::array   ? json.is_array()
                                                    : true;
    std::string fault;
    const std::string as_text = json.is_string() ? json.get<std::string>() : member.default_json->value;
    if (!fits) {
        fault = "is not of type " + std::string(member.type ? member.type->value : "any");
    } else if (json.is_number() && value.min && json.get<double>() < *value.min) {
        fault = "is below min " + number_text(*value.min);
    } else if (json.is_number() && value.max && json.get<double>() > *value.max) {
        fault = "is above max " + number_text(*value.max);
    } else if (json.is_string() && value.max_length &&
               static_cast<std::size_t>(std::count_if(as_text.begin(), as_text.end(), [](unsigned char c) {
                   return (c & 0xC0U) != 0x80;
               })) > *value.max_length) {
        fault = "is longer than max_length";
    } else if (!value.enumeration.empty() &&
               std::find(value.enumeration.begin(), value.enumeration.end(), as_text) == value.enumeration.end()) {
        fault = "is not in enum";
    } else if (json.is_string() && !value.pattern.empty()) {
        const LevelPattern* expression = pattern({value.pattern, member.pattern->place});
        if (expression && !expression->matches(as_text)) fault = "does not match pattern";
    }
    if (!fault.empty()) {
        add("TL-9162", member.default_json->place, "the default " + quote(as_text) + " " + fault,
            "write a default that the member itself would accept");
    }
}

void Compiler::compile_contract(Member& out, const syntax::Member* member, Place place) {
    if (out.format == PayloadSpec::Format::any) return;
    PayloadSpec spec;
    spec.format = out.format;
    const syntax::Payload* named = nullptr;
    if (out.format == PayloadSpec::Format::schema) {
        named = payload_names_.at(out.payload_name);
        if (named->schema_json.empty()) return;  // told by the parser
    } else if (carries_value(out.format)) {
        spec.value = out.value;
    }
    const auto [entry, fresh] =
        contract_cache_.try_emplace(cache_key(spec, named ? named->name.value : std::string_view()));
    if (named) {
        std::string& hash = schema_hashes_[named];
        if (hash.empty()) hash = hash_text(named->schema_json);
        out.schema_hash = hash;
    }
    if (fresh && named) spec.schema_json = named->schema_json;
    if (fresh) {
        auto compiled = PayloadContract::compile(spec);
        if (auto* contract = std::get_if<std::shared_ptr<const PayloadContract>>(&compiled)) {
            entry->second = std::move(*contract);
        } else {
            const SpecError& error = std::get<SpecError>(compiled);
            if (named) {  // the nearest part of the schema that has a place
                std::string_view at = error.at;
                while (!at.empty() && !named->places.contains(at))
                    at = at.substr(0, at.rfind('/') == at.npos ? 0 : at.rfind('/'));
                const auto found = named->places.find(at);
                if (found != named->places.end()) place = found->second;
            } else if (member) {
                if (error.at == "min" && member->min) place = member->min->place;
                if (error.at == "max" && member->max) place = member->max->place;
                if (error.at == "pattern" && member->pattern) place = member->pattern->place;
                if (error.at == "unit" && member->unit) place = member->unit->place;
                if (error.at == "enumeration" && !member->enumeration.empty())
                    place = member->enumeration.front().place;
            }
            add("TL-9171", place, "the payload contract can't be compiled: " + error.message, error.mend);
        }
    }
    out.contract = entry->second;
}

const Member* Compiler::open_member(const syntax::Text& payload, MemberKind kind) {
    const std::string key = std::to_string(static_cast<int>(kind)) + std::string(payload.value);
    const auto found = open_members_.find(key);
    if (found != open_members_.end()) return found->second;
    Member member;
    member.kind = kind;
    member.place = payload.place;
    if (set_format(payload, member)) compile_contract(member, nullptr, payload.place);
    ++data_.open_members;
    return open_members_[key] = &data_.members.emplace_back(std::move(member));
}

}  // namespace trunkline::uns
