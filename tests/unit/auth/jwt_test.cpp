#include <memory>

#include <nlohmann/json.hpp>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "auth/chain.h"
#include "auth/encoding.h"
#include "auth/jwt.h"
#include "auth/jwt_method.h"
#include "auth/scram_verifier.h"
#include "tests/unit/auth/samples.h"

using namespace trunkline;
using namespace trunkline::auth;
using namespace trunkline::auth::test;

namespace {

using Json = nlohmann::json;
using Key = std::unique_ptr<evp_pkey_st, FreeKey>;

const std::string secret = "0123456789abcdef0123456789abcdef";
constexpr std::int64_t now_ms = 1'800'000'000'000;

std::string url(std::string_view bytes) { return encode_base64(bytes, Base64::url); }

std::string number(const Key& key, const char* name, std::size_t size) {
    BIGNUM* value = nullptr;
    REQUIRE(EVP_PKEY_get_bn_param(key.get(), name, &value) == 1);
    if (size == 0) size = static_cast<std::size_t>(BN_num_bytes(value));
    std::string bytes(size, '\0');
    BN_bn2binpad(value, reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(size));
    BN_free(value);
    return bytes;
}

/// One key of each kind, made once.
struct Keys {
    Key rsa{EVP_RSA_gen(2048)}, ec{EVP_EC_gen("P-256")}, ed{EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")};
    std::string set;
    Jwks parsed;

    Keys() {
        std::string point(32, '\0');
        std::size_t size = point.size();
        REQUIRE(EVP_PKEY_get_raw_public_key(ed.get(), reinterpret_cast<unsigned char*>(point.data()), &size) == 1);
        set = Json{{"keys",
                    {{{"kty", "RSA"}, {"kid", "r"}, {"n", url(number(rsa, OSSL_PKEY_PARAM_RSA_N, 0))},
                      {"e", url(number(rsa, OSSL_PKEY_PARAM_RSA_E, 0))}, {"use", "sig"}},
                     {{"kty", "EC"}, {"kid", "e"}, {"crv", "P-256"}, {"alg", "ES256"},
                      {"x", url(number(ec, OSSL_PKEY_PARAM_EC_PUB_X, 32))},
                      {"y", url(number(ec, OSSL_PKEY_PARAM_EC_PUB_Y, 32))}},
                     {{"kty", "OKP"}, {"kid", "d"}, {"crv", "Ed25519"}, {"x", url(point)}},
                     {{"kty", "oct"}, {"kid", "h"}, {"k", url(secret)}},
                     {{"kty", "RSA"}, {"use", "enc"}, {"n", "AQAB"}, {"e", "AQAB"}}}}}.dump();
        ParsedJwks result = parse_jwks(set, "jwks.json");
        for (const Problem& problem : result.problems) UNSCOPED_INFO(to_string(problem));
        REQUIRE(result.problems.empty());
        parsed = std::move(*result.set);
    }
};

Keys& keys() {
    static Keys all;
    return all;
}

std::string sign(const Key& key, bool digest, std::string_view text) {
    std::string out(1024, '\0');
    std::size_t size = out.size();
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    REQUIRE(EVP_DigestSignInit(context, nullptr, digest ? EVP_sha256() : nullptr, nullptr, key.get()) == 1);
    REQUIRE(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(out.data()), &size,
                           reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1);
    EVP_MD_CTX_free(context);
    out.resize(size);
    return out;
}

std::string raw_ecdsa(const std::string& der) {
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
    std::string raw(64, '\0');
    BN_bn2binpad(ECDSA_SIG_get0_r(signature), reinterpret_cast<unsigned char*>(raw.data()), 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(signature), reinterpret_cast<unsigned char*>(raw.data()) + 32, 32);
    ECDSA_SIG_free(signature);
    return raw;
}

std::string token(const std::string& algorithm, const Json& claims, Json header = Json::object()) {
    header["alg"] = algorithm;
    const std::string text = url(header.dump()) + "." + url(claims.dump());
    std::string signature;
    if (algorithm == "RS256") signature = sign(keys().rsa, true, text);
    if (algorithm == "ES256") signature = raw_ecdsa(sign(keys().ec, true, text));
    if (algorithm == "EdDSA") signature = sign(keys().ed, false, text);
    if (algorithm == "HS256") signature = hmac_sha256(secret, text);
    return text + "." + url(signature);
}

Json claims() {
    return {{"sub", "ann"}, {"exp", now_ms / 1000 + 600}, {"roles", {"edge", "viewer"}}, {"groups", "ops"}};
}

JwtOptions all_algorithms() {
    JwtOptions options;
    options.algorithms = {JwtAlgorithm::rs256, JwtAlgorithm::es256, JwtAlgorithm::eddsa, JwtAlgorithm::hs256};
    return options;
}

JwtResult verify(const std::string& text, const JwtOptions& options = all_algorithms()) {
    return verify_jwt(text, keys().parsed, options, now_ms);
}

}  // namespace

TEST_CASE("tokens of each algorithm are believed when their signature is right", "[auth]") {
    for (const char* algorithm : {"RS256", "ES256", "EdDSA", "HS256"}) {
        INFO(algorithm);
        const std::string good = token(algorithm, claims());
        const JwtResult result = verify(good);
        INFO(result.reason);
        REQUIRE(result.good);
        CHECK(result.claims.user == "ann");
        CHECK(result.claims.roles == std::vector<std::string>{"edge", "viewer"});
        CHECK(result.claims.groups == std::vector<std::string>{"ops"});
        CHECK(result.claims.expires_ms == now_ms + 630'000);
        for (std::size_t i = 0; i < good.size(); ++i) {     // one letter changed anywhere
            std::string bad = good;
            bad[i] = bad[i] == 'A' ? 'B' : 'A';
            REQUIRE_FALSE(verify(bad).good);
        }
        for (std::size_t i = 0; i < good.size(); ++i) REQUIRE_FALSE(verify(good.substr(0, i)).good);
        CHECK_FALSE(verify(good + ".x").good);
    }
}

TEST_CASE("no token chooses how it is checked", "[auth]") {
    CHECK_FALSE(verify(token("none", claims())).good);
    CHECK_FALSE(verify(token("HS512", claims())).good);
    CHECK_FALSE(verify(token("RS256", claims(), {{"crit", {"x"}}})).good);
    CHECK_FALSE(verify(token("RS256", claims(), {{"kid", "e"}})).good);
    CHECK(verify(token("RS256", claims(), {{"kid", "r"}})).good);
    JwtOptions standard;
    CHECK_FALSE(verify(token("HS256", claims()), standard).good);       // secrets must be allowed by name
    // The public key of RSA as the secret of HMAC: the classic.
    const std::string text = url(R"({"alg":"HS256","kid":"r"})") + "." + url(claims().dump());
    CHECK_FALSE(verify(text + "." + url(hmac_sha256(keys().set, text))).good);
    CHECK_FALSE(verify_jwt(token("RS256", claims()), Jwks{}, all_algorithms(), now_ms).good);
}

TEST_CASE("claims of a token must fit", "[auth]") {
    const auto with = [](const Json& changes, const JwtOptions& options = all_algorithms()) {
        Json all = claims();
        all.merge_patch(changes);
        return verify(token("HS256", all), options).good;
    };
    const std::int64_t now_s = now_ms / 1000;
    CHECK(with(Json::object()));
    CHECK_FALSE(with({{"exp", nullptr}}));
    CHECK_FALSE(with({{"exp", "soon"}}));
    CHECK_FALSE(with({{"exp", 1e300}}));
    CHECK_FALSE(with({{"exp", -1}}));
    CHECK(with({{"exp", now_s - 29}}));          // leeway
    CHECK_FALSE(with({{"exp", now_s - 30}}));
    CHECK(with({{"nbf", now_s + 30}}));
    CHECK_FALSE(with({{"nbf", now_s + 31}}));
    CHECK_FALSE(with({{"nbf", "x"}}));
    CHECK_FALSE(with({{"iat", now_s + 3600}}));
    CHECK_FALSE(with({{"sub", nullptr}}));
    CHECK_FALSE(with({{"sub", ""}}));
    CHECK_FALSE(with({{"sub", 7}}));
    CHECK_FALSE(with({{"aud", "other"}}));  // no audience of ours is configured: a token for somebody is not for us
    JwtOptions options = all_algorithms();
    options.audience = "plant";
    options.issuer = "https://id.example";
    CHECK_FALSE(with({{"aud", "plant"}}, options));
    CHECK(with({{"aud", "plant"}, {"iss", "https://id.example"}}, options));
    CHECK(with({{"aud", {"a", "plant"}}, {"iss", "https://id.example"}}, options));
    CHECK_FALSE(with({{"aud", {"a", "plan"}}, {"iss", "https://id.example"}}, options));
    CHECK_FALSE(with({{"aud", "plant"}, {"iss", {"https://id.example"}}}, options));
    options = all_algorithms();
    options.require_expiry = false;
    CHECK(with({{"exp", nullptr}}, options));
    options.user_claim = "email";
    CHECK_FALSE(with(Json::object(), options));
    CHECK(with({{"email", "ann@acme.example"}}, options));
}

TEST_CASE("keys that are too weak or of another kind are left out by name", "[auth]") {
    for (const char* bad :
         {"", "[]", "{}", "{\"keys\": {}}", "{\"keys\": []}", "{\"keys\": [1]}",
          R"({"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]})",
          R"({"keys":[{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}]})",
          R"({"keys":[{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",)"
          R"("y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]})",
          R"({"keys":[{"kty":"oct","k":"c2hvcnQtc2VjcmV0"}]})", R"({"keys":[{"kty":"dh"}]})",
          R"({"keys":[{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY","alg":"HS512"}]})"}) {
        INFO(bad);
        const ParsedJwks result = parse_jwks(bad, "jwks.json");
        CHECK_FALSE(result.set);
        REQUIRE_FALSE(result.problems.empty());
        for (const Problem& problem : result.problems) CHECK(to_string(problem).find("c2hvcnQ") == std::string::npos);
    }
    JwksStore store;
    std::vector<Problem> problems;
    CHECK(store.load(keys().set, "jwks.json", problems));
    CHECK_FALSE(store.load("{}", "jwks.json", problems));
    CHECK(store.current()->keys.size() == 4);       // a bad reload keeps the old ones
}

TEST_CASE("a token is a password or an AUTH, and ends the connection", "[auth]") {
    AccessStore access;
    REQUIRE(access.load("trunkline: 1\nusers: {off: {disabled: true}}\n", "r.yaml").taken);
    JwksStore store;
    std::vector<Problem> problems;
    REQUIRE(store.load(keys().set, "jwks.json", problems));
    Backoff backoff;
    AuthChain chain({std::make_shared<JwtMethod>(store, all_algorithms())}, access, backoff);
    const std::string good = token("ES256", claims());
    Credentials credentials;
    credentials.client_id = "c";
    credentials.user_name = "whatever";
    credentials.password = good;
    credentials.now_ms = now_ms;
    const Answer in = chain.check(credentials);
    REQUIRE(in.outcome == Outcome::accept);
    CHECK(in.principal->user == "ann");
    CHECK(in.principal->method == "jwt");
    CHECK(in.principal->expires_ms == now_ms + 630'000);
    credentials.now_ms += 700'000;
    const Answer late = chain.check(credentials);
    CHECK(late.outcome == Outcome::bad_credentials);
    CHECK(late.reason == "the token has expired (exp)");
    credentials.now_ms = now_ms;
    credentials.password = "hunter2";
    CHECK(chain.check(credentials).outcome == Outcome::not_authorized);     // no token: not for this method
    Json disabled = claims();
    disabled["sub"] = "off";
    const std::string off = token("HS256", disabled);
    credentials.password = off;
    CHECK(chain.check(credentials).outcome == Outcome::not_authorized);

    credentials.method = "JWT";
    credentials.data = good;
    Answer first;
    const auto exchange = chain.begin(credentials, first);
    REQUIRE(exchange);
    CHECK(first.outcome == Outcome::accept);
    Json longer = claims();
    longer["exp"] = 9'000'000'000;
    const Answer renewed = exchange->next(token("HS256", longer));
    REQUIRE(renewed.outcome == Outcome::accept);
    CHECK(renewed.principal->expires_ms == 9'000'000'030'000);
    longer["sub"] = "bob";
    CHECK(exchange->next(token("HS256", longer)).outcome == Outcome::not_authorized);
    CHECK(exchange->next("nonsense").outcome == Outcome::bad_credentials);
}
