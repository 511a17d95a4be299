// Files that commands are given.
#pragma once

#include <string>

namespace trunkline::cli {

/// All of a file. Throws Failure (exit_usage) when it cannot be read.
[[nodiscard]] std::string read_file(const std::string& path);

}  // namespace trunkline::cli
