// The section `audit` of the configuration.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "broker/core/config.h"
#include "broker/yaml_reader.h"

namespace trunkline::broker {

void read_audit(YamlMap& map, YamlContext& context, AuditConfig& audit);

/// What can be told without opening the trail. `report(rule, key, message, fix)`.
using ReportProblem = std::function<void(const std::string& rule, const std::string& key, const std::string& message,
                                         const std::string& fix)>;
void check_audit(const Config& config, const ReportProblem& report);

/// Keys that differ; all of them take effect at the next start.
[[nodiscard]] std::vector<std::string> audit_differences(const AuditConfig& running, const AuditConfig& fresh);

/// As JSON, without secrets.
[[nodiscard]] std::string audit_json(const AuditConfig& audit);

/// The folder in force.
[[nodiscard]] std::string audit_folder(const Config& config);

}  // namespace trunkline::broker
