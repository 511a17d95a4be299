// A compiled schema: nodes that refer to each other, and nothing that is looked up by text at check time but the
// payload's own member names.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "namespace/payload/datum.h"
#include "namespace/payload/pattern.h"
#include "namespace/payload/schema_format.h"

namespace trunkline::uns::schema {

using NodeId = std::uint32_t;
inline constexpr NodeId no_node = std::numeric_limits<NodeId>::max();

/// Types of JSON as bits. A number is `whole` or `fraction`; "integer" wants the first, "number" takes both.
enum TypeBit : std::uint8_t {
    null_bit = 1, boolean_bit = 2, whole_bit = 4, fraction_bit = 8, string_bit = 16, array_bit = 32, object_bit = 64,
    every_bit = 127
};

struct NumberRules {
    std::optional<Number> minimum, maximum, above, below, multiple_of;
};

struct StringRules {
    std::size_t length_min = 0, length_max = std::numeric_limits<std::size_t>::max();
    std::optional<Pattern> pattern;
    std::optional<Format> format;
};

struct ArrayRules {
    std::size_t items_min = 0, items_max = std::numeric_limits<std::size_t>::max();
    bool unique = false;
    std::vector<NodeId> places;           // items as a list: by position
    NodeId others = no_node;              // items as one schema, or additionalItems
    NodeId contains = no_node;
};

/// A name that `properties` or `required` has.
struct Member {
    std::string name;
    NodeId node = no_node;
    bool required = false;
};

struct Dependency {
    std::string name;
    std::vector<std::string> names;
    NodeId node = no_node;
};

struct ObjectRules {
    std::size_t members_min = 0, members_max = std::numeric_limits<std::size_t>::max();
    std::vector<Member> members;          // sorted by length, then bytes
    std::size_t required_count = 0;
    std::vector<std::pair<Pattern, NodeId>> patterns;
    NodeId additional = no_node;
    NodeId names = no_node;               // propertyNames
    std::vector<Dependency> dependencies;

    [[nodiscard]] const Member* find(std::string_view name) const;
};

/// enum and const. Elements live in the program's document.
struct ValueRules {
    std::vector<simdjson::dom::element> values;
    std::vector<std::string_view> words;    // sorted; the values that are strings
    bool is_const = false;
};

struct Combiners {
    std::vector<NodeId> all_of, any_of, one_of;
    NodeId negated = no_node, condition = no_node, then = no_node, otherwise = no_node;
};

struct Node {
    std::uint8_t types = every_bit;
    bool never = false;                   // the schema `false`
    NodeId target = no_node;              // of a $ref, followed to its end
    std::unique_ptr<NumberRules> number;
    std::unique_ptr<StringRules> string;
    std::unique_ptr<ArrayRules> array;
    std::unique_ptr<ObjectRules> object;
    std::vector<ValueRules> values;       // each must hold
    std::unique_ptr<Combiners> combiners;
};

struct Program {
    std::unique_ptr<simdjson::dom::parser> document;    // what `values` point into
    std::vector<Node> nodes;
    NodeId root = 0;
};

}  // namespace trunkline::uns::schema
