// Why a publish or a subscription gets what it gets: every check in order.
#pragma once

#include "broker/admin/api.h"

namespace trunkline::admin {

/// POST /api/v1/explain.
void post_explain(const ApiContext& context, const Request& request, const Reply& reply);

}  // namespace trunkline::admin
