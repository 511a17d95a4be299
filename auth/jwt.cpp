#include "auth/jwt.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <nlohmann/json.hpp>

#include "auth/encoding.h"

namespace trunkline::auth {
namespace {

using Json = nlohmann::json;

constexpr std::size_t token_bytes_max = 16 * 1024;
constexpr std::size_t listed_names_max = 256;

JwtResult refuse(std::string reason) {
    JwtResult result;
    result.reason = std::move(reason);
    return result;
}

Json parse_part(std::string_view part) {
    const auto text = decode_base64(part, Base64::url);
    if (!text || part.ends_with('=')) return Json(Json::value_t::discarded);
    return Json::parse(*text, nullptr, false);
}

// A NumericDate (RFC 7519, section 2) in milliseconds. `absent` tells a missing one from one that is no date.
std::optional<std::int64_t> date_of(const Json& claims, const char* name, bool& absent) {
    const auto at = claims.find(name);
    absent = at == claims.end();
    if (absent || !at->is_number()) return std::nullopt;
    const double seconds = at->get<double>();
    if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e11) return std::nullopt;
    return static_cast<std::int64_t>(seconds * 1000);
}

std::vector<std::string> names_of(const Json& claims, const std::string& claim) {
    std::vector<std::string> names;
    const auto at = claim.empty() ? claims.end() : claims.find(claim);
    if (at == claims.end()) return names;
    if (at->is_string()) names.push_back(at->get<std::string>());
    if (!at->is_array()) return names;
    for (const Json& name : *at) {
        if (name.is_string() && names.size() < listed_names_max) names.push_back(name.get<std::string>());
    }
    return names;
}

std::string check_audience(const Json& claims, const JwtOptions& options) {
    if (options.any_audience) return {};
    const bool present = claims.contains("aud");
    if (options.audience.empty()) return present ? "the token is for somebody else (aud)" : "";
    const auto names = names_of(claims, "aud");
    const bool named = std::find(names.begin(), names.end(), options.audience) != names.end();
    return named ? "" : "the token is for somebody else (aud)";
}

std::string check_times(const Json& claims, const JwtOptions& options, std::int64_t now_ms, std::int64_t& expires_ms) {
    const std::int64_t leeway_ms = options.leeway_s * 1000;
    bool absent = false;
    const auto expiry = date_of(claims, "exp", absent);
    if (!expiry && (!absent || options.require_expiry)) return "the token does not say when it ends (exp)";
    if (expiry && now_ms >= *expiry + leeway_ms) return "the token has expired (exp)";
    expires_ms = expiry ? *expiry + leeway_ms : 0;
    for (const char* name : {"nbf", "iat"}) {
        const auto begin = date_of(claims, name, absent);
        if (!begin && !absent) return std::string("the token has a time that is none (") + name + ")";
        if (begin && now_ms < *begin - leeway_ms) return std::string("the token does not hold yet (") + name + ")";
    }
    return {};
}

JwtResult read_claims(const Json& claims, const JwtOptions& options, std::int64_t now_ms) {
    if (!claims.is_object()) return refuse("the token has no claims");
    JwtResult result;
    result.reason = check_times(claims, options, now_ms, result.claims.expires_ms);
    if (!result.reason.empty()) return refuse(result.reason);
    if (!options.issuer.empty()) {
        const auto issuer = claims.find("iss");
        if (issuer == claims.end() || *issuer != options.issuer) return refuse("the token is by somebody else (iss)");
    }
    if (const std::string why = check_audience(claims, options); !why.empty()) return refuse(why);
    const auto user = claims.find(options.user_claim);
    if (user == claims.end() || !user->is_string() || user->get_ref<const std::string&>().empty()) {
        return refuse("the token does not name a user (" + options.user_claim + ")");
    }
    result.good = true;
    result.claims.user = user->get<std::string>();
    result.claims.roles = names_of(claims, options.roles_claim);
    result.claims.groups = names_of(claims, options.groups_claim);
    return result;
}

}  // namespace

bool looks_like_jwt(std::string_view text) {
    return text.starts_with("eyJ") && std::count(text.begin(), text.end(), '.') == 2;
}

JwtResult verify_jwt(std::string_view token, const Jwks& keys, const JwtOptions& options, std::int64_t now_ms) {
    if (token.size() > token_bytes_max) return refuse("the token is over 16 KiB");
    const std::size_t first = token.find('.');
    const std::size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
    if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
        return refuse("this is no token");
    }
    const Json header = parse_part(token.substr(0, first));
    const auto signature = decode_base64(token.substr(second + 1), Base64::url);
    if (!header.is_object() || !signature || token.ends_with('=')) return refuse("this is no token");
    if (header.contains("crit")) return refuse("the token asks for an extension (crit)");
    const auto named = header.find("alg");
    const auto algorithm = named != header.end() && named->is_string()
                               ? jwt_algorithm(named->get_ref<const std::string&>())
                               : std::nullopt;
    if (!algorithm || std::count(options.algorithms.begin(), options.algorithms.end(), *algorithm) == 0) {
        return refuse("the token is signed with an algorithm that is not allowed (alg)");
    }
    const auto kid = header.find("kid");
    const bool has_kid = kid != header.end() && kid->is_string();
    for (const Jwk& key : keys.keys) {
        if (key.algorithm != *algorithm) continue;
        if (has_kid && !key.id.empty() && key.id != kid->get_ref<const std::string&>()) continue;
        if (!verify_signature(key, token.substr(0, second), *signature)) continue;
        return read_claims(parse_part(token.substr(first + 1, second - first - 1)), options, now_ms);
    }
    return refuse("the token is not signed with a key of ours");
}

}  // namespace trunkline::auth
