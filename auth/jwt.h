// JSON Web Tokens (RFC 7519, RFC 8725): what a token says, if it can be believed. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "auth/jwks.h"

namespace trunkline::auth {

struct JwtOptions {
    std::vector<JwtAlgorithm> algorithms = {JwtAlgorithm::rs256, JwtAlgorithm::es256, JwtAlgorithm::eddsa};
    std::string issuer;                     ///< `iss` must be this; empty: any
    std::string audience;                   ///< `aud` must be or contain this; empty: there must be none
    bool any_audience = false;              ///< `aud` does not matter; say so by name
    bool require_expiry = true;             ///< a token without `exp` is refused
    std::int64_t leeway_s = 30;             ///< clocks may differ by this
    std::string user_claim = "sub";
    std::string roles_claim = "roles";      ///< empty: tokens give no roles
    std::string groups_claim = "groups";
};

struct JwtClaims {
    std::string user;
    std::vector<std::string> roles, groups;
    std::int64_t expires_ms = 0;            ///< when the connection must end, leeway included; 0: never
};

struct JwtResult {
    bool good = false;
    JwtClaims claims;
    std::string reason;                     ///< why not; may go to the client, has nothing of the token
};

/// True when it looks like one: three parts of base64url, the first of which begins a JSON object.
[[nodiscard]] bool looks_like_jwt(std::string_view text);

/// Checks the signature first, then the claims. Only what `options` allow is tried, each key only as what it is.
[[nodiscard]] JwtResult verify_jwt(std::string_view token, const Jwks& keys, const JwtOptions& options,
                                   std::int64_t now_ms);

}  // namespace trunkline::auth
