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

/// An HTTP service that judges logins.
struct HttpLoginConfig {
    std::string url;
    std::string ca_file;                     // of who signs the server's certificate; empty: the system's
    std::string token;                       // secret; sent as bearer token, empty: none
    bool allow_insecure = false;             // http:// to another machine
    std::uint32_t requests_max = 16;         // at once
    bool operator==(const HttpLoginConfig& other) const {   // but for the token, which a reload takes at once
        return url == other.url && ca_file == other.ca_file && allow_insecure == other.allow_insecure &&
               requests_max == other.requests_max && token.empty() == other.token.empty();
    }
};

/// Members of a group of the directory have these roles.
struct LdapGroupRoles {
    std::string group;                       // a distinguished name, or the first name of one ("operators")
    std::vector<std::string> roles;
    bool operator==(const LdapGroupRoles&) const = default;
};

/// A directory that judges logins by a bind. Texts with `%u` (user name) and `%d` (distinguished name) are templates.
struct LdapLoginConfig {
    std::string url;
    std::string ca_file;                     // of who signs the server's certificate; empty: the system's
    bool start_tls = false;
    bool allow_insecure = false;             // neither ldaps:// nor start_tls
    std::string bind_dn;                     // template of whom to bind as; empty: who `search` finds
    struct Search {
        std::string base, filter, bind_dn;
        std::string password;                // secret, of bind_dn
        bool subtree = true;                 // else the level below `base` alone
        bool operator==(const Search& other) const {   // but for the password, which a reload takes at once
            return base == other.base && filter == other.filter && bind_dn == other.bind_dn &&
                   subtree == other.subtree;
        }
    } search;
    std::string user_attribute;              // holds the user's name as the directory writes it
    std::string group_attribute;             // of the user's entry; empty: groups are searched, if at all
    std::string group_base, group_filter;
    std::vector<LdapGroupRoles> group_roles;
    std::uint32_t connections_max = 4;
    bool operator==(const LdapLoginConfig&) const = default;
};

enum class AuthMethod : std::uint8_t { password, certificate, jwt, scram, anonymous, plugin, http, ldap };
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
    HttpLoginConfig http;
    LdapLoginConfig ldap;
    bool defer_unreachable = false;          // http, ldap: the next method is asked while nobody can be reached
    std::uint32_t timeout_ms = 5'000;        // plugin, http, ldap: no answer by then denies
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
