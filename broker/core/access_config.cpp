#include "broker/core/access_config.h"

#include <tuple>

namespace trunkline::broker {

std::string_view name_of(AuthMethod method) {
    switch (method) {
        case AuthMethod::password: return "password";
        case AuthMethod::certificate: return "certificate";
        case AuthMethod::jwt: return "jwt";
        case AuthMethod::scram: return "scram";
        case AuthMethod::anonymous: return "anonymous";
        case AuthMethod::plugin: return "plugin";
        case AuthMethod::http: return "http";
        case AuthMethod::ldap: return "ldap";
    }
    return "unknown";
}

std::string_view name_of(CertificateName name) {
    switch (name) {
        case CertificateName::mapping: return "mapping";
        case CertificateName::cn: return "cn";
        case CertificateName::dns: return "dns";
        case CertificateName::email: return "email";
        case CertificateName::uri: return "uri";
    }
    return "unknown";
}

bool AuthenticatorConfig::operator==(const AuthenticatorConfig& other) const {
    const auto values = [](const AuthenticatorConfig& c) {
        return std::tie(c.method, c.certificate_name, c.known_only, c.jwks_file, c.jwt.algorithms, c.jwt.issuer,
                        c.jwt.audience, c.jwt.any_audience, c.jwt.require_expiry, c.jwt.leeway_s, c.jwt.user_claim,
                        c.jwt.roles_claim, c.jwt.groups_claim, c.remote, c.remember_ms, c.plugin, c.timeout_ms, c.http,
                        c.ldap, c.defer_unreachable);
    };
    return values(*this) == values(other);
}

std::string roles_file_of(const std::vector<AuthorizerConfig>& authorizers) {
    for (const AuthorizerConfig& authorizer : authorizers) {
        if (!authorizer.roles_file.empty()) return authorizer.roles_file;
    }
    return {};
}

}  // namespace trunkline::broker
