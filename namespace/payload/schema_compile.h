// From the text of a schema to a program.
#pragma once

#include <string_view>
#include <variant>

#include "namespace/payload/contract.h"
#include "namespace/payload/schema_program.h"

namespace trunkline::uns::schema {

[[nodiscard]] std::variant<Program, SpecError> compile_program(std::string_view schema_json);

}  // namespace trunkline::uns::schema
