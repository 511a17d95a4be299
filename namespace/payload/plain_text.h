// Scalars as bare text: the `plain` payload, and numbers in text elsewhere.
#pragma once

#include <optional>
#include <string_view>

#include "namespace/payload/contract.h"
#include "namespace/payload/datum.h"

namespace trunkline::uns {

/// `text` as a number by the grammar of JSON (no plus sign, no leading zeros, no hexadecimal, no infinity), all of it.
/// Integers beyond 64 bits and numbers beyond a double are none.
[[nodiscard]] std::optional<Number> parse_json_number(std::string_view text);

/// `text` as a value of type `kind`: a number, true or false, or else the text itself as a string, also where the
/// type is another one, so that the check of the type refuses it.
[[nodiscard]] Datum plain_datum(std::string_view text, ValueType::Kind kind);

}  // namespace trunkline::uns
