// JSON Schema draft 7 as a payload contract, compiled: https://json-schema.org/draft-07
#pragma once

#include <string_view>

#include "namespace/payload/contract.h"

namespace trunkline::uns {

/// Compiles all of draft 7's validation vocabulary. Refused, with the place in the schema: keywords that draft 7 does
/// not have (unless they start with "x-"), keywords beside $ref, which draft 7 would ignore, references that leave the
/// schema or never end, patterns that need backtracking, formats and content keywords that are not checked, and
/// schemas of more than 1 MiB or 20,000 subschemas. Recursion along the payload is fine.
[[nodiscard]] PayloadContract::Compiled compile_schema(std::string_view schema_json);

}  // namespace trunkline::uns
