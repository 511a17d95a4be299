#include "namespace/payload/schema_check.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "namespace/payload/json_view.h"
#include "namespace/payload/limits.h"
#include "namespace/payload/rules.h"
#include "namespace/payload/schema.h"
#include "namespace/payload/schema_compile.h"
#include "namespace/payload/text.h"
#include "namespace/payload/violations.h"

namespace trunkline::uns::schema {

namespace dom = simdjson::dom;

namespace {

std::string pointer_of(const Path& path) {
    std::string pointer;
    if (path.above) pointer = pointer_of(*path.above);
    if (path.above) append_token(pointer, path.is_item ? std::to_string(path.index) : std::string(path.name));
    return pointer;
}

/// What a text calls the value at `path`: its member's name, item 3, or the payload.
std::string subject(const Path& path) {
    if (!path.above) return "the payload";
    return path.is_item ? "item " + std::to_string(path.index) : escaped(path.name, 32);
}

Path below(const Path& path, std::string_view name) { return {&path, name, 0, false}; }
Path item_below(const Path& path, std::size_t index) { return {&path, {}, index, true}; }

/// Fills `out`, if there is one, with what `tell` makes; always false, so that callers can return it.
template <typename Tell>
bool refuse(Violation* out, const Tell& tell) {
    if (out) *out = tell();
    return false;
}

bool refuse_range(Violation* out, const Path& path, const Number& number, const char* relation, const char* bound,
                  const Number& limit) {
    return refuse(out, [&] {
        const std::string side = std::string(relation) == "below" ? "at least " : "at most ";
        const std::string wanted = std::string(bound).find("xclusive") == std::string::npos
                                       ? side + text_of(limit)
                                       : (side == "at least " ? "more than " : "less than ") + text_of(limit);
        return make_violation(
            rule::range, pointer_of(path),
            subject(path) + " " + text_of(number) + " is " + relation + " " + bound + " " + text_of(limit),
            "a number of " + wanted, "send a number of " + wanted);
    });
}

/// `count` of `what` against bounds.
bool refuse_count(Violation* out, const Path& path, std::string_view rule, std::size_t count, const char* what,
                  std::size_t min, std::size_t max) {
    return refuse(out, [&] {
        const bool few = count < min;
        const std::string wanted = (few ? "at least " : "at most ") + std::to_string(few ? min : max) + " " + what;
        return make_violation(rule, pointer_of(path), subject(path) + " has " + std::to_string(count) + " " + what,
                              wanted, "send " + wanted);
    });
}

std::string phrase_of_bits(std::uint8_t types) {
    std::vector<std::string> words;
    if (types & null_bit) words.emplace_back("null");
    if (types & boolean_bit) words.emplace_back("true or false");
    if (types & fraction_bit) words.emplace_back("a number");
    if ((types & (whole_bit | fraction_bit)) == whole_bit) words.emplace_back("an integer");
    if (types & string_bit) words.emplace_back("a string");
    if (types & array_bit) words.emplace_back("an array");
    if (types & object_bit) words.emplace_back("an object");
    return trunkline::uns::alternatives(words);
}

/// The type to give advice for: the one that `types` names, if it is one.
ValueType::Kind kind_of_bits(std::uint8_t types) {
    using Kind = ValueType::Kind;
    types &= static_cast<std::uint8_t>(~null_bit);
    if (types == (whole_bit | fraction_bit)) return Kind::number;
    if (types == whole_bit) return Kind::integer;
    if (types == boolean_bit) return Kind::boolean;
    if (types == string_bit) return Kind::string;
    if (types == array_bit) return Kind::array;
    if (types == object_bit) return Kind::object;
    return Kind::any;
}

std::uint8_t bit_of(const Datum& datum) {
    switch (datum.kind) {
    case Datum::Kind::null: return null_bit;
    case Datum::Kind::boolean: return boolean_bit;
    case Datum::Kind::number: return datum.number.is_whole() ? whole_bit : fraction_bit;
    case Datum::Kind::string: return string_bit;
    case Datum::Kind::array: return array_bit;
    case Datum::Kind::object: break;
    }
    return object_bit;
}

/// Equal values have equal hashes: 1 and 1.0, objects in any order. Recursion is bounded by the payload's depth.
std::uint64_t hash_of(const dom::element& element) {
    constexpr std::uint64_t mix = 0x9E37'79B9'7F4A'7C15;
    const Datum datum = datum_of(element);
    switch (datum.kind) {
    case Datum::Kind::null: return mix;
    case Datum::Kind::boolean: return mix * (datum.truth ? 3 : 5);
    case Datum::Kind::number: return (std::bit_cast<std::uint64_t>(datum.number.as_double() + 0.0) ^ mix) * mix;
    case Datum::Kind::string: return XXH3_64bits(datum.text.data(), datum.text.size());
    case Datum::Kind::array: {
        std::uint64_t hash = 7;
        for (const dom::element item : array_in(element)) hash = (hash ^ hash_of(item)) * mix + 1;
        return hash;
    }
    case Datum::Kind::object: break;
    }
    std::uint64_t hash = 11;
    for (const auto field : object_in(element)) {
        hash += (XXH3_64bits(field.key.data(), field.key.size()) ^ std::rotl(hash_of(field.value), 17)) * mix;
    }
    return hash;
}

std::string text_of_value(const dom::element& value) { return shown(datum_of(value)); }

}  // namespace

bool is_multiple(const Number& a, const Number& b) {
    if (a.form != Number::Form::real && b.form != Number::Form::real) {
        const std::uint64_t size =
            a.form == Number::Form::negative ? 0 - static_cast<std::uint64_t>(a.negative) : a.natural;
        return size % b.natural == 0;
    }
    const double quotient = a.as_double() / b.as_double();
    if (!std::isfinite(quotient) || std::abs(quotient) >= 0x1p52) return std::fmod(a.as_double(), b.as_double()) == 0;
    // 0.3 is three times 0.1 to a person, though not to a double: a few units in the last place are forgiven.
    return std::abs(quotient - std::round(quotient)) <= 4 * 0x1p-52 * std::max(1.0, std::abs(quotient));
}

const Member* ObjectRules::find(std::string_view name) const {
    constexpr std::size_t few = 12;
    if (members.size() <= few) {
        for (const Member& member : members) {
            if (member.name == name) return &member;
        }
        return nullptr;
    }
    const auto at = std::lower_bound(members.begin(), members.end(), name, [](const Member& m, std::string_view n) {
        return m.name.size() != n.size() ? m.name.size() < n.size() : m.name < n;
    });
    return at != members.end() && at->name == name ? &*at : nullptr;
}

bool Check::step(std::uint64_t count) {
    if (count <= steps_) {
        steps_ -= count;
        return true;
    }
    steps_ = 0;
    exhausted_ = true;
    return false;
}

bool Check::value(NodeId id, const Element& element, const Path& path, Violation* out) {
    if (!step()) return false;
    const Node* node = &program_.nodes[id];
    if (node->target != no_node) node = &program_.nodes[node->target];
    if (node->never) {
        return refuse(out, [&] {
            return make_violation(rule::forbidden, pointer_of(path), subject(path) + " is not allowed", "nothing here",
                                  "leave it out");
        });
    }
    const Datum datum = datum_of(element);
    if (!(node->types & bit_of(datum))) return type(*node, datum, path, out);
    for (const ValueRules& rules : node->values) {
        if (!listed(rules, element, datum, path, out)) return false;
    }
    switch (datum.kind) {
    case Datum::Kind::string:
        if (node->string && !string(*node->string, datum.text, path, out)) return false;
        break;
    case Datum::Kind::array:
        if (node->array && !array(*node->array, array_in(element), path, out)) return false;
        break;
    case Datum::Kind::object:
        if (node->object) {
            const dom::object object_here = object_in(element);
            if (!object(*node->object, object_here, path, out)) return false;
            if (!dependencies(*node->object, object_here, element, path, out)) return false;
        }
        break;
    case Datum::Kind::number:
        if (node->number && !number(*node->number, datum.number, path, out)) return false;
        break;
    default: break;
    }
    if (!node->combiners) return true;
    return combined(*node->combiners, path, out,
                    [&](NodeId child, Violation* told) { return value(child, element, path, told); });
}

bool Check::name(NodeId id, std::string_view text, const Path& path, Violation* out) {
    if (!step()) return false;
    const Node* node = &program_.nodes[id];
    if (node->target != no_node) node = &program_.nodes[node->target];
    const bool listed_everywhere =
        std::all_of(node->values.begin(), node->values.end(), [&](const ValueRules& rules) {
            return std::binary_search(rules.words.begin(), rules.words.end(), text);
        });
    if (node->never || !(node->types & string_bit) || !listed_everywhere) {
        return refuse(out, [&] {
            return make_violation(rule::member_name, pointer_of(path),
                                  "member name " + in_quotes(text) + " is not allowed", "another name",
                                  "rename the member or leave it out");
        });
    }
    if (node->string && !string(*node->string, text, path, out)) return false;
    if (!node->combiners) return true;
    return combined(*node->combiners, path, out,
                    [&](NodeId child, Violation* told) { return name(child, text, path, told); });
}

bool Check::type(const Node& node, const Datum& datum, const Path& path, Violation* out) {
    return refuse(out, [&] {
        const std::string expected = phrase_of_bits(node.types);
        const bool plain = datum.kind == Datum::Kind::null || datum.kind == Datum::Kind::array ||
                           datum.kind == Datum::Kind::object;
        const std::string found = plain ? " is " + std::string(phrase_of(datum))
                                        : " " + shown(datum) + " is " + std::string(phrase_of(datum));
        const bool fraction = datum.kind == Datum::Kind::number && (node.types & whole_bit);
        return make_violation(rule::type, pointer_of(path),
                              fraction ? subject(path) + " " + shown(datum) + " is not a whole number"
                                       : subject(path) + found + ", not " + expected,
                              expected,
                              kind_of_bits(node.types) == ValueType::Kind::any
                                  ? "send " + expected
                                  : fix_of_type(datum, kind_of_bits(node.types)));
    });
}

bool Check::listed(const ValueRules& rules, const Element& element, const Datum& datum, const Path& path,
                   Violation* out) {
    const std::string_view word = datum.text;
    if (datum.kind == Datum::Kind::string) {
        if (std::binary_search(rules.words.begin(), rules.words.end(), word)) return true;
    } else if (rules.words.size() < rules.values.size()) {
        for (const Element& each : rules.values) {
            if (equal(each, element)) return true;
        }
        if (exhausted_) return false;
    }
    return refuse(out, [&] {
        std::vector<std::string> words;
        for (const Element& each : rules.values) words.push_back(text_of_value(each));
        const std::string expected = (words.size() > 1 ? "one of " : "") + trunkline::uns::alternatives(words);
        const std::string_view meant = nearest(word, rules.words);
        return make_violation(rule::not_in_enum, pointer_of(path),
                              subject(path) + " " + text_of_value(element) + " is not " +
                                  (rules.is_const ? expected : "an allowed value"),
                              expected, "send " + (meant.empty() ? expected : in_quotes(meant)));
    });
}

bool Check::number(const NumberRules& rules, const Number& number, const Path& path, Violation* out) {
    if (rules.minimum && compare(number, *rules.minimum) < 0) {
        return refuse_range(out, path, number, "below", "minimum", *rules.minimum);
    }
    if (rules.maximum && compare(number, *rules.maximum) > 0) {
        return refuse_range(out, path, number, "above", "maximum", *rules.maximum);
    }
    if (rules.above && compare(number, *rules.above) <= 0) {
        return refuse_range(out, path, number, "below", "exclusiveMinimum", *rules.above);
    }
    if (rules.below && compare(number, *rules.below) >= 0) {
        return refuse_range(out, path, number, "above", "exclusiveMaximum", *rules.below);
    }
    if (rules.multiple_of && !is_multiple(number, *rules.multiple_of)) {
        return refuse(out, [&] {
            const std::string step_text = text_of(*rules.multiple_of);
            return make_violation(rule::multiple, pointer_of(path),
                                  subject(path) + " " + text_of(number) + " is not a multiple of " + step_text,
                                  "a multiple of " + step_text, "round it to a multiple of " + step_text);
        });
    }
    return true;
}

bool Check::string(const StringRules& rules, std::string_view text, const Path& path, Violation* out) {
    const auto refuse_text = [&](std::string_view rule, std::string what, std::string expected) {
        return refuse(out, [&] {
            return make_violation(rule, pointer_of(path), subject(path) + " " + in_quotes(text) + what,
                                  "a string " + expected, "send a string " + expected);
        });
    };
    if (rules.length_min > 0 || text.size() > rules.length_max) {
        const std::size_t length = code_points(text);
        const std::string found = " has " + std::to_string(length) + " characters";
        if (length < rules.length_min) {
            return refuse_text(rule::too_short, found,
                               "of at least " + std::to_string(rules.length_min) + " characters");
        }
        if (length > rules.length_max) {
            return refuse_text(rule::too_long, found, "of at most " + std::to_string(rules.length_max) + " characters");
        }
    }
    if (rules.pattern && !(step(text.size() / 16) && rules.pattern->matches(text))) {
        const std::string source = escaped(rules.pattern->source(), 80);
        return refuse_text(rule::pattern, " does not match " + source, "that matches " + source);
    }
    if (rules.format && !has_format(text, *rules.format)) {
        return refuse_text(rule::format, " is no " + std::string(name_of(*rules.format)),
                           "in the format " + std::string(name_of(*rules.format)));
    }
    return true;
}

bool Check::array(const ArrayRules& rules, const dom::array& array, const Path& path, Violation* out) {
    std::size_t count = 0;
    bool contained = false;
    for (const Element item : array) {
        const Path here = item_below(path, count);
        const NodeId node = count < rules.places.size() ? rules.places[count] : rules.others;
        if (node != no_node && !value(node, item, here, out)) return false;
        if (rules.contains != no_node && !contained) contained = value(rules.contains, item, here, nullptr);
        ++count;
    }
    if (count < rules.items_min || count > rules.items_max) {
        return refuse_count(out, path, rule::item_count, count, "items", rules.items_min, rules.items_max);
    }
    if (rules.contains != no_node && !contained) {
        return refuse(out, [&] {
            return make_violation(rule::contains, pointer_of(path),
                                  "no item of " + subject(path) + " is what one has to be",
                                  "an item that the schema's contains describes", "add that item");
        });
    }
    return !rules.unique || unique(array, path, out);
}

bool Check::unique(const dom::array& array, const Path& path, Violation* out) {
    struct Hashed {
        std::uint64_t hash;
        std::size_t index;
        Element element;
    };
    thread_local std::vector<Hashed> items;
    items.clear();
    for (const Element item : array) items.push_back({hash_of(item), items.size(), item});
    std::sort(items.begin(), items.end(), [](const Hashed& a, const Hashed& b) {
        return a.hash != b.hash ? a.hash < b.hash : a.index < b.index;
    });
    bool found = false;
    std::size_t first = 0, second = 0;
    for (std::size_t i = 0; i < items.size() && !found && !exhausted_; ++i) {
        for (std::size_t j = i + 1; j < items.size() && items[j].hash == items[i].hash; ++j) {
            if (!equal(items[i].element, items[j].element)) continue;
            found = true;
            first = items[i].index;
            second = items[j].index;
            break;
        }
    }
    if (items.capacity() * sizeof(Hashed) > payload_limits::kept_bytes) std::vector<Hashed>().swap(items);
    if (!found) return !exhausted_;
    return refuse(out, [&] {
        return make_violation(
            rule::not_unique, pointer_of(path),
            "items " + std::to_string(first) + " and " + std::to_string(second) + " of " + subject(path) + " are equal",
            "items that differ", "send each item once");
    });
}

bool Check::object(const ObjectRules& rules, const dom::object& object, const Path& path, Violation* out) {
    std::size_t count = 0, required = 0;
    for (const auto field : object) {
        ++count;
        if (!member(rules, field.key, field.value, path, required, out)) return false;
    }
    if (required < rules.required_count) return missing(rules, object, path, out);
    if (count < rules.members_min || count > rules.members_max) {
        return refuse_count(out, path, rule::member_count, count, "members", rules.members_min, rules.members_max);
    }
    return true;
}

bool Check::member(const ObjectRules& rules, std::string_view name_here, const Element& element, const Path& path,
                   std::size_t& required, Violation* out) {
    if (!step()) return false;
    const Path here = below(path, name_here);
    const Member* known = rules.find(name_here);
    bool covered = false;
    if (known) {
        required += known->required;
        covered = known->node != no_node;
        if (covered && !value(known->node, element, here, out)) return false;
    }
    for (const auto& [pattern, node] : rules.patterns) {
        if (!step(name_here.size() / 16)) return false;
        if (!pattern.matches(name_here)) continue;
        covered = true;
        if (!value(node, element, here, out)) return false;
    }
    if (rules.names != no_node && !name(rules.names, name_here, here, out)) {
        if (out && out->rule != rule::member_name) out->text = "member name: " + out->text;
        if (out) out->rule = rule::member_name;
        return false;
    }
    if (covered || rules.additional == no_node) return true;
    if (!program_.nodes[rules.additional].never) return value(rules.additional, element, here, out);
    return refuse(out, [&] {
        std::vector<std::string_view> names;
        for (const Member& each : rules.members) names.push_back(each.name);
        const std::string_view meant = nearest(name_here, names);
        return make_violation(
            rule::unknown, pointer_of(here), "member " + in_quotes(name_here) + " is not in the schema",
            "only members that the schema names",
            meant.empty() ? "leave it out, or add it to the schema" : "rename the member to " + in_quotes(meant));
    });
}

bool Check::missing(const ObjectRules& rules, const dom::object& object, const Path& path, Violation* out) {
    return refuse(out, [&] {
        std::string_view lacking;
        for (const Member& each : rules.members) {
            if (each.required && object.at_key(each.name).error() != simdjson::SUCCESS) {
                lacking = each.name;
                break;
            }
        }
        // A member that the schema does not know and that looks like it is probably meant to be it.
        std::vector<std::string_view> unknown;
        for (const auto field : object) {
            if (!rules.find(field.key)) unknown.push_back(field.key);
        }
        const std::string_view meant = nearest(lacking, unknown);
        return make_violation(rule::missing, pointer_of(below(path, lacking)),
                              "member " + escaped(lacking) + " is missing", "member " + escaped(lacking),
                              meant.empty() ? "add member " + in_quotes(lacking)
                                            : "rename the member " + in_quotes(meant) + " to " + in_quotes(lacking));
    });
}

bool Check::dependencies(const ObjectRules& rules, const dom::object& object, const Element& whole, const Path& path,
                         Violation* out) {
    for (const Dependency& each : rules.dependencies) {
        if (!step(object.size()) || exhausted_) return false;
        if (object.at_key(each.name).error() != simdjson::SUCCESS) continue;
        if (each.node != no_node && !value(each.node, whole, path, out)) return false;
        for (const std::string& wanted : each.names) {
            if (!step(object.size())) return false;
            if (object.at_key(wanted).error() == simdjson::SUCCESS) continue;
            return refuse(out, [&] {
                return make_violation(rule::dependency, pointer_of(below(path, wanted)),
                                      "member " + escaped(wanted) + " is missing beside " + escaped(each.name),
                                      "members " + escaped(each.name) + " and " + escaped(wanted) + " together",
                                      "add member " + in_quotes(wanted) + ", or leave out " + in_quotes(each.name));
            });
        }
    }
    return true;
}

template <typename Ask>
bool Check::combined(const Combiners& combiners, const Path& path, Violation* out, const Ask& ask) {
    for (const NodeId child : combiners.all_of) {
        if (!ask(child, out)) return false;
    }
    if (!combiners.any_of.empty() && !alternatives(combiners.any_of, false, path, out, ask)) return false;
    if (!combiners.one_of.empty() && !alternatives(combiners.one_of, true, path, out, ask)) return false;
    if (combiners.negated != no_node && ask(combiners.negated, nullptr)) {
        return refuse(out, [&] {
            return make_violation(rule::forbidden, pointer_of(path),
                                  subject(path) + " is what the schema's not forbids", "another value",
                                  "change the value");
        });
    }
    if (combiners.condition != no_node) {
        const NodeId branch = ask(combiners.condition, nullptr) ? combiners.then : combiners.otherwise;
        if (branch != no_node && !ask(branch, out)) return false;
    }
    // A check that ran out of steps within `not` or `if` has not found out anything.
    return !exhausted_;
}

template <typename Ask>
bool Check::alternatives(const std::vector<NodeId>& list, bool exactly_one, const Path& path, Violation* out,
                         const Ask& ask) {
    std::size_t fitting = 0;
    Violation nearest_miss;
    for (const NodeId child : list) {
        Violation miss;
        if (ask(child, out ? &miss : nullptr)) {
            ++fitting;
            if (!exactly_one) return true;
            if (fitting > 1) break;
        } else if (out && (nearest_miss.rule.empty() || miss.at.size() > nearest_miss.at.size())) {
            nearest_miss = std::move(miss);    // the deeper it got, the likelier it was meant
        }
    }
    if (fitting == 1 || exhausted_) return fitting == 1 && !exhausted_;
    return refuse(out, [&] {
        if (fitting > 1) {
            return make_violation(
                rule::many_alternatives, pointer_of(path),
                subject(path) + " fits more than one of " + std::to_string(list.size()) + " alternatives",
                "exactly one alternative of the schema's oneOf", "send a value that fits one alone");
        }
        nearest_miss.rule = rule::no_alternative;
        nearest_miss.text = subject(path) + " fits none of " + std::to_string(list.size()) +
                            (list.size() == 1 ? " alternative" : " alternatives") + "; nearest: " + nearest_miss.text;
        // Of alternatives within alternatives each level adds its sentence; a reason has to fit a packet.
        if (nearest_miss.text.size() > 400) nearest_miss.text = escaped(nearest_miss.text, 400);
        return std::move(nearest_miss);
    });
}

bool Check::equal(const Element& a, const Element& b) {
    if (!step()) return false;
    const Datum x = datum_of(a), y = datum_of(b);
    if (x.kind != y.kind) return false;
    switch (x.kind) {
    case Datum::Kind::null: return true;
    case Datum::Kind::boolean: return x.truth == y.truth;
    case Datum::Kind::number: return compare(x.number, y.number) == 0;
    case Datum::Kind::string: return x.text == y.text;
    case Datum::Kind::array: {
        const dom::array left = array_in(a), right = array_in(b);
        auto at = left.begin(), other = right.begin();
        for (; at != left.end() && other != right.end(); ++at, ++other) {
            if (!equal(*at, *other)) return false;
        }
        return !(at != left.end()) && !(other != right.end());
    }
    case Datum::Kind::object: break;
    }
    const dom::object left = object_in(a), right = object_in(b);
    if (left.size() != right.size()) return false;
    for (const auto field : left) {
        Element other;
        if (!step(right.size()) || right.at_key(field.key).get(other) != simdjson::SUCCESS ||
            !equal(field.value, other)) {
            return false;
        }
    }
    return true;
}

}  // namespace trunkline::uns::schema

namespace trunkline::uns {

namespace {

class SchemaContract final : public PayloadContract {
public:
    explicit SchemaContract(schema::Program program) : program_(std::move(program)) {}

    std::optional<Violation> check(std::string_view payload) const override {
        const JsonView json(payload);
        if (!json.ok()) return json.fault();
        if (has_duplicates(json.root())) return find_duplicate(json.root());
        const std::uint64_t steps = payload_limits::steps_base + payload_limits::steps_per_byte * payload.size();
        schema::Check fast(program_, steps);
        if (fast.run(json.root(), nullptr)) return std::nullopt;
        if (fast.exhausted()) return too_costly(payload);
        Violation violation;
        schema::Check telling(program_, steps);
        telling.run(json.root(), &violation);
        return telling.exhausted() ? too_costly(payload) : violation;
    }

private:
    static Violation too_costly(std::string_view payload) {
        return make_violation(rule::too_costly, "",
                              "the schema takes too many steps for these " + std::to_string(payload.size()) + " bytes",
                              "a payload that the schema can judge", "simplify the schema, or send less in a message");
    }

    schema::Program program_;
};

}  // namespace

PayloadContract::Compiled compile_schema(std::string_view schema_json) {
    auto compiled = schema::compile_program(schema_json);
    if (auto* error = std::get_if<SpecError>(&compiled)) return *error;
    return std::make_shared<SchemaContract>(std::get<schema::Program>(std::move(compiled)));
}

}  // namespace trunkline::uns
