#include "broker/config_access.h"

#include <unistd.h>

#include <algorithm>
#include <map>

#include "auth/ldap_text.h"
#include "broker/listener_url.h"
#include "broker/units.h"

namespace trunkline::broker {
namespace {

constexpr std::uint64_t timeout_ms_max = 60'000, remember_ms_max = 30 * 86'400'000ULL;

void read_plugin(YamlMap& map, YamlContext& context, PluginConfig& plugin) {
    map.text("file", plugin.file);
    map.text("sha256", plugin.sha256);
    map.json("config", plugin.config_json);
    plugin.place = map.place_of("file");
    if (!plugin.file.starts_with('/')) {
        context.report("TL-9015", plugin.place, map.path_of("file") + ": a plugin needs the absolute path of its file",
                       "write /usr/lib/trunkline/plugins/NAME.so, best with its sha256");
    }
    const bool hexadecimal = plugin.sha256.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
    if (!plugin.sha256.empty() && (plugin.sha256.size() != 64 || !hexadecimal)) {
        context.report("TL-9015", map.place_of("sha256"), map.path_of("sha256") + " is no SHA-256",
                       "write the 64 hexadecimal digits that sha256sum prints");
    }
}

void read_jwt(YamlMap& map, YamlContext& context, AuthenticatorConfig& out) {
    auth::JwtOptions& jwt = out.jwt;
    map.path("jwks_file", out.jwks_file);
    map.text("issuer", jwt.issuer);
    map.text("audience", jwt.audience);
    map.boolean("any_audience", jwt.any_audience);
    map.boolean("require_expiry", jwt.require_expiry);
    map.number("leeway", "a duration such as 30s", [](std::string_view text) { return parse_duration_ms(text, 1'000); },
               0, 3'600'000, format_duration_ms,
               [&](std::uint64_t ms) { jwt.leeway_s = static_cast<std::int64_t>(ms / 1'000); });
    map.text("user_claim", jwt.user_claim);
    map.text("roles_claim", jwt.roles_claim);
    map.text("groups_claim", jwt.groups_claim);
    std::vector<std::string> names;
    map.words("algorithms", names);
    if (!names.empty()) jwt.algorithms.clear();
    for (const std::string& name : names) {
        if (const auto algorithm = auth::jwt_algorithm(name)) {
            jwt.algorithms.push_back(*algorithm);
        } else {
            context.report("TL-9003", map.place_of("algorithms"),
                           map.path_of("algorithms") + ": \"" + name + "\" is not known",
                           "write some of RS256, ES256, EdDSA, HS256");
        }
    }
    if (out.jwks_file.empty()) {
        context.report("TL-9015", map.place_of("jwks_file"), map.path_of("jwks_file") + " is missing",
                       "name the JSON Web Key Set of who issues the tokens");
    }
    if (jwt.audience.empty() == !jwt.any_audience) {
        context.report("TL-9015", map.place_of("audience"),
                       map.path_of("audience") + (jwt.any_audience ? " is given beside any_audience"
                                                                   : " is missing: a token for any service would do"),
                       "name the audience that the tokens for this broker have, or set any_audience: true");
    }
    if (jwt.user_claim.empty()) jwt.user_claim = "sub";
}

void read_certificate(YamlMap& map, AuthenticatorConfig& out) {
    std::string source(name_of(out.certificate_name));
    map.choice("source", source, {"mapping", "cn", "dns", "email", "uri"});
    for (const auto name : {CertificateName::mapping, CertificateName::cn, CertificateName::dns, CertificateName::email,
                            CertificateName::uri}) {
        if (name_of(name) == source) out.certificate_name = name;
    }
    map.boolean("known_only", out.known_only);
}

void read_timeout(YamlMap& map, std::uint32_t& timeout_ms) {
    map.number("timeout", "a duration such as 5s", [](std::string_view text) { return parse_duration_ms(text, 1'000); },
               100, timeout_ms_max, format_duration_ms,
               [&](std::uint64_t ms) { timeout_ms = static_cast<std::uint32_t>(ms); });
}

void read_unreachable(YamlMap& map, AuthenticatorConfig& out) {
    std::string word = "deny";
    map.choice("when_unreachable", word, {"deny", "defer"});
    out.defer_unreachable = word == "defer";
}

void read_http(YamlMap& map, YamlContext& context, AuthenticatorConfig& out) {
    HttpLoginConfig& http = out.http;
    map.text("url", http.url);
    map.path("ca", http.ca_file);
    map.secret("token", http.token);
    map.boolean("allow_insecure", http.allow_insecure);
    map.count("requests", 1, 256, [&](std::uint64_t n) { http.requests_max = static_cast<std::uint32_t>(n); });
    read_timeout(map, out.timeout_ms);
    read_unreachable(map, out);
    ServiceUrl url;
    if (const std::string wrong = http.url.empty() ? "the address of the service is missing"
                                                   : parse_service_url(http.url, "http", url);
        !wrong.empty()) {
        context.report(http.url.empty() ? "TL-9015" : "TL-9008", map.place_of("url"), map.path_of("url") + ": " + wrong,
                       "write https://HOST/PATH, or http://127.0.0.1:PORT/PATH");
    } else if (url.scheme == "http" && !http.allow_insecure && !is_loopback_host(url.host)) {
        context.report("TL-9015", map.place_of("url"), map.path_of("url") + " would carry passwords in the clear",
                       "use https://, or set allow_insecure: true beside it");
    } else if (url.scheme == "http" && !http.ca_file.empty()) {
        context.report("TL-9013", map.place_of("ca"), map.path_of("ca") + " has no meaning for http://",
                       "remove it, or use https://");
    }
}

class LdapReader {
public:
    LdapReader(YamlMap& map, YamlContext& context, AuthenticatorConfig& out)
        : map_(map), context_(context), out_(out), ldap_(out.ldap) {}

    void read() {
        map_.text("url", ldap_.url);
        map_.path("ca", ldap_.ca_file);
        map_.boolean("start_tls", ldap_.start_tls);
        map_.boolean("allow_insecure", ldap_.allow_insecure);
        map_.count("connections", 1, 64,
                   [&](std::uint64_t n) { ldap_.connections_max = static_cast<std::uint32_t>(n); });
        read_timeout(map_, out_.timeout_ms);
        read_unreachable(map_, out_);
        map_.text("bind_dn", ldap_.bind_dn);
        map_.text("user_attribute", ldap_.user_attribute);
        map_.map("search", [&](YamlMap& search) { read_search(search); });
        map_.map("groups", [&](YamlMap& groups) { read_groups(groups); });
        map_.list("group_roles", [&](std::size_t, YamlMap& one) { read_group_roles(one); });
        check_address();
        check_who();
    }

private:
    void lacks(YamlMap& map, std::string_view key, const std::string& what, std::string fix) {
        context_.report("TL-9015", map.place_of(key), map.path_of(key) + " " + what, std::move(fix));
    }

    // A template without the user's name would be the same entry for everybody.
    void check_template(YamlMap& map, std::string_view key, const std::string& text, std::string_view allowed,
                        bool names_user) {
        const std::string wrong = auth::check_template(text, allowed);
        if (!wrong.empty()) return lacks(map, key, "is no template: " + wrong, "write %u for the user name");
        const bool named = text.find("%u") != std::string::npos || text.find("%d") != std::string::npos;
        if (names_user && !named) lacks(map, key, "is the same for every user", "write %u where the user name stands");
    }

    void check_dn(YamlMap& map, std::string_view key, const std::string& text) {
        if (text.empty() || auth::normal_dn(text)) return;
        lacks(map, key, "is no distinguished name", "write it as in ou=people,dc=acme,dc=example");
    }

    void read_search(YamlMap& map) {
        LdapLoginConfig::Search& search = ldap_.search;
        map.text("base", search.base);
        map.text("filter", search.filter);
        std::string scope = "subtree";
        map.choice("scope", scope, {"subtree", "one"});
        search.subtree = scope == "subtree";
        map.text("bind_dn", search.bind_dn);
        map.secret("password", search.password);
        if (search.base.empty()) lacks(map, "base", "is missing", "name the entry below which the users are");
        if (search.filter.empty()) lacks(map, "filter", "is missing", "write one such as (uid=%u)");
        else check_filter(map, search.filter, "u");
        check_dn(map, "base", search.base);
        check_dn(map, "bind_dn", search.bind_dn);
        if (search.bind_dn.empty() != search.password.empty()) {
            lacks(map, search.bind_dn.empty() ? "bind_dn" : "password", "is missing",
                  "give both of bind_dn and password: file:PATH, or none to search as nobody");
        }
    }

    void check_filter(YamlMap& map, const std::string& filter, std::string_view allowed) {
        check_template(map, "filter", filter, allowed, true);
        if (!filter.starts_with('(') || !filter.ends_with(')')) {
            lacks(map, "filter", "is no filter", "write it in parentheses: (uid=%u)");
        }
    }

    void read_groups(YamlMap& map) {
        map.text("attribute", ldap_.group_attribute);
        map.text("base", ldap_.group_base);
        map.text("filter", ldap_.group_filter);
        check_dn(map, "base", ldap_.group_base);
        if (ldap_.group_base.empty() != ldap_.group_filter.empty()) {
            lacks(map, ldap_.group_base.empty() ? "base" : "filter", "is missing",
                  "give both of base and filter, such as (member=%d)");
        }
        if (!ldap_.group_filter.empty()) check_filter(map, ldap_.group_filter, "ud");
        if (ldap_.group_attribute.empty() == ldap_.group_base.empty()) {
            lacks(map, "attribute", "is given beside base, or neither is",
                  "write attribute: memberOf, or base and filter of the groups");
        }
    }

    void read_group_roles(YamlMap& map) {
        LdapGroupRoles one;
        map.text("group", one.group);
        map.words("roles", one.roles);
        if (one.group.empty()) lacks(map, "group", "is missing", "write the group's distinguished name");
        if (one.group.find('=') != std::string::npos) check_dn(map, "group", one.group);
        if (one.roles.empty()) lacks(map, "roles", "is missing", "write the roles of its members, [operator]");
        ldap_.group_roles.push_back(std::move(one));
    }

    void check_address() {
        ServiceUrl url;
        const std::string wrong = ldap_.url.empty() ? "the address of the directory is missing"
                                                    : parse_service_url(ldap_.url, "ldap", url);
        if (!wrong.empty()) {
            return context_.report(ldap_.url.empty() ? "TL-9015" : "TL-9008", map_.place_of("url"),
                                   map_.path_of("url") + ": " + wrong, "write ldaps://HOST");
        }
        const bool encrypted = url.scheme == "ldaps" || ldap_.start_tls;
        if (url.scheme == "ldaps" && ldap_.start_tls) {
            context_.report("TL-9013", map_.place_of("start_tls"),
                            map_.path_of("start_tls") + " has no meaning for ldaps://", "remove it, or use ldap://");
        } else if (!encrypted && !ldap_.allow_insecure) {
            lacks(map_, "url", "would carry passwords in the clear",
                  "use ldaps://, or start_tls: true, or set allow_insecure: true beside it");
        } else if (!encrypted && !ldap_.ca_file.empty()) {
            context_.report("TL-9013", map_.place_of("ca"), map_.path_of("ca") + " has no meaning without TLS",
                            "remove it, or use ldaps:// or start_tls: true");
        }
    }

    void check_who() {
        if (ldap_.bind_dn.empty() == !map_.has("search")) {
            return lacks(map_, "bind_dn", ldap_.bind_dn.empty() ? "and search are missing" : "is given beside search",
                         "write one of bind_dn: \"uid=%u,ou=people,dc=acme,dc=example\" and search: {base, filter}");
        }
        if (!ldap_.bind_dn.empty()) {
            check_template(map_, "bind_dn", ldap_.bind_dn, "u", true);
            check_dn(map_, "bind_dn", ldap_.bind_dn);
        }
        if (ldap_.user_attribute.empty()) {
            ldap_.user_attribute =
                auth::attribute_of_user(ldap_.bind_dn.empty() ? ldap_.search.filter : ldap_.bind_dn);
        }
        if (ldap_.user_attribute.empty()) {
            lacks(map_, "user_attribute", "is missing",
                  "name the attribute that holds the user's name, such as uid or sAMAccountName");
        }
        const bool has_groups = !ldap_.group_attribute.empty() || !ldap_.group_base.empty();
        if (!ldap_.group_roles.empty() && !has_groups) {
            lacks(map_, "groups", "is missing: nobody says who is in a group",
                  "write groups: {attribute: memberOf}, or groups: {base, filter}");
        }
    }

    YamlMap& map_;
    YamlContext& context_;
    AuthenticatorConfig& out_;
    LdapLoginConfig& ldap_;
};

// The values that a method has; what is no method is left for finish() to name.
void read_method(YamlMap& map, YamlContext& context, AuthenticatorConfig& out) {
    switch (out.method) {
        case AuthMethod::scram: return;
        case AuthMethod::password:
            return map.number("remember", "a duration such as 7d",
                              [](std::string_view text) { return parse_duration_ms(text, 1'000); }, 0,
                              remember_ms_max, format_duration_ms,
                              [&](std::uint64_t ms) { out.remember_ms = static_cast<std::int64_t>(ms); });
        case AuthMethod::certificate: return read_certificate(map, out);
        case AuthMethod::jwt: return read_jwt(map, context, out);
        case AuthMethod::anonymous: return map.boolean("remote", out.remote);
        case AuthMethod::plugin:
            read_plugin(map, context, out.plugin);
            return read_timeout(map, out.timeout_ms);
        case AuthMethod::http: return read_http(map, context, out);
        case AuthMethod::ldap: return LdapReader(map, context, out).read();
    }
}

// Of services there may be several, each with its own address.
bool may_be_several(AuthMethod method) {
    return method == AuthMethod::plugin || method == AuthMethod::http || method == AuthMethod::ldap;
}

constexpr AuthMethod all_methods[] = {AuthMethod::password, AuthMethod::certificate, AuthMethod::jwt,
                                      AuthMethod::scram,    AuthMethod::anonymous,   AuthMethod::plugin,
                                      AuthMethod::http,        AuthMethod::ldap};

class AccessChecker {
public:
    AccessChecker(const Config& config, const ReportAccess& report) : config_(config), report_(report) {}

    void check() {
        const std::string roles = roles_file_of(config_.authorizers);
        for (const AuthorizerConfig& authorizer : config_.authorizers) {
            if (!authorizer.roles_file.empty()) readable(authorizer.place, authorizer.roles_file);
            note(authorizer.plugin);
        }
        check_list(config_.authenticators, !roles.empty());
        for (const ListenerConfig& listener : config_.listeners) check_list(listener.authenticators, !roles.empty());
        if (!config_.authenticators.empty() && config_.allow_anonymous) {
            report_("TL-9013", "allow_anonymous", "allow_anonymous has no meaning beside authenticators",
                    "remove it; to let in whoever has no name, add `- anonymous: {remote: true}` to authenticators");
        }
    }

private:
    void readable(const std::string& place, const std::string& file) {
        if (::access(file.c_str(), R_OK) == 0) return;
        report_("TL-9009", place, "file " + file + " cannot be read", "check its path and its owner");
    }

    // A plugin may be named several times; it is loaded once.
    void note(const PluginConfig& plugin) {
        if (plugin.file.empty()) return;
        const auto [first, fresh] = plugins_.emplace(plugin.file, &plugin);
        const PluginConfig& other = *first->second;
        const bool same_config = plugin.config_json == "{}" || other.config_json == "{}" ||
                                 plugin.config_json == other.config_json;
        const bool same_file = plugin.sha256.empty() || other.sha256.empty() || plugin.sha256 == other.sha256;
        if (fresh || (same_config && same_file)) return;
        report_("TL-9013", plugin.place, "plugin " + plugin.file + " is given twice with different values",
                "give its sha256 and config once");
    }

    void check_list(const std::vector<AuthenticatorConfig>& list, bool has_roles) {
        for (const AuthenticatorConfig& authenticator : list) {
            const bool of_roles = authenticator.method == AuthMethod::password ||
                                  authenticator.method == AuthMethod::scram ||
                                  (authenticator.method == AuthMethod::certificate && authenticator.known_only);
            if (of_roles && !has_roles) {
                report_("TL-9015", authenticator.place,
                        std::string(name_of(authenticator.method)) + " needs the users of a roles file",
                        authenticator.method == AuthMethod::certificate
                            ? "add `authorizers: [{roles: {file: roles.yaml}}]`, or set known_only: false"
                            : "add `authorizers: [{roles: {file: roles.yaml}}]`");
            }
            if (!authenticator.jwks_file.empty()) readable(authenticator.place, authenticator.jwks_file);
            if (!authenticator.http.ca_file.empty()) readable(authenticator.place, authenticator.http.ca_file);
            if (!authenticator.ldap.ca_file.empty()) readable(authenticator.place, authenticator.ldap.ca_file);
            note(authenticator.plugin);
        }
    }

    const Config& config_;
    const ReportAccess& report_;
    std::map<std::string, const PluginConfig*> plugins_;
};

}  // namespace

void read_authenticators(YamlMap& map, YamlContext& context, std::vector<AuthenticatorConfig>& out) {
    map.named_list("authenticators", [&](YamlMap& entry) {
        AuthenticatorConfig authenticator;
        bool found = false;
        for (const AuthMethod method : all_methods) {
            entry.named(name_of(method), [&](YamlMap& values) {
                if (found) return;
                found = true;
                authenticator.method = method;
                authenticator.place = entry.place_of(name_of(method));
                read_method(values, context, authenticator);
            });
        }
        if (!found) return;
        const bool twice = std::any_of(out.begin(), out.end(), [&](const AuthenticatorConfig& other) {
            return other.method == authenticator.method && !may_be_several(authenticator.method);
        });
        if (twice) {
            context.report("TL-9005", authenticator.place, std::string(name_of(authenticator.method)) +
                           " is in the list twice", "keep one of them");
        }
        out.push_back(std::move(authenticator));
    });
}

void read_authorizers(YamlMap& map, YamlContext& context, std::vector<AuthorizerConfig>& out) {
    map.named_list("authorizers", [&](YamlMap& entry) {
        AuthorizerConfig authorizer;
        bool found = false;
        entry.named("roles", [&](YamlMap& roles) {
            found = true;
            authorizer.place = entry.place_of("roles");
            roles.path("file", authorizer.roles_file);
            if (authorizer.roles_file.empty()) {
                context.report("TL-9015", authorizer.place, roles.path_of("file") + " is missing",
                               "name the YAML file with users, groups and roles");
            }
        });
        entry.named("plugin", [&](YamlMap& plugin) {
            if (found) return;
            found = true;
            read_plugin(plugin, context, authorizer.plugin);
            authorizer.place = authorizer.plugin.place;
        });
        if (!found) return;
        if (!authorizer.roles_file.empty() && !roles_file_of(out).empty()) {
            context.report("TL-9005", authorizer.place, "roles is in the list twice",
                           "keep all users and roles in one file");
        }
        out.push_back(std::move(authorizer));
    });
}

void check_access(const Config& config, const ReportAccess& report) { AccessChecker(config, report).check(); }

bool sends_secrets(const std::vector<AuthenticatorConfig>& authenticators) {
    return std::any_of(authenticators.begin(), authenticators.end(), [](const AuthenticatorConfig& authenticator) {
        return authenticator.method == AuthMethod::password || authenticator.method == AuthMethod::jwt ||
               may_be_several(authenticator.method);   // what a service is told
    });
}

const std::vector<AuthenticatorConfig>& authenticators_of(const Config& config, const ListenerConfig& listener) {
    return listener.authenticators.empty() ? config.authenticators : listener.authenticators;
}

}  // namespace trunkline::broker
