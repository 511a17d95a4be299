#include "broker/admin/config_api.h"

#include "broker/admin/handlers.h"

namespace trunkline::admin {
namespace {

Json problems_json(const std::vector<Problem>& problems) {
    Json list = Json::array();
    for (const Problem& one : problems) {
        Json entry = {{"rule", one.rule}, {"place", one.place}, {"message", one.message}};
        if (!one.fix.empty()) entry["fix"] = one.fix;
        list.push_back(std::move(entry));
    }
    return list;
}

Json reload_json(const ConfigReload& reload) {
    return {{"ok", reload.taken}, {"file", reload.file}, {"changed", reload.changed},
            {"needs_restart", reload.needs_restart}, {"read_again", reload.read_again},
            {"problems", problems_json(reload.problems)}};
}

void get_config(const ApiContext& context, const Request&, const Reply& reply) {
    Response response;
    response.body = context.sources.config_json ? context.sources.config_json() : "{}";
    reply(std::move(response));
}

Response not_here() { return problem(503, "unavailable", "The configuration cannot be looked at now", ""); }

/// Not an error: whether there are findings is what was asked.
void post_check(const ApiContext& context, const Request& request, const Reply& reply) {
    if (!context.sources.check_config) return reply(not_here());
    const std::string file = request.get("file").value_or("trunkline.yaml");
    const bool queued = context.long_jobs.post([context, reply, file, text = request.body] {
        reply(json_response(reload_json(context.sources.check_config(text, file))));
    });
    if (!queued) reply(problem(503, "busy", "Too much is being worked out already", "try again in a moment"));
}

void post_reload(const ApiContext& context, const Request& request, const Reply& reply) {
    if (!context.sources.reload_config) return reply(not_here());
    if (!request.body.empty()) {
        const Json body = Json::parse(request.body, nullptr, false);
        const bool reason_alone = body.is_object() && body.size() == (body.contains("reason") ? 1U : 0U);
        if (!reason_alone) {
            return reply(problem(400, "bad-body", "The body is not understood",
                                 "send {\"reason\": TEXT}, or nothing: the broker reads its own file"));
        }
    }
    context.sources.reload_config([reply](const ConfigReload& reload) {
        Json json = reload_json(reload);
        if (reload.taken) return reply(json_response(json));
        json["type"] = "urn:trunkline:problem:configuration";
        json["title"] = "The configuration is not good; what was in force stays";
        json["status"] = 422;
        std::string detail;
        for (const Problem& one : reload.problems) {
            detail += (detail.empty() ? "" : "; ") + one.place + ": " + one.message;
        }
        json["detail"] = detail;
        Response response = json_response(json, 422);
        response.content_type = "application/problem+json";
        reply(std::move(response));
    });
}

}  // namespace

void add_config(Router& router, const ApiContext& context) {
    const std::string json = "application/json";
    router.add({"GET", "/api/v1/config", "The configuration in force, secrets masked", Permission::config_read, {},
                json, bind(context, get_config)});
    Route check{"POST", "/api/v1/config/check",
                "Is a configuration good? Every mistake with its place and mend, and what a reload of it would change",
                Permission::config_read,
                {{"file", "query", "string", false, "how places of a text are named, trunkline.yaml unless told"}},
                json,
                bind(context, post_check)};
    check.body_description = "the configuration as YAML; empty: the file that the broker was started with";
    check.seconds_max = 30;
    router.add(std::move(check));
    Route reload{"POST", "/api/v1/config/reload",
                 "Reads configuration, certificates, tokens, users and roles again; nobody is disconnected",
                 Permission::config_reload, {}, json, bind(context, post_reload)};
    reload.body_description = "reason (optional)";
    reload.seconds_max = 30;
    router.add(std::move(reload));
}

}  // namespace trunkline::admin
