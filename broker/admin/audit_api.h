// The audit trail over administration: reading and proving it, and the record of every change that comes this way.
#pragma once

#include "broker/admin/api.h"

namespace trunkline::admin {

void add_audit_routes(Router& router, const ApiContext& context);

/// Calls the route's handler. A change is refused (503) while it could not be audited; otherwise its record, with what
/// became of it, is on the trail's disk before `reply` is called. Every method but GET and HEAD is a change, unless the
/// route only asks. May throw what the handler throws.
void call_audited(const Sources& sources, const Route& route, const Request& request, const Reply& reply);

/// The trail's part of GET /status; null: there is none.
[[nodiscard]] Json audit_status(const Sources& sources);

}  // namespace trunkline::admin
