#include "auth/jwks.h"

#include <array>

#include <nlohmann/json.hpp>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <sodium.h>

#include "auth/encoding.h"
#include "auth/scram_verifier.h"

namespace trunkline::auth {
namespace {

using Json = nlohmann::json;
using Key = std::unique_ptr<evp_pkey_st, FreeKey>;

constexpr std::array<std::string_view, 4> algorithm_names = {"RS256", "ES256", "EdDSA", "HS256"};
constexpr int rsa_bits_min = 2048;
constexpr std::size_t secret_bytes_min = 32;
constexpr std::size_t key_file_bytes_max = 1U << 20;

std::string text_of(const Json& object, const char* key) {
    const auto at = object.find(key);
    return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

std::optional<std::string> decoded(const Json& object, const char* key) {
    const std::string text = text_of(object, key);
    if (text.empty()) return std::nullopt;
    return decode_base64(text, Base64::url);
}

Key from_parameters(const char* type, OSSL_PARAM_BLD* builder) {
    Key key;
    OSSL_PARAM* parameters = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr);
    EVP_PKEY* made = nullptr;
    if (parameters && context && EVP_PKEY_fromdata_init(context) == 1 &&
        EVP_PKEY_fromdata(context, &made, EVP_PKEY_PUBLIC_KEY, parameters) == 1) {
        key.reset(made);
    }
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    return key;
}

Key rsa_key(const std::string& n, const std::string& e) {
    Key key;
    OSSL_PARAM_BLD* builder = OSSL_PARAM_BLD_new();
    BIGNUM* modulus = BN_bin2bn(as_bytes(n), static_cast<int>(n.size()), nullptr);
    BIGNUM* exponent = BN_bin2bn(as_bytes(e), static_cast<int>(e.size()), nullptr);
    if (builder && modulus && exponent && BN_num_bits(modulus) >= rsa_bits_min && BN_num_bits(modulus) <= 16'384 &&
        BN_is_odd(exponent) && BN_num_bits(exponent) <= 64 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) == 1) {
        key = from_parameters("RSA", builder);
    }
    BN_free(modulus);
    BN_free(exponent);
    OSSL_PARAM_BLD_free(builder);
    return key;
}

Key ec_key(const std::string& x, const std::string& y) {
    Key key;
    if (x.size() != 32 || y.size() != 32) return key;
    const std::string point = '\x04' + x + y;
    OSSL_PARAM_BLD* builder = OSSL_PARAM_BLD_new();
    if (builder && OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) == 1) {
        key = from_parameters("EC", builder);
    }
    OSSL_PARAM_BLD_free(builder);
    return key;
}

// Fills `into` from one key of a set; false and why, when it cannot be used.
bool read_key(const Json& object, Jwk& into, std::string& why) {
    const std::string type = text_of(object, "kty");
    into.id = text_of(object, "kid");
    if (type == "RSA") {
        const auto n = decoded(object, "n"), e = decoded(object, "e");
        into.algorithm = JwtAlgorithm::rs256;
        if (n && e) into.key = rsa_key(*n, *e);
        why = "is no RSA key of 2048 bits or more";
    } else if (type == "EC") {
        const auto x = decoded(object, "x"), y = decoded(object, "y");
        into.algorithm = JwtAlgorithm::es256;
        if (text_of(object, "crv") == "P-256" && x && y) into.key = ec_key(*x, *y);
        why = "is no key on P-256";
    } else if (type == "OKP") {
        const auto x = decoded(object, "x");
        into.algorithm = JwtAlgorithm::eddsa;
        if (text_of(object, "crv") == "Ed25519" && x && x->size() == 32) {
            into.key.reset(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, as_bytes(*x), x->size()));
        }
        why = "is no Ed25519 key";
    } else if (type == "oct") {
        auto secret = decoded(object, "k");
        into.algorithm = JwtAlgorithm::hs256;
        if (secret && secret->size() >= secret_bytes_min) into.secret = std::move(*secret);
        why = "is no secret of 32 bytes or more";
    } else {
        why = "has a type that is none of RSA, EC, OKP and oct";
    }
    if (!into.key && into.secret.empty()) return false;
    const std::string algorithm = text_of(object, "alg");
    if (!algorithm.empty() && algorithm != name_of(into.algorithm)) {
        why = "is for an algorithm that is none of RS256, ES256, EdDSA and HS256, or not of its type";
        return false;
    }
    return true;
}

bool verify_public(const Jwk& key, std::string_view signed_text, std::string_view signature) {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    const EVP_MD* digest = key.algorithm == JwtAlgorithm::eddsa ? nullptr : EVP_sha256();
    const bool good = context && EVP_DigestVerifyInit(context, nullptr, digest, nullptr, key.key.get()) == 1 &&
                      EVP_DigestVerify(context, as_bytes(signature), signature.size(), as_bytes(signed_text),
                                       signed_text.size()) == 1;
    EVP_MD_CTX_free(context);
    return good;
}

// OpenSSL wants an ECDSA signature in DER.
std::string der_of(std::string_view raw) {
    std::string der;
    ECDSA_SIG* signature = ECDSA_SIG_new();
    BIGNUM* r = BN_bin2bn(as_bytes(raw), 32, nullptr);
    BIGNUM* s = BN_bin2bn(as_bytes(raw) + 32, 32, nullptr);
    if (signature && r && s && ECDSA_SIG_set0(signature, r, s) == 1) {
        unsigned char* out = nullptr;
        const int size = i2d_ECDSA_SIG(signature, &out);
        if (size > 0) der.assign(reinterpret_cast<char*>(out), static_cast<std::size_t>(size));
        OPENSSL_free(out);
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(signature);
    return der;
}

}  // namespace

void FreeKey::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

Jwk::~Jwk() {
    if (!secret.empty()) sodium_memzero(secret.data(), secret.size());
}

std::string_view name_of(JwtAlgorithm algorithm) { return algorithm_names[static_cast<std::size_t>(algorithm)]; }

std::optional<JwtAlgorithm> jwt_algorithm(std::string_view name) {
    for (std::size_t i = 0; i < algorithm_names.size(); ++i) {
        if (algorithm_names[i] == name) return static_cast<JwtAlgorithm>(i);
    }
    return std::nullopt;
}

ParsedJwks parse_jwks(std::string_view text, const std::string& name) {
    ParsedJwks out;
    const auto report = [&](std::string message, std::string fix) {
        if (out.problems.size() < 100) out.problems.push_back({"TL-9207", name, std::move(message), std::move(fix)});
    };
    const Json document = text.size() > key_file_bytes_max ? Json() : Json::parse(text, nullptr, false);
    const auto keys = document.is_object() ? document.find("keys") : document.end();
    if (!document.is_object() || keys == document.end() || !keys->is_array()) {
        report("this is no JSON Web Key Set", "it looks like {\"keys\": [{\"kty\": \"RSA\", ...}]}");
        return out;
    }
    Jwks set;
    std::size_t number = 0;
    for (const Json& object : *keys) {
        ++number;
        const std::string which = "key " + std::to_string(number);
        Jwk key;
        std::string why;
        if (!object.is_object()) {
            report(which + " is no object", "");
        } else if (const std::string use = text_of(object, "use"); !use.empty() && use != "sig") {
            continue;
        } else if (read_key(object, key, why)) {
            set.keys.push_back(std::move(key));
        } else {
            report(which + " " + why, "take it out, or replace it");
        }
    }
    if (set.keys.empty()) report("no key of the set can be used", "");
    else out.set = std::move(set);
    return out;
}

bool verify_signature(const Jwk& key, std::string_view signed_text, std::string_view signature) {
    if (key.algorithm == JwtAlgorithm::hs256) {
        const std::string expected = hmac_sha256(key.secret, signed_text);
        return signature.size() == expected.size() &&
               sodium_memcmp(signature.data(), expected.data(), expected.size()) == 0;
    }
    if (key.algorithm == JwtAlgorithm::es256) {
        return signature.size() == 64 && verify_public(key, signed_text, der_of(signature));
    }
    return verify_public(key, signed_text, signature);
}

}  // namespace trunkline::auth
