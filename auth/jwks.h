// Keys that tokens are signed with: a JSON Web Key Set (RFC 7517, RFC 8037) read from a file.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "namespace/problem.h"

struct evp_pkey_st;

namespace trunkline::auth {

/// What a token may be signed with (RFC 7518, RFC 8037). `none` is not among them.
enum class JwtAlgorithm : std::uint8_t { rs256, es256, eddsa, hs256 };
[[nodiscard]] std::string_view name_of(JwtAlgorithm algorithm);
[[nodiscard]] std::optional<JwtAlgorithm> jwt_algorithm(std::string_view name);

struct FreeKey {
    void operator()(evp_pkey_st* key) const;
};

/// One key is for one algorithm: what it is tells which, so no token can have it used as another.
struct Jwk {
    std::string id;                                   ///< "kid", or empty
    JwtAlgorithm algorithm = JwtAlgorithm::rs256;
    std::unique_ptr<evp_pkey_st, FreeKey> key;        ///< null for HS256
    std::string secret;                               ///< of HS256
    Jwk() = default;
    Jwk(Jwk&&) = default;
    Jwk& operator=(Jwk&&) = default;
    ~Jwk();
};

struct Jwks {
    std::vector<Jwk> keys;
};

struct ParsedJwks {
    std::optional<Jwks> set;            ///< absent when it is no set or has no key that can be used
    std::vector<Problem> problems;      ///< of keys that were left out, too; never a secret
};

/// Reads a set. RSA keys have 2,048 bits or more, EC keys are on P-256, OKP keys are Ed25519, oct keys have 32 bytes or
/// more. Keys for encryption are left out.
[[nodiscard]] ParsedJwks parse_jwks(std::string_view text, const std::string& name);

/// Whether `signature` of `key` is over `signed_text`. ES256: 64 bytes r and s (RFC 7518, section 3.4).
[[nodiscard]] bool verify_signature(const Jwk& key, std::string_view signed_text, std::string_view signature);

}  // namespace trunkline::auth
