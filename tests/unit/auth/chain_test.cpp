#include <atomic>
#include <future>
#include <set>
#include <thread>

#include "auth/chain.h"
#include "auth/fair_queue.h"
#include "auth/methods.h"
#include "auth/scram_method.h"
#include "tests/unit/auth/samples.h"

using namespace trunkline;
using namespace trunkline::auth;
using namespace trunkline::auth::test;

namespace {

struct House {
    AccessStore store;
    Backoff backoff;
    std::optional<HashPool> pool{std::in_place, 2};
    std::optional<AuthChain> chain;

    explicit House(const std::string& roles) {
        const auto outcome = store.load(roles, "roles.yaml");
        for (const Problem& problem : outcome.problems) UNSCOPED_INFO(to_string(problem));
        REQUIRE(outcome.taken);
    }
    AuthChain& with(std::vector<std::shared_ptr<Method>> list) {
        return chain.emplace(std::move(list), store, backoff);
    }
};

Credentials login(std::string_view user, std::string_view password, std::string_view client_id = "c") {
    Credentials credentials;
    credentials.client_id = client_id;
    credentials.user_name = user;
    credentials.password = password;
    credentials.address = "192.0.2.1";
    credentials.now_ms = 1'000'000;
    return credentials;
}

std::string users() {
    return "trunkline: 1\nclock: utc\nusers:\n  ann: {password: \"" + quick_hash("valve") +
           "\", roles: [r]}\n  old: {password: \"$7$1000$c2FsdHNhbHQ=$" + std::string(86, 'A') +
           "==\"}\n  off: {password: \"" + quick_hash("valve") + "\", disabled: true}\n  bound: {password: \"" +
           quick_hash("valve") +
           "\", client_ids: [b-1], until: 1970-01-02}\n  press-7: {certificate: {dns: p7.example}}\n" +
           "roles: {r: {}}\n";
}

}  // namespace

TEST_CASE("a password lets in its user, and nobody else", "[auth]") {
    House house(users());
    AuthChain& chain = house.with({std::make_shared<PasswordMethod>(house.store, *house.pool)});
    const Answer in = chain.check(login("ann", "valve"));
    CHECK(in.outcome == Outcome::accept);
    REQUIRE(in.principal);
    CHECK(in.principal->user == "ann");
    CHECK(in.principal->method == "password");
    CHECK(in.principal->client_id == "c");
    CHECK(in.principal->address == "192.0.2.1");
    const Answer wrong = chain.check(login("ann", "Valve")), unknown = chain.check(login("nobody", "valve"));
    for (const Answer* answer : {&wrong, &unknown}) {
        CHECK(answer->outcome == Outcome::bad_credentials);
        CHECK(answer->reason == wrong_password);        // the same for both
        CHECK_FALSE(answer->principal);
    }
    CHECK(chain.check(login("ann", "")).outcome == Outcome::bad_credentials);
    CHECK(chain.check(login("old", "valve")).outcome == Outcome::bad_credentials);
    CHECK(chain.check(login("press-7", "")).outcome == Outcome::bad_credentials);   // has no password at all
    CHECK(chain.check(login("", "valve")).outcome == Outcome::not_authorized);
    Credentials bare;
    bare.local = true;
    CHECK(chain.check(bare).outcome == Outcome::not_authorized);
}

TEST_CASE("whoever is let in may connect now, with this client identifier", "[auth]") {
    House house(users());
    AuthChain& chain = house.with({std::make_shared<PasswordMethod>(house.store, *house.pool)});
    CHECK(chain.check(login("off", "valve")).outcome == Outcome::not_authorized);
    CHECK(chain.check(login("off", "wrong")).outcome ==
          Outcome::bad_credentials);  // tells nothing without the password
    const Answer bound = chain.check(login("bound", "valve", "b-1"));
    CHECK(bound.outcome == Outcome::accept);
    REQUIRE(bound.principal);
    CHECK(bound.principal->expires_ms == 86'400'000);
    CHECK(chain.check(login("bound", "valve", "b-2")).outcome == Outcome::not_authorized);
    CHECK(chain.check(login("ann", "valve", "b-1")).outcome == Outcome::not_authorized);
    Credentials late = login("bound", "valve", "b-1");
    late.now_ms = 86'400'000;
    CHECK(chain.check(late).outcome == Outcome::not_authorized);
}

TEST_CASE("the methods of a chain are asked in order until one decides", "[auth]") {
    House house(users());
    const auto certificate =
        std::make_shared<CertificateMethod>(house.store, CertificateMethod::Source::common_name, false);
    AuthChain& chain = house.with({certificate, std::make_shared<PasswordMethod>(house.store, *house.pool),
                                   std::make_shared<AnonymousMethod>(false)});
    CertificateFields fields;
    fields.subject = "CN=x";
    fields.common_name = "x";
    Credentials with = login("ann", "valve");
    with.certificate = &fields;
    CHECK(chain.check(with).outcome == Outcome::not_authorized);        // the certificate is x's
    with.user_name.reset();
    with.password.reset();
    const Answer by_name = chain.check(with);
    CHECK(by_name.user == "x");
    CHECK(by_name.principal->certificate.common_name == "x");
    fields.dns = {"p7.example"};
    CHECK(chain.check(with).user == "press-7");                         // the mapping goes before the name
    fields = {};
    fields.subject = "O=nobody";
    CHECK(chain.check(with).outcome == Outcome::not_authorized);        // a certificate without a name is not anonymous
    with.certificate = nullptr;
    CHECK(chain.check(with).outcome == Outcome::not_authorized);        // nor is whoever is not local
    with.local = true;
    CHECK(chain.check(with).outcome == Outcome::accept);
    CHECK(chain.check(with).principal->method == "anonymous");
    with.user_name = "ann";
    CHECK(chain.check(with).outcome == Outcome::not_authorized);

    const auto known = std::make_shared<CertificateMethod>(house.store, CertificateMethod::Source::common_name, true);
    AuthChain& strict = house.with({known});
    fields.common_name = "x";
    with = {};
    with.certificate = &fields;
    CHECK(strict.check(with).outcome == Outcome::not_authorized);
    fields.common_name = "ann";
    CHECK(strict.check(with).user == "ann");
    Answer first;
    with.method = "SCRAM-SHA-256";
    CHECK(strict.begin(with, first) == nullptr);
    CHECK(first.outcome == Outcome::bad_method);
}

TEST_CASE("attempts that are under way are answered, also when the broker stops", "[auth]") {
    std::atomic<int> answers = 0, busy = 0;
    {
        House house(users());
        AuthChain& chain = house.with({std::make_shared<PasswordMethod>(house.store, *house.pool)});
        for (int i = 0; i < 30; ++i) {
            Credentials slow = login("ann", "wrong");
            chain.check_async(slow, [&](Answer&& answer) {
                ++answers;
                busy += answer.outcome == Outcome::busy;
            });
        }
        for (int wait = 0; wait < 500 && house.pool->waiting() > 0; ++wait) {
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        for (int i = 0; i < 40; ++i) {      // by now this address has to wait; no more than 16 may
            chain.check_async(login("ann", "wrong"), [&](Answer&& answer) {
                ++answers;
                busy += answer.outcome == Outcome::busy;
            });
        }
        house.pool.reset();
    }
    CHECK(answers == 70);
    CHECK(busy >= 24);
}

TEST_CASE("failures are slowed down and nobody is shut out", "[auth]") {
    Backoff backoff;
    std::int64_t now = 1'000'000;
    for (int i = 0; i < 4; ++i) backoff.failed("ann", "evil", now);
    CHECK(backoff.delay_ms("ann", "evil", now) == 0);
    backoff.failed("ann", "evil", now);
    CHECK(backoff.delay_ms("ann", "evil", now) == 100);
    backoff.failed("ann", "evil", now);
    CHECK(backoff.delay_ms("bob", "evil", now) == 200);         // the address guesses other names too
    CHECK(backoff.delay_ms("ann", "good", now) == 0);
    backoff.succeeded("ann", "good", now);
    for (int i = 0; i < 1000; ++i) backoff.failed("ann", "evil", now);
    CHECK(backoff.delay_ms("ann", "evil", now) == 10'000);      // bounded
    CHECK(backoff.delay_ms("ann", "elsewhere", now) == 4000);
    CHECK(backoff.delay_ms("ann", "good", now) == 0);           // has been in from there
    CHECK(backoff.delay_ms("bob", "elsewhere", now) == 0);
    for (int i = 0; i < 6; ++i) backoff.failed("ann", "good", now);
    CHECK(backoff.delay_ms("ann", "good", now) > 0);            // who guesses from there loses that
    now += 600'001;
    CHECK(backoff.delay_ms("ann", "evil", now) == 0);           // forgotten

    BackoffLimits small;
    small.entries_max = 100;
    Backoff bounded(small);
    for (int i = 0; i < 10'000; ++i) bounded.failed("u" + std::to_string(i), "a" + std::to_string(i), i);
    for (int i = 0; i < 6; ++i) bounded.failed("ann", "evil", 10'000);
    CHECK(bounded.delay_ms("ann", "evil", 10'000) > 0);
}

TEST_CASE("each address has its turn, whoever floods", "[auth]") {
    FairQueue<int> queue({1000, 4});
    int job = 0;
    for (int i = 0; i < 100; ++i) {
        job = i;
        REQUIRE(queue.push("flood", 0, 0, job));
    }
    job = 1000;
    REQUIRE(queue.push("a", 0, 0, job));
    job = 2000;
    REQUIRE(queue.push("b", 0, 0, job));
    std::set<int> first_four;
    for (int i = 0; i < 4; ++i) first_four.insert(*queue.pop(0));
    CHECK(first_four == std::set<int>{0, 1, 1000, 2000});
    for (int i = 0; i < 4; ++i) {
        job = 3000 + i;
        REQUIRE(queue.push("late", 50 - i, 10, job));
    }
    CHECK_FALSE(queue.push("late", 50, 10, job));
    CHECK(queue.next_due_ms() == 47);
    int seen = 0;
    while (queue.pop(10)) ++seen;
    CHECK(seen == 98);
    CHECK(*queue.pop(47) == 3003);
    CHECK_FALSE(queue.pop(47));
    CHECK(*queue.pop(100) == 3002);
    CHECK(queue.size() == 2);
    FairQueue<int> full({2, 1});
    CHECK(full.push("a", 0, 0, job));
    CHECK(full.push("b", 0, 0, job));
    CHECK_FALSE(full.push("c", 0, 0, job));
}

TEST_CASE("a secret is cleared", "[auth]") {
    Secret secret("hunter2");
    const char* at = secret.view().data();
    secret.wipe();
    CHECK(std::string_view(at, 7) == std::string_view("\0\0\0\0\0\0\0", 7));
    CHECK(secret.empty());
    Secret moved = Secret("abc");
    CHECK(moved.view() == "abc");
    Secret other = std::move(moved);
    CHECK(moved.empty());
    CHECK(other.view() == "abc");
}

TEST_CASE("no answer to a client or a log has a secret", "[auth]") {
    House house(users());
    AuthChain& chain = house.with({std::make_shared<PasswordMethod>(house.store, *house.pool)});
    for (const char* user : {"ann", "nobody", "off"}) {
        const Answer answer = chain.check(login(user, "s3cr3t-hunter2"));
        for (const std::string& text : {answer.reason, answer.detail, answer.data}) {
            CHECK(text.find("s3cr3t") == std::string::npos);
            CHECK(text.find("$argon2") == std::string::npos);
        }
    }
}
