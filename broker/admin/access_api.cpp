#include "broker/admin/access_api.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <future>
#include <mutex>
#include <sstream>

#include <openssl/rand.h>

#include "auth/access_store.h"
#include "auth/password_hash.h"
#include "auth/plugin_host.h"
#include "auth/roles_edit.h"
#include "auth/scram_verifier.h"
#include "broker/admin/handlers.h"
#include "broker/admin/pages.h"
#include "broker/core/audit_sink.h"
#include "broker/core/governance.h"
#include "broker/core/model_facts.h"
#include "namespace/topic.h"

namespace trunkline::admin {
namespace {

constexpr std::size_t password_bytes_max = 1'024, name_bytes_max = 256;
constexpr std::uint32_t scram_iterations = 4'096;

/// One change of the file at a time: each reads it, and replaces it.
std::mutex& editing() {
    static std::mutex mutex;
    return mutex;
}

Response no_roles() {
    return problem(409, "no-roles", "There is no roles file",
                   "name one in the configuration: authorizers: [{roles: {file: roles.yaml}}]");
}

Response from_problem(const Problem& found, unsigned status = 422) {
    Json json = {{"type", "urn:trunkline:problem:roles"}, {"title", "The roles file cannot be changed so"},
                 {"status", status}, {"detail", found.rule + " " + found.place + ": " + found.message}};
    if (!found.fix.empty()) json["fix"] = found.fix;
    Response response = json_response(json, status);
    response.content_type = "application/problem+json";
    return response;
}

Json names_of(const std::vector<std::uint32_t>& indices, const auto& from) {
    Json names = Json::array();
    for (const std::uint32_t index : indices) names.push_back(from[index].name);
    return names;
}

Json user_json(const auth::User& user, const auth::RolesFile& file) {
    Json methods = Json::array();
    if (user.password) methods.push_back("password");
    if (user.scram) methods.push_back("scram");
    if (!user.certificate.none()) methods.push_back("certificate");
    Json json = {{"name", user.name},
                 {"groups", names_of(user.groups, file.groups)},
                 {"roles", names_of(user.roles, file.roles)},
                 {"methods", std::move(methods)},
                 {"disabled", user.disabled},
                 {"weak_password", user.password && user.password->weak()},
                 {"place", user.place}};
    if (!user.validity.always()) json["valid"] = user.validity.describe();
    for (const auth::Template& id : user.client_ids) json["client_ids"].push_back(id.source());
    return json;
}

Json role_json(const auth::RolesFile& file, std::size_t index, bool all) {
    const auth::Role& role = file.roles[index];
    const auto has = [index](const std::vector<std::uint32_t>& roles) {
        return std::find(roles.begin(), roles.end(), index) != roles.end();
    };
    Json rules = Json::array(), users = Json::array(), groups = Json::array();
    std::size_t count = 0;
    for (const auth::Rule& rule : file.rules) {
        if (rule.role != index) continue;
        ++count;
        if (all) rules.push_back({{"place", rule.place}, {"text", rule.text}, {"when", rule.validity.describe()}});
    }
    for (const auth::Group& group : file.groups) {
        if (has(group.roles)) groups.push_back(group.name);
    }
    for (const auth::User& user : file.users) {
        if (has(user.roles)) users.push_back(user.name);
    }
    Json json = {{"name", role.name}, {"description", role.description}, {"rule_count", count},
                 {"groups", std::move(groups)}, {"users", std::move(users)}, {"everyone", has(file.everyone)},
                 {"anonymous", has(file.anonymous)}, {"place", role.place}};
    if (role.client_id) json["client_id"] = role.client_id->source();
    if (all) json["rules"] = std::move(rules);
    return json;
}

Response get_users(const ApiContext& context, const Request& request) {
    if (!context.sources.access) return json_response({{"users", Json::array()}, {"roles_file", nullptr}});
    const auto access = context.sources.access->current();
    Json list = Json::array();
    for (const auth::User& user : access->file().users) list.push_back(user_json(user, access->file()));
    return paged(std::move(list), "users", "name", request, {{"roles_file", context.sources.roles_file}});
}

Response get_roles(const ApiContext& context, const Request& request) {
    if (!context.sources.access) return json_response({{"roles", Json::array()}, {"roles_file", nullptr}});
    const auto access = context.sources.access->current();
    Json list = Json::array();
    for (std::size_t i = 0; i < access->file().roles.size(); ++i) list.push_back(role_json(access->file(), i, false));
    return paged(std::move(list), "roles", "name", request, {{"roles_file", context.sources.roles_file}});
}

Response get_role(const ApiContext& context, const Request& request) {
    if (!context.sources.access) return no_roles();
    const auto access = context.sources.access->current();
    const auto& roles = access->file().roles;
    const auto at = std::find_if(roles.begin(), roles.end(),
                                 [&](const auth::Role& role) { return role.name == request.parameters.at("name"); });
    if (at == roles.end()) return problem(404, "not-found", "There is no such role", "see trunkctl roles ls");
    return json_response(role_json(access->file(), static_cast<std::size_t>(at - roles.begin()), true));
}

/// The body's texts by name; other kinds and names are refused. Lists of texts where `lists` has the name.
struct Fields {
    std::map<std::string, std::string> texts;
    std::map<std::string, std::vector<std::string>> lists;
};
std::optional<Fields> read_fields(const Request& request, const std::vector<std::string_view>& texts,
                                  const std::vector<std::string_view>& lists, Response& wrong) {
    const Json body = Json::parse(request.body, nullptr, false);
    const auto known = [](const std::vector<std::string_view>& names, std::string_view name) {
        return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (!body.is_object()) {
        wrong = problem(400, "bad-body", "The body is no JSON object", "");
        return std::nullopt;
    }
    Fields fields;
    for (const auto& [name, value] : body.items()) {
        if (known(texts, name) && value.is_string()) {
            fields.texts[name] = value.get<std::string>();
        } else if (known(lists, name) && value.is_array() &&
                   std::all_of(value.begin(), value.end(), [](const Json& one) { return one.is_string(); })) {
            fields.lists[name] = value.get<std::vector<std::string>>();
        } else {
            wrong = bad_parameter(name, known(texts, name) || known(lists, name) ? "of the wrong kind" : "unknown");
            return std::nullopt;
        }
    }
    return fields;
}

/// Edits the roles file and puts the result in force. `edit` gets its text.
template <class Edit>
Response edit_roles(const ApiContext& context, const Request& request, const std::string& user, const char* what,
                    const std::string& reason, const Edit& edit) {
    Sources& sources = context.sources;
    if (!sources.access) return no_roles();
    const std::lock_guard lock(editing());
    std::ifstream in(sources.roles_file, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    if (!in) return problem(503, "unavailable", "The roles file cannot be read", sources.roles_file);
    const auth::Edited edited = edit(text.str(), sources.roles_file);
    if (edited.has_error()) return from_problem(edited.error());
    if (const std::string wrong = auth::replace_file(sources.roles_file, *edited); !wrong.empty()) {
        return problem(503, "unavailable", "The roles file cannot be written", wrong);
    }
    const auto outcome = sources.access->load_file(sources.roles_file);
    if (!outcome.taken) return from_problem(outcome.problems.front(), 500);
    if (broker::AuditSink* audit = sources.broker.audit()) {
        auth::audit::Record record;
        record.actor = request.principal;
        record.method = request.known_by;
        record.source = request.source;
        record.action = auth::audit::action::user;
        record.object = user;
        record.old_value = auth::audit::Value::hash_of(text.str());
        record.new_value = auth::audit::Value::hash_of(*edited);
        record.reason = std::string(what) + (reason.empty() ? "" : ": " + reason);
        audit->note(std::move(record));
    }
    return json_response({{"user", user}, {"done", what}, {"generation", sources.access->generation()}});
}

bool is_name(const std::string& name) {
    return !name.empty() && name.size() <= name_bytes_max &&
           std::all_of(name.begin(), name.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7F; });
}

Response post_user(const ApiContext& context, const Request& request) {
    Response wrong;
    const auto fields = read_fields(request, {"name", "password", "reason"}, {"groups", "roles"}, wrong);
    if (!fields) return wrong;
    auto texts = fields->texts;
    auto lists = fields->lists;
    auth::NewUser user;
    user.name = texts["name"];
    user.groups = lists["groups"];
    user.roles = lists["roles"];
    if (!is_name(user.name)) return bad_parameter("name", "1 to 256 bytes without control characters");
    if (texts["password"].size() > password_bytes_max) return bad_parameter("password", "at most 1024 bytes");
    if (!texts["password"].empty()) user.password_hash = auth::hash_password(texts["password"]);
    return edit_roles(context, request, user.name, "added", texts["reason"],
                      [&](const std::string& text, const std::string& name) {
                          return auth::add_user(text, name, user);
                      });
}

Response delete_user(const ApiContext& context, const Request& request) {
    const std::string& user = request.parameters.at("name");
    return edit_roles(context, request, user, "removed", request.get("reason").value_or(""),
                      [&](const std::string& text, const std::string& name) {
                          return auth::remove_user(text, name, user);
                      });
}

Response post_password(const ApiContext& context, const Request& request) {
    Response wrong;
    const auto fields = read_fields(request, {"name", "password", "reason"}, {}, wrong);
    if (!fields) return wrong;
    auto texts = fields->texts;
    const std::string &user = texts["name"], &password = texts["password"];
    if (password.empty() || password.size() > password_bytes_max) {
        return bad_parameter("password", "1 to 1024 bytes");
    }
    const std::string hash = auth::hash_password(password);
    std::string salt(16, '\0');
    if (RAND_bytes(reinterpret_cast<unsigned char*>(salt.data()), static_cast<int>(salt.size())) != 1) {
        return problem(503, "unavailable", "There is no randomness for a salt", "ask again in a moment");
    }
    const std::string scram = auth::make_scram_verifier(password, salt, scram_iterations).text();
    return edit_roles(context, request, user, "password changed", texts["reason"],
                      [&](const std::string& text, const std::string& name) {
                          return auth::change_password(text, name, user, hash, scram);
                      });
}

std::optional<auth::Action> action_of(std::string_view name) {
    for (const auth::Action action : {auth::Action::publish, auth::Action::subscribe, auth::Action::receive,
                                      auth::Action::admin}) {
        if (auth::name_of(action) == name) return action;
    }
    return std::nullopt;
}

bool fits_action(auth::Action action, const std::string& topic) {
    if (action == auth::Action::admin) return uns::is_valid_topic_name(topic);
    const uns::SharedFilter shared = uns::parse_shared(topic);
    return action == auth::Action::subscribe ? shared.valid && uns::is_valid_topic_filter(shared.filter)
                                             : uns::is_valid_topic_name(topic);
}
broker::ModelFacts facts_of(const Sources& sources, const std::shared_ptr<const uns::Model>& model,
                            auth::Action action, std::string_view topic) {
    const std::string_view about = uns::parse_shared(topic).filter;
    const bool known = sources.broker.governance().current() && action != auth::Action::admin &&
                       !uns::has_wildcard(about);
    return {known ? model.get() : nullptr, about};
}

Json decision_json(const auth::Decision& decision) {
    Json json = {{"allowed", decision.allowed}};
    if (decision.rule) {
        json["place"] = decision.rule->place;
        json["rule"] = decision.rule->text;
    }
    if (decision.partly) {
        json["partly"] = {{"place", decision.partly->place}, {"rule", decision.partly->text}};
    }
    return json;
}

/// Who a name stands for: the connected client, else the user with what the file says.
std::shared_ptr<const auth::Principal> connected(const Sources& sources, const std::string& client_id) {
    if (client_id.empty()) return nullptr;
    const auto found = std::make_shared<std::promise<std::shared_ptr<const auth::Principal>>>();
    auto answer = found->get_future();
    sources.broker.find_principal(client_id, [found](std::shared_ptr<const auth::Principal> principal) {
        found->set_value(std::move(principal));
    });
    return answer.wait_for(std::chrono::seconds(1)) == std::future_status::ready ? answer.get() : nullptr;
}

auth::Principal principal_of(const Sources& sources, const std::string& user, const std::string& client_id) {
    const auto known = connected(sources, client_id);
    if (known && (user.empty() || known->user == user)) return *known;
    auth::Principal principal;
    principal.user = user;
    principal.client_id = client_id.empty() ? user : client_id;
    return principal;
}

Response post_test(const ApiContext& context, const Request& request) {
    Response wrong;
    const auto fields = read_fields(request, {"user", "client_id", "action", "topic"}, {}, wrong);
    if (!fields) return wrong;
    if (!context.sources.access) return no_roles();
    auto texts = fields->texts;
    const auto action = action_of(texts["action"]);
    const std::string& topic = texts["topic"];
    if (!action) return bad_parameter("action", "publish, subscribe, receive or admin");
    if (!fits_action(*action, topic)) return bad_parameter("topic", "a topic, a filter or the name of an action");
    const auto access = context.sources.access->current();
    const auto model = context.sources.broker.governance().model();
    const broker::ModelFacts facts = facts_of(context.sources, model, *action, topic);
    const auth::Principal principal = principal_of(context.sources, texts["user"], texts["client_id"]);
    const auth::Circumstances now{wall_ms(), facts.get()};
    const auto roles = access->role_set(principal, now.now_ms);
    const auth::Decision decision = access->decide(principal, *roles, *action, topic, now);
    Json json = decision_json(decision);
    json["text"] = access->describe(decision, *roles);
    json["user"] = principal.user;
    json["client_id"] = principal.client_id;
    json["roles"] = Json::array();
    for (const std::uint32_t role : roles->roles) json["roles"].push_back(access->file().roles[role].name);
    json["considered"] = Json::array();
    for (const auto& one : access->explain(principal, *action, topic, now)) {
        json["considered"].push_back(
            {{"place", one.rule->place}, {"rule", one.rule->text}, {"applies", one.applies}, {"why_not", one.why_not}});
    }
    return json_response(json);
}

Response get_who_can(const ApiContext& context, const Request& request) {
    const auto action = action_of(request.get("action").value_or(""));
    const std::string topic = request.get("topic").value_or("");
    if (!action) return bad_parameter("action", "publish, subscribe, receive or admin");
    if (!fits_action(*action, topic)) return bad_parameter("topic", "a topic, a filter or the name of an action");
    if (!context.sources.access) return no_roles();
    const auto access = context.sources.access->current();
    const auto model = context.sources.broker.governance().model();
    const broker::ModelFacts facts = facts_of(context.sources, model, *action, topic);
    Json list = Json::array();
    for (const auto& able : access->who_can(*action, topic, {wall_ms(), facts.get()})) {
        Json one = decision_json(able.decision);
        one["user"] = able.user->name;
        list.push_back(std::move(one));
    }
    return paged(std::move(list), "users", "user", request);
}

std::string joined(const std::vector<std::string>& names) {
    std::string all;
    for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
    return all.empty() ? "none" : all;
}

AccessStep authentication_step(const Sources& sources, const auth::Principal& principal, bool live,
                               const std::vector<std::string>& roles) {
    AccessStep step{AccessStep::Result::ok, "authenticate", {}, {}, {}, {}};
    if (live) {
        step.text = principal.method.empty() ? "connected" : "connected, " + principal.method;
        if (!principal.certificate.common_name.empty()) step.text += ", CN=" + principal.certificate.common_name;
        if (!principal.user.empty()) step.text += ", user " + principal.user;
        if (principal.anonymous()) step.text += ", nobody in particular";
        step.text += ", roles: " + joined(roles);
        return step;
    }
    const auth::User* user = sources.access ? sources.access->current()->find_user(principal.user) : nullptr;
    if (principal.anonymous()) {
        step.result = AccessStep::Result::skipped;
        step.text = "not connected; as nobody in particular, roles: " + joined(roles);
    } else if (!user) {
        step.result = AccessStep::Result::skipped;
        step.text = "not connected; the roles file has no user " + principal.user + ", roles: " + joined(roles);
    } else if (!user->may_connect(wall_ms())) {
        step.result = AccessStep::Result::fail;
        step.text = "the user " + principal.user + (user->disabled ? " is disabled" : " is out of its time");
        step.place = user->place;
    } else {
        step.text = "not connected; user " + principal.user + " may, roles: " + joined(roles);
        step.place = user->place;
    }
    return step;
}

/// Asks the plugins that authorise on a shard, where they are at home; "" when none denies. `allows`: one did.
std::string ask_plugins(const Sources& sources, const auth::Principal& principal, auth::Action action,
                        const std::string& topic, bool& allows) {
    if (sources.broker.plugins().empty()) return {};
    struct Answer { std::string rule; bool allows = false; };
    const auto asked = std::make_shared<std::promise<Answer>>();
    auto answer = asked->get_future();
    sources.broker.ask_plugins(principal, action, topic, [asked](std::string rule, bool allowed) {
        asked->set_value({std::move(rule), allowed});
    });
    if (answer.wait_for(std::chrono::seconds(1)) != std::future_status::ready) return "no answer from the plugins";
    Answer got = answer.get();
    allows = got.allows;
    return got.rule;
}

}  // namespace

AccessAnswer explain_access(const Sources& sources, const AccessQuestion& question) {
    const auth::Principal principal = principal_of(sources, question.user, question.client_id);
    const bool live = connected(sources, question.client_id) != nullptr && !principal.method.empty();
    const auth::Action action = question.subscribe ? auth::Action::subscribe : auth::Action::publish;
    AccessAnswer answer;
    AccessStep step{AccessStep::Result::skipped, "authorise", "no roles file: the plugins decide", {}, {}, {}};
    bool denied = false, allowed = !sources.access && sources.broker.plugins().empty();
    if (sources.access) {
        const auto access = sources.access->current();
        const auto model = sources.broker.governance().model();
        const broker::ModelFacts facts = facts_of(sources, model, action, question.topic);
        const std::int64_t now = wall_ms();
        const auto roles = access->role_set(principal, now);
        for (const std::uint32_t role : roles->roles) answer.roles.push_back(access->file().roles[role].name);
        const auth::Decision decision = access->decide(principal, *roles, action, question.topic, {now, facts.get()});
        allowed = decision.allowed;
        denied = decision.rule && !decision.allowed;
        step.result = allowed ? AccessStep::Result::ok : AccessStep::Result::fail;
        step.place = decision.rule ? decision.rule->place : access->file().name;
        step.text = decision.rule ? decision.rule->text : access->describe(decision, *roles);
        if (!allowed) step.rule = denied ? "TL-1102" : "TL-1101";
        if (!allowed) {
            step.fix = denied ? "a role that this rule does not deny it to" : "a role with a rule that allows it";
        }
        if (decision.partly) {
            step.text += "; some deliveries are kept back: " + decision.partly->place + " " + decision.partly->text;
        }
    }
    bool plugin_allows = false;
    const std::string plugin = ask_plugins(sources, principal, action, question.topic, plugin_allows);
    if (!denied && (!plugin.empty() || (plugin_allows && !allowed))) {
        allowed = plugin_allows;
        step.result = allowed ? AccessStep::Result::ok : AccessStep::Result::fail;
        step.rule = allowed ? "" : "TL-1103";
        step.text = plugin.empty() ? "a plugin allows it" : plugin;
        step.place.clear();
        step.fix = allowed ? "" : "ask whoever keeps the plugin";
    } else if (!sources.access && !sources.broker.plugins().empty()) {
        step.result = AccessStep::Result::fail;
        step.text = "no plugin allows it";
    }
    AccessStep who = authentication_step(sources, principal, live, answer.roles);
    answer.allowed = allowed && who.result != AccessStep::Result::fail;
    answer.steps = {std::move(who), std::move(step)};
    return answer;
}

void add_access(Router& router, const ApiContext& context) {
    const Parameter name{"name", "path", "string", true, "as the list gives it"};
    const Parameter reason{"reason", "query", "string", false, "why, for the record"};
    const auto add = [&](const char* method, const char* path, const char* summary, Permission needs,
                         std::vector<Parameter> parameters, auto function, const char* body = "") {
        Route route{method, path, summary, needs, std::move(parameters), "application/json",
                    bind(context, function)};
        route.body_description = body;
        router.add(std::move(route));
    };
    add("GET", "/api/v1/users", "Users of the roles file; no hash is shown", Permission::access_read,
        {page_limit_parameter(), page_cursor_parameter()}, get_users);
    add("POST", "/api/v1/users/password", "Gives a user another password", Permission::access_write, {}, post_password,
        "name, password, reason (optional)");
    add("POST", "/api/v1/users", "Adds a user to the roles file", Permission::access_write, {}, post_user,
        "name, password, groups, roles, reason (all but name optional)");
    add("DELETE", "/api/v1/users/{name}", "Removes a user from the roles file", Permission::access_write,
        {name, reason}, delete_user);
    add("GET", "/api/v1/roles", "Roles, and who has them", Permission::access_read,
        {page_limit_parameter(), page_cursor_parameter()}, get_roles);
    add("GET", "/api/v1/roles/{name}", "A role with its rules, each with its place in the file",
        Permission::access_read, {name}, get_role);
    add("POST", "/api/v1/access/test", "May somebody do this? With every rule that has to do with it",
        Permission::access_read, {}, post_test,
        "action (publish, subscribe, receive, admin), topic, user, client_id");
    add("GET", "/api/v1/access/who-can", "Users who may do this now, and by which rule", Permission::access_read,
        {{"action", "query", "string", true, "publish, subscribe, receive or admin"},
         {"topic", "query", "string", true, "a topic, a filter, or the name of an action"},
         page_limit_parameter(), page_cursor_parameter()}, get_who_can);
}

}  // namespace trunkline::admin
