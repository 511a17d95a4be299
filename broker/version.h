// The version of the broker, as --version, /api/v1/status, $SYS and build_info give it.
#pragma once

namespace trunkline::broker {

inline constexpr const char* version = "0.1.0";

}  // namespace trunkline::broker
