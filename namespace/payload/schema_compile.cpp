#include "namespace/payload/schema_compile.h"

#include <algorithm>
#include <array>
#include <map>
#include <unordered_map>

#include "namespace/payload/json_scan.h"
#include "namespace/payload/json_view.h"
#include "namespace/payload/limits.h"
#include "namespace/payload/schema_links.h"
#include "namespace/payload/text.h"
#include "namespace/payload/violations.h"

namespace trunkline::uns::schema {

namespace dom = simdjson::dom;

namespace {

/// A value of the schema and where it stands.
struct Place {
    dom::element value;
    std::string pointer;

    [[nodiscard]] Place below(std::string_view token, dom::element child) const {
        return {child, pointer + "/" + escape_token(token)};
    }
};

struct Reference {
    NodeId node;          // the schema that has $ref
    std::string text;
    Place place;          // of $ref
};

/// Leaves the compiler by exception, which compile_program() catches: an error may come from deep within.
[[noreturn]] void refuse(const Place& place, std::string message, std::string mend) {
    throw SpecError{place.pointer, std::move(message), std::move(mend)};
}

dom::object object_at(const Place& place, const char* what) {
    dom::object object;
    if (place.value.get(object) != simdjson::SUCCESS) {
        refuse(place, std::string(what) + " must be an object", "write {...}");
    }
    return object;
}

dom::array array_at(const Place& place, const char* what) {
    dom::array array;
    if (place.value.get(array) != simdjson::SUCCESS)
        refuse(place, std::string(what) + " must be a list", "write [...]");
    return array;
}

std::string_view text_at(const Place& place, const char* what) {
    std::string_view text;
    if (place.value.get(text) != simdjson::SUCCESS) {
        refuse(place, std::string(what) + " must be a string", "write it in quotes");
    }
    return text;
}

Number number_at(const Place& place, const char* what) {
    const Datum datum = datum_of(place.value);
    if (datum.kind != Datum::Kind::number) {
        refuse(place, std::string(what) + " must be a number",
               datum.kind == Datum::Kind::boolean ? "draft 7 wants the bound itself, not true" : "write a number");
    }
    return datum.number;
}

std::size_t count_at(const Place& place, const char* what) {
    const Number number = number_at(place, what);
    if (!number.is_whole() || number.as_double() < 0 || number.as_double() > 1e15) {
        refuse(place, std::string(what) + " must be a whole number from 0", "write a count");
    }
    return static_cast<std::size_t>(number.as_double());
}

Pattern pattern_at(const Place& place, std::string_view source) {
    auto compiled = Pattern::compile(source, Pattern::Reach::anywhere, Pattern::Dialect::ecma);
    if (auto* error = std::get_if<Pattern::Error>(&compiled)) refuse(place, error->message, error->mend);
    return std::get<Pattern>(std::move(compiled));
}

class Compiler {
public:
    explicit Compiler(Program& program) : program_(program) {}

    void run(dom::element root) {
        root_ = root;
        read_base();
        program_.root = compile({root, ""});
        // Targets of references that no keyword led to, and what they refer to in turn.
        for (std::size_t i = 0; i < references_.size(); ++i) resolve(i);
        Links(program_, where_).check();
    }

private:
    struct Keyword {
        std::string_view name;
        void (Compiler::*handler)(NodeId, const Place&);
    };
    static const std::vector<Keyword>& keywords();

    NodeId compile(const Place& place) {
        if (const auto known = by_pointer_.find(place.pointer); known != by_pointer_.end()) return known->second;
        const auto id = static_cast<NodeId>(program_.nodes.size());
        if (id >= payload_limits::schema_nodes_max) {
            refuse(place, "the schema has more than 20000 subschemas", "split it by topic");
        }
        program_.nodes.emplace_back();
        where_.push_back(place.pointer);
        by_pointer_.emplace(place.pointer, id);
        bool truth = false;
        if (place.value.get(truth) == simdjson::SUCCESS) {
            node(id).never = !truth;
            return id;
        }
        const dom::object object = object_at(place, "a schema");
        dom::element reference;
        if (object.at_key("$ref").get(reference) == simdjson::SUCCESS) {
            compile_reference(id, object, place, {reference, place.pointer + "/$ref"});
            return id;
        }
        for (const auto field : object) compile_keyword(id, field.key, place.below(field.key, field.value));
        finish(id, object, place);
        return id;
    }

    void compile_keyword(NodeId id, std::string_view name, const Place& value) {
        for (const Keyword& keyword : keywords()) {
            if (keyword.name == name) return (this->*keyword.handler)(id, value);
        }
        if (name.starts_with("x-")) return;
        refuse_keyword(name, value);
    }

    [[noreturn]] void refuse_keyword(std::string_view name, const Place& value) {
        static const std::map<std::string_view, const char*> later{
            {"$defs", "write definitions"},
            {"$anchor", "write $id: \"#name\""},
            {"prefixItems", "write items as a list"},
            {"minContains", "leave it out"},
            {"maxContains", "leave it out"},
            {"dependentRequired", "write dependencies"},
            {"dependentSchemas", "write dependencies"},
            {"unevaluatedProperties", "write additionalProperties"},
            {"unevaluatedItems", "write additionalItems"},
            {"$recursiveRef", "write $ref"},
            {"$dynamicRef", "write $ref"},
            {"$vocabulary", "leave it out"},
            {"id", "write $id"},
            {"divisibleBy", "write multipleOf"},
            {"extends", "write allOf"},
            {"disallow", "write not"},
            {"nullable", "write type: [..., \"null\"]"},
            {"contentEncoding", "leave it out: what is encoded in a string is not checked"},
            {"contentMediaType", "leave it out: what is encoded in a string is not checked"}};
        const auto known = later.find(name);
        std::vector<std::string_view> names;
        for (const Keyword& keyword : keywords()) names.push_back(keyword.name);
        const std::string_view meant = nearest(name, names);
        refuse(value, in_quotes(name) + (known == later.end() ? " is no keyword of draft 7" : " can't be checked here"),
               known != later.end() ? known->second
               : meant.empty()      ? "leave it out, or let it start with x- if it is only a note"
                                    : "write " + std::string(meant));
    }

    Node& node(NodeId id) { return program_.nodes[id]; }

    template <typename T>
    static T& part(std::unique_ptr<T>& pointer) {
        if (!pointer) pointer = std::make_unique<T>();
        return *pointer;
    }
    NumberRules& number(NodeId id) { return part(node(id).number); }
    StringRules& string(NodeId id) { return part(node(id).string); }
    ArrayRules& array(NodeId id) { return part(node(id).array); }
    ObjectRules& object(NodeId id) { return part(node(id).object); }
    Combiners& combiners(NodeId id) { return part(node(id).combiners); }

    // References.

    void read_base() {
        std::string_view id;
        if (root_.is_object() && root_.at_key("$id").get(id) == simdjson::SUCCESS) base_ = id.substr(0, id.find('#'));
    }

    void compile_reference(NodeId id, const dom::object& schema, const Place& place, const Place& reference) {
        static constexpr std::array<std::string_view, 10> allowed{
            "$ref", "$id", "$schema", "$comment", "title", "description", "default", "examples", "definitions",
            "readOnly"};
        for (const auto field : schema) {
            if (std::find(allowed.begin(), allowed.end(), field.key) == allowed.end() && !field.key.starts_with("x-")) {
                refuse(place.below(field.key, field.value),
                       in_quotes(field.key) + " beside $ref has no effect in draft 7",
                       "write allOf: [{$ref: ...}, {...}]");
            }
            if (field.key == std::string_view("definitions")) definitions(id, place.below(field.key, field.value));
            if (field.key == std::string_view("$id")) identifier(id, place.below(field.key, field.value));
        }
        references_.push_back({id, std::string(text_at(reference, "$ref")), reference});
    }

    /// Where a reference leads; compiles what no keyword has led to.
    void resolve(std::size_t index) {
        const Reference reference = references_[index];
        std::string_view text = reference.text;
        const std::size_t hash = std::min(text.find('#'), text.size());
        const std::string_view document = text.substr(0, hash);
        if (!document.empty() && document != base_) {
            refuse(reference.place, "$ref " + in_quotes(text, 80) + " leads out of the schema",
                   "copy what it refers to under definitions");
        }
        const auto fragment = percent_decoded(text.substr(std::min(hash + 1, text.size())));
        if (!fragment)
            refuse(reference.place, "$ref " + in_quotes(text, 80) + " has a bad percent escape",
                   "write %XX for each byte of UTF-8");
        if (!fragment->empty() && fragment->front() != '/') return resolve_name(reference, *fragment);
        dom::element target = root_;
        if (!fragment->empty() && root_.at_pointer(*fragment).get(target) != simdjson::SUCCESS) {
            refuse(reference.place, "$ref " + in_quotes(text, 80) + " leads nowhere", "correct the path after #");
        }
        const NodeId found = compile({target, *fragment});
        node(reference.node).target = found;
    }

    void resolve_name(const Reference& reference, const std::string& name) {
        const auto found = named_.find(name);
        if (found == named_.end()) {
            refuse(reference.place, "no schema has $id " + in_quotes("#" + name, 80), "write #/definitions/NAME");
        }
        node(reference.node).target = found->second;
    }

    // Keywords: annotations and identifiers.

    void note(NodeId, const Place&) {}

    void dialect(NodeId, const Place& place) {
        std::string_view text = text_at(place, "$schema");
        if (text.ends_with('#')) text.remove_suffix(1);
        for (const std::string_view scheme : {"http://", "https://"}) {
            for (const std::string_view draft :
                 {"json-schema.org/draft-07/schema", "json-schema.org/draft-06/schema"}) {
                if (text.starts_with(scheme) && text.substr(scheme.size()) == draft) return;
            }
        }
        refuse(place, "$schema " + in_quotes(text, 80) + " is not draft 7",
               "write http://json-schema.org/draft-07/schema#");
    }

    void identifier(NodeId id, const Place& place) {
        const std::string_view text = text_at(place, "$id");
        if (text.starts_with('#') && text.size() > 1) {
            if (!named_.emplace(text.substr(1), id).second) {
                refuse(place, "$id " + in_quotes(text, 80) + " is there twice", "give each schema its own");
            }
        } else if (id != program_.root) {
            refuse(place, "$id within a schema changes what references mean", "write $id: \"#name\", or leave it out");
        }
    }

    void definitions(NodeId, const Place& place) {
        for (const auto field : object_at(place, "definitions")) compile(place.below(field.key, field.value));
    }

    // Keywords: any type.

    void type(NodeId id, const Place& place) {
        std::uint8_t types = 0;
        if (place.value.is_string()) {
            types = type_bits(place);
        } else {
            std::size_t index = 0;
            for (const dom::element item : array_at(place, "type")) {
                const Place at = place.below(std::to_string(index++), item);
                types |= type_bits(at);
            }
            if (types == 0) refuse(place, "type lists no type", "name one");
        }
        node(id).types = types;
    }

    static std::uint8_t type_bits(const Place& place) {
        static constexpr std::array<std::pair<std::string_view, std::uint8_t>, 7> types{{
            {"null", null_bit}, {"boolean", boolean_bit}, {"integer", whole_bit}, {"number", whole_bit | fraction_bit},
            {"string", string_bit}, {"array", array_bit}, {"object", object_bit}}};
        const std::string_view text = text_at(place, "type");
        for (const auto& [name, bits] : types) {
            if (name == text) return bits;
        }
        refuse(place, in_quotes(text) + " is no type", "null, boolean, integer, number, string, array or object");
    }

    void enumeration(NodeId id, const Place& place) {
        ValueRules rules;
        for (const dom::element value : array_at(place, "enum")) add_value(rules, value);
        if (rules.values.empty()) refuse(place, "enum lists no value", "name one");
        std::sort(rules.words.begin(), rules.words.end());
        node(id).values.push_back(std::move(rules));
    }

    void constant(NodeId id, const Place& place) {
        ValueRules rules;
        rules.is_const = true;
        add_value(rules, place.value);
        node(id).values.push_back(std::move(rules));
    }

    static void add_value(ValueRules& rules, dom::element value) {
        rules.values.push_back(value);
        std::string_view word;
        if (value.get(word) == simdjson::SUCCESS) rules.words.push_back(word);
    }

    // Keywords: numbers.

    void minimum(NodeId id, const Place& place) { number(id).minimum = number_at(place, "minimum"); }
    void maximum(NodeId id, const Place& place) { number(id).maximum = number_at(place, "maximum"); }
    void above(NodeId id, const Place& place) { number(id).above = number_at(place, "exclusiveMinimum"); }
    void below(NodeId id, const Place& place) { number(id).below = number_at(place, "exclusiveMaximum"); }
    void multiple_of(NodeId id, const Place& place) {
        const Number step = number_at(place, "multipleOf");
        if (!(step.as_double() > 0)) refuse(place, "multipleOf must be above 0", "write the step, such as 0.5");
        number(id).multiple_of = step;
    }

    // Keywords: strings.

    void length_min(NodeId id, const Place& place) { string(id).length_min = count_at(place, "minLength"); }
    void length_max(NodeId id, const Place& place) { string(id).length_max = count_at(place, "maxLength"); }
    void pattern(NodeId id, const Place& place) {
        string(id).pattern = pattern_at(place, text_at(place, "pattern"));
    }
    void format(NodeId id, const Place& place) {
        const std::string_view name = text_at(place, "format");
        const auto found = format_named(name);
        if (!found) {
            const std::string_view meant = nearest(name, format_names());
            refuse(place, "format " + in_quotes(name) + " is not checked",
                   meant.empty() ? "write a pattern, or leave it out" : "write " + std::string(meant));
        }
        string(id).format = *found;
    }

    // Keywords: arrays.

    void items_min(NodeId id, const Place& place) { array(id).items_min = count_at(place, "minItems"); }
    void items_max(NodeId id, const Place& place) { array(id).items_max = count_at(place, "maxItems"); }
    void unique(NodeId id, const Place& place) {
        bool truth = false;
        if (place.value.get(truth) != simdjson::SUCCESS)
            refuse(place, "uniqueItems must be true or false", "write true");
        array(id).unique = truth;
    }
    void contains(NodeId id, const Place& place) {
        const NodeId child = compile(place);
        array(id).contains = child;
    }
    void items(NodeId id, const Place& place) {
        if (place.value.is_array()) {
            auto places = compile_list(place, "items");
            array(id).places = std::move(places);
        } else {
            const NodeId child = compile(place);
            array(id).others = child;
        }
    }
    void additional_items(NodeId id, const Place& place) {
        const NodeId child = compile(place);
        array(id).others = child;
    }

    // Keywords: objects.

    void members_min(NodeId id, const Place& place) { object(id).members_min = count_at(place, "minProperties"); }
    void members_max(NodeId id, const Place& place) { object(id).members_max = count_at(place, "maxProperties"); }
    void required(NodeId id, const Place& place) {
        std::size_t index = 0;
        for (const dom::element item : array_at(place, "required")) {
            const Place at = place.below(std::to_string(index++), item);
            Member& member = member_named(id, text_at(at, "a name in required"));
            if (member.required) refuse(at, in_quotes(member.name) + " is in required twice", "write it once");
            member.required = true;
            ++object(id).required_count;
        }
        object(id);
    }
    void properties(NodeId id, const Place& place) {
        for (const auto field : object_at(place, "properties")) {
            const NodeId child = compile(place.below(field.key, field.value));
            member_named(id, field.key).node = child;
        }
    }
    void pattern_properties(NodeId id, const Place& place) {
        for (const auto field : object_at(place, "patternProperties")) {
            const Place at = place.below(field.key, field.value);
            const NodeId child = compile(at);
            object(id).patterns.emplace_back(pattern_at(at, field.key), child);
        }
    }
    void additional_properties(NodeId id, const Place& place) {
        const NodeId child = compile(place);
        object(id).additional = child;
    }
    void property_names(NodeId id, const Place& place) {
        const NodeId child = compile(place);
        object(id).names = child;
    }
    void dependencies(NodeId id, const Place& place) {
        for (const auto field : object_at(place, "dependencies")) {
            const Place at = place.below(field.key, field.value);
            Dependency dependency{std::string(field.key), {}, no_node};
            if (field.value.is_array()) {
                std::size_t index = 0;
                for (const dom::element item : array_at(at, "dependencies")) {
                    const Place name = at.below(std::to_string(index++), item);
                    dependency.names.emplace_back(text_at(name, "a name in dependencies"));
                }
            } else {
                dependency.node = compile(at);
            }
            object(id).dependencies.push_back(std::move(dependency));
        }
    }

    /// The entry for a name of `properties` or `required`, made when it is not there.
    Member& member_named(NodeId id, std::string_view name) {
        std::vector<Member>& members = object(id).members;
        const auto [at, added] = member_index_.try_emplace({id, std::string(name)}, members.size());
        if (added) members.push_back({std::string(name), no_node, false});
        return members[at->second];
    }

    // Keywords: combinations.

    void all_of(NodeId id, const Place& place) {
        auto list = compile_list(place, "allOf");
        combiners(id).all_of = std::move(list);
    }
    void any_of(NodeId id, const Place& place) {
        auto list = compile_list(place, "anyOf");
        combiners(id).any_of = std::move(list);
    }
    void one_of(NodeId id, const Place& place) {
        auto list = compile_list(place, "oneOf");
        combiners(id).one_of = std::move(list);
    }
    void negated(NodeId id, const Place& place) {
        const NodeId child = compile(place);
        combiners(id).negated = child;
    }
    void condition(NodeId id, const Place& place) {
        const NodeId child = compile(place);
        combiners(id).condition = child;
    }
    void then(NodeId id, const Place& place) {
        const NodeId child = compile(place);
        combiners(id).then = child;
    }
    void otherwise(NodeId id, const Place& place) {
        const NodeId child = compile(place);
        combiners(id).otherwise = child;
    }

    std::vector<NodeId> compile_list(const Place& place, const char* what) {
        std::vector<NodeId> list;
        for (const dom::element item : array_at(place, what)) {
            list.push_back(compile(place.below(std::to_string(list.size()), item)));
        }
        if (list.empty()) refuse(place, std::string(what) + " lists no schema", "name one, or leave it out");
        return list;
    }

    /// What only shows when all keywords of a schema are known.
    void finish(NodeId id, const dom::object& schema, const Place& place) {
        const auto has = [&](std::string_view name) { return schema.at_key(name).error() == simdjson::SUCCESS; };
        dom::element items;
        const bool by_place = schema.at_key("items").get(items) == simdjson::SUCCESS && items.is_array();
        if (has("additionalItems") && !by_place) {
            refuse(place, "additionalItems has no effect without items as a list",
                   "write items: [...], or leave it out");
        }
        if ((has("then") || has("else")) && !has("if")) {
            refuse(place, "then and else have no effect without if", "add if, or leave them out");
        }
        if (node(id).object) {
            std::vector<Member>& members = node(id).object->members;
            std::sort(members.begin(), members.end(), [](const Member& a, const Member& b) {
                return a.name.size() != b.name.size() ? a.name.size() < b.name.size() : a.name < b.name;
            });
        }
        // Bounds that nothing can meet are slips; draft 7 allows them, a plant does not need them.
        const Node& done = node(id);
        if (done.string && done.string->length_min > done.string->length_max) {
            refuse(place, "minLength is above maxLength", "exchange them");
        }
        if (done.array && done.array->items_min > done.array->items_max) {
            refuse(place, "minItems is above maxItems", "exchange them");
        }
        if (done.object && done.object->members_min > done.object->members_max) {
            refuse(place, "minProperties is above maxProperties", "exchange them");
        }
        if (done.number && done.number->minimum && done.number->maximum &&
            compare(*done.number->minimum, *done.number->maximum) > 0) {
            refuse(place, "minimum is above maximum", "exchange them");
        }
    }

    Program& program_;
    dom::element root_;
    std::string base_;
    std::unordered_map<std::string, NodeId> by_pointer_, named_;
    std::map<std::pair<NodeId, std::string>, std::size_t> member_index_;
    std::vector<std::string> where_;          // pointer of each node
    std::vector<Reference> references_;
};

const std::vector<Compiler::Keyword>& Compiler::keywords() {
    using C = Compiler;
    static const std::vector<Keyword> table{
        {"type", &C::type}, {"properties", &C::properties}, {"required", &C::required},
        {"additionalProperties", &C::additional_properties}, {"enum", &C::enumeration}, {"const", &C::constant},
        {"minimum", &C::minimum}, {"maximum", &C::maximum}, {"exclusiveMinimum", &C::above},
        {"exclusiveMaximum", &C::below}, {"multipleOf", &C::multiple_of}, {"minLength", &C::length_min},
        {"maxLength", &C::length_max}, {"pattern", &C::pattern}, {"format", &C::format}, {"items", &C::items},
        {"additionalItems", &C::additional_items}, {"minItems", &C::items_min}, {"maxItems", &C::items_max},
        {"uniqueItems", &C::unique}, {"contains", &C::contains}, {"minProperties", &C::members_min},
        {"maxProperties", &C::members_max}, {"patternProperties", &C::pattern_properties},
        {"propertyNames", &C::property_names}, {"dependencies", &C::dependencies}, {"allOf", &C::all_of},
        {"anyOf", &C::any_of}, {"oneOf", &C::one_of}, {"not", &C::negated}, {"if", &C::condition}, {"then", &C::then},
        {"else", &C::otherwise}, {"definitions", &C::definitions}, {"$id", &C::identifier}, {"$schema", &C::dialect},
        {"$comment", &C::note}, {"title", &C::note}, {"description", &C::note}, {"default", &C::note},
        {"examples", &C::note}, {"readOnly", &C::note}, {"writeOnly", &C::note}};
    return table;
}

}  // namespace

std::variant<Program, SpecError> compile_program(std::string_view schema_json) {
    if (schema_json.size() > payload_limits::schema_bytes_max) {
        return SpecError{"", "the schema has more than 1 MiB", "split it by topic"};
    }
    Program program;
    program.document = std::make_unique<dom::parser>();
    simdjson::padded_string text(schema_json);
    dom::element root;
    const bool bounded = program.document->allocate(std::max<std::size_t>(schema_json.size(), 64),
                                                    payload_limits::depth_max) == simdjson::SUCCESS;
    if (schema_json.empty() || !bounded || program.document->parse(text).get(root) != simdjson::SUCCESS) {
        const auto fault = find_json_fault(schema_json);
        return SpecError{fault ? fault->at : "",
                         "the schema is not JSON: " + (fault ? fault->text : "it can't be read"),
                         fault ? fault->fix : "write a JSON object"};
    }
    if (const auto twice = find_duplicate(root)) return SpecError{twice->at, twice->text, twice->fix};
    try {
        Compiler(program).run(root);
    } catch (const SpecError& error) {
        return error;
    }
    return program;
}

}  // namespace trunkline::uns::schema
