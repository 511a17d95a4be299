// How trunkctl tells reports about models to people.
#pragma once

#include <string>
#include <vector>

#include "broker/cli/commands.h"

namespace trunkline::cli {

/// A member of an object as text; empty when it is not there.
[[nodiscard]] std::string text_in(const Json& json, const char* key);
[[nodiscard]] std::uint64_t count_in(const Json& json, const char* key);
/// "7 messages", "1 message".
[[nodiscard]] std::string counted(std::uint64_t count, const std::string& noun);

/// Problems of a model, each with its place, rule and mend. `problems` is an array of the broker's problem documents.
void print_problems(const Tool& tool, const Json& problems);
void print_changes(const Tool& tool, const Json& changes);
void print_plan(const Tool& tool, const Json& plan);
void print_drift(const Tool& tool, const Json& drift);
void print_explain(const Tool& tool, const Json& report);
/// What a publisher has to send.
void print_sheet(const Tool& tool, const Json& topics);

}  // namespace trunkline::cli
