#include "broker/admin/governance_api.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <memory>

#include "broker/admin/handlers.h"
#include "broker/admin/identity.h"
#include "broker/admin/namespace_json.h"
#include "broker/core/violation_log.h"
#include "namespace/topic.h"

namespace trunkline::admin {
namespace {

constexpr std::uint64_t violations_max = 1'000;
constexpr std::uint64_t violations_default = 100;
constexpr std::size_t drop_sample = 100;          // topics of a removal that are named
constexpr std::size_t reason_bytes_max = 1'024;

/// An id in the quarantine, as it stands in paths and cursors. nullopt: it is no number.
std::optional<std::uint64_t> id_of(const std::string& text) {
    std::uint64_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return id;
}

Response no_such_message(const std::string& id) {
    return problem(404, "not-found", "No such message", "the quarantine has no message " + id);
}

/// Who changes something and why. nullopt: `wrong` is filled.
std::optional<broker::Change> change_of(const Request& request, Response& wrong) {
    broker::Change change{request.principal.empty() ? "admin" : request.principal, {}};
    if (const auto reason = request.get("reason")) change.why = *reason;
    if (!request.body.empty()) {
        const Json body = Json::parse(request.body, nullptr, false);
        const bool has_reason = body.is_object() && body.contains("reason") && body["reason"].is_string();
        if (!body.is_object() || body.size() != (has_reason ? 1U : 0U)) {
            wrong = problem(400, "bad-body", "The body is not understood", "send {\"reason\": TEXT}, or nothing");
            return std::nullopt;
        }
        if (has_reason) change.why = body["reason"].get<std::string>();
    }
    if (change.why.size() > reason_bytes_max) {
        wrong = bad_parameter("reason", "longer than 1024 bytes");
        return std::nullopt;
    }
    return change;
}

/// A place in the list of violations: of those with the same time and number, which different shards may have, the
/// n-th.
struct ViolationPlace {
    std::int64_t at_ms = 0;
    std::uint64_t sequence = 0, n = 0;
    bool operator==(const ViolationPlace&) const = default;
};

std::string cursor_of(const ViolationPlace& place) {
    return std::to_string(place.at_ms) + "-" + std::to_string(place.sequence) + "-" + std::to_string(place.n);
}

std::optional<ViolationPlace> place_of(const std::string& cursor) {
    const auto first = cursor.find('-'), second = cursor.find('-', first + 1);
    if (first == std::string::npos || second == std::string::npos) return std::nullopt;
    const auto at_ms = id_of(cursor.substr(0, first)), sequence = id_of(cursor.substr(first + 1, second - first - 1)),
               n = id_of(cursor.substr(second + 1));
    if (!at_ms || !sequence || !n || *at_ms > INT64_MAX) return std::nullopt;
    return ViolationPlace{static_cast<std::int64_t>(*at_ms), *sequence, *n};
}

/// Where each one is.
std::vector<ViolationPlace> places_of(const std::vector<broker::ViolationRecord>& records) {
    std::vector<ViolationPlace> places;
    for (const broker::ViolationRecord& record : records) {
        ViolationPlace place{record.at_ms, record.sequence, 0};
        for (auto at = places.rbegin(); at != places.rend() && at->at_ms == place.at_ms; ++at) {
            place.n += at->sequence == place.sequence ? 1 : 0;
        }
        places.push_back(place);
    }
    return places;
}

/// The first that follows `place`, which itself may have been dropped since.
std::size_t index_after(const std::vector<ViolationPlace>& places, const ViolationPlace& place) {
    const auto found = std::ranges::find(places, place);
    if (found != places.end()) return static_cast<std::size_t>(found - places.begin()) + 1;
    const auto older = std::ranges::find_if(places, [&](const auto& one) { return one.at_ms < place.at_ms; });
    return static_cast<std::size_t>(older - places.begin());
}

/// Which of them are about topics that the asking user may receive.
template <class Entry>
std::vector<bool> seen_of(const ApiContext& context, const Request& request, const std::vector<Entry>& entries) {
    std::vector<std::string> topics;
    for (const Entry& entry : entries) topics.push_back(entry.topic);
    return Sight(context.sources, request).may(auth::Action::receive, topics);
}

void get_violations(const ApiContext& context, const Request& request, const Reply& reply) {
    Response wrong;
    const auto limit = number_parameter(request, "limit", violations_default, 1, violations_max, wrong);
    if (!limit) return reply(wrong);
    const auto cursor = request.get("cursor");
    const auto after = cursor ? place_of(*cursor) : ViolationPlace{INT64_MAX, 0, 0};
    if (!after) return reply(bad_parameter("cursor", "not a cursor that this list has given"));
    const broker::Governance& governance = context.sources.broker.governance();
    std::vector<broker::ViolationRecord> records = governance.violations(SIZE_MAX);
    const std::vector<ViolationPlace> places = places_of(records);
    const std::size_t from = index_after(places, *after);
    const std::size_t to = std::min<std::size_t>(records.size(), from + *limit);
    Json json = {{"total", violation_count(governance.counts())}, {"violations", Json::array()}};
    if (to < records.size()) json["cursor"] = cursor_of(places[to - 1]);
    records.erase(records.begin() + static_cast<std::ptrdiff_t>(to), records.end());
    records.erase(records.begin(), records.begin() + static_cast<std::ptrdiff_t>(from));
    const std::vector<bool> seen = seen_of(context, request, records);
    for (std::size_t i = 0; i < records.size(); ++i) {
        if (!seen[i]) continue;
        json["violations"].push_back(Json::parse(broker::to_json(records[i]), nullptr, false));   // as $UNS/violations
        if (records[i].repeated > 0) json["violations"].back()["repeated"] = records[i].repeated;
    }
    reply(json_response(json));
}

/// One page of the quarantine. nullopt: `wrong` is filled.
std::optional<std::vector<broker::QuarantineEntry>> page_of(const ApiContext& context, const Request& request,
                                                            const std::string& filter, std::uint64_t limit_default,
                                                            std::size_t& limit, Response& wrong) {
    const auto most = number_parameter(request, "limit", limit_default, 1, page_max, wrong);
    if (!most) return std::nullopt;
    limit = *most;
    if (!uns::is_valid_topic_filter(filter)) {
        wrong = bad_parameter("filter", "\"" + filter + "\" is no topic filter");
        return std::nullopt;
    }
    const auto cursor = request.get("cursor");
    const auto after = cursor ? id_of(*cursor) : std::optional<std::uint64_t>(0);
    if (!after) {
        wrong = bad_parameter("cursor", "not a cursor that this list has given");
        return std::nullopt;
    }
    // One more than asked for says whether another page follows.
    return context.sources.broker.governance().quarantine(filter, *after, limit + 1);
}

void get_quarantine(const ApiContext& context, const Request& request, const Reply& reply) {
    Response wrong;
    std::size_t limit = 0;
    const auto entries = page_of(context, request, request.get("filter").value_or("#"), page_default, limit, wrong);
    if (!entries) return reply(wrong);
    const auto counts = context.sources.broker.governance().counts();
    const std::vector<bool> seen = seen_of(context, request, *entries);
    Json list = Json::array();
    for (std::size_t i = 0; i < std::min(limit, entries->size()); ++i) {
        if (seen[i]) list.push_back(quarantine_json((*entries)[i]));
    }
    Json json = {{"total", counts.quarantined_messages}, {"bytes", counts.quarantined_bytes},
                 {"messages", std::move(list)}};
    if (entries->size() > limit) json["cursor"] = std::to_string((*entries)[limit - 1].id);
    reply(json_response(json));
}

/// The id that the path names, of a message whose topic the asking user may receive; for others there is none.
std::optional<std::uint64_t> seen_id(const ApiContext& context, const Request& request) {
    const auto id = id_of(request.parameters.at("id"));
    if (!id || *id == 0) return std::nullopt;
    const auto entries = context.sources.broker.governance().quarantine("#", *id - 1, 1);
    if (entries.empty() || entries.front().id != *id) return std::nullopt;
    return seen_of(context, request, entries).front() ? id : std::nullopt;
}

void get_quarantined(const ApiContext& context, const Request& request, const Reply& reply) {
    const std::string text = request.parameters.at("id");
    const auto id = seen_id(context, request);
    if (!id) return reply(no_such_message(text));
    context.sources.broker.governance().quarantined(
        *id, [reply, text](std::optional<broker::QuarantineMessage> message) {
            if (!message) return reply(no_such_message(text));
            Json json = quarantine_json(message->entry);
            add_payload(json, message->payload);
            add_properties(json, message->properties);
            reply(json_response(json));
        });
}

void replay_quarantined(const ApiContext& context, const Request& request, const Reply& reply) {
    const std::string text = request.parameters.at("id");
    const auto id = seen_id(context, request);
    if (!id) return reply(no_such_message(text));
    Response wrong;
    auto change = change_of(request, wrong);
    if (!change) return reply(wrong);
    context.sources.broker.governance().replay(*id, std::move(*change), [reply, id](const broker::Refused& refused) {
        if (refused.kind != broker::Refused::Kind::none) return reply(refused_problem(refused));
        reply(json_response({{"id", *id}, {"replayed", true}}));
    });
}

void drop_quarantined(const ApiContext& context, const Request& request, const Reply& reply) {
    const std::string text = request.parameters.at("id");
    const auto id = seen_id(context, request);
    if (!id) return reply(no_such_message(text));
    Response wrong;
    auto change = change_of(request, wrong);
    if (!change) return reply(wrong);
    context.sources.broker.governance().drop({*id}, std::move(*change), [reply, id, text](std::uint64_t dropped) {
        if (dropped == 0) return reply(no_such_message(text));
        reply(json_response({{"id", *id}, {"dropped", true}}));
    });
}

void drop_matching(const ApiContext& context, const Request& request, const Reply& reply) {
    Response wrong;
    std::size_t limit = 0;
    const auto filter = request.get("filter");
    if (!filter) return reply(bad_parameter("filter", "name what to remove: a topic or a filter"));
    auto entries = page_of(context, request, *filter, page_max, limit, wrong);
    if (!entries) return reply(wrong);
    auto change = change_of(request, wrong);
    if (!change) return reply(wrong);
    const bool dry_run = request.get("dry_run").value_or("false") == "true";
    const bool more = entries->size() > limit;
    if (more) entries->resize(limit);
    const std::string last = more ? std::to_string(entries->back().id) : "";
    const std::vector<bool> seen = seen_of(context, request, *entries);
    std::size_t index = 0;
    std::erase_if(*entries, [&](const auto&) { return !seen[index++]; });
    Json json = {{"dropped", 0}, {"matched", entries->size()}, {"dry_run", dry_run}, {"topics", Json::array()}};
    for (std::size_t i = 0; i < std::min(drop_sample, entries->size()); ++i) {
        json["topics"].push_back((*entries)[i].topic);
    }
    if (more) json["cursor"] = last;
    if (dry_run || entries->empty()) return reply(json_response(json));
    std::vector<std::uint64_t> ids;
    for (const broker::QuarantineEntry& entry : *entries) ids.push_back(entry.id);
    context.sources.broker.governance().drop(std::move(ids), std::move(*change), [reply, json](std::uint64_t dropped) {
        Json answer = json;
        answer["dropped"] = dropped;
        reply(json_response(answer));
    });
}

}  // namespace

std::uint64_t violation_count(const broker::VerdictCounts& counts) {
    std::uint64_t count = 0;
    for (std::size_t outcome = 1; outcome < counts.verdicts.size(); ++outcome) {  // 0 is accept
        for (const std::uint64_t stage : counts.verdicts[outcome]) count += stage;
    }
    return count;
}

Json quarantine_json(const broker::QuarantineEntry& entry) {
    Json json = {{"id", entry.id}, {"at_ms", entry.at_ms}, {"topic", entry.topic}, {"client_id", entry.client_id}};
    if (!entry.user.empty()) json["user"] = entry.user;
    json["rule"] = entry.rule;
    json["text"] = entry.text;
    for (const auto& [name, text] : {std::pair("at", &entry.at), {"expected", &entry.expected}, {"fix", &entry.fix}}) {
        if (!text->empty()) json[name] = *text;
    }
    json["qos"] = entry.qos;
    json["retain"] = entry.retain;
    json["bytes"] = entry.bytes;
    return json;
}

Json governance_status(const broker::Governance& governance, const Meter& meter) {
    const broker::VerdictCounts counts = governance.counts();
    Json json = {{"model", nullptr}};
    if (const auto current = governance.current()) {
        json["model"] = {{"name", current->name}, {"version", current->version}, {"hash", current->hash},
                         {"applied_at_ms", current->applied_ms}, {"applied_by", current->who}};
    }
    json["violations"] = {{"total", violation_count(counts)}, {"per_minute", meter.violations_per_minute()}};
    json["quarantine"] = {{"messages", counts.quarantined_messages}, {"bytes", counts.quarantined_bytes}};
    return json;
}

void add_governance(Router& router, const ApiContext& context) {
    const Parameter id{"id", "path", "integer", true, "as the list gives it"};
    const Parameter filter{"filter", "query", "string", false, "an MQTT topic filter, # unless told"};
    const Parameter limit{"limit", "query", "integer", false, "entries in a page, 1 to 10000, 1000 unless told"};
    const Parameter cursor{"cursor", "query", "string", false, "`cursor` of the page before"};
    const Parameter reason{"reason", "query", "string", false, "why, for the record"};
    const auto add = [&](const char* method, const char* path, const char* summary, Permission needs,
                         std::vector<Parameter> parameters, auto function) {
        router.add({method, path, summary, needs, std::move(parameters), "application/json",
                    bind(context, function)});
    };
    add("GET", "/api/v1/violations", "What broke the model lately, newest first, with the fix",
        Permission::quarantine_read,
        {{"limit", "query", "integer", false, "entries in a page, 1 to 1000, 100 unless told"}, cursor},
        get_violations);
    add("GET", "/api/v1/quarantine", "Messages in the quarantine, oldest first", Permission::quarantine_read,
        {filter, limit, cursor}, get_quarantine);
    add("DELETE", "/api/v1/quarantine", "Removes messages from the quarantine for good", Permission::quarantine_delete,
        {{"filter", "query", "string", true, "an MQTT topic filter"},
         {"dry_run", "query", "boolean", false, "true: say what would go"}, limit, cursor, reason},
        drop_matching);
    add("POST", "/api/v1/quarantine/{id}/replay",
        "Judges a message again and, when the model takes it now, publishes it and takes it out",
        Permission::quarantine_replay, {id, reason}, replay_quarantined);
    add("GET", "/api/v1/quarantine/{id}", "A message in the quarantine with its payload", Permission::quarantine_read,
        {id}, get_quarantined);
    add("DELETE", "/api/v1/quarantine/{id}", "Removes a message from the quarantine for good",
        Permission::quarantine_delete, {id, reason}, drop_quarantined);
}

}  // namespace trunkline::admin
