#include <atomic>
#include <future>
#include <memory>
#include <thread>

#include "auth/chain.h"
#include "auth/methods.h"
#include "auth/password_memory.h"
#include "tests/unit/auth/samples.h"

using namespace trunkline::auth;
using namespace trunkline::auth::test;

namespace {

/// Whether the answer came before the call returned: nothing was hashed for it.
struct Asked {
    bool at_once = false;
    Answer answer;
};

Asked ask(AuthChain& chain, std::string_view password, std::string_view address, std::int64_t now_ms = 1'000) {
    Credentials credentials;
    credentials.client_id = "c";
    credentials.user_name = "ann";
    credentials.password = password;
    credentials.address = address;
    credentials.now_ms = now_ms;
    std::promise<Answer> promise;
    auto future = promise.get_future();
    const auto here = std::this_thread::get_id();
    bool at_once = false;
    chain.check_async(credentials, [&](Answer&& answer) {
        at_once = std::this_thread::get_id() == here;
        promise.set_value(std::move(answer));
    });
    Answer answer = future.get();
    return {at_once, std::move(answer)};
}

}  // namespace

TEST_CASE("a password that was right is known again, and nothing that differs in anything", "[auth]") {
    const PasswordHash stored = *read_password_hash(quick_hash("valve"));
    const PasswordHash changed = *read_password_hash(quick_hash("valve"));   // another salt
    PasswordMemory memory(1'000);
    memory.remember({"ann", "a", "valve", stored}, 0);
    CHECK(memory.knows({"ann", "a", "valve", stored}, 999));
    CHECK_FALSE(memory.knows({"ann", "a", "valve", stored}, 1'000));
    CHECK_FALSE(memory.knows({"ann", "a", "Valve", stored}, 0));
    CHECK_FALSE(memory.knows({"ann", "b", "valve", stored}, 0));
    CHECK_FALSE(memory.knows({"bob", "a", "valve", stored}, 0));
    CHECK_FALSE(memory.knows({"ann", "a", "valve", changed}, 0));
    CHECK_FALSE(memory.knows({"anna", "", "valve", stored}, 0));             // parts do not run into each other
    PasswordMemory other(1'000), off(0);
    CHECK_FALSE(other.knows({"ann", "a", "valve", stored}, 0));
    off.remember({"ann", "a", "valve", stored}, 0);
    CHECK_FALSE(off.knows({"ann", "a", "valve", stored}, 0));
}

TEST_CASE("what is remembered is bounded, and the newest stays", "[auth]") {
    const PasswordHash stored = *read_password_hash(quick_hash("valve"));
    PasswordMemory memory(1'000, 100);
    for (int i = 0; i < 1'000; ++i) memory.remember({std::to_string(i), "a", "p", stored}, 0);
    int known = 0;
    for (int i = 0; i < 1'000; ++i) known += memory.knows({std::to_string(i), "a", "p", stored}, 0);
    CHECK(known <= 100);
    CHECK(known >= 50);
    for (int i = 950; i < 1'000; ++i) CHECK(memory.knows({std::to_string(i), "a", "p", stored}, 0));
}

TEST_CASE("who was in from there is let in without hashing, but not while guesses slow it down", "[auth]") {
    AccessStore store;
    const auto load = [&](std::string_view password) {
        REQUIRE(store.load("trunkline: 1\nusers: {ann: {password: \"" + quick_hash(password) + "\"}}\n", "r").taken);
    };
    load("valve");
    Backoff backoff;
    HashPool pool(1);
    AuthChain chain({std::make_shared<PasswordMethod>(store, pool, 60'000)}, store, backoff);
    CHECK_FALSE(ask(chain, "valve", "a").at_once);
    const Asked again = ask(chain, "valve", "a");
    CHECK(again.at_once);
    CHECK(again.answer.outcome == Outcome::accept);
    CHECK(again.answer.principal->method == "password");
    CHECK_FALSE(ask(chain, "valve", "b").at_once);
    CHECK_FALSE(ask(chain, "wrong", "a").at_once);
    CHECK_FALSE(ask(chain, "valve", "a", 61'001).at_once);
    load("pump");
    CHECK(ask(chain, "valve", "a").answer.outcome == Outcome::bad_credentials);
    CHECK(ask(chain, "pump", "a").answer.outcome == Outcome::accept);
}

TEST_CASE("nothing is hashed for those who have given up", "[auth]") {
    AccessStore store;
    REQUIRE(store.load("trunkline: 1\nusers: {ann: {password: \"" + quick_hash("valve") + "\"}}\n", "r").taken);
    HashPool pool(1);
    PasswordMethod method(store, pool);
    Credentials credentials;
    credentials.user_name = "ann";
    credentials.password = "valve";
    const auto abandoned = std::make_shared<std::atomic<bool>>(true);
    credentials.abandoned = abandoned;
    std::promise<MethodAnswer> promise;
    method.check(std::make_shared<const Attempt>(credentials),
                 [&](MethodAnswer&& answer) { promise.set_value(std::move(answer)); });
    const MethodAnswer answer = promise.get_future().get();
    CHECK(answer.verdict == Verdict::deny);
    CHECK(answer.outcome == Outcome::busy);
}
