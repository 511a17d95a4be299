#include <catch2/catch.hpp>

#include <future>

#include "auth/access_store.h"
#include "auth/person_login.h"
#include "tests/unit/auth/samples.h"

using namespace trunkline::auth;
using namespace trunkline::auth::test;

TEST_CASE("people log in without a client identifier, and wrong passwords slow them down", "[auth]") {
    AccessStore store;
    REQUIRE(store.load("trunkline: 1\nclock: utc\nusers:\n  ann: {password: \"" + quick_hash("valve") +
                           "\", client_ids: [a-1]}\n  off: {password: \"" + quick_hash("valve") +
                           "\", disabled: true}\n  key: {}\n",
                       "roles.yaml").taken);
    Backoff backoff;
    HashPool pool(1);
    PersonLogin people(store, pool, backoff, 0);
    const auto ask = [&](std::string_view user, std::string_view password) {
        std::promise<PersonLogin::Answer> promise;
        people.check(user, password, "192.0.2.7", 1'000'000,
                     [&promise](PersonLogin::Answer answer) { promise.set_value(std::move(answer)); });
        return promise.get_future().get();
    };
    CHECK(ask("ann", "valve").accepted);
    CHECK(ask("off", "valve").why.find("disabled") != std::string::npos);
    CHECK(backoff.delay_ms("off", "192.0.2.7", 1'000'000) == 0);   // the password was right
    for (const auto& [user, password] :
         {std::pair("ann", "Valve"), std::pair("off", "x"), std::pair("nobody", "valve"),
          std::pair("key", ""), std::pair("ann", ""), std::pair("ann", "x")}) {
        INFO(user << " " << password);
        const auto answer = ask(user, password);
        CHECK_FALSE(answer.accepted);
        CHECK_FALSE(answer.busy);
        CHECK(answer.why.find("valve") == std::string::npos);
    }
    CHECK(backoff.delay_ms("someone", "192.0.2.7", 1'000'000) > 0);
    CHECK(backoff.delay_ms("someone", "192.0.2.8", 1'000'000) == 0);
}
