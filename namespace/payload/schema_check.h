// Asks a compiled schema about one payload.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "namespace/payload/contract.h"
#include "namespace/payload/schema_program.h"

namespace trunkline::uns::schema {

/// Where a value is in the payload, as a chain on the stack: no pointer is written until one is needed.
struct Path {
    const Path* above = nullptr;
    std::string_view name;
    std::size_t index = 0;
    bool is_item = false;
};

/// One check. Returns on the first violation, in the order of the payload's members; when `violation` is given it is
/// told there. Recursion is bounded by the depths of payload and schema, work by `steps`.
class Check {
public:
    Check(const Program& program, std::uint64_t steps) : program_(program), steps_(steps) {}

    bool run(simdjson::dom::element root, Violation* violation) {
        return value(program_.root, root, {}, violation);
    }

    /// The check stopped because it took too many steps: run() was false whatever the payload is.
    [[nodiscard]] bool exhausted() const { return exhausted_; }

private:
    using Element = simdjson::dom::element;

    bool value(NodeId id, const Element& element, const Path& path, Violation* out);
    /// A member's name against propertyNames: like value() for a string that is in no document.
    bool name(NodeId id, std::string_view text, const Path& path, Violation* out);

    /// Tells that `datum` is of a type that `node` does not take: always false.
    bool type(const Node& node, const Datum& datum, const Path& path, Violation* out);
    bool listed(const ValueRules& rules, const Element& element, const Datum& datum, const Path& path, Violation* out);
    bool number(const NumberRules& rules, const Number& number, const Path& path, Violation* out);
    bool string(const StringRules& rules, std::string_view text, const Path& path, Violation* out);
    bool array(const ArrayRules& rules, const simdjson::dom::array& array, const Path& path, Violation* out);
    bool unique(const simdjson::dom::array& array, const Path& path, Violation* out);
    bool object(const ObjectRules& rules, const simdjson::dom::object& object, const Path& path, Violation* out);
    bool member(const ObjectRules& rules, std::string_view name, const Element& element, const Path& path,
                std::size_t& required, Violation* out);
    bool dependencies(const ObjectRules& rules, const simdjson::dom::object& object, const Element& whole,
                      const Path& path, Violation* out);
    bool missing(const ObjectRules& rules, const simdjson::dom::object& object, const Path& path, Violation* out);

    /// The combiners over value() or name(), which `ask(id, out)` is.
    template <typename Ask>
    bool combined(const Combiners& combiners, const Path& path, Violation* out, const Ask& ask);
    template <typename Ask>
    bool alternatives(const std::vector<NodeId>& list, bool exactly_one, const Path& path, Violation* out,
                      const Ask& ask);

    bool equal(const Element& a, const Element& b);
    bool step(std::uint64_t count = 1);

    const Program& program_;
    std::uint64_t steps_;
    bool exhausted_ = false;
};

/// Whether `a` is `b` times a whole number: exact for integers, to the precision of a double for others.
[[nodiscard]] bool is_multiple(const Number& a, const Number& b);

}  // namespace trunkline::uns::schema
