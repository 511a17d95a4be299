// namespace/tree, get, find and meta. Walks and searches run on a thread of their own, so that probes are answered
// meanwhile.
#pragma once

#include "broker/admin/api.h"

namespace trunkline::admin {

void add_namespace_routes(Router& router, const ApiContext& context);

}  // namespace trunkline::admin
