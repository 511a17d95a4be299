#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "auth/chain.h"
#include "auth/http_method.h"
#include "tests/unit/auth/samples.h"

using namespace trunkline;
using namespace trunkline::auth;
using namespace trunkline::auth::test;

namespace {

Attempt attempt_of(const char* user, const char* password, std::string_view client_id = "press-7") {
    Credentials credentials;
    credentials.client_id = client_id;
    if (user) credentials.user_name = user;
    if (password) credentials.password = password;
    credentials.address = "192.0.2.1";
    credentials.listener = "mqtt://127.0.0.1:1883";
    credentials.protocol = 4;
    return Attempt(credentials);
}

nlohmann::json asked(const Attempt& attempt) { return nlohmann::json::parse(login_question(attempt).view()); }

// Answers everybody alike, at once, and counts.
struct Service : HttpPost {
    HttpReply next;
    int questions = 0;
    void post(std::shared_ptr<const Attempt>, OnReply done) override {
        ++questions;
        done(HttpReply(next));
    }
    void says(unsigned status, std::string body) { next = {HttpReply::Kind::answered, status, std::move(body), {}}; }
    void fails(HttpReply::Kind kind) { next = {kind, 0, {}, "what went wrong"}; }
};

struct Fixture {
    Service service;
    std::vector<BackendHealth::News> news;
    BackendHealth health{[this](const BackendHealth::News& one) { news.push_back(one); }, 1'000};
    AccessStore store;
    Backoff backoff;

    Answer ask(WhenUnreachable when = WhenUnreachable::deny, std::int64_t now_ms = 1'000'000) {
        HttpMethod* method = new HttpMethod(service, health, when);
        AuthChain chain({std::shared_ptr<Method>(method)}, store, backoff);
        Credentials credentials;
        credentials.client_id = "press-7";
        credentials.user_name = "ann";
        credentials.password = "valve";
        credentials.address = "192.0.2.1";
        credentials.now_ms = now_ms;
        return chain.check(credentials);
    }
};

}  // namespace

TEST_CASE("the question says all that CONNECT says, and null for what it does not", "[auth][http]") {
    auto json = asked(attempt_of("ann", "va\"lve\n"));
    CHECK(json["client_id"] == "press-7");
    CHECK(json["user"] == "ann");
    CHECK(json["password"] == "va\"lve\n");
    CHECK(json["address"] == "192.0.2.1");
    CHECK(json["listener"] == "mqtt://127.0.0.1:1883");
    CHECK(json["protocol"] == 4);
    CHECK(json["tls"].is_null());
    json = asked(attempt_of(nullptr, nullptr));
    CHECK(json["user"].is_null());
    CHECK(json["password"].is_null());
    for (const char* bytes : {"\xff\xfe", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2\x82"}) {
        json = asked(attempt_of("ann", bytes));
        CHECK(json["password"].is_null());
        CHECK(json["password_base64"].is_string());
    }
    CHECK(asked(attempt_of("ann", "\xff\xfe"))["password_base64"] == "//4=");
    CHECK(asked(attempt_of("ann", "\xe2\x82\xac \xf0\x9f\x94\x91"))["password"] == "\xe2\x82\xac \xf0\x9f\x94\x91");
    Credentials credentials;
    CertificateFields fields;
    fields.subject = "CN=edge-7,O=Acme";
    fields.common_name = "edge-7";
    fields.fingerprint = "ab12";
    fields.dns = {"edge-7.acme.example"};
    credentials.certificate = &fields;
    json = asked(Attempt(credentials));
    CHECK(json["tls"]["subject"] == "CN=edge-7,O=Acme");
    CHECK(json["tls"]["common_name"] == "edge-7");
    CHECK(json["tls"]["dns"][0] == "edge-7.acme.example");
}

TEST_CASE("an answer that is as it must be decides", "[auth][http]") {
    const Attempt attempt = attempt_of("ann", "valve");
    struct Row {
        const char* body;
        Verdict verdict;
        Outcome outcome;
    };
    const Row rows[] = {
        {R"({"result":"allow"})", Verdict::allow, {}},
        {R"({"result":"allow","user":null,"roles":null,"expires_at":null,"bind_client_id":null})", Verdict::allow, {}},
        {R"({"result":"allow","bind_client_id":"press-7","more":{"user":"x","user":"y"}})", Verdict::allow, {}},
        {R"({"result":"allow","bind_client_id":"press-8"})", Verdict::deny, Outcome::not_authorized},
        {R"({"result":"allow","bind_client_id":"press-*"})", Verdict::deny, Outcome::not_authorized},
        {R"({"result":"deny"})", Verdict::deny, Outcome::bad_credentials},
        {R"({"result":"deny","reason":"come on Monday"})", Verdict::deny, Outcome::bad_credentials},
        {R"({"result":"defer"})", Verdict::defer, {}},
    };
    for (const Row& row : rows) {
        INFO(row.body);
        const HttpJudgement judgement = judge_login(row.body, attempt);
        CHECK(judgement.good);
        CHECK(judgement.answer.verdict == row.verdict);
        if (row.verdict == Verdict::deny) CHECK(judgement.answer.outcome == row.outcome);
        if (row.verdict == Verdict::allow) CHECK(judgement.answer.principal.user == "ann");
    }
    const auto full = judge_login(
        R"({"result":"allow","user":"shift-leader","roles":["operator","r2"],"expires_at":4102444800})", attempt);
    CHECK(full.answer.principal.user == "shift-leader");
    CHECK(full.answer.principal.roles == std::vector<std::string>{"operator", "r2"});
    CHECK(full.answer.principal.expires_ms == 4'102'444'800'000);
    CHECK(judge_login(R"({"result":"deny","reason":"come on Monday"})", attempt).answer.reason == "come on Monday");
}

TEST_CASE("an answer that is anything else is none", "[auth][http]") {
    const Attempt attempt = attempt_of("ann", "valve");
    const std::string deep(100'000, '[');
    const std::string long_name = R"({"result":"allow","user":")" + std::string(2'000, 'x') + "\"}";
    for (const std::string& body : {
             std::string(), std::string("ok"), std::string("allow"), std::string("true"), std::string("[]"),
             std::string("{}"), std::string(R"(["allow"])"), deep, long_name,
             std::string(R"({"result":"allow"} x)"), std::string("{\"result\":\"allow\"}\0", 19),
             std::string(R"({"result":"allow")"),
             std::string(R"({"result":"Allow"})"),
             std::string(R"({"result":true})"),
             std::string(R"({"result":["allow"]})"),
             std::string(R"({"result":"deny","result":"allow"})"),
             std::string(R"({"result":"allow","user":"ann","user":"root"})"),
             std::string(R"({"result":"allow","user":""})"),
             std::string(R"({"result":"allow","user":7})"),
             std::string(R"({"result":"allow","user":"a\u0000b"})"),
             std::string(R"({"result":"allow","user":"a\nb"})"),
             std::string("{\"result\":\"allow\",\"user\":\"\xff\"}"),
             std::string(R"({"result":"allow","roles":"operator"})"),
             std::string(R"({"result":"allow","roles":[1]})"),
             std::string(R"({"result":"allow","roles":[""]})"),
             std::string(R"({"result":"allow","expires_at":"2030-01-01"})"),
             std::string(R"({"result":"allow","expires_at":1.5})"),
             std::string(R"({"result":"allow","expires_at":0})"),
             std::string(R"({"result":"allow","expires_at":-1})"),
             std::string(R"({"result":"allow","expires_at":18446744073709551615})"),
             std::string(R"({"result":"allow","bind_client_id":true})"),
             std::string(R"({"result":"allow","bind_client_id":""})"),
             std::string(R"({"result":"deny","reason":["x"]})"),
         }) {
        INFO(body.substr(0, 80));
        const HttpJudgement judgement = judge_login(body, attempt);
        CHECK_FALSE(judgement.good);
        CHECK_FALSE(judgement.what.empty());
        CHECK(judgement.answer.verdict != Verdict::allow);
    }
    CHECK_FALSE(judge_login(R"({"result":"allow"})", attempt_of(nullptr, nullptr)).good);   // nobody by name
}

TEST_CASE("only status 200 decides, and only an unreachable service defers, where it may", "[auth][http]") {
    using Kind = HttpReply::Kind;
    Fixture fixture;
    fixture.service.says(200, R"({"result":"allow","roles":["operator"]})");
    const Answer in = fixture.ask();
    CHECK(in.outcome == Outcome::accept);
    CHECK(in.principal->method == "http");
    CHECK(in.principal->roles == std::vector<std::string>{"operator"});
    for (const unsigned status : {100U, 201U, 204U, 301U, 302U, 307U, 401U, 403U, 404U, 500U, 502U, 503U}) {
        fixture.service.says(status, R"({"result":"allow"})");
        for (const auto when : {WhenUnreachable::deny, WhenUnreachable::defer}) {
            const Answer answer = fixture.ask(when);
            CHECK(answer.outcome == Outcome::unavailable);
            CHECK(answer.method == "http");
            CHECK(answer.detail.find(std::to_string(status)) != std::string::npos);
        }
    }
    struct Row {
        Kind kind;
        Outcome denying, deferring;
    };
    for (const Row& row : {Row{Kind::unreachable, Outcome::unavailable, Outcome::not_authorized},
                           Row{Kind::failed, Outcome::unavailable, Outcome::unavailable},
                           Row{Kind::busy, Outcome::busy, Outcome::busy},
                           Row{Kind::dropped, Outcome::busy, Outcome::busy}}) {
        fixture.service.fails(row.kind);
        CHECK(fixture.ask(WhenUnreachable::deny).outcome == row.denying);
        CHECK(fixture.ask(WhenUnreachable::defer).outcome == row.deferring);
    }
}

TEST_CASE("a denial makes the next attempt wait, a service that fails does not", "[auth][http]") {
    Fixture fixture;
    fixture.service.fails(HttpReply::Kind::failed);
    for (int i = 0; i < 30; ++i) static_cast<void>(fixture.ask());
    CHECK(fixture.backoff.delay_ms("ann", "192.0.2.1", 1'000'000) == 0);
    fixture.service.says(200, R"({"result":"deny"})");
    for (int i = 0; i < 30; ++i) static_cast<void>(fixture.ask());
    CHECK(fixture.backoff.delay_ms("ann", "192.0.2.1", 1'000'000) > 0);
}

TEST_CASE("a failing service is told at once, again while it lasts, and when it works", "[auth][http]") {
    Fixture fixture;
    fixture.service.says(200, R"({"result":"deny"})");
    static_cast<void>(fixture.ask());
    CHECK(fixture.news.empty());
    fixture.service.fails(HttpReply::Kind::unreachable);
    for (const std::int64_t now : {5'000, 5'001, 5'999}) static_cast<void>(fixture.ask(WhenUnreachable::deny, now));
    REQUIRE(fixture.news.size() == 1);
    CHECK_FALSE(fixture.news[0].works);
    CHECK(fixture.news[0].what == "what went wrong");
    static_cast<void>(fixture.ask(WhenUnreachable::deny, 6'000));
    REQUIRE(fixture.news.size() == 2);
    CHECK(fixture.news[1].failures == 4);
    fixture.service.says(200, R"({"result":"defer"})");
    static_cast<void>(fixture.ask());
    REQUIRE(fixture.news.size() == 3);
    CHECK((fixture.news[2].works && fixture.news[2].failures == 4));
}
