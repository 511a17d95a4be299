// A JSON payload parsed in place into buffers that the thread keeps: no allocation from message to message.
#pragma once

#include <simdjson.h>

#include <optional>
#include <string_view>

#include "namespace/payload/contract.h"
#include "namespace/payload/datum.h"

namespace trunkline::uns {

/// `payload` as a tree of values, for as long as this object lives; one at a time on each thread.
class JsonView {
public:
    explicit JsonView(std::string_view payload);
    ~JsonView();
    JsonView(const JsonView&) = delete;
    JsonView& operator=(const JsonView&) = delete;

    [[nodiscard]] bool ok() const { return ok_; }
    [[nodiscard]] simdjson::dom::element root() const { return root_; }
    /// Why it is not ok(); scans the payload once more.
    [[nodiscard]] Violation fault() const;

private:
    std::string_view payload_;
    simdjson::dom::element root_;
    bool holds_buffers_ = false, ok_ = false;
};

[[nodiscard]] inline Datum datum_of(const simdjson::dom::element& element) {
    using Type = simdjson::dom::element_type;
    Datum datum;
    switch (element.type()) {
    case Type::INT64:
        datum.kind = Datum::Kind::number;
        datum.number = Number::of(element.get_int64().value_unsafe());
        break;
    case Type::UINT64:
        datum.kind = Datum::Kind::number;
        datum.number = Number::of(element.get_uint64().value_unsafe());
        break;
    case Type::DOUBLE:
        datum.kind = Datum::Kind::number;
        datum.number = Number::of(element.get_double().value_unsafe());
        break;
    case Type::STRING:
        datum.kind = Datum::Kind::string;
        datum.text = element.get_string().value_unsafe();
        break;
    case Type::BOOL:
        datum.kind = Datum::Kind::boolean;
        datum.truth = element.get_bool().value_unsafe();
        break;
    case Type::NULL_VALUE: datum.kind = Datum::Kind::null; break;
    case Type::ARRAY: datum.kind = Datum::Kind::array; break;
    case Type::OBJECT: datum.kind = Datum::Kind::object; break;
    }
    return datum;
}

/// The object or array that `element` is known to be, by value: what simdjson returns must not be iterated in place.
[[nodiscard]] inline simdjson::dom::object object_in(const simdjson::dom::element& element) {
    return element.get_object().value_unsafe();
}
[[nodiscard]] inline simdjson::dom::array array_in(const simdjson::dom::element& element) {
    return element.get_array().value_unsafe();
}

/// A name that comes twice among the members of `object` itself.
[[nodiscard]] std::optional<std::string_view> repeated_name(const simdjson::dom::object& object);

/// The first member that comes twice within an object, anywhere below `element`, as a violation.
[[nodiscard]] std::optional<Violation> find_duplicate(simdjson::dom::element element);
[[nodiscard]] bool has_duplicates(simdjson::dom::element element);

}  // namespace trunkline::uns
