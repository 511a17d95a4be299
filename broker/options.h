// The command line of `trunkline`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trunkline::broker {

/// What was given; what was not stays empty, so that a flag wins over the file and nothing else does.
struct Options {
    std::string config_file;
    std::optional<std::string> data_dir, admin, model_file, log_level, log_format;
    std::optional<std::uint32_t> workers;
    std::vector<std::string> listen;
    bool allow_anonymous = false;
    bool check_config = false;
};

/// Reads the command line. When the program has nothing more to do (--help, --version, a usage error) `exit_code` is
/// set and what there is to say has been printed: 0, or 2 for a usage error.
[[nodiscard]] Options read_options(int argc, char** argv, std::optional<int>& exit_code);

}  // namespace trunkline::broker
