// The short way for readings of the usual form: one pass over the bytes, no tree.
#pragma once

#include <string_view>

#include "namespace/payload/value_check.h"

namespace trunkline::uns {

/// True when `payload` certainly is a reading that keeps `value`'s contract: an object of the four members, at most one
/// more, scalars only, numbers of up to 15 digits without exponent, strings of plain ASCII without escapes. False says
/// nothing: the whole check has to look. So nothing is refused here, and whatever is unusual takes the long way.
[[nodiscard]] bool is_good_reading(std::string_view payload, const ValueCheck& value);

}  // namespace trunkline::uns
