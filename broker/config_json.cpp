#include "broker/config_json.h"

#include <nlohmann/json.hpp>

#include "broker/config_audit.h"
#include "broker/limits_table.h"

namespace trunkline::broker {
namespace {

using Json = nlohmann::ordered_json;

Json tls_json(const TlsConfig& tls) {
    Json json = {{"cert", tls.certificate_file}, {"key", tls.key_file.empty() ? "" : "***"}};
    if (!tls.ca_file.empty()) json["ca"] = tls.ca_file;
    if (!tls.crl_file.empty()) json["crl"] = tls.crl_file;
    json["require_client_cert"] = tls.require_client_certificate;
    json["min_version"] = tls.min_version;
    return json;
}

// Without what a plugin is configured with: there may be secrets in it.
Json plugin_json(const PluginConfig& plugin) {
    Json json = {{"file", plugin.file}};
    if (!plugin.sha256.empty()) json["sha256"] = plugin.sha256;
    return json;
}

Json jwt_json(const AuthenticatorConfig& authenticator) {
    const auth::JwtOptions& jwt = authenticator.jwt;
    Json algorithms = Json::array();
    for (const auto algorithm : jwt.algorithms) algorithms.push_back(auth::name_of(algorithm));
    return {{"jwks_file", authenticator.jwks_file}, {"issuer", jwt.issuer},
            {"audience", jwt.audience},             {"any_audience", jwt.any_audience},
            {"algorithms", std::move(algorithms)},  {"require_expiry", jwt.require_expiry},
            {"leeway", jwt.leeway_s},               {"user_claim", jwt.user_claim},
            {"roles_claim", jwt.roles_claim},       {"groups_claim", jwt.groups_claim}};
}

Json http_json(const AuthenticatorConfig& authenticator) {
    const HttpLoginConfig& http = authenticator.http;
    Json json = {{"url", http.url}};
    if (!http.ca_file.empty()) json["ca"] = http.ca_file;
    if (!http.token.empty()) json["token"] = "***";
    json["allow_insecure"] = http.allow_insecure;
    json["requests"] = http.requests_max;
    return json;
}

Json ldap_json(const AuthenticatorConfig& authenticator) {
    const LdapLoginConfig& ldap = authenticator.ldap;
    Json json = {{"url", ldap.url}};
    if (!ldap.ca_file.empty()) json["ca"] = ldap.ca_file;
    json["start_tls"] = ldap.start_tls;
    json["allow_insecure"] = ldap.allow_insecure;
    json["connections"] = ldap.connections_max;
    if (ldap.bind_dn.empty()) {
        const LdapLoginConfig::Search& search = ldap.search;
        Json values = {{"base", search.base}, {"filter", search.filter}, {"scope", search.subtree ? "subtree" : "one"}};
        if (!search.bind_dn.empty()) values["bind_dn"] = search.bind_dn;
        if (!search.password.empty()) values["password"] = "***";
        json["search"] = std::move(values);
    } else {
        json["bind_dn"] = ldap.bind_dn;
    }
    json["user_attribute"] = ldap.user_attribute;
    if (!ldap.group_attribute.empty()) json["groups"] = {{"attribute", ldap.group_attribute}};
    if (!ldap.group_base.empty()) json["groups"] = {{"base", ldap.group_base}, {"filter", ldap.group_filter}};
    Json roles = Json::array();
    for (const LdapGroupRoles& one : ldap.group_roles) roles.push_back({{"group", one.group}, {"roles", one.roles}});
    if (!roles.empty()) json["group_roles"] = std::move(roles);
    return json;
}

// What all have in common that ask a service.
void add_service_json(const AuthenticatorConfig& authenticator, Json& json) {
    json["timeout_ms"] = authenticator.timeout_ms;
    json["when_unreachable"] = authenticator.defer_unreachable ? "defer" : "deny";
}

Json authenticators_json(const std::vector<AuthenticatorConfig>& authenticators) {
    Json list = Json::array();
    for (const AuthenticatorConfig& one : authenticators) {
        Json values = Json::object();
        if (one.method == AuthMethod::jwt) values = jwt_json(one);
        if (one.method == AuthMethod::password) values["remember_ms"] = one.remember_ms;
        if (one.method == AuthMethod::anonymous) values["remote"] = one.remote;
        if (one.method == AuthMethod::plugin) {
            values = plugin_json(one.plugin);
            values["timeout_ms"] = one.timeout_ms;
        }
        if (one.method == AuthMethod::http) {
            values = http_json(one);
            add_service_json(one, values);
        }
        if (one.method == AuthMethod::ldap) {
            values = ldap_json(one);
            add_service_json(one, values);
        }
        if (one.method == AuthMethod::certificate) {
            values["source"] = name_of(one.certificate_name);
            values["known_only"] = one.known_only;
        }
        list.push_back({{std::string(name_of(one.method)), std::move(values)}});
    }
    return list;
}

Json authorizers_json(const std::vector<AuthorizerConfig>& authorizers) {
    Json list = Json::array();
    for (const AuthorizerConfig& one : authorizers) {
        Json entry = Json::object();
        if (one.roles_file.empty()) {
            entry["plugin"] = plugin_json(one.plugin);
        } else {
            entry["roles"] = {{"file", one.roles_file}};
        }
        list.push_back(std::move(entry));
    }
    return list;
}

}  // namespace

std::string config_json(const Config& config) {
    Json listeners = Json::array();
    for (const ListenerConfig& listener : config.listeners) {
        Json entry = {{"url", listener.url}, {"max_connections", listener.max_connections},
                      {"proxy_protocol", listener.proxy_protocol}, {"allow_insecure", listener.allow_insecure}};
        if (!listener.tls.certificate_file.empty()) entry["tls"] = tls_json(listener.tls);
        if (!listener.authenticators.empty()) entry["authenticators"] = authenticators_json(listener.authenticators);
        listeners.push_back(std::move(entry));
    }
    Json limits = Json::object();
    for (const LimitField& field : limit_fields()) limits[std::string(field.name)] = field.get(config.limits);
    Json unix_users = Json::object();
    for (const auto& [uid, user] : config.admin.unix_users) unix_users[std::to_string(uid)] = user;
    Json admin = {{"listen", config.admin.listen}};
    if (config.admin.tls.given()) admin["tls"] = tls_json(config.admin.tls);
    admin["tokens_file"] = config.admin.tokens_file;
    admin["unix_users"] = std::move(unix_users);
    admin["metrics_without_token"] = config.admin.metrics_without_token;
    const Json json = {
        {"node", config.node},
        {"data", config.data_dir},
        {"workers", config.workers},
        {"listeners", std::move(listeners)},
        {"admin", std::move(admin)},
        {"durability", config.durability == Durability::strict ? "strict" : "relaxed"},
        {"allow_anonymous", config.allow_anonymous},
        {"authenticators", authenticators_json(config.authenticators)},
        {"authorizers", authorizers_json(config.authorizers)},
        {"sys_interval", config.sys_interval_s},
        {"limits", std::move(limits)},
        {"audit", Json::parse(audit_json(config.audit))},
        {"log", {{"level", config.log_level}, {"format", config.log_format}}},
    };
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace trunkline::broker
