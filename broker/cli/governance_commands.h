// What broke the model, and the quarantine. Each throws Failure or returns an exit code.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/cli/commands.h"

namespace trunkline::cli {

/// The most recent `limit` violations, newest first.
int violations(const Tool& tool, std::uint64_t limit);
/// Violations as they come; ends after `count`, 0: never.
int violations_watch(const Tool& tool, std::uint64_t count);

int quarantine_list(const Tool& tool, const std::string& filter);
int quarantine_show(const Tool& tool, const std::string& id);
/// Messages of the quarantine by id, or all that match a filter.
struct Chosen {
    std::vector<std::string> ids;
    std::string filter, reason;
    bool dry_run = false;
};
/// Replays oldest first. exit_findings when some still break the model or are not there.
int quarantine_replay(const Tool& tool, const Chosen& chosen);
int quarantine_drop(const Tool& tool, const Chosen& chosen);

/// The lines of `status` about the model.
void print_governance(const Json& status);

}  // namespace trunkline::cli
