// Reports of this folder as JSON text: what the administration interface sends and trunkctl shows.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "namespace/life/drift.h"
#include "namespace/life/learn.h"
#include "namespace/life/replay.h"
#include "namespace/life/sheet.h"
#include "namespace/problem.h"

namespace trunkline::uns {

/// What a plan is between; empty versions: no model.
struct PlanEnds {
    std::string from_version, to_name, to_version;
};
[[nodiscard]] std::string to_json(const PlanReport& report, const PlanEnds& ends);
[[nodiscard]] std::string to_json(const DriftReport& report);
[[nodiscard]] std::string to_json(const LearnResult& result);
/// `[{"rule", "place", "message", "fix"}]`
[[nodiscard]] std::string to_json(const std::vector<Problem>& problems);
/// `[{"kind", "subject", "what", "before", "after", "breaking", "places", "text"}]`
[[nodiscard]] std::string to_json(const std::vector<ModelChange>& changes);
[[nodiscard]] std::string to_json(const std::vector<SheetLine>& sheet);

}  // namespace trunkline::uns
