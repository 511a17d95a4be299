#include "broker/admin/namespace_api.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <sstream>
#include <thread>

#include "broker/admin/handlers.h"
#include "broker/admin/identity.h"
#include "broker/admin/namespace_json.h"
#include "broker/admin/namespace_tree.h"
#include "namespace/topic.h"

namespace trunkline::admin {
namespace {

constexpr std::uint64_t find_default = 100;
constexpr std::size_t waiting_max = 64;       // requests; more: 503
constexpr std::size_t query_bytes_max = 1'024;

/// One thread for what takes longer than an answer may block others.
class Worker {
public:
    Worker() : thread_([this] { run(); }) {}
    ~Worker() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_one();
        thread_.join();
    }
    /// False when too many wait already.
    [[nodiscard]] bool add(std::function<void()> work) {
        {
            const std::lock_guard lock(mutex_);
            if (waiting_.size() >= waiting_max) return false;
            waiting_.push_back(std::move(work));
        }
        wake_.notify_one();
        return true;
    }

private:
    void run() {
        while (true) {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
            if (stopping_) return;
            const auto work = std::move(waiting_.front());
            waiting_.pop_front();
            lock.unlock();
            work();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> waiting_;
    bool stopping_ = false;
    std::thread thread_;
};

TreeView view_of(const ApiContext& context) {
    const broker::Browse* browse = context.sources.browse;
    return {context.sources.broker.retained(), browse ? &browse->tree() : nullptr};
}

std::optional<std::string_view> view_of(const std::optional<std::string>& text) {
    return text ? std::optional<std::string_view>(*text) : std::nullopt;
}

/// 404 with what was probably meant, as far as that may be seen.
Response no_such_topic(const ApiContext& context, const Sight& sight, const std::string& topic, std::string what) {
    const broker::Browse* browse = context.sources.browse;
    std::string nearest = browse ? browse->tree().nearest(topic) : std::string();
    if (!nearest.empty() && !sight.may_see_below(nearest)) nearest.clear();
    const bool whole = uns::level_count(nearest) == uns::level_count(topic) && nearest != topic;
    std::string fix;
    if (whole) fix = "the nearest topic is \"" + nearest + "\"";
    else if (!nearest.empty() && nearest != topic) fix = "see what is below \"" + nearest + "\"";
    Json json = {{"type", "urn:trunkline:problem:not-found"}, {"title", "No such value"}, {"status", 404},
                 {"detail", what + (fix.empty() ? "" : "; " + fix)}};
    if (!nearest.empty() && nearest != topic) json["nearest"] = nearest;
    if (!fix.empty()) json["fix"] = fix;
    Response response = json_response(json, 404);
    response.content_type = "application/problem+json";
    return response;
}

/// Leaves out what may not be seen. A level that leads to something keeps its name alone.
Json seen_of(const Sight& sight, Json nodes) {
    if (sight.all()) return nodes;
    std::vector<std::string> topics;
    for (const Json& node : nodes) topics.push_back(node["topic"].get<std::string>());
    const auto seen = sight.may(auth::Action::receive, topics);
    Json kept = Json::array();
    for (std::size_t i = 0; i < topics.size(); ++i) {
        if (seen[i]) {
            kept.push_back(std::move(nodes[i]));
        } else if (nodes[i].value("has_children", false) && sight.may_see_below(topics[i])) {
            kept.push_back({{"topic", topics[i]}, {"name", nodes[i]["name"]}, {"has_children", true}});
        }
    }
    return kept;
}

Response get_tree(const ApiContext& context, const Request& request) {
    Response wrong;
    const auto depth = number_parameter(request, "depth", 1, 1, 1'024, wrong);
    const auto limit = depth ? number_parameter(request, "limit", page_default, 1, page_max, wrong) : std::nullopt;
    if (!depth || !limit) return wrong;
    const auto path = request.get("path"), cursor = request.get("cursor");
    if (path && uns::has_wildcard(*path)) return bad_parameter("path", "a path has no wildcard");
    TreePage page = tree_page(view_of(context), view_of(path), *depth, *limit, view_of(cursor), wall_ms());
    const Sight sight(context.sources, request);
    Json json = {{"nodes", seen_of(sight, std::move(page.nodes))}};
    if (page.cursor) json["cursor"] = *page.cursor;
    const bool leaf = path && json["nodes"].empty() && !cursor;   // is something, too
    if (leaf && sight.may(auth::Action::receive, *path)) {
        const Json self = topic_json(view_of(context), *path, wall_ms());
        if (self.size() > 2) json["self"] = self;
    }
    return json_response(json);
}

Response get_value(const ApiContext& context, const Request& request) {
    const auto topic = request.get("topic");
    if (!topic || !uns::is_valid_topic_name(*topic)) return bad_parameter("topic", "name a topic");
    const Sight sight(context.sources, request);
    if (!sight.may(auth::Action::receive, *topic)) return sight.refusal(auth::Action::receive, *topic);
    const std::int64_t now_ms = wall_ms();
    const Json json = value_json(view_of(context), *topic, now_ms);
    if (!json.is_null()) return json_response(json);
    const broker::Browse* browse = context.sources.browse;
    const auto facts = browse ? browse->tree().facts(*topic, now_ms) : std::nullopt;
    if (facts && facts->expected) {
        return no_such_topic(context, sight, *topic, "\"" + *topic + "\" is in the model and has no value yet");
    }
    if (facts) return no_such_topic(context, sight, *topic, "\"" + *topic + "\" is a level and has no value itself");
    return no_such_topic(context, sight, *topic, "\"" + *topic + "\" has no value");
}

Response find_topics(const ApiContext& context, const Request& request) {
    Response wrong;
    const auto limit = number_parameter(request, "limit", find_default, 1, page_max, wrong);
    const auto after = limit ? number_parameter(request, "cursor", 0, 0, UINT32_MAX, wrong) : std::nullopt;
    if (!limit || !after) return wrong;
    uns::TopicQuery query;
    const std::string words = request.get("q").value_or("");
    if (words.size() > query_bytes_max) return bad_parameter("q", "longer than 1024 bytes");
    std::istringstream in(words);
    for (std::string word; in >> word;) query.words.push_back(word);
    query.type = request.get("type").value_or("");
    query.unit = request.get("unit").value_or("");
    query.owner = request.get("owner").value_or("");
    if (const auto kind = request.get("kind")) {
        query.kind = uns::meaning_kind(*kind);
        if (!query.kind) {
            return bad_parameter("kind", "\"" + *kind + "\" is none of structure, asset, part, metric, event, command, "
                                         "open, exempt, unknown");
        }
    }
    const std::string stale = request.get("stale").value_or("false");
    if (stale != "true" && stale != "false") return bad_parameter("stale", "true or false");
    query.stale = stale == "true";
    query.limit = *limit;
    query.after = *after;
    query.now_ms = wall_ms();
    const broker::Browse* browse = context.sources.browse;
    if (!browse) return problem(503, "unavailable", "Browsing is off", "this broker keeps no live tree");
    const uns::TopicMatches found = browse->tree().find(query);
    const Sight sight(context.sources, request);
    const auto seen = sight.may(auth::Action::receive, found.topics);
    Json list = Json::array();
    for (std::size_t i = 0; i < found.topics.size(); ++i) {
        if (seen[i]) list.push_back(topic_json(view_of(context), found.topics[i], query.now_ms));
    }
    // How many there are is nobody's business who may not see them.
    const std::size_t matched = sight.all() ? found.matched : list.size();
    Json json = {{"topics", std::move(list)}, {"matched", matched}};
    if (found.cursor) json["cursor"] = std::to_string(*found.cursor);
    return json_response(json);
}

Json health_json(const uns::AssetHealth& health) {
    return {{"state", uns::to_string(health.state)}, {"since_ms", health.since_ms}, {"metrics", health.members},
            {"stale", health.stale}, {"silent", health.silent}};
}

Response get_meta(const ApiContext& context, const Request& request) {
    const auto topic = request.get("topic");
    if (!topic || !uns::is_valid_topic_name(*topic)) return bad_parameter("topic", "name a topic, or a level");
    const Sight sight(context.sources, request);
    if (!sight.may(auth::Action::receive, *topic) && !sight.may_see_below(*topic)) {
        return sight.refusal(auth::Action::receive, *topic);
    }
    const broker::Browse* browse = context.sources.browse;
    if (!browse) return problem(503, "unavailable", "Browsing is off", "this broker keeps no live tree");
    const std::int64_t now_ms = wall_ms();
    const auto described = browse->tree().model()->describe(*topic);
    const auto facts = browse->tree().facts(*topic, now_ms);
    if (!described && !facts) {
        return no_such_topic(context, sight, *topic, "\"" + *topic + "\" is neither in the model nor has it a value");
    }
    Json json = described ? Json::parse(*described, nullptr, false) : Json{{"topic", *topic}, {"kind", "unknown"}};
    if (facts) {
        Json live = Json::object();
        add_facts(live, *facts, now_ms);
        for (const char* key : {"kind", "type", "asset_type", "level", "unit", "owner", "description"}) live.erase(key);
        if (!live.empty()) json["live"] = std::move(live);
    }
    if (const auto health = browse->tree().health(*topic)) json["health"] = health_json(*health);
    return json_response(json);
}

}  // namespace

void add_namespace_routes(Router& router, const ApiContext& context) {
    const auto worker = std::make_shared<Worker>();
    const auto on_worker = [context, worker](auto function) {
        return [context, worker, function](const Request& request, const Reply& reply) {
            const bool taken = worker->add([context, function, request, reply] { reply(function(context, request)); });
            if (taken) return;
            reply(problem(503, "busy", "Too many requests wait", "ask again in a moment"));
        };
    };
    const Parameter limit{"limit", "query", "integer", false, "entries in a page, 1 to 10000"};
    const Parameter cursor{"cursor", "query", "string", false, "`cursor` of the page before"};
    const Parameter topic{"topic", "query", "string", true, "the topic"};
    router.add({"GET", "/api/v1/namespace/tree", "Topics with their values and what the model says, page by page",
                Permission::namespace_read,
                {{"path", "query", "string", false, "show what is below it; absent: everything but $SYS and $UNS"},
                 {"depth", "query", "integer", false, "levels below the path, 1 unless told"}, limit, cursor},
                "application/json", on_worker(get_tree)});
    router.add({"GET", "/api/v1/namespace/get", "The last value of a topic, retained or not",
                Permission::namespace_read, {topic}, "application/json", on_worker(get_value)});
    router.add({"GET", "/api/v1/namespace/find", "Topics by words, type, unit, owner, kind, staleness",
                Permission::namespace_read,
                {{"q", "query", "string", false, "words, all of which are in the topic or its description"},
                 {"type", "query", "string", false, "of the value (number) or of the asset (filler, filler@2)"},
                 {"unit", "query", "string", false, "UCUM code, whole"},
                 {"owner", "query", "string", false, "a part of the owner"},
                 {"kind", "query", "string", false, "asset, metric, event, command, structure, part, open, unknown"},
                 {"stale", "query", "boolean", false, "true: only what is stale or silent"}, limit, cursor},
                "application/json", on_worker(find_topics)});
    router.add({"GET", "/api/v1/namespace/meta", "What the model says of a topic or level, and how it lives",
                Permission::namespace_read, {topic}, "application/json", on_worker(get_meta)});
}

}  // namespace trunkline::admin
