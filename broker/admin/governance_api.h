// The routes about what broke the model: recent violations, and the quarantine.
#pragma once

#include "broker/admin/api.h"
#include "broker/core/governance.h"

namespace trunkline::admin {

void add_governance(Router& router, const ApiContext& context);

/// The model in force (null: none was applied), what broke it, and the quarantine: a part of GET /status.
[[nodiscard]] Json governance_status(const broker::Governance& governance, const Meter& meter);

/// All messages that broke the model, whatever became of them.
[[nodiscard]] std::uint64_t violation_count(const broker::VerdictCounts& counts);

[[nodiscard]] Json quarantine_json(const broker::QuarantineEntry& entry);

}  // namespace trunkline::admin
