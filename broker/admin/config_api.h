// The routes about the configuration: what is in force, whether a file is good, reading it again.
#pragma once

#include "broker/admin/api.h"

namespace trunkline::admin {

void add_config(Router& router, const ApiContext& context);

}  // namespace trunkline::admin
