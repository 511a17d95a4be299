// trunkctl model ... and trunkctl explain.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "broker/cli/commands.h"

namespace CLI {
class App;
}

namespace trunkline::cli {

/// What may be typed after `model` and `explain`.
struct ModelCommands {
    std::string file, other_file, version, reason, name, mode = "observe", out_file;
    std::vector<std::string> files;
    std::uint32_t patterns_from = 0;
    bool dry_run = false, as_json = false;

    std::string asset_type, asset_path, kind, description, wait;
    bool apply = false;

    std::string client, user, topic, payload, payload_file;
    bool retain = false, subscribe = false;

    /// Adds the commands; `action` is set to the one that was typed.
    void add(CLI::App& app, std::function<int(const Tool&)>& action);

private:
    void add_offline(CLI::App& model, std::function<int(const Tool&)>& action);
    void add_versions(CLI::App& model, std::function<int(const Tool&)>& action);
    void add_traffic(CLI::App& model, std::function<int(const Tool&)>& action);
    void add_new_asset(CLI::App& model, std::function<int(const Tool&)>& action);
    void add_explain(CLI::App& app, std::function<int(const Tool&)>& action);
};

// Each throws Failure or returns an exit code.
int model_check(const Tool& tool, const std::string& file);
int model_diff(const Tool& tool, const std::string& before, const std::string& after);
int model_import(const Tool& tool, const ModelCommands& what);
int model_show(const Tool& tool);
int model_export(const Tool& tool, const std::string& version, bool as_json);
int model_versions(const Tool& tool);
int model_apply(const Tool& tool, const ModelCommands& what);
int model_rollback(const Tool& tool, const ModelCommands& what);
int model_pending(const Tool& tool);
int model_approve(const Tool& tool, const ModelCommands& what);
int model_withdraw(const Tool& tool, const ModelCommands& what);
int model_plan(const Tool& tool, const std::string& file);
int model_learn(const Tool& tool, const ModelCommands& what);
int model_drift(const Tool& tool);
int model_new_asset(const Tool& tool, const ModelCommands& what);
int explain(const Tool& tool, const ModelCommands& what);

}  // namespace trunkline::cli
