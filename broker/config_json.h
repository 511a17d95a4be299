// The configuration in force as JSON, for /api/v1/config: keys as in the file, secrets masked.
#pragma once

#include <string>

#include "broker/core/config.h"

namespace trunkline::broker {

[[nodiscard]] std::string config_json(const Config& config);

}  // namespace trunkline::broker
