#include "broker/admin/handlers.h"

#include <exception>
#include <utility>

#include "broker/core/log.h"

namespace trunkline::admin {

void reply_later(const ApiContext& context, const Reply& reply, std::function<Response()> job) {
    const bool taken = context.long_jobs.post([job = std::move(job), reply] {
        Response answer = problem(500, "internal", "The request failed", "see the log");
        try {
            answer = job();
        } catch (const std::exception& error) {  // out of memory
            broker::log(broker::Level::error, "admin_request_failed", {{"what", error.what()}});
        }
        reply(std::move(answer));
    });
    if (!taken) reply(problem(503, "busy", "Too much is being worked out already", "try again in a moment"));
}

}  // namespace trunkline::admin
