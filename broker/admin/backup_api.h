// The routes of backups: begin one, see how far it is, fetch its files piece by piece, let it go.
#pragma once

#include "broker/admin/api.h"

namespace trunkline::admin {

void add_backup(Router& router, const ApiContext& context);

}  // namespace trunkline::admin
