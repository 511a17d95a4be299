// Everything that --check-config looks at: the configuration file, the model and the files of users, roles and keys
// that it names.
#pragma once

#include <string>
#include <vector>

#include "namespace/problem.h"

namespace trunkline::broker {

struct Config;
struct Options;

/// Of a configuration that was read without problems.
[[nodiscard]] std::vector<Problem> check_named_files(const Config& config);

/// Of a file, by itself: what a broker that was started with it would say. Empty: it is good.
[[nodiscard]] std::vector<Problem> check_config_file(const std::string& path);

}  // namespace trunkline::broker
