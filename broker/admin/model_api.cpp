#include "broker/admin/model_api.h"

#include <memory>

#include "broker/admin/approvals.h"
#include "broker/admin/explain.h"
#include "broker/admin/handlers.h"
#include "broker/admin/pages.h"
#include "broker/core/governance.h"
#include "broker/core/log.h"
#include "namespace/life/report_json.h"
#include "namespace/model/diff.h"
#include "namespace/topic.h"

namespace trunkline::admin {
namespace {

constexpr std::uint64_t model_bytes_max = 16ULL << 20;
constexpr std::uint32_t long_seconds_max = 120;
constexpr std::size_t subscriptions_max = 200'000;  // that a plan looks at
constexpr std::size_t file_name_bytes_max = 256;

broker::Governance& governance(const ApiContext& context) { return context.sources.broker.governance(); }

Response json_text(std::string text) {
    Response response;
    response.body = std::move(text) + "\n";
    return response;
}

Response not_accepted(const std::vector<Problem>& problems) {
    const std::string detail =
        std::to_string(problems.size()) + (problems.size() == 1 ? " problem" : " problems") +
        (problems.empty() ? std::string()
                          : ", the first at " + problems.front().place + ": " + problems.front().message);
    Response response = problem(422, "model-invalid", "The model is not accepted", detail);
    Json body = Json::parse(response.body);
    body["problems"] = Json::parse(uns::to_json(problems));
    response.body = dump(body) + "\n";
    return response;
}

Response refused(const broker::Refused& why) {
    using Kind = broker::Refused::Kind;
    const std::string detail = why.what + (why.fix.empty() ? "" : "; " + why.fix);
    switch (why.kind) {
        case Kind::conflict:
            return problem(409, "conflict", "This version exists with another content", detail);
        case Kind::not_found:
            return problem(404, "not-found", "There is no such version", detail);
        case Kind::unavailable:
            return problem(503, "unavailable", "It cannot be stored now", detail);
        case Kind::judged:
            return problem(422, "judged", "The model does not take it", detail);
        case Kind::forbidden:
            return problem(403, "forbidden", "The roles do not allow it", detail);
        case Kind::none:
            break;
    }
    return problem(500, "internal", "The request failed", detail);
}

Json version_json(const broker::ModelVersion& version, std::uint64_t in_force) {
    Json json = {{"sequence", version.sequence}, {"name", version.name},
                 {"version", version.version},   {"hash", version.hash},
                 {"file", version.file},         {"who", version.who},
                 {"why", version.why},           {"applied_ms", version.applied_ms},
                 {"bytes", version.bytes},       {"in_force", version.sequence == in_force}};
    if (version.rolled_back_from != 0) json["rolled_back_from"] = version.rolled_back_from;
    return json;
}

Json model_json(const uns::Model& model) {
    return {{"name", model.name()}, {"version", model.version()},  {"hash", model.hash()},
            {"file", model.file()}, {"nodes", model.node_count()}, {"members", model.member_count()}};
}

broker::Change change_of(const Request& request, std::string why) {
    return {request.principal.empty() ? "admin" : request.principal, std::move(why)};
}

/// A model as it was sent: YAML, or JSON with it as text.
struct ModelBody {
    std::string yaml, file, reason;
};

std::optional<ModelBody> model_body(const Request& request, Response& wrong) {
    ModelBody body{request.body, request.get("file").value_or("model.yaml"), request.get("reason").value_or("")};
    if (request.body.starts_with('{')) {
        const Json json = Json::parse(request.body, nullptr, false);
        if (json.is_object() && json.contains("yaml")) {
            for (const auto& [name, value] : json.items()) {
                if ((name != "yaml" && name != "file" && name != "reason") || !value.is_string()) {
                    wrong = bad_parameter(name, "yaml, file and reason are texts, and there is nothing else");
                    return std::nullopt;
                }
            }
            body.yaml = json["yaml"].get<std::string>();
            if (json.contains("file")) body.file = json["file"].get<std::string>();
            if (json.contains("reason")) body.reason = json["reason"].get<std::string>();
        }
    }
    if (body.file.size() > file_name_bytes_max || body.file.empty()) {
        wrong = bad_parameter("file", "the name that places are told with, 1 to 256 bytes");
        return std::nullopt;
    }
    if (body.yaml.empty()) {
        wrong = problem(400, "bad-body", "The body is empty", "send the model as YAML");
        return std::nullopt;
    }
    return body;
}

void get_model(const ApiContext& context, const Request& request, const Reply& reply) {
    const auto model = governance(context).model();
    const auto current = governance(context).current();
    Json json = {{"applied", current.has_value()}};
    json.update(model_json(*model));
    if (current) json["current"] = version_json(*current, current->sequence);
    const std::string as = request.get("as").value_or("yaml");
    if (as != "yaml" && as != "json" && as != "none") return reply(bad_parameter("as", "yaml, json or none"));
    if (as == "none" || !current) return reply(json_response(json));
    answer_from_job(context.long_jobs, reply, [model, as, json = std::move(json)]() mutable {
        if (as == "yaml")
            json["yaml"] = model->source();
        else
            json["model"] = Json::parse(model->json(), nullptr, false);
        return json_response(json);
    });
}

/// With audit.approval another person must agree to what touches a regulated branch.
bool needs_approval(const ApiContext& context, const uns::Model& fresh) {
    return context.approvals && context.sources.broker.config().audit.approval != broker::AuditConfig::Approval::none &&
           touches_regulated(*governance(context).model(), fresh);
}

Json proposal_json(const Approvals::Proposal& proposal) {
    return {{"id", proposal.id},   {"at_ms", proposal.at_ms}, {"action", proposal.action},
            {"object", proposal.object}, {"who", proposal.who},     {"why", proposal.why},
            {"changes", Json::parse(proposal.changes, nullptr, false)}};
}

Response no_name() {
    return problem(403, "no-name", "A change that another person must approve needs a name",
                   "send a token of admin.tokens_file, or log in as a user of the roles file");
}

Response propose(const ApiContext& context, Approvals::Proposal proposal) {
    if (proposal.who.empty()) return no_name();
    proposal.at_ms = wall_ms();
    const auto id = context.approvals->add(proposal);
    if (!id) return problem(503, "busy", "Too many changes wait for approval already", "approve or withdraw some");
    proposal.id = *id;
    Json json = {{"pending", *id},
                 {"needs", "approval by another person: trunkctl model approve " + std::to_string(*id)},
                 {"proposal", proposal_json(proposal)}};
    Response response = json_response(json, 202);
    response.audit_action = proposal.action == "model.rollback" ? "model.propose-rollback" : "model.propose";
    return response;
}

void get_pending(const ApiContext& context, const Request& request, const Reply& reply) {
    Json list = Json::array();
    for (const auto& proposal : context.approvals->waiting(wall_ms())) list.push_back(proposal_json(proposal));
    reply(paged(std::move(list), "pending", "id", request));
}

std::optional<std::uint64_t> pending_id(const Request& request) {
    const std::string& text = request.parameters.at("id");
    const bool number = !text.empty() && text.size() < 19 && text.find_first_not_of("0123456789") == std::string::npos;
    return number ? std::optional<std::uint64_t>(std::stoull(text)) : std::nullopt;
}

Response no_proposal() {
    return problem(404, "not-found", "No such change waits for approval", "GET model/pending lists them");
}

void approve(const ApiContext& context, const Request& request, const Reply& reply) {
    const auto id = pending_id(request);
    const auto found = id ? context.approvals->find(*id, wall_ms()) : std::nullopt;
    if (!found) return reply(no_proposal());
    if (request.principal.empty() || request.principal == found->who) {
        return reply(problem(403, "same-person", "Another person must approve",
                             found->who + " has proposed the change"));
    }
    if (governance(context).model()->hash() != found->based_on) {
        return reply(problem(409, "conflict", "Another model has come into force since",
                             "withdraw the change and propose it again"));
    }
    auto taken = context.approvals->take(*id, wall_ms());
    if (!taken) return reply(no_proposal());  // somebody else was faster
    const broker::Change change{taken->who, taken->why + (taken->why.empty() ? "" : "; ") + "approved by " +
                                                request.principal};
    taken->run(change, [context, reply, proposal = *taken, approver = request.principal](const broker::Refused& why) {
        Response answer;
        if (why.kind != broker::Refused::Kind::none) {
            answer = refused(why);
        } else {
            Json json = {{"approved", proposal.id}, {"who", proposal.who}, {"approver", approver}};
            const auto current = governance(context).current();
            if (current) json["current"] = version_json(*current, current->sequence);
            answer = json_response(json);
        }
        answer.audit_action = proposal.action;
        answer.audit_actor = proposal.who;
        answer.audit_approver = approver;
        answer.audit_object = proposal.object;
        answer.audit_reason = proposal.why;
        reply(std::move(answer));
    });
}

/// By whoever has proposed it, or anybody else who may change models.
void withdraw(const ApiContext& context, const Request& request, const Reply& reply) {
    const auto id = pending_id(request);
    const auto taken = id ? context.approvals->take(*id, wall_ms()) : std::nullopt;
    if (!taken) return reply(no_proposal());
    Response answer = json_response({{"withdrawn", *id}});
    answer.audit_action = "model.withdraw";
    answer.audit_object = taken->object;
    reply(std::move(answer));
}

void put_model(const ApiContext& context, const Request& request, const Reply& reply) {
    Response wrong;
    auto body = model_body(request, wrong);
    if (!body) return reply(wrong);
    const bool dry_run = request.get("dry_run").value_or("false") == "true";
    const auto change = change_of(request, body->reason);
    auto job = [context, dry_run, change, named = !request.principal.empty(), reply, body = std::move(*body)] {
        const uns::Model::Result compiled = uns::Model::compile(body.yaml, body.file);
        if (!compiled.model) return reply(not_accepted(compiled.problems));
        broker::Governance& of = governance(context);
        Json json = model_json(*compiled.model);
        json["changes"] = Json::parse(uns::to_json(uns::diff(*of.model(), *compiled.model)));
        json["dry_run"] = dry_run;
        if (dry_run) return reply(json_response(json));
        if (needs_approval(context, *compiled.model)) {
            Approvals::Proposal proposal;
            proposal.action = "model.apply";
            proposal.object = compiled.model->name() + " " + compiled.model->version();
            if (named) proposal.who = change.who;
            proposal.why = change.why;
            proposal.changes = json["changes"].dump();
            proposal.based_on = of.model()->hash();
            proposal.run = [context, model = compiled.model](broker::Change by, broker::Governance::Done done) {
                governance(context).apply(model, std::move(by), std::move(done));
            };
            return reply(propose(context, std::move(proposal)));
        }
        of.apply(compiled.model, change, [context, json, change, reply](const broker::Refused& why) mutable {
            if (why.kind != broker::Refused::Kind::none) return reply(refused(why));
            const auto current = governance(context).current();
            if (current) json["current"] = version_json(*current, current->sequence);
            broker::log(broker::Level::info, "model_applied",
                        {{"version", json["version"].get<std::string>()}, {"who", change.who}, {"why", change.why}});
            reply(json_response(json));
        });
    };
    if (!context.long_jobs.post(std::move(job))) {
        reply(problem(503, "busy", "Too much is being worked out already", "try again in a moment"));
    }
}

void get_versions(const ApiContext& context, const Request& request, const Reply& reply) {
    const auto current = governance(context).current();
    Json list = Json::array();
    for (const broker::ModelVersion& version : governance(context).versions()) {
        list.push_back(version_json(version, current ? current->sequence : 0));
    }
    reply(paged(std::move(list), "versions", "sequence", request));
}

/// By sequence, or by the version's own text; of several the newest.
std::optional<broker::ModelVersion> find_version(const ApiContext& context, const std::string& which) {
    std::optional<broker::ModelVersion> found;
    for (broker::ModelVersion& version : governance(context).versions()) {
        if (std::to_string(version.sequence) == which) return version;
        if (version.version == which) found = std::move(version);
    }
    return found;
}

Response no_version(const std::string& which) {
    return problem(404, "not-found", "There is no such version",
                   "\"" + which + "\": see model/versions for what there is");
}

void get_version(const ApiContext& context, const Request& request, const Reply& reply) {
    const std::string which = request.parameters.at("n");
    const auto version = find_version(context, which);
    if (!version) return reply(no_version(which));
    const auto current = governance(context).current();
    Json json = version_json(*version, current ? current->sequence : 0);
    governance(context).source(version->sequence, [json, reply, which](std::optional<std::string> yaml) mutable {
        if (!yaml) return reply(no_version(which));
        json["yaml"] = std::move(*yaml);
        reply(json_response(json));
    });
}

void roll_back(const ApiContext& context, const broker::ModelVersion& to, const broker::Change& change,
               const Reply& reply);

void propose_rollback(const ApiContext& context, const broker::ModelVersion& to, const broker::Change& change,
                      const Reply& reply) {
    governance(context).source(to.sequence, [context, to, change, reply](std::optional<std::string> yaml) {
        if (!yaml) return reply(no_version(to.version));
        const bool taken = context.long_jobs.post([context, to, change, reply, yaml = *yaml] {
            const uns::Model::Result compiled = uns::Model::compile(yaml, to.file);
            if (!compiled.model) return reply(not_accepted(compiled.problems));
            if (!needs_approval(context, *compiled.model)) return roll_back(context, to, change, reply);
            Approvals::Proposal proposal;
            proposal.action = "model.rollback";
            proposal.object = to.name + " " + to.version;
            proposal.who = change.who;
            proposal.why = change.why;
            proposal.changes = uns::to_json(uns::diff(*governance(context).model(), *compiled.model));
            proposal.based_on = governance(context).model()->hash();
            proposal.run = [context, to](broker::Change by, broker::Governance::Done done) {
                governance(context).rollback(to.sequence, std::move(by), std::move(done));
            };
            reply(propose(context, std::move(proposal)));
        });
        if (!taken) reply(problem(503, "busy", "Too much is being worked out already", "try again in a moment"));
    });
}

void post_rollback(const ApiContext& context, const Request& request, const Reply& reply) {
    const Json body = request.body.empty() ? Json::object() : Json::parse(request.body, nullptr, false);
    if (!body.is_object()) return reply(problem(400, "bad-body", "The body is no JSON object", ""));
    for (const auto& [name, value] : body.items()) {
        if (name != "version" && name != "reason") return reply(bad_parameter(name, "unknown; version, reason"));
    }
    const Json version = body.value("version", Json());
    const Json reason = body.value("reason", Json(""));
    if (!reason.is_string()) return reply(bad_parameter("reason", "a text"));
    std::string which = version.is_string()            ? version.get<std::string>()
                        : version.is_number_unsigned() ? version.dump()
                                                       : "";
    if (which.empty() && !version.is_null()) return reply(bad_parameter("version", "a version, or its sequence"));
    if (which.empty()) {  // the one before the one in force
        const auto all = governance(context).versions();
        if (all.size() < 2) {
            return reply(
                problem(409, "conflict", "There is nothing to roll back to", "only one version was applied so far"));
        }
        which = std::to_string(all[all.size() - 2].sequence);
    }
    const auto to = find_version(context, which);
    if (!to) return reply(no_version(which));
    const auto change = change_of(request, reason.get<std::string>());
    if (context.sources.broker.config().audit.approval != broker::AuditConfig::Approval::none) {
        if (request.principal.empty()) return reply(no_name());
        return propose_rollback(context, *to, change, reply);
    }
    roll_back(context, *to, change, reply);
}

/// Puts `to` in force again, without asking anybody.
void roll_back(const ApiContext& context, const broker::ModelVersion& to, const broker::Change& change,
               const Reply& reply) {
    governance(context).rollback(to.sequence, change, [context, reply, to, change](const broker::Refused& why) {
        if (why.kind != broker::Refused::Kind::none) return reply(refused(why));
        broker::log(broker::Level::info, "model_rolled_back",
                    {{"version", to.version}, {"who", change.who}, {"why", change.why}});
        const auto current = governance(context).current();
        Json json = {{"rolled_back_to", to.version}};
        if (current) json["current"] = version_json(*current, current->sequence);
        reply(json_response(json));
    });
}

/// Recent traffic, which ends early when the broker stops.
uns::Traffic traffic_of(const ApiContext& context) {
    const uns::Traffic traffic = context.sources.traffic ? context.sources.traffic() : uns::Traffic();
    LongJobs& long_jobs = context.long_jobs;
    return [traffic, &long_jobs](const uns::TrafficVisit& visit) {
        if (!traffic) return;
        traffic([&](const uns::TrafficSample& sample) { return !long_jobs.stopping() && visit(sample); });
    };
}

using Subscriptions = std::vector<std::pair<std::string, std::string>>;

Response plan(const ApiContext& context, const ModelBody& body, Subscriptions subscriptions) {
    const uns::Model::Result compiled = uns::Model::compile(body.yaml, body.file);
    if (!compiled.model) return not_accepted(compiled.problems);
    const auto before = governance(context).model();
    uns::ReplayOptions options;
    options.now_ms = wall_ms();
    options.subscriptions = std::move(subscriptions);
    const uns::PlanReport report = uns::replay(traffic_of(context), *before, *compiled.model, options);
    const bool any = governance(context).current().has_value();
    return json_text(
        uns::to_json(report, {any ? before->version() : "", compiled.model->name(), compiled.model->version()}));
}

void post_plan(const ApiContext& context, const Request& request, const Reply& reply) {
    Response wrong;
    const auto body = model_body(request, wrong);
    if (!body) return reply(wrong);
    auto list = std::make_shared<Subscriptions>();
    const auto add = [list](std::string_view client, std::string_view filter) {
        if (list->size() < subscriptions_max && !client.starts_with("$")) list->emplace_back(client, filter);
    };
    context.sources.broker.visit_subscriptions(add, [context, reply, list, body = *body] {
        answer_from_job(context.long_jobs, reply,
                        [context, list, body] { return plan(context, body, std::move(*list)); });
    });
}

void post_learn(const ApiContext& context, const Request& request, const Reply& reply) {
    const Json body = request.body.empty() ? Json::object() : Json::parse(request.body, nullptr, false);
    if (!body.is_object()) return reply(problem(400, "bad-body", "The body is no JSON object", ""));
    for (const auto& [name, value] : body.items()) {
        if (name != "name" && name != "version" && name != "patterns_from" && name != "mode") {
            return reply(bad_parameter(name, "unknown; name, version, patterns_from, mode"));
        }
    }
    uns::LearnOptions options;
    const Json name = body.value("name", Json("")), version = body.value("version", Json(options.version));
    const Json patterns = body.value("patterns_from", Json(0U)), mode = body.value("mode", Json("observe"));
    if (!name.is_string()) return reply(bad_parameter("name", "a text"));
    if (!version.is_string() || version.get<std::string>().empty()) return reply(bad_parameter("version", "a text"));
    if (!patterns.is_number_unsigned()) return reply(bad_parameter("patterns_from", "a number; 0: no patterns"));
    if (mode != "observe" && mode != "quarantine" && mode != "enforce") {
        return reply(bad_parameter("mode", "observe, quarantine or enforce"));
    }
    options.name = name.get<std::string>();
    options.version = version.get<std::string>();
    options.patterns_from = patterns.get<std::size_t>();
    options.mode = mode == "observe"      ? uns::Mode::observe
                   : mode == "quarantine" ? uns::Mode::quarantine
                                          : uns::Mode::enforce;
    answer_from_job(context.long_jobs, reply,
         [context, options] { return json_text(uns::to_json(uns::learn(traffic_of(context), options))); });
}

void get_drift(const ApiContext& context, const Request& request, const Reply& reply) {
    Response wrong;
    const auto limit = number_parameter(request, "limit", 500, 1, 10'000, wrong);
    if (!limit) return reply(wrong);
    answer_from_job(context.long_jobs, reply, [context, limit] {
        uns::DriftOptions options;
        options.items_max = *limit;
        options.now_ms = wall_ms();
        return json_text(uns::to_json(uns::drift(traffic_of(context), *governance(context).model(), options)));
    });
}

void get_sheet(const ApiContext& context, const Request& request, const Reply& reply) {
    const auto asset = request.get("asset");
    if (!asset || !uns::is_valid_topic_name(*asset)) return reply(bad_parameter("asset", "the topic of an asset"));
    const auto sheet = uns::publisher_sheet(*governance(context).model(), *asset, wall_ms());
    if (sheet.empty()) {
        return reply(
            problem(404, "not-found", "No such asset", "\"" + *asset + "\" is no asset of the model in force"));
    }
    reply(json_text("{\"asset\":" + Json(*asset).dump(-1, ' ', false, Json::error_handler_t::replace) +
                    ",\"topics\":" + uns::to_json(sheet) + "}"));
}

Route with_body(Route route, const char* description, std::uint64_t bytes_max = 1 << 20) {
    route.body_description = description;
    route.body_bytes_max = bytes_max;
    return route;
}

}  // namespace

void add_model_routes(Router& router, const ApiContext& context) {
    const auto read = Permission::model_read, apply = Permission::model_apply;
    const std::string json = "application/json";
    const Parameter file{"file", "query", "string", false, "how places of the model are named, model.yaml unless told"};
    const auto add_long = [&](Route route) {
        route.seconds_max = long_seconds_max;
        router.add(std::move(route));
    };
    add_long({"GET",
              "/api/v1/model",
              "The model in force",
              read,
              {{"as", "query", "string", false, "yaml (unless told), json, or none: without its text"}},
              json,
              bind(context, get_model)});
    add_long(with_body({"PUT",
                        "/api/v1/model",
                        "Checks, stores and applies a model",
                        apply,
                        {file,
                         {"reason", "query", "string", false, "for the record"},
                         {"dry_run", "query", "boolean", false, "true: only checks, and tells what would change"}},
                        json,
                        bind(context, put_model)},
                       "the model as YAML, or JSON with yaml, file and reason", model_bytes_max));
    router.add({"GET",
                "/api/v1/model/versions",
                "Every version that was applied, oldest first",
                read,
                {page_limit_parameter(), page_cursor_parameter()},
                json,
                bind(context, get_versions)});
    router.add({"GET",
                "/api/v1/model/versions/{n}",
                "One version with its YAML",
                read,
                {{"n", "path", "string", true, "its sequence, or the version"}},
                json,
                bind(context, get_version)});
    add_long(with_body({"POST",
                        "/api/v1/model/plan",
                        "What applying a model would change and break",
                        read,
                        {file},
                        json,
                        bind(context, post_plan)},
                       "the model as YAML, or JSON with yaml and file", model_bytes_max));
    router.add(with_body({"POST",
                          "/api/v1/model/rollback",
                          "Puts an earlier version in force again",
                          apply,
                          {},
                          json,
                          bind(context, post_rollback)},
                         "version (a version or its sequence; the one before unless told), reason"));
    router.add({"GET", "/api/v1/model/pending", "Changes that wait for a second person", read,
                {page_limit_parameter(), page_cursor_parameter()}, json,
                bind(context, get_pending)});
    router.add(with_body({"POST", "/api/v1/model/pending/{id}/approve", "Approves a change of somebody else",
                          Permission::model_approve, {{"id", "path", "integer", true, "as the list gives it"}}, json,
                          bind(context, approve)},
                         "reason"));
    router.add({"DELETE", "/api/v1/model/pending/{id}", "Withdraws a change that waits", apply,
                {{"id", "path", "integer", true, "as the list gives it"}}, json, bind(context, withdraw)});
    add_long(with_body({"POST",
                        "/api/v1/model/learn",
                        "Proposes a model from recent traffic",
                        read,
                        {},
                        json,
                        bind(context, post_learn)},
                       "name, version, patterns_from (0: each instance by name), mode (observe)"));
    add_long({"GET",
              "/api/v1/model/drift",
              "What the traffic does that the model does not say",
              read,
              {{"limit", "query", "integer", false, "items, 1 to 10000, 500 unless told"}},
              json,
              bind(context, get_drift)});
    router.add({"GET",
                "/api/v1/model/sheet",
                "What the publisher of an asset has to send",
                read,
                {{"asset", "query", "string", true, "the asset's topic"}},
                json,
                bind(context, get_sheet)});
    router.add(with_body({"POST",
                          "/api/v1/explain",
                          "Every check of a publish or subscription, in order",
                          read,
                          {},
                          json,
                          bind(context, post_explain)},
                         "topic, payload (text), encoding (utf-8 or base64), client_id, user, retain, subscribe"));
}

}  // namespace trunkline::admin
