// The configuration: one YAML file, then the flags over it, then the checks of the whole.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "broker/core/config.h"
#include "broker/options.h"
#include "namespace/problem.h"

namespace trunkline::broker {

struct ConfigResult {
    Config config;                    ///< usable when `problems` is empty
    std::vector<Problem> problems;    ///< all of them, in the order of their places in the file
    [[nodiscard]] bool ok() const { return problems.empty(); }
};

/// Reads Options::config_file when it is given. Never throws for what is in the file.
[[nodiscard]] ConfigResult load_config(const Options& options);

/// The same from memory. `file` names the text in places; relative paths are taken from its folder.
[[nodiscard]] ConfigResult parse_config(std::string_view text, const std::string& file, const Options& options);

/// Names of the keys whose values differ and that take effect only at the next start.
[[nodiscard]] std::vector<std::string> needs_restart(const Config& running, const Config& fresh);

}  // namespace trunkline::broker
