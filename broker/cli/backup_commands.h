// trunkctl backup ...: create asks a running broker; verify and restore read the disk and need none.
#pragma once

#include <functional>
#include <string>

#include "broker/cli/commands.h"

namespace CLI {
class App;
}

namespace trunkline::cli {

/// What may be typed after `backup`.
struct BackupCommands {
    std::string folder, data, config;

    /// Adds the commands; `action` is set to the one that was typed.
    void add(CLI::App& app, std::function<int(const Tool&)>& action);
};

// Each throws Failure or returns an exit code.
/// Fetches a backup into `folder`, which does not exist yet or is empty.
int backup_create(const Tool& tool, const std::string& folder);
/// exit_findings when something is wrong, each problem naming its file.
int backup_verify(const Tool& tool, const std::string& folder);
/// Into a data folder that is missing or empty; the files of the configuration into `config` unless that is "".
int backup_restore(const Tool& tool, const std::string& folder, const std::string& data, const std::string& config);

}  // namespace trunkline::cli
