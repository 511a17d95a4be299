#include "auth/http_method.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <sodium.h>

#include "auth/encoding.h"

namespace trunkline::auth {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

constexpr std::size_t name_bytes_max = 1'024, reason_bytes_max = 1'024, roles_max = 1'024;
constexpr std::int64_t expiry_s_max = 253'402'300'799;   // the year 9999

// RFC 3629: no code point written longer than need be, no surrogates, none above U+10FFFF.
bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const auto first = static_cast<unsigned char>(text[0]);
        const std::size_t size = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
        if (size == 0 || first > 0xf4 || text.size() < size) return false;
        for (std::size_t i = 1; i < size; ++i) {
            if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return false;
        }
        const auto second = size > 1 ? static_cast<unsigned char>(text[1]) : 0;
        if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f)) return false;
        if ((first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) return false;
        text.remove_prefix(size);
    }
    return true;
}

OrderedJson certificate_json(const CertificateFields& certificate) {
    if (!certificate.present()) return nullptr;
    return {{"subject", certificate.subject},
            {"issuer", certificate.issuer},
            {"common_name", certificate.common_name},
            {"organization", certificate.organization},
            {"organizational_unit", certificate.organizational_unit},
            {"serial", certificate.serial},
            {"fingerprint", certificate.fingerprint},
            {"dns", certificate.dns},
            {"email", certificate.email},
            {"uri", certificate.uri},
            {"ip", certificate.ip}};
}

// A name that can be read in one way only. Empty: there is none, or it is none.
std::optional<std::string> name_in(const Json& value) {
    if (!value.is_string()) return std::nullopt;
    const auto& text = value.get_ref<const std::string&>();
    const bool printable = std::none_of(text.begin(), text.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    });
    if (text.empty() || text.size() > name_bytes_max || !printable) return std::nullopt;
    return text;
}

// An object in which each of its own keys is there once: what is said twice says nothing.
std::optional<Json> read_object(std::string_view body) {
    if (body.find('\0') != std::string_view::npos) return std::nullopt;   // for the parser the end of the text
    std::set<std::string> keys;
    bool twice = false;
    const auto look = [&](int depth, Json::parse_event_t event, Json& parsed) {
        if (event == Json::parse_event_t::key && depth == 1) {
            twice = !keys.insert(parsed.get_ref<const std::string&>()).second || twice;
        }
        return true;
    };
    Json json = Json::parse(body.begin(), body.end(), look, false);
    if (twice || !json.is_object()) return std::nullopt;
    return json;
}

HttpJudgement nonsense(std::string what) { return {false, std::move(what), {}}; }

HttpJudgement judge_deny(const Json& json, const Attempt& attempt) {
    HttpJudgement judgement;
    judgement.good = true;
    judgement.answer.verdict = Verdict::deny;
    judgement.answer.outcome = Outcome::bad_credentials;
    judgement.answer.reason = wrong_password;
    judgement.answer.detail = "the service denies " + (attempt.user ? "user " + *attempt.user : "who has no user name");
    if (json.contains("reason") && !json["reason"].is_null()) {
        const auto reason = name_in(json["reason"]);
        if (!reason || reason->size() > reason_bytes_max) return nonsense("its reason is no text");
        judgement.answer.reason = *reason;
    }
    return judgement;
}

// nullopt: what is there is no list of names.
std::optional<std::vector<std::string>> names_in(const Json& list) {
    if (!list.is_array() || list.size() > roles_max) return std::nullopt;
    std::vector<std::string> names;
    for (const Json& one : list) {
        auto name = name_in(one);
        if (!name) return std::nullopt;
        names.push_back(std::move(*name));
    }
    return names;
}

HttpJudgement judge_allow(const Json& json, const Attempt& attempt) {
    const auto given = [&](const char* key) -> const Json* {
        const auto at = json.find(key);
        return at == json.end() || at->is_null() ? nullptr : &*at;
    };
    HttpJudgement judgement;
    Principal& principal = judgement.answer.principal;
    judgement.answer.verdict = Verdict::allow;
    principal.method = "http";
    const Json* user = given("user");
    const auto name = user ? name_in(*user) : attempt.user;
    if (!name || name->empty()) return nonsense("it allowed nobody by name");
    principal.user = *name;
    if (const Json* roles = given("roles")) {
        auto names = names_in(*roles);
        if (!names) return nonsense("its roles are no list of names");
        principal.roles = std::move(*names);
    }
    if (const Json* expires = given("expires_at")) {
        const bool whole = expires->is_number_integer();
        const std::int64_t seconds = !whole ? 0
                                     : expires->is_number_unsigned()
                                         ? static_cast<std::int64_t>(std::min<std::uint64_t>(
                                               expires->get<std::uint64_t>(), expiry_s_max + 1))
                                         : expires->get<std::int64_t>();
        if (seconds < 1 || seconds > expiry_s_max) return nonsense("its expires_at are no seconds since 1970");
        principal.expires_ms = seconds * 1'000;
    }
    if (const Json* bound = given("bind_client_id")) {
        const auto client_id = name_in(*bound);
        if (!client_id) return nonsense("its bind_client_id is no client identifier");
        if (*client_id != attempt.client_id) {
            judgement.answer = {};
            judgement.answer.verdict = Verdict::deny;
            judgement.answer.outcome = Outcome::not_authorized;
            judgement.answer.reason = "this client identifier is not for this user";
            judgement.answer.detail = "the service binds user " + *name + " to another client identifier";
        }
    }
    judgement.good = true;
    return judgement;
}

}  // namespace

Secret login_question(const Attempt& attempt) {
    const auto or_null = [](const std::optional<std::string>& text) {
        return text ? OrderedJson(*text) : OrderedJson(nullptr);
    };
    OrderedJson json = {{"client_id", attempt.client_id}, {"user", or_null(attempt.user)}};
    json["password"] = nullptr;
    if (attempt.password) {
        const bool text = is_utf8(attempt.password->view());
        json[text ? "password" : "password_base64"] =
            text ? std::string(attempt.password->view()) : encode_base64(attempt.password->view());
    }
    json["address"] = attempt.address;
    json["listener"] = attempt.listener;
    json["protocol"] = attempt.protocol;
    json["tls"] = certificate_json(attempt.certificate);
    std::string text = json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
    Secret question(text);
    sodium_memzero(text.data(), text.size());
    for (const char* key : {"password", "password_base64"}) {
        if (!json.contains(key) || !json[key].is_string()) continue;
        auto& copy = json[key].get_ref<std::string&>();
        sodium_memzero(copy.data(), copy.size());
    }
    return question;
}

HttpJudgement judge_login(std::string_view body, const Attempt& attempt) {
    const auto json = read_object(body);
    if (!json) return nonsense("its answer is no JSON object");
    const auto result = json->find("result");
    if (result == json->end() || !result->is_string()) return nonsense("its answer has no result");
    const auto& word = result->get_ref<const std::string&>();
    if (word == "defer") {
        HttpJudgement judgement;
        judgement.good = true;
        return judgement;
    }
    if (word == "deny") return judge_deny(*json, attempt);
    if (word == "allow") return judge_allow(*json, attempt);
    return nonsense("its result is none of allow, deny, defer");
}

MethodAnswer HttpMethod::answer_of(HttpReply&& reply, const Attempt& attempt) {
    using Kind = HttpReply::Kind;
    if (reply.kind == Kind::busy) return not_asked("too many log in at this moment; try again later");
    if (reply.kind == Kind::dropped) return not_asked("nobody waits for it any more, or the broker is stopping");
    if (reply.kind == Kind::answered && reply.status == 200) {
        HttpJudgement judgement = judge_login(reply.body, attempt);
        if (judgement.good) {
            health_.worked();
            return std::move(judgement.answer);
        }
        reply.what = std::move(judgement.what);
    } else if (reply.kind == Kind::answered) {
        reply.what = "it answered with status " + std::to_string(reply.status);
    }
    health_.failed(reply.what, attempt.now_ms);
    if (reply.kind == Kind::unreachable && when_unreachable_ == WhenUnreachable::defer) return {};
    return no_judgement("http: " + reply.what);
}

void HttpMethod::check(std::shared_ptr<const Attempt> attempt, OnMethodAnswer done) {
    post_.post(attempt, [this, attempt, done = std::move(done)](HttpReply&& reply) {
        done(answer_of(std::move(reply), *attempt));
    });
}

}  // namespace trunkline::auth
