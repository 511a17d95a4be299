#include "broker/admin/api.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <set>

#include "broker/admin/access_api.h"
#include "broker/admin/advice.h"
#include "broker/admin/audit_api.h"
#include "broker/admin/backup_api.h"
#include "broker/admin/config_api.h"
#include "broker/admin/governance_api.h"
#include "broker/admin/handlers.h"
#include "broker/admin/identity.h"
#include "broker/admin/model_api.h"
#include "broker/admin/namespace_api.h"
#include "broker/admin/namespace_json.h"
#include "broker/admin/process_stats.h"
#include "broker/admin/session_api.h"
#include "broker/core/log.h"
#include "namespace/topic.h"

namespace trunkline::admin {
namespace {

constexpr std::size_t server_reference_bytes_max = 1'024;
constexpr std::size_t retained_page_bytes_max = 8 << 20;

const Parameter limit_parameter{"limit", "query", "integer", false, "entries in a page, 1 to 10000, 1000 unless told"};
const Parameter cursor_parameter{"cursor", "query", "string", false, "`cursor` of the page before"};

Json connects_json(const Totals& totals) {
    return {{"connected", totals.connections},
            {"mqtt_3_1", totals.connections_by_version[0]},
            {"mqtt_3_1_1", totals.connections_by_version[1]},
            {"mqtt_5_0", totals.connections_by_version[2]}};
}

Json listeners_json(const Sources& sources) {
    Json list = Json::array();
    if (!sources.listeners) return list;
    for (const ListenerNumbers& listener : sources.listeners()) {
        Json entry = {{"url", listener.url}, {"address", listener.address}, {"connections", listener.connections}};
        if (listener.certificate_expires_s) entry["certificate_expires_s"] = listener.certificate_expires_s;
        list.push_back(std::move(entry));
    }
    return list;
}

/// Names of the alarms that are on.
Json alarms_json(const Sources& sources) {
    Json list = Json::array();
    if (!sources.alarms) return list;
    for (const Alarm& alarm : sources.alarms()) {
        if (alarm.on) list.push_back(alarm.name);
    }
    return list;
}

/// Printable ASCII: what host names, addresses and ports are made of.
bool is_server_reference(std::string_view text) {
    return text.size() <= server_reference_bytes_max &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

Json drain_json(const std::optional<broker::Drain>& drain) {
    if (!drain) return {{"draining", false}};
    return {{"draining", true}, {"server_reference", drain->server_reference}, {"moved", drain->moved}};
}

Json status_json(const ApiContext& context) {
    const Sources& sources = context.sources;
    broker::Broker& broker = sources.broker;
    const Totals totals = sum_counters(broker);
    const auto reasons = context.readiness.reasons(broker);
    const auto rates = context.meter.rates();
    const broker::Health health = broker.log().health();
    const bool strict = broker.config().durability == broker::Durability::strict;
    const ProcessStats process = process_stats();
    Json json = {{"healthy", reasons.empty()}, {"reasons", reasons}, {"version", sources.version},
                 {"node", broker.config().node}, {"durability", strict ? "strict" : "relaxed"},
                 {"started_at_ms", sources.started_wall_ms},
                 {"uptime_s", (steady_ms() - sources.started_steady_ms) / 1'000}};
    json["alarms"] = alarms_json(sources);
    json["advice"] = advice_json(advice(context));
    json["drain"] = drain_json(broker.draining());
    json["clients"] = connects_json(totals);
    json["sessions_durable"] = broker.durable_session_count();
    json["subscriptions"] = broker.subscription_count();
    json["retained"] = {{"messages", broker.retained().count()}, {"bytes", broker.retained().bytes()}};
    json["rates"] = {{"messages_received", rates.messages_received}, {"messages_sent", rates.messages_sent},
                     {"bytes_received", rates.bytes_received}, {"bytes_sent", rates.bytes_sent}};
    json["totals"] = {{"messages_received", totals.received()}, {"messages_sent", totals.sent()},
                      {"messages_dropped", totals.all_dropped()}, {"publishes_refused", totals.publishes_refused}};
    json["governance"] = governance_status(broker.governance(), context.meter);
    json["audit"] = audit_status(sources);
    json["log"] = {{"accepting", health.accepting}, {"backlog_bytes", health.backlog_bytes}};
    if (sources.store) {
        const StoreNumbers store = sources.store();
        json["disk"] = {{"store_bytes", store.bytes}, {"free_bytes", store.disk_free}, {"size_bytes", store.disk_size}};
    }
    json["process"] = {{"resident_bytes", process.resident_bytes}, {"cpu_seconds", process.cpu_seconds},
                       {"open_descriptors", process.open_descriptors}, {"max_descriptors", process.max_descriptors}};
    json["listeners"] = listeners_json(sources);
    return json;
}

Json client_json(const broker::ClientInfo& client) {
    return {{"client_id", client.client_id}, {"user", client.user}, {"address", client.address},
            {"listener", client.listener}, {"version", client.version}, {"shard", client.shard},
            {"durable", client.durable}, {"clean_start", client.clean_start},
            {"connected_since_ms", client.connected_since_ms}, {"keep_alive_s", client.keep_alive_s},
            {"session_expiry_s", client.session_expiry_s}, {"subscriptions", client.subscriptions},
            {"messages_in", client.messages_in}, {"messages_out", client.messages_out},
            {"inflight_out", client.inflight_out}, {"queued", client.queued},
            {"write_buffer_bytes", client.write_buffer_bytes}};
}

/// The first `limit` clients after a cursor, in order of their ids, gathered from several threads: memory is bounded by
/// the page, not by the clients.
class ClientPage {
public:
    ClientPage(std::string after, std::size_t limit) : after_(std::move(after)), limit_(limit) {}
    void add(const broker::ClientInfo& client) {
        if (!after_.empty() && client.client_id <= after_) return;
        const std::lock_guard lock(mutex_);
        clients_.insert(client);
        if (clients_.size() <= limit_) return;
        more_ = true;
        clients_.erase(std::prev(clients_.end()));
    }
    [[nodiscard]] Json json() const {
        const std::lock_guard lock(mutex_);
        Json list = Json::array();
        for (const broker::ClientInfo& client : clients_) list.push_back(client_json(client));
        Json page = {{"clients", std::move(list)}};
        if (more_) page["cursor"] = clients_.rbegin()->client_id;
        return page;
    }

private:
    struct ById {
        bool operator()(const broker::ClientInfo& a, const broker::ClientInfo& b) const {
            return a.client_id < b.client_id;
        }
    };
    std::string after_;
    std::size_t limit_;
    mutable std::mutex mutex_;
    std::set<broker::ClientInfo, ById> clients_;
    bool more_ = false;
};

void get_clients(const ApiContext& context, const Request& request, const Reply& reply) {
    Response wrong;
    const auto limit = number_parameter(request, "limit", page_default, 1, page_max, wrong);
    if (!limit) return reply(wrong);
    auto page = std::make_shared<ClientPage>(request.get("cursor").value_or(""), *limit);
    context.sources.broker.visit_clients([page](const broker::ClientInfo& client) { page->add(client); },
                                         [page, reply] { reply(json_response(page->json())); });
}

void get_client(const ApiContext& context, const Request& request, const Reply& reply) {
    struct Found {
        std::mutex mutex;
        std::optional<Json> json;
    };
    auto found = std::make_shared<Found>();
    const std::string id = request.parameters.at("id");
    context.sources.broker.visit_clients(
        [found, id](const broker::ClientInfo& client) {
            if (client.client_id != id) return;
            const std::lock_guard lock(found->mutex);
            found->json = client_json(client);
        },
        [found, reply, id] {
            const std::lock_guard lock(found->mutex);
            reply(found->json ? json_response(*found->json)
                              : problem(404, "not-found", "No such client", "\"" + id + "\" is not connected"));
        });
}

void kick_client(const ApiContext& context, const Request& request, const Reply& reply) {
    const std::string id = request.parameters.at("id");
    context.sources.broker.kick(id, [reply, id](bool found) {
        reply(found ? json_response({{"client_id", id}, {"kicked", true}})
                    : problem(404, "not-found", "No such client", "\"" + id + "\" is not connected"));
    });
}

void get_retained(const ApiContext& context, const Request& request, const Reply& reply) {
    Response wrong;
    const auto limit = number_parameter(request, "limit", page_default, 1, page_max, wrong);
    if (!limit) return reply(wrong);
    const std::string filter = request.get("filter").value_or("#");
    if (!uns::is_valid_topic_filter(filter)) return reply(bad_parameter("filter", "\"" + filter + "\" is no filter"));
    std::vector<std::pair<std::string, uns::RetainedPtr>> found;
    std::size_t bytes = 0;
    bool cut = false;
    const bool more = context.sources.broker.retained().scan(
        filter, request.get("cursor").value_or(""), *limit, [&](std::string_view topic, const uns::RetainedPtr& value) {
            if (cut || (bytes > 0 && bytes + value->memory_bytes() > retained_page_bytes_max)) {
                cut = true;   // the page is full before its last entry
                return;
            }
            bytes += value->memory_bytes();
            found.emplace_back(topic, value);
        });
    const std::int64_t now_ms = wall_ms();
    std::vector<std::string> topics;
    for (const auto& [topic, value] : found) topics.push_back(topic);
    const auto seen = Sight(context.sources, request).may(auth::Action::receive, topics);
    Json list = Json::array();
    for (std::size_t i = 0; i < found.size(); ++i) {
        const auto& [topic, value] = found[i];
        const std::int64_t expires = value->fields().expires_at_ms;
        if (seen[i] && (!expires || expires > now_ms)) list.push_back(retained_json(topic, *value));
    }
    Json json = {{"messages", std::move(list)}};
    if ((more || cut) && !found.empty()) json["cursor"] = found.back().first;
    reply(json_response(json));
}

/// Removes what matches by publishing empty retained messages, as a client would [MQTT-3.3.1-6]; where rules are asked,
/// what the asking user may publish.
void delete_retained(const ApiContext& context, const Request& request, const Reply& reply) {
    Response wrong;
    const auto limit = number_parameter(request, "limit", page_max, 1, page_max, wrong);
    if (!limit) return reply(wrong);
    const auto filter = request.get("filter");
    if (!filter || !uns::is_valid_topic_filter(*filter)) {
        return reply(bad_parameter("filter", "name what to remove: a topic or a filter"));
    }
    const bool dry_run = request.get("dry_run").value_or("false") == "true";
    std::vector<std::string> topics;
    const bool more = context.sources.broker.retained().scan(
        *filter, request.get("cursor").value_or(""), *limit,
        [&](std::string_view topic, const uns::RetainedPtr&) { topics.emplace_back(topic); });
    std::string last;
    if (!topics.empty()) last = topics.back();
    const Sight sight(context.sources, request);
    std::size_t left = 0;
    if (!sight.all()) {
        const auto allowed = sight.may(auth::Action::publish, topics);
        std::vector<std::string> own;
        for (std::size_t i = 0; i < topics.size(); ++i) {
            if (allowed[i]) own.push_back(std::move(topics[i]));
        }
        left = topics.size() - own.size();
        topics = std::move(own);
    }
    if (!dry_run) {
        for (const std::string& topic : topics) context.sources.broker.publish(topic, "", true, 1);
    }
    Json json = {{"removed", dry_run ? 0 : topics.size()}, {"matched", topics.size()}, {"dry_run", dry_run}};
    const auto shown = std::min<std::ptrdiff_t>(100, std::ssize(topics));   // the first of them, as a sample
    json["topics"] = std::vector<std::string>(topics.begin(), topics.begin() + shown);
    if (left > 0) json["not_allowed"] = left;   // matched, and may not be published
    if (more && !last.empty()) json["cursor"] = last;
    reply(json_response(json));
}

void post_publish(const ApiContext& context, const Request& request, const Reply& reply) {
    const Json body = Json::parse(request.body, nullptr, false);
    if (!body.is_object()) return reply(problem(400, "bad-body", "The body is no JSON object", ""));
    const auto text = [&](const char* name) {
        const auto at = body.find(name);
        return at != body.end() && at->is_string() ? std::optional(at->get<std::string>()) : std::nullopt;
    };
    for (const auto& [name, value] : body.items()) {
        const std::set<std::string_view> known = {"topic", "payload", "encoding", "qos", "retain"};
        if (!known.contains(name)) return reply(bad_parameter(name, "unknown; topic, payload, encoding, qos, retain"));
    }
    const auto topic = text("topic");
    auto payload = body.contains("payload") ? text("payload") : std::optional<std::string>("");
    const broker::Limits& limits = context.sources.broker.config().limits;
    if (!topic || !uns::is_valid_topic_name(*topic)) return reply(bad_parameter("topic", "name a topic"));
    if (topic->starts_with('$')) return reply(bad_parameter("topic", "topics that start with $ are the broker's own"));
    if (topic->size() > limits.max_topic_bytes || uns::level_count(*topic) > limits.max_topic_levels) {
        return reply(bad_parameter("topic", "too long or too many levels, see limits.max_topic_*"));
    }
    if (payload && text("encoding") == "base64") payload = from_base64(*payload);
    if (!payload) return reply(bad_parameter("payload", "a text, or base64 with \"encoding\": \"base64\""));
    if (payload->size() > limits.max_packet_bytes) return reply(bad_parameter("payload", "over max_packet_bytes"));
    const auto qos = body.value("qos", Json(0U));
    const auto retain = body.value("retain", Json(false));
    if (!qos.is_number_unsigned() || qos.get<unsigned>() > 2) return reply(bad_parameter("qos", "0, 1 or 2"));
    if (!retain.is_boolean()) return reply(bad_parameter("retain", "true or false"));
    broker::Publication publication;
    publication.topic = *topic;
    publication.payload = std::move(*payload);
    publication.qos = qos.get<std::uint8_t>();
    publication.retain = retain.get<bool>();
    publication.user = request.principal;
    if (request.who) publication.principal = {request.who, &request.who->principal};
    publication.unasked = request.who && request.who->unasked;
    context.sources.broker.publish_for(std::move(publication), [reply, topic](const broker::Refused& refused) {
        reply(refused.kind == broker::Refused::Kind::none ? json_response({{"topic", *topic}, {"accepted", true}})
                                                          : refused_problem(refused));
    });
}

void post_drain(const ApiContext& context, const Request& request, const Reply& reply) {
    const Json body = request.body.empty() ? Json::object() : Json::parse(request.body, nullptr, false);
    if (!body.is_object()) return reply(problem(400, "bad-body", "The body is no JSON object", ""));
    for (const auto& [name, value] : body.items()) {
        if (name != "server_reference" && name != "moved") {
            return reply(bad_parameter(name, "unknown; server_reference, moved"));
        }
    }
    const Json reference = body.value("server_reference", Json(""));
    const Json moved = body.value("moved", Json(false));
    if (!reference.is_string() || !is_server_reference(reference.get<std::string>())) {
        return reply(bad_parameter("server_reference", "host:port, or several separated by spaces, up to 1024 bytes"));
    }
    if (!moved.is_boolean()) return reply(bad_parameter("moved", "true or false"));
    const broker::Drain drain{reference.get<std::string>(), moved.get<bool>()};
    context.sources.broker.drain(drain, [drain, reply](std::uint64_t clients) {
        Json json = drain_json(drain);
        json["disconnected"] = clients;
        reply(json_response(json));
    });
}

void delete_drain(const ApiContext& context, const Request&, const Reply& reply) {
    context.sources.broker.end_drain([reply] { reply(json_response(drain_json(std::nullopt))); });
}

void add_probes(Router& router, const ApiContext& context) {
    router.add({"GET", "/healthz", "The process lives", Permission::anybody, {}, "application/json",
                [](const Request&, const Reply& reply) { reply(json_response({{"status", "ok"}})); }});
    router.add({"GET", "/readyz", "Clients are served; 503 with reasons when not", Permission::anybody, {},
                "application/json", [context](const Request&, const Reply& reply) {
                    const auto reasons = context.readiness.reasons(context.sources.broker);
                    if (reasons.empty()) {
                        return reply(json_response({{"status", "ready"}, {"alarms", alarms_json(context.sources)}}));
                    }
                    std::string detail;
                    for (const std::string& reason : reasons) detail += (detail.empty() ? "" : "; ") + reason;
                    reply(problem(503, "not-ready", "Not ready", detail));
                }});
    router.add({"GET", "/metrics", "Prometheus text, or OpenMetrics by Accept", Permission::metrics_read, {},
                "text/plain", [context](const Request& request, const Reply& reply) {
                    const bool open = request.accept.find("application/openmetrics-text") != std::string::npos;
                    Response response;
                    response.content_type = open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                                 : "text/plain; version=0.0.4; charset=utf-8";
                    response.body = metrics_text(take_snapshot(context.sources, context.readiness), open);
                    reply(std::move(response));
                }});
}

void add_namespace(Router& router, const ApiContext& context) {
    add_namespace_routes(router, context);
    Route watch{"GET", "/api/v1/namespace/watch", "Messages as they come, as server-sent events",
                Permission::namespace_read, {{"filter", "query", "string", true, "an MQTT topic filter"}},
                "text/event-stream"};
    watch.stream = true;
    router.add(std::move(watch));
}

void add_clients(Router& router, const ApiContext& context) {
    const Parameter id{"id", "path", "string", true, "the client identifier"};
    router.add({"GET", "/api/v1/clients", "Connected clients, in order of their ids", Permission::clients_read,
                {limit_parameter, cursor_parameter}, "application/json", bind(context, get_clients)});
    router.add({"GET", "/api/v1/clients/{id}", "One connected client", Permission::clients_read, {id},
                "application/json", bind(context, get_client)});
    router.add({"DELETE", "/api/v1/clients/{id}", "Disconnects a client (reason 0x98)", Permission::clients_write, {id},
                "application/json", bind(context, kick_client)});
    Route trace{"GET", "/api/v1/trace",
                "What a client, connected or yet to come, sends and is sent, packet by packet, as server-sent events",
                Permission::clients_trace, {{"client", "query", "string", true, "the client identifier"}},
                "text/event-stream"};
    trace.stream = true;
    router.add(std::move(trace));
}

void add_messages(Router& router, const ApiContext& context) {
    const Parameter filter{"filter", "query", "string", false, "an MQTT topic filter, # unless told"};
    const Parameter needed{"filter", "query", "string", true, "an MQTT topic filter"};
    router.add({"GET", "/api/v1/retained", "Retained messages, in topic order", Permission::namespace_read,
                {filter, limit_parameter, cursor_parameter}, "application/json", bind(context, get_retained)});
    router.add({"DELETE", "/api/v1/retained", "Removes retained messages", Permission::retained_delete,
                {needed, {"dry_run", "query", "boolean", false, "true: say what would go"}, limit_parameter,
                 cursor_parameter}, "application/json", bind(context, delete_retained)});
    Route publish{"POST", "/api/v1/publish", "Publishes a message", Permission::namespace_publish, {},
                  "application/json", bind(context, post_publish)};
    publish.body_description = "topic, payload (text), encoding (utf-8 or base64), qos (0), retain (false)";
    router.add(std::move(publish));
}

void add_drain(Router& router, const ApiContext& context) {
    Route drain{"POST", "/api/v1/drain", "Sends every client to another broker and refuses new ones",
                Permission::broker_drain, {}, "application/json", bind(context, post_drain)};
    drain.body_description = "server_reference (host:port, optional), moved (false; true: reason 0x9D instead of 0x9C)";
    router.add(std::move(drain));
    router.add({"DELETE", "/api/v1/drain", "Clients are welcome again", Permission::broker_drain, {},
                "application/json", bind(context, delete_drain)});
}

}  // namespace

Router make_router(ApiContext context) {
    Router router;
    add_probes(router, context);
    router.add({"GET", "/api/v1/status", "Health, rates, backlog, disk and listeners", Permission::status_read, {},
                "application/json", [context](const Request&, const Reply& reply) {
                    reply(json_response(status_json(context)));
                }});
    add_namespace(router, context);
    add_clients(router, context);
    add_sessions(router, context);
    add_messages(router, context);
    add_drain(router, context);
    add_governance(router, context);
    add_model_routes(router, context);
    add_access(router, context);
    add_audit_routes(router, context);
    add_backup(router, context);
    add_config(router, context);
    // Last, so that it describes all of the above and itself.
    auto document = std::make_shared<std::string>();
    router.add({"GET", "/openapi.json", "This interface as OpenAPI 3.1", Permission::anybody, {}, "application/json",
                [document](const Request&, const Reply& reply) {
                    Response response;
                    response.body = *document;
                    reply(std::move(response));
                }});
    *document = dump(router.openapi(context.sources.version)) + "\n";
    return router;
}

void answer_from_job(LongJobs& jobs, const Reply& reply, std::function<Response()> job) {
    const bool taken = jobs.post([job = std::move(job), reply] {
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
