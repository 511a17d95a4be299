#include "broker/config_access.h"

#include <unistd.h>

#include <algorithm>
#include <map>

#include "broker/units.h"

namespace trunkline::broker {
namespace {

constexpr std::uint64_t plugin_timeout_ms_max = 60'000, remember_ms_max = 30 * 86'400'000ULL;

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
            return map.number("timeout", "a duration such as 5s",
                              [](std::string_view text) { return parse_duration_ms(text, 1'000); }, 100,
                              plugin_timeout_ms_max, format_duration_ms,
                              [&](std::uint64_t ms) { out.timeout_ms = static_cast<std::uint32_t>(ms); });
    }
}

constexpr AuthMethod all_methods[] = {AuthMethod::password, AuthMethod::certificate, AuthMethod::jwt,
                                      AuthMethod::scram,    AuthMethod::anonymous,   AuthMethod::plugin};

class Checker {
public:
    Checker(const Config& config, const ReportAccess& report) : config_(config), report_(report) {}

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
            return other.method == authenticator.method && authenticator.method != AuthMethod::plugin;
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

void check_access(const Config& config, const ReportAccess& report) { Checker(config, report).check(); }

bool sends_secrets(const std::vector<AuthenticatorConfig>& authenticators) {
    return std::any_of(authenticators.begin(), authenticators.end(), [](const AuthenticatorConfig& authenticator) {
        return authenticator.method == AuthMethod::password || authenticator.method == AuthMethod::jwt ||
               authenticator.method == AuthMethod::plugin;
    });
}

const std::vector<AuthenticatorConfig>& authenticators_of(const Config& config, const ListenerConfig& listener) {
    return listener.authenticators.empty() ? config.authenticators : listener.authenticators;
}

}  // namespace trunkline::broker
