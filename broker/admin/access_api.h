// The routes about who may do what: users, roles, access test and who-can; and the first two lines of explain.
#pragma once

#include "broker/admin/api.h"

namespace trunkline::admin {

void add_access(Router& router, const ApiContext& context);

/// What authentication and authorisation say of a client: who it is if it is connected, else who it says it is. Waits
/// up to a second for the shard that has it; not to be called on a shard.
[[nodiscard]] AccessAnswer explain_access(const Sources& sources, const AccessQuestion& question);

}  // namespace trunkline::admin
