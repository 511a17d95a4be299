// The routes under /api/v1 and at the root, except the watch's stream, which the server runs.
#pragma once

#include "broker/admin/metrics.h"
#include "broker/admin/router.h"
#include "broker/admin/sources.h"
#include "broker/admin/totals.h"
#include "broker/admin/long_jobs.h"

namespace trunkline::admin {

class Approvals;

/// What handlers work with; outlives the router.
struct ApiContext {
    Sources& sources;
    Readiness& readiness;
    Meter& meter;
    LongJobs& long_jobs;
    Approvals* approvals = nullptr;   ///< null: nobody is asked
};

[[nodiscard]] Router make_router(ApiContext context);

}  // namespace trunkline::admin
