// Everything Prometheus scrapes.
#pragma once

#include <string>

#include "broker/admin/sources.h"

namespace trunkline::admin {

/// The Prometheus text format 0.0.4, or OpenMetrics 1.0 when `open_metrics`.
[[nodiscard]] std::string metrics_text(const Sources& sources, const Readiness& readiness, bool open_metrics);

}  // namespace trunkline::admin
