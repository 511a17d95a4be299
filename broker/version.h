// The version of the broker, as --version, /api/v1/status, $SYS and build_info give it.
#pragma once

namespace trunkline::broker {

/// The package's version, which comes from git, or the project's. Set when the build is configured (version.cpp.in).
extern const char* const version;

}  // namespace trunkline::broker
