// Units of measure as UCUM codes (The Unified Code for Units of Measure, version 2.1, case sensitive).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace trunkline::uns {

struct UnitError {
    std::string message;  ///< what is wrong
    std::string mend;     ///< the code that was probably meant, or how to write one
};

/// Nothing when `unit` is a UCUM code: terms of atoms with prefixes and exponents, `.`, `/`, brackets and annotations
/// ({pieces}). Besides UCUM's atoms `r` (revolution) is known, as drives say `r/min`.
[[nodiscard]] std::optional<UnitError> check_unit(std::string_view unit);

}  // namespace trunkline::uns
