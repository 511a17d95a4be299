#include "broker/admin/audit_api.h"

#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <iterator>

#include "auth/audit/prove.h"
#include "auth/audit/reader.h"
#include "auth/audit/verify.h"
#include "auth/audit/witness.h"
#include "broker/admin/audit_trail.h"
#include "broker/admin/handlers.h"
#include "broker/core/log.h"

namespace trunkline::admin {
namespace {

namespace audit = auth::audit;

constexpr std::uint64_t export_max = 100'000;
constexpr std::size_t export_bytes_max = 8 << 20;
constexpr std::uint32_t read_seconds_max = 60, verify_seconds_max = 600;

AuditTrail* trail_of(const ApiContext& context) { return context.sources.audit; }

Response no_trail() {
    return problem(404, "not-found", "There is no audit trail", "audit.enabled is false in the configuration");
}

Response failed(const audit::Error& error) {
    using audit::Failure;
    if (error.kind == Failure::absent) return problem(404, "not-found", "Not in the audit trail", error.message);
    if (error.kind == Failure::invalid) return problem(400, "bad-body", "The request cannot be taken", error.message);
    return problem(500, "audit-damaged", "The audit trail cannot be read", error.message);
}

/// Runs on the worker thread: reading a trail takes a while.
void post(const ApiContext& context, const Reply& reply, std::function<Response()> job) {
    if (!trail_of(context)) return reply(no_trail());
    answer_from_job(context.long_jobs, reply, std::move(job));
}

std::optional<audit::RecordFilter> filter_of(const Request& request, Response& wrong) {
    audit::RecordFilter filter;
    filter.actor = request.get("actor").value_or("");
    filter.action = request.get("action").value_or("");
    filter.object = request.get("object").value_or("");
    for (const auto& [name, to] : {std::pair("from", &filter.from_utc_ns), std::pair("to", &filter.to_utc_ns)}) {
        const auto text = request.get(name);
        if (!text) continue;
        const auto parsed = audit::parse_utc(*text);
        if (!parsed) {
            wrong = bad_parameter(name, "a UTC time such as 2026-11-23 or 2026-11-23T02:13:28Z");
            return std::nullopt;
        }
        *to = *parsed;
    }
    if (const auto outcome = request.get("result")) {
        for (const auto one : {audit::Outcome::ok, audit::Outcome::denied, audit::Outcome::failed}) {
            if (audit::to_text(one) == *outcome) filter.outcome = one;
        }
        if (!filter.outcome) {
            wrong = bad_parameter("result", "ok, denied or failed");
            return std::nullopt;
        }
    }
    const auto cursor = number_parameter(request, "cursor", 0, 0, ~std::uint64_t{0} >> 1, wrong);
    if (!cursor) return std::nullopt;
    filter.from_sequence = *cursor;
    return filter;
}

Json record_json(const audit::Record& record) { return Json::parse(audit::to_json_line(record)); }

void get_records(const ApiContext& context, const Request& request, const Reply& reply) {
    Response wrong;
    const auto filter = filter_of(request, wrong);
    if (!filter) return reply(wrong);
    const auto limit = number_parameter(request, "limit", page_default, 1, page_max, wrong);
    if (!limit) return reply(wrong);
    post(context, reply, [context, filter, limit] {
        const auto store = audit::FileAuditStore::open(trail_of(context)->folder(), audit::FileAuditStore::Mode::read);
        if (!store) return failed(store.error());
        const auto reader = audit::TrailReader::open(**store);
        if (!reader) return failed(reader.error());
        Json list = Json::array();
        std::optional<std::uint64_t> next;
        const auto done = reader->for_each(*filter, [&](const audit::Record& record) {
            if (list.size() == *limit) {
                next = record.sequence;
                return false;
            }
            list.push_back(record_json(record));
            return !context.long_jobs.stopping();
        });
        if (!done) return failed(done.error());
        Json json = {{"records", std::move(list)}};
        if (next) json["cursor"] = std::to_string(*next);
        return json_response(json);
    });
}

/// The newest records that fit, oldest first: looked for further and further back, since leaves lie between them.
void get_tail(const ApiContext& context, const Request& request, const Reply& reply) {
    Response wrong;
    const auto filter = filter_of(request, wrong);
    if (!filter) return reply(wrong);
    const auto limit = number_parameter(request, "limit", 50, 1, page_max, wrong);
    if (!limit) return reply(wrong);
    post(context, reply, [context, filter, limit] {
        const auto store = audit::FileAuditStore::open(trail_of(context)->folder(), audit::FileAuditStore::Mode::read);
        if (!store) return failed(store.error());
        const auto reader = audit::TrailReader::open(**store);
        if (!reader) return failed(reader.error());
        const std::uint64_t size = trail_of(context)->numbers().size;
        std::deque<audit::Record> found;
        std::uint64_t after = 0;
        for (std::uint64_t back = 16 * *limit;; back *= 16) {
            audit::RecordFilter from = *filter;
            from.from_sequence = std::max(filter->from_sequence, size > back ? size - back : 0);
            found.clear();
            const auto done = reader->for_each(from, [&](const audit::Record& record) {
                found.push_back(record);
                if (found.size() > *limit) found.pop_front();
                after = record.sequence + 1;
                return !context.long_jobs.stopping();
            });
            if (!done) return failed(done.error());
            if (found.size() == *limit || from.from_sequence == filter->from_sequence || back >= size) break;
        }
        Json list = Json::array();
        for (const audit::Record& record : found) list.push_back(record_json(record));
        return json_response({{"records", std::move(list)}, {"cursor", std::to_string(std::max(after, size))}});
    });
}

Json numbers_json(const AuditNumbers& numbers) {
    Json json = {{"open", numbers.open}, {"origin", numbers.origin},   {"public_key", numbers.key},
                 {"size", numbers.size}, {"records", numbers.records}, {"leaves", numbers.leaves},
                 {"lost", numbers.lost}, {"waiting", numbers.waiting}};
    if (!numbers.alarm.empty()) json["alarm"] = numbers.alarm;
    if (numbers.checkpoint_size > 0) {
        json["checkpoint"] = {{"size", numbers.checkpoint_size},
                              {"root", numbers.checkpoint_root},
                              {"time", audit::utc_text(numbers.checkpoint_utc_ns)}};
    }
    json["witnesses"] = Json::array();
    for (const AuditWitnessNumbers& witness : numbers.witnesses) {
        Json one = {{"name", witness.name}, {"delivered", witness.delivered}, {"waiting", witness.waiting},
                    {"dropped", witness.dropped}};
        if (!witness.last_error.empty()) one["last_error"] = witness.last_error;
        json["witnesses"].push_back(std::move(one));
    }
    return json;
}

void get_audit_status(const ApiContext& context, const Request&, const Reply& reply) {
    if (!trail_of(context)) return reply(no_trail());
    Json json = numbers_json(trail_of(context)->numbers());
    json["folder"] = trail_of(context)->folder();
    reply(json_response(json));
}

Json report_json(const audit::VerifyReport& report) {
    Json json = {{"good", report.good()},
                 {"size", report.size},
                 {"records", report.records},
                 {"publishes", report.publishes},
                 {"segments", report.segments},
                 {"checkpoints", report.checkpoints},
                 {"key_changes", report.key_changes},
                 {"witnessed", report.witnessed},
                 {"not_yet_signed", report.unsigned_leaves}};
    json["findings"] = Json::array();
    for (const audit::Finding& finding : report.findings) {
        json["findings"].push_back({{"kind", audit::to_text(finding.kind)},
                                    {"sequence", finding.sequence},
                                    {"last_sequence", finding.last_sequence},
                                    {"file", finding.file},
                                    {"offset", finding.offset},
                                    {"message", finding.message}});
    }
    json["warnings"] = report.warnings;
    return json;
}

/// With the key that the broker itself signs by: what an inspector trusts is trunkaudit, his key and his witnesses.
void post_verify(const ApiContext& context, const Request&, const Reply& reply) {
    post(context, reply, [context] {
        const auto store = audit::FileAuditStore::open(trail_of(context)->folder(), audit::FileAuditStore::Mode::read);
        if (!store) return failed(store.error());
        const auto key = audit::VerifyKey::parse(trail_of(context)->numbers().key);
        if (!key) return failed(key.error());
        const auto report = audit::verify(**store, {*key, {}, 1, true});
        if (!report) return failed(report.error());
        Json json = report_json(*report);
        json["public_key"] = key->to_text();
        return json_response(json);
    });
}

Response proof_response(const audit::Result<std::string>& proof) {
    if (!proof) return failed(proof.error());
    Response response;
    response.body = *proof;
    return response;
}

void get_proof(const ApiContext& context, const Request& request, const Reply& reply) {
    const std::string text = request.parameters.at("sequence");
    const bool number = text.size() < 19 && text.find_first_not_of("0123456789") == std::string::npos;
    if (!number) return reply(bad_parameter("sequence", "the number of a record"));
    post(context, reply, [context, sequence = std::stoull(text)] {
        const auto store = audit::FileAuditStore::open(trail_of(context)->folder(), audit::FileAuditStore::Mode::read);
        if (!store) return failed(store.error());
        return proof_response(audit::prove_record(**store, sequence));
    });
}

/// The facts of a publish as its publisher was told them; the leaf is looked for from `from` on.
void post_proof(const ApiContext& context, const Request& request, const Reply& reply) {
    Response wrong;
    const auto from = number_parameter(request, "from", 0, 0, ~std::uint64_t{0} >> 1, wrong);
    if (!from) return reply(wrong);
    post(context, reply, [context, facts = request.body, from] {
        const auto store = audit::FileAuditStore::open(trail_of(context)->folder(), audit::FileAuditStore::Mode::read);
        if (!store) return failed(store.error());
        return proof_response(audit::prove_publish_json(**store, facts, *from));
    });
}

std::string actor_of(const Request& request) { return request.principal.empty() ? "admin" : request.principal; }

audit::Record record_of(const Request& request, std::string_view action) {
    audit::Record record;
    record.actor = actor_of(request);
    record.method = request.known_by;
    record.source = request.source;
    record.action = action;
    return record;
}

/// A page of records as a file's lines; what was taken along is itself a record.
void get_export(const ApiContext& context, const Request& request, const Reply& reply) {
    Response wrong;
    const auto filter = filter_of(request, wrong);
    if (!filter) return reply(wrong);
    const auto limit = number_parameter(request, "limit", export_max, 1, export_max, wrong);
    if (!limit) return reply(wrong);
    const std::string format = request.get("format").value_or("jsonl");
    if (format != "jsonl" && format != "csv") return reply(bad_parameter("format", "jsonl or csv"));
    if (trail_of(context) && !trail_of(context)->takes_changes()) {
        return reply(problem(503, "audit-unavailable", "The audit trail cannot be written",
                             "an export is itself audited: " + trail_of(context)->numbers().alarm));
    }
    const bool csv = format == "csv", first = !request.get("cursor");
    post(context, reply, [context, filter, limit, csv, first, request] {
        const auto store = audit::FileAuditStore::open(trail_of(context)->folder(), audit::FileAuditStore::Mode::read);
        if (!store) return failed(store.error());
        const auto reader = audit::TrailReader::open(**store);
        if (!reader) return failed(reader.error());
        Response response;
        response.content_type = csv ? "text/csv; charset=utf-8" : "application/jsonl";
        if (csv && first) response.body = audit::csv_header();
        std::uint64_t count = 0, from = 0, to = 0;
        std::optional<std::uint64_t> next;
        const auto done = reader->for_each(*filter, [&](const audit::Record& record) {
            if (count == *limit || response.body.size() >= export_bytes_max) {
                next = record.sequence;
                return false;
            }
            response.body += csv ? audit::to_csv_row(record) : audit::to_json_line(record) + "\n";
            if (count++ == 0) from = record.sequence;
            to = record.sequence;
            return !context.long_jobs.stopping();
        });
        if (!done) return failed(done.error());
        if (next) response.headers.emplace_back("Trunkline-Cursor", std::to_string(*next));
        audit::Record record = record_of(request, audit::action::export_trail);
        record.object = count == 0 ? "no records" : "records " + std::to_string(from) + " to " + std::to_string(to);
        record.new_value = audit::Value::hash_of(response.body);
        record.reason = request.get("reason").value_or(request.reason);
        record.count = std::max<std::uint64_t>(count, 1);
        trail_of(context)->record(std::move(record), [](bool) {});
        return response;
    });
}

void post_checkpoint(const ApiContext& context, const Request&, const Reply& reply) {
    if (!trail_of(context)) return reply(no_trail());
    trail_of(context)->checkpoint([reply](const AuditNumbers& numbers) {
        const unsigned status = numbers.alarm.empty() ? 200 : 503;
        if (status != 200) {
            return reply(problem(503, "audit-unavailable", "The audit trail cannot be written", numbers.alarm));
        }
        reply(json_response(numbers_json(numbers)));
    });
}

void post_rotate(const ApiContext& context, const Request& request, const Reply& reply) {
    if (!trail_of(context)) return reply(no_trail());
    const Json body = request.body.empty() ? Json::object() : Json::parse(request.body, nullptr, false);
    const Json given = body.is_object() ? body.value("reason", Json(request.reason)) : Json();
    if (!given.is_string()) return reply(problem(400, "bad-body", "The body is no JSON object with a reason", ""));
    trail_of(context)->rotate_key(actor_of(request), given.get<std::string>(),
                                  [context, reply](const std::string& wrong) {
                                      if (!wrong.empty()) {
                                          return reply(problem(503, "audit-unavailable", "The key was not changed",
                                                               wrong));
                                      }
                                      reply(json_response(numbers_json(trail_of(context)->numbers())));
                                  });
}

/// A checkpoint of another broker's trail, kept as a line of `witnessed/ORIGIN.checkpoints` beside our own trail. One
/// that contradicts what was kept is refused: its disk was rolled back, or its trail was rewritten.
Response keep_witnessed(const std::string& folder, const std::string& line) {
    const auto text = audit::parse_witness_text(line + "\n");
    if (text.checkpoints.size() != 1 || !text.problems.empty()) {
        return problem(400, "bad-body", "The body is no line of a witness", "");
    }
    const audit::Checkpoint& fresh = text.checkpoints.front().checkpoint;
    std::string name = fresh.origin;
    std::replace_if(name.begin(), name.end(), [](char c) { return c == '/' || c == '.'; }, '_');
    const std::string path = folder + "/../witnessed";
    ::mkdir(path.c_str(), 0700);
    const std::string file = path + "/" + name + ".checkpoints";
    std::ifstream in(file, std::ios::binary);
    in.seekg(0, std::ios::end);
    const std::streamoff size = in ? static_cast<std::streamoff>(in.tellg()) : 0;
    constexpr std::streamoff looked_at = 64 * 1'024;   // the newest lines
    in.seekg(size > looked_at ? size - looked_at : 0);
    const std::string newest((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    for (const audit::Witnessed& kept : audit::parse_witness_text(newest).checkpoints) {
        if (kept.checkpoint == fresh) return json_response({{"kept", true}});
        const bool other = kept.checkpoint.size == fresh.size && kept.checkpoint.root != fresh.root;
        if (kept.checkpoint.origin != fresh.origin || (kept.checkpoint.size <= fresh.size && !other)) continue;
        return problem(409, "conflict", "It contradicts a checkpoint that was kept",
                       fresh.origin + " had " + std::to_string(kept.checkpoint.size) + " leaves and now shows " +
                           std::to_string(fresh.size) + ": rolled back, or rewritten");
    }
    audit::FileWitness witness(file);
    if (const auto done = witness.deliver(line); !done) {
        return problem(503, "unavailable", "It cannot be kept", done.error().message);
    }
    return json_response({{"kept", true}});
}

void post_witness(const ApiContext& context, const Request& request, const Reply& reply) {
    post(context, reply, [context, line = request.body, source = request.source, method = request.known_by] {
        Response answer = keep_witnessed(trail_of(context)->folder(), line);
        if (answer.status == 409) {
            broker::log(broker::Level::error, "audit_witness_conflict", {{"source", source}});
            audit::Record record;
            record.method = method;
            record.source = source;
            record.action = "audit.witness-conflict";
            record.object = "checkpoint";
            record.reason = Json::parse(answer.body).value("detail", "");
            record.outcome = audit::Outcome::failed;
            trail_of(context)->record(std::move(record), [](bool) {});
        }
        return answer;
    });
}

/// What a change is called in the trail.
struct Named {
    std::string_view method, path, action;
    bool answer = false;     ///< the answer says what has changed, and holds no secret
};

constexpr Named named[] = {
    {"PUT", "/api/v1/model", audit::action::model},
    {"POST", "/api/v1/model/rollback", "model.rollback"},
    {"DELETE", "/api/v1/clients/{id}", "client.kick", true},
    {"DELETE", "/api/v1/sessions/{id}", "session.remove", true},
    {"POST", "/api/v1/config/reload", audit::action::config, true},
    {"DELETE", "/api/v1/retained", "retained.remove", true},
    {"POST", "/api/v1/publish", audit::action::publish},
    {"POST", "/api/v1/drain", "drain.begin", true},
    {"DELETE", "/api/v1/drain", "drain.end", true},
    {"POST", "/api/v1/quarantine/{id}/replay", "quarantine.replay", true},
    {"DELETE", "/api/v1/quarantine/{id}", "quarantine.drop", true},
    {"DELETE", "/api/v1/quarantine", "quarantine.drop", true},
    {"POST", "/api/v1/audit/checkpoint", "audit.checkpoint"},
};

/// Asked with a body, or a record of their own: no changes.
constexpr std::string_view asked[] = {"/api/v1/model/plan",   "/api/v1/model/learn", "/api/v1/explain",
                                      "/api/v1/config/check",
                                      "/api/v1/audit/verify", "/api/v1/audit/prove", "/api/v1/audit/rotate-key",
                                      "/api/v1/audit/witness",
                                      "/api/v1/access/test",  "/api/v1/access/who-can"};

Named name_of(const Route& route) {
    for (const Named& one : named) {
        if (one.method == route.method && one.path == route.path) return one;
    }
    return {route.method, route.path, {}};
}

std::string text_in(const Json& body, const char* name) {
    if (!body.is_object()) return {};
    const auto at = body.find(name);
    return at != body.end() && at->is_string() ? at->get<std::string>() : std::string();
}

audit::Value model_in_force(const Sources& sources) {
    const auto current = sources.broker.governance().current();
    return current ? audit::Value::of(current->name + " " + current->version + " " + current->hash) : audit::Value();
}

/// Of what a change is about: what its path names, or its query, or its body.
std::string object_of(const Route& route, const Request& request, const Json& body) {
    std::string object;
    for (const auto& [name, value] : request.parameters) object += (object.empty() ? "" : " ") + value;
    for (const char* name : {"filter", "file", "topic"}) {
        if (object.empty()) object = request.get(name).value_or("");
    }
    for (const char* name : {"topic", "file", "version", "name", "user", "server_reference"}) {
        if (object.empty()) object = text_in(body, name);
    }
    return object.empty() ? route.path : object;
}

}  // namespace

Json audit_status(const Sources& sources) { return sources.audit ? numbers_json(sources.audit->numbers()) : Json(); }

void call_audited(const Sources& sources, const Route& route, const Request& request, const Reply& reply) {
    const bool asks = route.method == "GET" || route.method == "HEAD" ||
                      std::find(std::begin(asked), std::end(asked), route.path) != std::end(asked) ||
                      request.get("dry_run").value_or("false") == "true";
    AuditTrail* const trail = sources.audit;
    if (asks || !trail) return route.handler(request, reply);
    if (!trail->takes_changes()) {
        return reply(problem(503, "audit-unavailable", "Changes are refused: the audit trail cannot be written",
                             trail->numbers().alarm));
    }
    const Named name = name_of(route);
    const bool model = route.path.starts_with("/api/v1/model");
    // Large bodies are models, which name themselves once they are in force.
    const Json body = request.body.size() <= (1 << 20) && !model ? Json::parse(request.body, nullptr, false) : Json();
    audit::Record record = record_of(request, name.action);
    if (record.action.empty()) record.action = "admin " + route.method + " " + route.path;
    record.object = object_of(route, request, body);
    record.reason = request.get("reason").value_or(text_in(body, "reason"));
    if (record.reason.empty()) record.reason = request.reason;
    if (model) record.old_value = model_in_force(sources);
    if (name.action == audit::action::publish) record.new_value = audit::Value::hash_of(text_in(body, "payload"));
    route.handler(request, [&sources, trail, name, model, record, reply](Response response) mutable {
        if (response.audit_reason) record.reason = *response.audit_reason;
        if (!response.audit_approver.empty()) record.approver = response.audit_approver;
        if (!response.audit_action.empty()) record.action = response.audit_action;
        if (!response.audit_actor.empty()) record.actor = response.audit_actor;
        if (!response.audit_object.empty()) record.object = response.audit_object;
        record.outcome = response.status < 400                             ? audit::Outcome::ok
                         : response.status == 401 || response.status == 403 ? audit::Outcome::denied
                                                                            : audit::Outcome::failed;
        if (record.outcome != audit::Outcome::ok) {
            const Json told = Json::parse(response.body, nullptr, false);
            record.new_value = audit::Value::of("refused: " + text_in(told, "title") + ": " + text_in(told, "detail"));
        } else if (model) {
            record.new_value = model_in_force(sources);
        } else if (name.answer) {
            record.new_value = audit::Value::of(response.body);
        }
        auto answer = std::make_shared<Response>(std::move(response));
        trail->record(std::move(record), [answer, reply](bool safe) {
            if (!safe) answer->headers.emplace_back("Trunkline-Audit", "not written yet");
            reply(std::move(*answer));
        });
    });
}

void add_audit_routes(Router& router, const ApiContext& context) {
    const std::string json = "application/json";
    const std::vector<Parameter> filters = {
        {"actor", "query", "string", false, "who did it: NAME or BEGINNING*"},
        {"action", "query", "string", false, "what was done: NAME or BEGINNING*"},
        {"object", "query", "string", false, "to what: NAME or BEGINNING*"},
        {"from", "query", "string", false, "not before this UTC time"},
        {"to", "query", "string", false, "before this UTC time"},
        {"result", "query", "string", false, "ok, denied or failed"},
        {"cursor", "query", "string", false, "`cursor` of the page before, or the number of a record"},
        {"limit", "query", "integer", false, "records in a page"}};
    const auto with = [&filters](std::vector<Parameter> more) {
        std::vector<Parameter> all = filters;
        all.insert(all.end(), more.begin(), more.end());
        return all;
    };
    const auto add = [&](const char* method, const char* path, const char* summary, Permission needs,
                         std::vector<Parameter> parameters, auto function, const char* body = "",
                         std::uint32_t seconds = read_seconds_max) {
        Route route{method, path, summary, needs, std::move(parameters), json, bind(context, function)};
        route.body_description = body;
        route.seconds_max = seconds;
        router.add(std::move(route));
    };
    add("GET", "/api/v1/audit", "Records of the audit trail, oldest first", Permission::audit_read, filters,
        get_records);
    add("GET", "/api/v1/audit/tail", "The newest records, oldest first; the cursor follows them",
        Permission::audit_read, filters, get_tail);
    add("GET", "/api/v1/audit/status", "Public key, size, newest checkpoint, witnesses", Permission::audit_read, {},
        get_audit_status);
    add("POST", "/api/v1/audit/verify", "Is the trail what was written and signed?", Permission::audit_read, {},
        post_verify, "", verify_seconds_max);
    add("GET", "/api/v1/audit/prove/{sequence}", "A proof that a record is in the trail", Permission::audit_read,
        {{"sequence", "path", "integer", true, "its number"}}, get_proof);
    add("POST", "/api/v1/audit/prove", "A proof that a publish is in the trail", Permission::audit_read,
        {{"from", "query", "integer", false, "the first leaf to look at"}}, post_proof,
        "time, monotonic_ns (or from and to, at most ten minutes apart), principal, client_id, topic, payload_sha256",
        verify_seconds_max);
    add("GET", "/api/v1/audit/export",
        "Records as JSON Lines or CSV, in pages; header Trunkline-Cursor: there are more", Permission::audit_read,
        with({{"format", "query", "string", false, "jsonl (unless told) or csv"},
              {"reason", "query", "string", false, "for the record"}}),
        get_export);
    add("POST", "/api/v1/audit/checkpoint", "Signs what is there now", Permission::audit_write, {}, post_checkpoint);
    add("POST", "/api/v1/audit/witness", "Keeps a checkpoint of another broker's trail", Permission::audit_witness, {},
        post_witness, "a line as witnesses keep it");
    add("POST", "/api/v1/audit/rotate-key", "A new key signs from now on", Permission::audit_write, {}, post_rotate,
        "reason");
}

}  // namespace trunkline::admin
