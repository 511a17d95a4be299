#include "broker/admin/session_api.h"

#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "broker/admin/handlers.h"
#include "broker/admin/pages.h"
#include "broker/core/state.h"
#include "namespace/topic.h"

namespace trunkline::admin {
namespace {

// The log does nothing else while it is looked through: no look takes more than a few milliseconds.
constexpr std::size_t looked_at_max = 20'000;
constexpr std::uint64_t sessions_max = 1'000, sessions_usual = 200;
constexpr std::uint8_t not_known = 0xFF;

/// The first `limit` entries after a place, gathered from several threads: memory is bounded by the page.
class Page {
public:
    Page(std::string after, std::size_t limit) : after_(std::move(after)), limit_(limit) {}
    /// Places are what lists are in the order of. `json` is asked for what is on the page. False: it is on one before.
    bool add(const std::string& place, const std::function<Json()>& json) {
        const std::lock_guard lock(mutex_);
        if (!after_.empty() && place <= after_) return false;
        if (!end_.empty() && place > end_) return true;
        if (entries_.size() == limit_ && place > entries_.rbegin()->first) {
            more_ = true;
            return true;
        }
        entries_.insert_or_assign(place, json());
        if (entries_.size() <= limit_) return true;
        more_ = true;
        entries_.erase(std::prev(entries_.end()));
        return true;
    }
    /// Nothing behind `place` was looked at: the page ends there at the latest.
    void end_at(const std::string& place) {
        const std::lock_guard lock(mutex_);
        end_ = place;
        more_ = true;
        entries_.erase(entries_.upper_bound(place), entries_.end());
    }
    [[nodiscard]] Json json(const char* name) const {
        const std::lock_guard lock(mutex_);
        Json list = Json::array();
        for (const auto& [place, entry] : entries_) list.push_back(entry);
        Json page = {{name, std::move(list)}};
        if (more_) page["cursor"] = entries_.size() == limit_ || end_.empty() ? entries_.rbegin()->first : end_;
        return page;
    }

private:
    const std::string after_;
    const std::size_t limit_;
    mutable std::mutex mutex_;
    std::map<std::string, Json> entries_;
    std::string end_;
    bool more_ = false;
};

Json session_json(const broker::DurableSession& session) {
    Json json = {{"client_id", session.client_id}, {"state", session.connected ? "connected" : "offline"},
                 {"durable", true}, {"expiry_s", session.expiry_s}};
    if (!session.user.empty()) json["user"] = session.user;
    if (session.expires_at_ms != 0) json["expires_at_ms"] = session.expires_at_ms;
    json["subscriptions"] = session.subscriptions.size();
    json["queued_messages"] = session.queued_messages();
    json["queued_bytes"] = session.queued_bytes;
    json["will"] = session.will.has_value();
    return json;
}

/// Of a session that ends with its connection.
Json session_json(const broker::ClientInfo& client) {
    Json json = {{"client_id", client.client_id}, {"state", "connected"}, {"durable", false}, {"expiry_s", 0}};
    if (!client.user.empty()) json["user"] = client.user;
    json["subscriptions"] = client.subscriptions;
    json["queued_messages"] = client.queued;
    return json;
}

const char* retain_handling_name(std::uint8_t handling) {
    return handling == 0 ? "send" : handling == 1 ? "send-if-new" : "do-not-send";
}

Json subscription_json(const broker::SubscriptionInfo& one) {
    Json json = {{"client_id", one.client_id}, {"filter", one.filter}, {"qos", one.qos},
                 {"no_local", one.no_local}, {"retain_as_published", one.retain_as_published}};
    if (one.retain_handling != not_known) json["retain_handling"] = retain_handling_name(one.retain_handling);
    if (one.identifier != 0) json["subscription_identifier"] = one.identifier;
    json["connected"] = one.connected;
    json["allowed"] = one.allowed;
    return json;
}

/// As the log keeps it: its Retain Handling says what is still owed, not what the client asked for.
broker::SubscriptionInfo info_of(const broker::DurableSession& session, const std::string& filter,
                                 const broker::Subscription& one) {
    return {session.client_id, filter, one.qos, one.no_local, one.retain_as_published, not_known,
            one.identifier, session.connected, true};
}

Response unavailable() {
    return problem(503, "unavailable", "Sessions cannot be looked at now", "the store has failed; see the log");
}

/// Calls `look` with the durable state on the log's thread; answers with a problem when there is none.
void with_state(const ApiContext& context, const Reply& reply, std::function<void(const broker::State&)> look) {
    if (!context.sources.durable) return reply(unavailable());
    context.sources.durable([look = std::move(look), reply](const broker::State* state) {
        if (!state) return reply(unavailable());
        look(*state);
    });
}

enum class Which { all, connected, offline };

std::optional<Which> which_of(const Request& request) {
    const std::string text = request.get("state").value_or("all");
    if (text == "all") return Which::all;
    if (text == "connected") return Which::connected;
    if (text == "offline") return Which::offline;
    return std::nullopt;
}

void get_sessions(const ApiContext& context, const Request& request, const Reply& reply) {
    Response wrong;
    const auto limit = number_parameter(request, "limit", sessions_usual, 1, sessions_max, wrong);
    if (!limit) return reply(wrong);
    const auto which = which_of(request);
    if (!which) return reply(bad_parameter("state", "all, connected or offline"));
    const std::string after = request.get("cursor").value_or("");
    const auto page = std::make_shared<Page>(after, *limit);
    with_state(context, reply,
               [context, page, after, which = *which, most = *limit, reply](const broker::State& state) {
        std::size_t looked_at = 0, taken = 0;
        state.visit_sessions(after, [&](const broker::DurableSession& session) {
            const bool wanted = which == Which::all || (which == Which::connected) == session.connected;
            if (wanted) taken += page->add(session.client_id, [&] { return session_json(session); });
            if (++looked_at < looked_at_max) return taken <= most;
            page->end_at(session.client_id);
            return false;
        });
        if (which == Which::offline) return reply(json_response(page->json("sessions")));
        context.sources.broker.visit_clients(
            [page](const broker::ClientInfo& client) {
                if (!client.durable) page->add(client.client_id, [&] { return session_json(client); });
            },
            [page, reply] { reply(json_response(page->json("sessions"))); });
    });
}

Response no_session(const std::string& id) {
    return problem(404, "not-found", "No such session", "\"" + id + "\" is not connected and has no durable session");
}

/// The session of a client that is connected and whose session ends with it, or 404.
void get_transient(const ApiContext& context, const std::string& id, const Reply& reply) {
    const auto found = std::make_shared<Json>();   // the shards run one after the other
    broker::Broker& broker = context.sources.broker;
    broker.visit_clients(
        [found, id](const broker::ClientInfo& client) {
            if (client.client_id == id) *found = session_json(client);
        },
        [&broker, found, id, reply] {
            if (found->is_null()) return reply(no_session(id));
            (*found)["filters"] = Json::array();
            broker.visit_subscription_details(
                [found, id](const broker::SubscriptionInfo& one) {
                    if (one.client_id == id) (*found)["filters"].push_back(subscription_json(one));
                },
                [found, reply] { reply(json_response(*found)); });
        });
}

void get_session(const ApiContext& context, const Request& request, const Reply& reply) {
    const std::string id = request.parameters.at("id");
    with_state(context, reply, [context, id, reply](const broker::State& state) {
        const broker::DurableSession* session = state.find_session(id);
        if (!session) return get_transient(context, id, reply);
        Json json = session_json(*session);
        json["next_delivery"] = session->next_n;
        json["acknowledged_below"] = session->cursor;
        json["unreleased_qos2"] = session->inbound.size();
        if (session->will) {
            json["will_topic"] = session->will->topic;
            if (session->will_at_ms != 0) json["will_at_ms"] = session->will_at_ms;
        }
        json["filters"] = Json::array();
        for (const auto& [filter, one] : session->subscriptions) {
            json["filters"].push_back(subscription_json(info_of(*session, filter, one)));
        }
        reply(json_response(json));
    });
}

void delete_session(const ApiContext& context, const Request& request, const Reply& reply) {
    const std::string id = request.parameters.at("id");
    const bool dry_run = request.get("dry_run").value_or("false") == "true";
    with_state(context, reply, [context, id, dry_run, reply](const broker::State& state) {
        const broker::DurableSession* session = state.find_session(id);
        broker::Broker& broker = context.sources.broker;
        if (!session && dry_run) return get_transient(context, id, reply);
        if (!session) {   // it ends with its connection
            return broker.kick(id, [id, reply](bool found) {
                reply(found ? json_response({{"client_id", id}, {"removed", true}, {"queued_messages", 0}})
                            : no_session(id));
            });
        }
        Json json = session_json(*session);
        json["removed"] = !dry_run;
        if (dry_run) return reply(json_response(json));
        broker.drop_session(session->id, id, [json, reply](broker::Refusal why) {
            if (why == broker::Refusal::none) return reply(json_response(json));
            reply(problem(503, "unavailable", "It cannot be removed now", broker::explain(why)));
        });
    });
}

/// Which subscriptions are asked for.
struct Wanted {
    std::optional<std::string> client, filter, topic;
    [[nodiscard]] bool takes(std::string_view client_id, std::string_view text) const {
        if (client && *client != client_id) return false;
        if (!filter && !topic) return true;
        const auto plain = plain_filter(text);
        if (filter && *filter != text && *filter != plain) return false;
        return !topic || uns::matches(plain, *topic);
    }
    /// Of `$share/NAME/FILTER` what topics are matched with.
    static std::string_view plain_filter(std::string_view text) {
        const uns::SharedFilter shared = uns::parse_shared(text);
        return shared.group.empty() ? text : shared.filter;
    }
};

/// Separates client and filter where places are compared: neither holds it [MQTT-1.5.4-2].
std::string place_of(std::string_view client, std::string_view filter) {
    std::string place(client);
    place += '\0';
    place += filter;
    return place;
}

Response subscriptions_page(const Page& page) {
    Json json = page.json("subscriptions");
    if (json.contains("cursor")) {
        const std::string place = json["cursor"].get<std::string>();
        const auto zero = place.find('\0');
        json["cursor"] = pair_cursor(place.substr(0, zero), zero == std::string::npos ? "" : place.substr(zero + 1));
    }
    return json_response(json);
}

void get_subscriptions(const ApiContext& context, const Request& request, const Reply& reply) {
    Response wrong;
    const auto limit = number_parameter(request, "limit", sessions_usual, 1, sessions_max, wrong);
    if (!limit) return reply(wrong);
    const Wanted wanted{request.get("client"), request.get("filter"), request.get("topic")};
    if (wanted.topic && !uns::is_valid_topic_name(*wanted.topic)) {
        return reply(bad_parameter("topic", "a topic, without wildcards: who gets what is published on it"));
    }
    std::string after, after_client;
    if (const auto cursor = request.get("cursor"); cursor && !cursor->empty()) {
        const auto parts = split_pair_cursor(*cursor);
        if (!parts) return reply(bad_parameter("cursor", "not a cursor that this list has given"));
        after_client = parts->first;
        after = place_of(parts->first, parts->second);
    }
    const auto page = std::make_shared<Page>(after, *limit);
    with_state(context, reply,
               [context, page, wanted, after_client, most = *limit, reply](const broker::State& state) {
        std::size_t looked_at = 0, taken = 0;
        const auto visit = [&](const broker::DurableSession& session) {
            looked_at += 1 + session.subscriptions.size();
            for (const auto& [filter, one] : session.subscriptions) {
                // Of who is connected the shards know more.
                if (session.connected || !wanted.takes(session.client_id, filter)) continue;
                taken += page->add(place_of(session.client_id, filter),
                                   [&, at = &filter, what = &one] {
                                       return subscription_json(info_of(session, *at, *what));
                                   });
            }
            if (looked_at < looked_at_max) return taken <= most;
            page->end_at(place_of(session.client_id, "\xF4\x8F\xBF\xBF"));   // behind every filter of this client
            return false;
        };
        const broker::DurableSession* first = after_client.empty() ? nullptr : state.find_session(after_client);
        if (!first || visit(*first)) state.visit_sessions(after_client, visit);
        context.sources.broker.visit_subscription_details(
            [page, wanted](const broker::SubscriptionInfo& one) {
                if (!wanted.takes(one.client_id, one.filter)) return;
                page->add(place_of(one.client_id, one.filter), [&] { return subscription_json(one); });
            },
            [page, reply] { reply(subscriptions_page(*page)); });
    });
}

}  // namespace

void add_sessions(Router& router, const ApiContext& context) {
    const Parameter id{"id", "path", "string", true, "the client identifier"};
    const Parameter limit{"limit", "query", "integer", false, "entries in a page, 1 to 1000, 200 unless told"};
    const auto add = [&](const char* method, const char* path, const char* summary, std::vector<Parameter> parameters,
                         auto function) {
        const bool changes = std::string_view(method) != "GET";
        router.add({method, path, summary, changes ? Permission::clients_write : Permission::clients_read,
                    std::move(parameters), "application/json", bind(context, function)});
    };
    add("GET", "/api/v1/sessions", "Sessions, of connected clients and those that are away, in order of their ids",
        {{"state", "query", "string", false, "all (unless told), connected or offline"}, limit,
         page_cursor_parameter()},
        get_sessions);
    add("GET", "/api/v1/sessions/{id}", "One session: what it waits for, its queue, its subscriptions", {id},
        get_session);
    add("DELETE", "/api/v1/sessions/{id}", "Ends a session: its queue goes, its will is sent, its client goes",
        {id, {"dry_run", "query", "boolean", false, "true: say what would go"}}, delete_session);
    add("GET", "/api/v1/subscriptions", "Subscriptions of all sessions, in order of clients and filters",
        {{"client", "query", "string", false, "of this client alone"},
         {"filter", "query", "string", false, "this filter alone, with or without $share/NAME/"},
         {"topic", "query", "string", false, "those that match this topic: who gets it"}, limit,
         page_cursor_parameter()},
        get_subscriptions);
}

}  // namespace trunkline::admin
