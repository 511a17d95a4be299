// GET /api/v1/trace: what one client sends and is sent, as server-sent events.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "broker/admin/event_source.h"
#include "broker/admin/http.h"
#include "broker/core/broker.h"

namespace trunkline::admin {

/// Null: `wrong` says why. `wake` is called, from any thread, when take() has something new.
[[nodiscard]] std::shared_ptr<EventSource> open_trace(broker::Broker& broker, const Request& request,
                                                      std::function<void()> wake, Response& wrong);

/// One packet as an event; for tests.
[[nodiscard]] Json trace_json(const broker::TracedPacket& packet);

}  // namespace trunkline::admin
