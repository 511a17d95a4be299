#include "auth/chain.h"
#include "auth/encoding.h"
#include "auth/scram_method.h"
#include "tests/unit/auth/samples.h"

using namespace trunkline;
using namespace trunkline::auth;
using namespace trunkline::auth::test;

namespace {

std::string bytes_of(std::string_view text) { return *decode_base64(text, Base64::standard); }

// The client's side of RFC 5802 for a password, written out on its own.
struct Client {
    std::string user, password, nonce = "rOprNGfwEbeRWgbNEkqO", header = "n,,";
    std::string first_bare = {}, auth_message = {}, salted = {};

    std::string first() {
        first_bare = "n=" + user + ",r=" + nonce;
        return header + first_bare;
    }
    std::string final(std::string_view server_first) {
        const auto field = [&](std::string_view name) {
            const std::size_t at = server_first.find(name) + name.size();
            return std::string(server_first.substr(at, server_first.find(',', at) - at));
        };
        const std::string salt = *decode_base64(field(",s="), Base64::standard) + std::string("\0\0\0\1", 4);
        std::string u = hmac_sha256(password, salt);
        salted = u;
        for (int i = 1; i < std::stoi(field(",i=")); ++i) {
            u = hmac_sha256(password, u);
            for (std::size_t k = 0; k < u.size(); ++k) salted[k] = static_cast<char>(salted[k] ^ u[k]);
        }
        const std::string without = "c=" + encode_base64(header) + ",r=" + field("r=");
        auth_message = first_bare + "," + std::string(server_first) + "," + without;
        const std::string key = hmac_sha256(salted, "Client Key");
        std::string proof = hmac_sha256(sha256(key), auth_message);
        for (std::size_t k = 0; k < proof.size(); ++k) proof[k] = static_cast<char>(proof[k] ^ key[k]);
        return without + ",p=" + encode_base64(proof);
    }
    [[nodiscard]] std::string expected() const {
        return "v=" + encode_base64(hmac_sha256(hmac_sha256(salted, "Server Key"), auth_message));
    }
};

ScramServer server_for(std::string_view password, bool known = true) {
    const ScramVerifier verifier = make_scram_verifier(password, bytes_of("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096);
    return ScramServer([=](std::string_view) { return ScramServer::Account{verifier, known}; },
                       "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
}

}  // namespace

TEST_CASE("SCRAM-SHA-256 speaks the example of RFC 7677", "[auth]") {
    ScramServer server = server_for("pencil");
    const auto first = server.next("n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    CHECK(first.step == ScramServer::Step::more);
    CHECK(first.data == "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    const auto last = server.next("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                  "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    CHECK(last.step == ScramServer::Step::done);
    CHECK(last.data == "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    CHECK(server.user() == "user");
    CHECK(server.next("n,,n=user,r=abc").step == ScramServer::Step::failed);    // it is over
}

TEST_CASE("SCRAM refuses what is not its own", "[auth]") {
    for (const char* bad : {"", "n", "n,,", "n,,n=user", "n,,r=abc", "p=tls-unique,,n=user,r=abc", "x,,n=user,r=abc",
                            "n,,m=ext,n=user,r=abc", "n,,n=us=er,r=abc", "n,,n=,r=abc", "n,,n=user,r=",
                            "n,,n=user,r=a b", "n,a=root,n=user,r=abc", "n,a=,n=user,r=abc", "user\0pencil"}) {
        INFO(bad);
        CHECK(server_for("pencil").next(bad).step == ScramServer::Step::failed);
    }
    CHECK(server_for("pencil").next("y,a=user,n=user,r=abc").step == ScramServer::Step::more);
    for (const char* bad : {"", "c=biws", "c=biws,r=x,p=AAAA",
                            "c=eSws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                            "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzb",
                            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                            "p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="}) {
        INFO(bad);
        ScramServer server = server_for("pencil");
        REQUIRE(server.next("n,,n=user,r=rOprNGfwEbeRWgbNEkqO").step == ScramServer::Step::more);
        CHECK(server.next(bad).step == ScramServer::Step::failed);
    }
    ScramServer unknown = server_for("pencil", false);
    Client client{"user", "pencil"};
    CHECK(unknown.next(client.final(unknown.next(client.first()).data)).step == ScramServer::Step::failed);
    std::string_view decoded = "n,,n=a=2Cb=3Dc,r=abc";
    ScramServer named = server_for("x");
    (void)named.next(decoded);
    CHECK(named.user() == "a,b=c");
}

TEST_CASE("SCRAM over AUTH packets gives a principal, again on re-authentication, and no other", "[auth]") {
    const std::string verifier = make_scram_verifier("valve", "0123456789abcdef", 5000).text();
    const std::string other = make_scram_verifier("other", "fedcba9876543210", 5000).text();
    AccessStore store;
    REQUIRE(store.load("trunkline: 1\nusers: {ann: {scram: \"" + verifier + "\"}, bob: {scram: \"" + other + "\"}}\n",
                       "roles.yaml").taken);
    Backoff backoff;
    AuthChain chain({std::make_shared<ScramMethod>(store)}, store, backoff);
    Client client{"ann", "valve"};
    const std::string first_message = client.first();
    Credentials credentials;
    credentials.client_id = "c";
    credentials.method = "SCRAM-SHA-256";
    credentials.data = first_message;
    credentials.now_ms = 1000;
    Answer answer;
    const auto exchange = chain.begin(credentials, answer);
    REQUIRE(exchange);
    REQUIRE(answer.outcome == Outcome::more);
    answer = exchange->next(client.final(answer.data));
    REQUIRE(answer.outcome == Outcome::accept);
    CHECK(answer.data == client.expected());
    REQUIRE(answer.principal);
    CHECK(answer.principal->user == "ann");
    CHECK(answer.principal->method == "scram-sha-256");
    CHECK(answer.principal->client_id == "c");

    Client again{"ann", "valve", "another"};
    CHECK(exchange->next(again.final(exchange->next(again.first()).data)).outcome == Outcome::accept);
    Client bob{"bob", "other", "bobsnonce"};
    CHECK(exchange->next(bob.final(exchange->next(bob.first()).data)).outcome == Outcome::not_authorized);

    Client wrong{"ann", "Valve"}, nobody{"nobody", "valve"};
    for (Client* who : {&wrong, &nobody}) {
        const std::string message = who->first();
        credentials.data = message;
        const auto attempt = chain.begin(credentials, answer);
        REQUIRE(answer.outcome == Outcome::more);
        CHECK(answer.data.find(",i=5000") != std::string::npos);        // an unknown user looks like the known ones
        answer = attempt->next(who->final(answer.data));
        CHECK(answer.outcome == Outcome::bad_credentials);
        CHECK(answer.reason == wrong_password);
    }
    const auto salt_of = [&](const char* user) {
        Client who{user, "x"};
        const std::string message = who.first();
        credentials.data = message;
        (void)chain.begin(credentials, answer);
        return answer.data.substr(answer.data.find(",s="));
    };
    CHECK(salt_of("nobody") == salt_of("nobody"));
    CHECK(salt_of("nobody") != salt_of("somebody"));
}
