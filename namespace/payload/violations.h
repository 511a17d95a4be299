// Violations and their texts, as the contracts share them.
#pragma once

#include <string>
#include <string_view>

#include "namespace/payload/contract.h"
#include "namespace/payload/datum.h"

namespace trunkline::uns {

[[nodiscard]] Violation make_violation(std::string_view rule, std::string at, std::string text, std::string expected,
                                       std::string fix);

/// The payload has no bytes.
[[nodiscard]] Violation empty_violation();

/// A member, at `at`, that comes twice.
[[nodiscard]] Violation duplicate_violation(std::string at, std::string_view name);

/// "a number", "an integer", "true or false" ...
[[nodiscard]] std::string_view phrase_of(ValueType::Kind kind);
[[nodiscard]] std::string_view phrase_of(const Datum& datum);

/// What to do about a value `datum` that is not of type `kind`: "send the number without quotes: 23.5".
[[nodiscard]] std::string fix_of_type(const Datum& datum, ValueType::Kind kind);

/// A number written as people do in a string: "23.5", "23,5", " 7 " as a JSON number; empty when it is none.
[[nodiscard]] std::string number_within(std::string_view text);

}  // namespace trunkline::uns
