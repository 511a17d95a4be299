#include "broker/core/authorize.h"

#include <algorithm>

#include "auth/plugin_host.h"
#include "broker/core/audit_sink.h"
#include "broker/core/log.h"
#include "broker/core/model_facts.h"
#include "namespace/topic.h"
#include "persistence/bytes.h"

namespace trunkline::broker {

namespace {

using auth::Action;

/// As auth/plugin.h numbers them.
std::uint32_t plugin_action(Action action) {
    switch (action) {
        case Action::publish: return TL_PUBLISH;
        case Action::subscribe: return TL_SUBSCRIBE;
        case Action::receive: return TL_RECEIVE;
        case Action::admin: break;
    }
    return TL_ADMIN;
}

std::size_t index_of(Action action) { return action == Action::publish ? 0 : 1; }

}  // namespace

std::uint64_t Permissions::find_more(std::uint64_t key) const {
    const auto at = more_->find(role_set(key));
    return at != more_->end() && (at->second & ~bits_mask) == key ? at->second : none;
}

void Permissions::set(std::uint64_t key, std::uint64_t bits) {
    for (std::uint64_t& word : first_) {
        if (word >> 32 == key >> 32) continue;  // of this epoch: another role set's
        word = key | bits;
        return;
    }
    if (!more_) more_ = std::make_unique<boost::unordered_flat_map<std::uint32_t, std::uint64_t>>();
    more_->insert_or_assign(role_set(key), key | bits);
}

bool Authority::start_epoch(const std::shared_ptr<const uns::Model>& model) {
    on_ = true;
    store_ = broker_.access();
    if (store_) access_ = store_->current();
    generation_ = access_ ? access_->generation() : 0;
    seen_model_ = model.get();
    model_ = model == uns::Model::empty() ? nullptr : model;
    plugins_decide_ = std::ranges::any_of(broker_.plugins(), [](const auth::Plugin* one) { return one->authorises(); });
    soonest_ms_ = auth::always_ms;
    if (++epoch_ == 0) ++epoch_;
    return true;
}

void Authority::renew(Client& client) {
    ClientRights& rights = client.rights;
    const auth::Principal& principal = principal_of(client);
    std::uint64_t role_set = not_on_routes;
    rights.roles.reset();
    if (access_) {
        std::int64_t until_ms = auth::always_ms;
        rights.roles = access_->role_set(principal, now_ms_, &until_ms);
        soonest_ms_ = std::min(soonest_ms_, until_ms);
        if (rights.roles->id < auth::role_sets_max) role_set = rights.roles->id;
    }
    rights.key = std::uint64_t{epoch_} << 32 | role_set << 16;
}

const auth::Principal& Authority::principal_of(Client& client) {
    if (client.principal) return *client.principal;
    if (!client.rights.principal) {
        auto principal = std::make_shared<auth::Principal>();
        principal->user = client.user;
        if (client.session) principal->client_id = client.session->client_id;
        principal->address = client.peer.host();
        client.rights.principal = std::move(principal);
    }
    return *client.rights.principal;
}

std::uint64_t Authority::compute(Client& client, Route& route) {
    constexpr std::uint64_t own = publish_own_bit | receive_own_bit;
    const ClientRights& rights = client.rights;
    if (plugins_decide_ || !access_ || rights.roles->id == auth::not_shared) return rights.key | own;
    const ModelFacts facts(model_.get(), route.topic());
    const auth::PermissionBits bits = access_->permissions(*rights.roles, route.topic(), {now_ms_, facts.get()});
    soonest_ms_ = std::min(soonest_ms_, bits.until_ms);
    const std::uint64_t word = (bits.publish ? publish_bit : 0) | (bits.receive ? receive_bit : 0) |
                               (bits.publish_per_principal ? publish_own_bit : 0) |
                               (bits.receive_per_principal ? receive_own_bit : 0);
    route.permissions.set(rights.key, word);
    return rights.key | word;
}

auth::Decision Authority::ask_roles(const auth::Principal& principal, const auth::RoleSet& roles, Action action,
                                    std::string_view topic) {
    const std::string_view about = action == Action::subscribe ? uns::parse_shared(topic).filter : topic;
    const bool names_one = action != Action::admin && !uns::has_wildcard(about);
    const ModelFacts facts(names_one ? model_.get() : nullptr, about);
    const auth::Decision decision = access_->decide(principal, roles, action, topic, {now_ms_, facts.get()});
    soonest_ms_ = std::min(soonest_ms_, decision.until_ms);
    return decision;
}

Authority::Opinion Authority::ask_plugins(const Client* client, const auth::Principal& principal, Action action,
                                          std::string_view topic, std::uint32_t& cache_seconds) {
    plugin_rule_.clear();
    cache_seconds = UINT32_MAX;
    if (!plugins_decide_) return Opinion::none;
    auth::PluginClient about;
    about.client_id = principal.client_id;
    about.principal = principal.user;
    about.certificate = principal.certificate.subject;
    std::string address = principal.address;
    if (client) {
        about.connection = client->number;
        about.protocol = static_cast<std::uint32_t>(client->version);
        address = client->peer.to_string();
        const auto& listeners = broker_.config().listeners;
        if (client->listener < listeners.size()) about.listener = listeners[client->listener].url;
    }
    about.address = address;
    Opinion together = Opinion::none;
    for (auth::Plugin* plugin : broker_.plugins()) {
        if (!plugin->authorises()) continue;
        auth::PluginVerdict verdict =
            plugin->authorise(shard_, plugin_action(action), about, topic, qos_, retain_);
        cache_seconds = std::min(cache_seconds, verdict.cache_seconds);
        if (verdict.decision == auth::PluginDecision::deny) {
            plugin_rule_ = std::move(verdict.rule);
            return Opinion::deny;
        }
        if (verdict.decision == auth::PluginDecision::allow) together = Opinion::allow;
    }
    return together;
}

bool Authority::may_personally(Client& client, Route& route, Action action) {
    ClientRights& rights = client.rights;
    if (!rights.own) rights.own = std::make_unique<ClientRights::Own>();
    ClientRights::Own& own = *rights.own;
    if (own.key != rights.key || own.router_epoch != router_.epoch()) {
        own.by_route.clear();
        own.key = rights.key;
        own.router_epoch = router_.epoch();
    }
    if (own.by_route.size() >= own_routes_max && !own.by_route.contains(&route)) own.by_route.clear();
    ClientRights::Personal& known = own.by_route[&route];
    const std::size_t at = index_of(action);
    plugin_rule_.clear();
    if (known.roles[at] == Opinion::unknown) {
        known.roles[at] = access_ ? opinion(ask_roles(principal_of(client), *rights.roles, action, route.topic()))
                                  : Opinion::none;
    }
    Opinion plugins = known.plugins[at];
    if (!plugins_decide_) {
        plugins = Opinion::none;
    } else if (plugins == Opinion::unknown || now_ms_ >= known.plugins_until_ms[at]) {
        std::uint32_t cache_seconds = 0;
        plugins = ask_plugins(&client, principal_of(client), action, route.topic(), cache_seconds);
        known.plugins[at] = cache_seconds == 0 ? Opinion::unknown : plugins;
        known.plugins_until_ms[at] = now_ms_ + std::int64_t{1'000} * cache_seconds;
        if (plugins == Opinion::deny) known.plugin_rule = plugin_rule_;
    } else if (plugins == Opinion::deny) {
        plugin_rule_ = known.plugin_rule;
    }
    return count(action, together(known.roles[at], plugins));
}

bool Authority::may_now(Client& client, Action action, std::string_view topic) {
    if (client.rights.key >> 32 != epoch_) renew(client);
    const auth::Principal& principal = principal_of(client);
    const Opinion roles =
        access_ ? opinion(ask_roles(principal, *client.rights.roles, action, topic)) : Opinion::none;
    std::uint32_t cache_seconds = 0;
    return count(action, together(roles, ask_plugins(&client, principal, action, topic, cache_seconds)));
}

bool Authority::denies(Client& client, Action action, std::string_view topic) {
    if (client.rights.key >> 32 != epoch_) renew(client);
    plugin_rule_.clear();
    if (access_ && ask_roles(principal_of(client), *client.rights.roles, action, topic).allowed) return false;
    return !count(action, false);
}

bool Authority::may_now(const auth::Principal& principal, Action action, std::string_view topic) {
    Opinion roles = Opinion::none;
    if (access_) roles = opinion(ask_roles(principal, *access_->role_set(principal, now_ms_), action, topic));
    std::uint32_t cache_seconds = 0;
    return count(action, together(roles, ask_plugins(nullptr, principal, action, topic, cache_seconds)));
}

Authority::Subscribed Authority::may_subscribe(Client& client, std::string_view filter, std::uint8_t qos) {
    if (client.administration && !client.principal) return {true, true};
    if (client.rights.key >> 32 != epoch_) renew(client);
    const auth::Principal& principal = principal_of(client);
    auth::Decision decision;
    if (access_) decision = ask_roles(principal, *client.rights.roles, Action::subscribe, filter);
    qos_ = qos;
    retain_ = false;
    std::uint32_t cache_seconds = 0;
    const Opinion plugins = ask_plugins(&client, principal, Action::subscribe, filter, cache_seconds);
    Subscribed answer;
    answer.allowed = count(Action::subscribe, together(opinion(decision), plugins));
    answer.whole = answer.allowed && !plugins_decide_ && decision.rule && !decision.partly &&
                   (decision.rule->actions & bit(Action::receive)) != 0;
    return answer;
}

std::shared_ptr<const uns::Finding> Authority::why(const auth::Principal& principal, const auth::RoleSet& roles,
                                                   Action action, std::string_view topic) {
    auto finding = std::make_shared<uns::Finding>();
    const std::string what = std::string(auth::name_of(action)) + " " + std::string(topic) + ": ";
    auth::Decision decision;
    if (access_) decision = ask_roles(principal, roles, action, topic);
    if (decision.rule && !decision.allowed) {
        finding->rule = "TL-1102";
        finding->text = what + "denied by " + decision.rule->place + " " + decision.rule->text;
        finding->at = decision.rule->place;
        finding->fix = "a role that this rule does not deny it to; a deny overrides every allow";
    } else if (!plugin_rule_.empty()) {
        finding->rule = "TL-1103";
        finding->text = what + "denied by " + plugin_rule_;
        finding->fix = "ask whoever keeps the plugin";
    } else {
        finding->rule = "TL-1101";
        finding->text = what + (access_ ? access_->describe(decision, roles) : "no plugin allows it");
        if (access_) finding->at = access_->file().name;
        finding->fix = "a role of the client must have a rule that allows it";
    }
    return finding;
}

std::shared_ptr<const uns::Finding> Authority::why(Client& client, Action action, std::string_view topic) {
    if (client.rights.key >> 32 != epoch_) renew(client);
    static const auth::RoleSet no_roles;
    return why(principal_of(client), client.rights.roles ? *client.rights.roles : no_roles, action, topic);
}

std::shared_ptr<const uns::Finding> Authority::why(const auth::Principal& principal, Action action,
                                                   std::string_view topic) {
    const auto roles = access_ ? access_->role_set(principal, now_ms_) : std::make_shared<const auth::RoleSet>();
    return why(principal, *roles, action, topic);
}

void Authority::tell_denied(const auth::Principal& principal, Action action, std::string_view object,
                            const uns::Finding& finding) const {
    if (log_enabled(Level::debug)) {
        log(Level::debug, "denied", {{"action", auth::name_of(action)}, {"client_id", principal.client_id},
                                     {"user", principal.user}, {"object", object}, {"rule", finding.rule},
                                     {"detail", finding.text}});
    }
    AuditSink* audit = broker_.audit();
    if (!audit) return;
    // The rule without the topic: what is sampled by reason must not be a new one for each topic.
    const std::string reason = finding.at.empty() ? finding.rule : finding.rule + " " + finding.at;
    Denial denial;
    denial.actor = principal.user;
    denial.method = principal.method;
    denial.client_id = principal.client_id;
    denial.source = principal.address;
    denial.action = auth::name_of(action);
    denial.object = object;
    denial.reason = reason;
    audit->note(denial);
}

std::pair<std::string, bool> Authority::plugins_say(const auth::Principal& principal, Action action,
                                                    std::string_view topic) {
    qos_ = 0;
    retain_ = false;
    std::uint32_t cache_seconds = 0;
    const Opinion opinion = ask_plugins(nullptr, principal, action, topic, cache_seconds);
    return {plugin_rule_, opinion == Opinion::allow};
}

std::vector<std::string> Authority::role_names(Client& client) {
    std::vector<std::string> names;
    if (!access_) return names;
    if (client.rights.key >> 32 != epoch_) renew(client);
    for (const std::uint32_t role : client.rights.roles->roles) names.push_back(access_->file().roles[role].name);
    return names;
}

std::vector<std::string> Authority::role_names(const auth::Principal& principal) const {
    std::vector<std::string> names;
    if (!access_) return names;
    for (const std::uint32_t role : access_->role_set(principal, now_ms_)->roles) {
        names.push_back(access_->file().roles[role].name);
    }
    return names;
}

// A count of texts, then of the lists, each with its count.
std::string encode_principal(const auth::Principal& principal) {
    const auth::CertificateFields& certificate = principal.certificate;
    std::string out;
    for (const std::string* text : {&principal.user, &principal.client_id, &principal.address, &principal.method,
                                    &certificate.subject, &certificate.issuer, &certificate.common_name,
                                    &certificate.organization, &certificate.organizational_unit, &certificate.serial,
                                    &certificate.fingerprint}) {
        store::put_text(out, *text);
    }
    for (const std::vector<std::string>* list : {&principal.roles, &principal.groups, &certificate.dns,
                                                 &certificate.email, &certificate.uri, &certificate.ip}) {
        store::put_le(out, static_cast<std::uint32_t>(list->size()));
        for (const std::string& text : *list) store::put_text(out, text);
    }
    return out;
}

std::optional<auth::Principal> decode_principal(std::string_view bytes) {
    auth::Principal principal;
    auth::CertificateFields& certificate = principal.certificate;
    store::ByteReader in(bytes);
    for (std::string* text : {&principal.user, &principal.client_id, &principal.address, &principal.method,
                              &certificate.subject, &certificate.issuer, &certificate.common_name,
                              &certificate.organization, &certificate.organizational_unit, &certificate.serial,
                              &certificate.fingerprint}) {
        *text = in.take_text();
    }
    for (std::vector<std::string>* list : {&principal.roles, &principal.groups, &certificate.dns, &certificate.email,
                                           &certificate.uri, &certificate.ip}) {
        const auto count = in.take<std::uint32_t>();
        for (std::uint32_t i = 0; i < count && in.ok(); ++i) list->emplace_back(in.take_text());
    }
    if (!in.ok() || !in.rest().empty()) return std::nullopt;
    return principal;
}

}  // namespace trunkline::broker
