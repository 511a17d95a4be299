// The routes of the model: what holds, its versions, planning, learning, drift, explaining.
#pragma once

#include "broker/admin/api.h"

namespace trunkline::admin {

void add_model_routes(Router& router, const ApiContext& context);

}  // namespace trunkline::admin
