// What the configuration says of who may connect and who decides about access.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "auth/jwt.h"

namespace trunkline::broker {

/// A shared object with auth/plugin.h. To name it is to allow it.
struct PluginConfig {
    std::string file;                        // absolute
    std::string sha256;                      // of the file, hexadecimal; empty: any
    std::string config_json = "{}";          // for the plugin; may hold secrets
    std::string place;                       // in the configuration
    bool operator==(const PluginConfig& other) const {
        return file == other.file && sha256 == other.sha256 && config_json == other.config_json;
    }
};

enum class AuthMethod : std::uint8_t { password, certificate, jwt, scram, anonymous, plugin };
[[nodiscard]] std::string_view name_of(AuthMethod method);

/// Where the user's name is in a certificate that belongs to no user of the roles file.
enum class CertificateName : std::uint8_t { mapping, cn, dns, email, uri };
[[nodiscard]] std::string_view name_of(CertificateName name);

/// One entry of `authenticators`; the fields of other methods stay as they are.
struct AuthenticatorConfig {
    AuthMethod method = AuthMethod::anonymous;
    CertificateName certificate_name = CertificateName::cn;
    bool known_only = true;                  // certificate: the roles file must have the user
    std::int64_t remember_ms = 7 * 86'400'000LL;   // password: right from the same address so long ago is right; 0: off
    std::string jwks_file;
    auth::JwtOptions jwt;
    bool remote = false;                     // anonymous: from other machines too
    PluginConfig plugin;
    std::uint32_t timeout_ms = 5'000;        // plugin: no answer by then denies
    std::string place;
    bool operator==(const AuthenticatorConfig& other) const;
};

/// One entry of `authorizers`.
struct AuthorizerConfig {
    std::string roles_file;                  // empty: it is a plugin
    PluginConfig plugin;
    std::string place;
    bool operator==(const AuthorizerConfig& other) const {
        return roles_file == other.roles_file && plugin == other.plugin;
    }
};

/// The roles file that is named, or "".
[[nodiscard]] std::string roles_file_of(const std::vector<AuthorizerConfig>& authorizers);

}  // namespace trunkline::broker
