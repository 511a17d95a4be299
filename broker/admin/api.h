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

/// Runs `job` on the thread of long jobs and replies with what it returns, 500 for what it throws; with 503 at once
/// when too much waits there.
void answer_from_job(LongJobs& jobs, const Reply& reply, std::function<Response()> job);

}  // namespace trunkline::admin
