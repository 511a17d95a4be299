// The routes about sessions, connected or not, and about subscriptions.
#pragma once

#include "broker/admin/api.h"

namespace trunkline::admin {

void add_sessions(Router& router, const ApiContext& context);

}  // namespace trunkline::admin
