#include "auth/mosquitto_import.h"
#include "tests/unit/auth/samples.h"

using namespace trunkline;
using namespace trunkline::auth;
using namespace trunkline::auth::test;

namespace {

MosquittoAcl acl_of(std::string_view text) {
    std::vector<Problem> problems;
    auto acl = MosquittoAcl::parse(text, "acl", problems);
    for (const Problem& problem : problems) UNSCOPED_INFO(to_string(problem));
    REQUIRE(acl);
    return std::move(*acl);
}

const std::optional<std::string> nobody;

}  // namespace

TEST_CASE("hashes of mosquitto_passwd are checked natively", "[auth]") {
    // Made by mosquitto_passwd 2.0.11: `-b -c FILE ann valve` and `-H sha512 -b FILE old valve`.
    for (const char* text : {"$7$101$obqtdAWWlB8ZKpYD$8AYs7GVnE87pLcO4sVLxXZzc4RwiC8dTDUU+"
                             "CZPyJiGs6xjVDq1C13jeat432pHiyoLRdZqNQWzChnV5PZdeQw==",
                             "$6$8EroQpAq0/G+Oo4b$toPOU2t08JXP1ZErnY7t00s9DOWDx2ZrWD/"
                             "08iyvr8AOLFFgP8orm9SWUAbzQeg1pzqn59BjcZ4j4AL8eeocPg=="}) {
        const auto hash = read_password_hash(text);
        REQUIRE(hash);
        CHECK(hash->weak());
        CHECK(verify_password(*hash, "valve"));
        CHECK_FALSE(verify_password(*hash, "Valve"));
        CHECK_FALSE(verify_password(*hash, ""));
        CHECK_FALSE(verify_password(hash->decoy(), "valve"));
        CHECK(hash->decoy().same_cost(*hash));
    }
    const auto own = read_password_hash(hash_password("valve"));
    REQUIRE(own);
    CHECK_FALSE(own->weak());
    CHECK(verify_password(*own, "valve"));
    CHECK_FALSE(verify_password(*own, "valve "));
    CHECK_FALSE(verify_password(own->decoy(), "valve"));
    for (const char* bad : {"", "valve", "$", "$5$x$y", "$7$", "$7$101$abc",
                            "$7$0$c2FsdA==$c2FsdA==", "$6$c2FsdA==$c2FsdA==", "$argon2id$",
                            "$argon2id$v=19$m=99999999,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAA"}) {
        INFO(bad);
        CHECK_FALSE(read_password_hash(bad));
    }
}

TEST_CASE("an ACL file decides as Mosquitto does", "[auth]") {
    const MosquittoAcl acl = acl_of(
        "# comment\n"
        "topic read $SYS/#\n"
        "topic open\n"
        "\n"
        "user roger\n"
        "topic foo/bar\n"
        "topic write  spaced topic/#\n"
        "topic deny foo/#\n"
        "topic readwrite only/allow\n"
        "user ann\r\n"
        "topic deny\r\n"
        "pattern write $SYS/broker/connection/%c/state\n"
        "pattern readwrite u/%u/c-%c/#\n"
        "pattern deny only/+\n");
    CHECK(acl.allowed(nobody, "x", Action::receive, "$SYS/broker/uptime"));
    CHECK_FALSE(acl.allowed(nobody, "x", Action::publish, "$SYS/broker/uptime"));
    CHECK(acl.allowed(nobody, "x", Action::publish, "open"));
    CHECK_FALSE(acl.allowed("bob", "x", Action::publish, "open"));
    CHECK_FALSE(acl.allowed("roger", "x", Action::publish, "foo/bar"));         // denies are looked at first
    CHECK(acl.allowed("roger", "x", Action::publish, "spaced topic/a"));
    CHECK_FALSE(acl.allowed("roger", "x", Action::receive, "spaced topic/a"));
    CHECK(acl.allowed("roger", "x", Action::publish, "only/allow"));            // before the patterns
    CHECK(acl.allowed("ann", "x", Action::receive, "deny"));
    CHECK(acl.allowed("bob", "c1", Action::publish, "$SYS/broker/connection/c1/state"));
    CHECK_FALSE(acl.allowed("bob", "c2", Action::publish, "$SYS/broker/connection/c1/state"));
    CHECK(acl.allowed("bob", "c1", Action::receive, "u/bob/c-c1/x"));
    CHECK_FALSE(acl.allowed(nobody, "c1", Action::receive, "u/bob/c-c1/x"));
    CHECK_FALSE(acl.allowed("bob", "+", Action::receive, "u/bob/c-+/x"));
    CHECK(acl.allowed("bob", "x", Action::subscribe, "anything/#"));
}

TEST_CASE("what is wrong with Mosquitto's files is told with its line and no secret", "[auth]") {
    std::vector<Problem> problems;
    CHECK_FALSE(MosquittoAcl::parse("topics a\ntopic\nuser\ntopic reed a\ntopic a/#/b\n", "acl", problems));
    CHECK(problems.size() == 5);
    CHECK(problems.back().place == "acl:5:1");
    problems.clear();
    CHECK_FALSE(parse_mosquitto_passwords("ann:hunter2\nbob\n:x\n", "pw", problems));
    CHECK(problems.size() == 3);
    for (const Problem& problem : problems) CHECK(to_string(problem).find("hunter2") == std::string::npos);
}

TEST_CASE("the examples that Mosquitto brings are imported", "[auth]") {
    const MosquittoAcl acl = acl_of("# This affects access control for clients with no username.\ntopic read $SYS/#\n\n"
                                    "user roger\ntopic foo/bar\n\npattern write $SYS/broker/connection/%c/state\n");
    std::vector<Problem> problems, notes;
    const auto passwords = parse_mosquitto_passwords(
        "roger:$6$8EroQpAq0/G+Oo4b$toPOU2t08JXP1ZErnY7t00s9DOWDx2ZrWD/"
        "08iyvr8AOLFFgP8orm9SWUAbzQeg1pzqn59BjcZ4j4AL8eeocPg==\n",
        "pwfile", problems);
    REQUIRE(passwords);
    const RolesFile file = parsed(to_roles_file(&acl, &*passwords, notes));
    const Access access(RolesFile(file), 2);
    CHECK(notes.size() == 2);       // the hash, and names with wildcards
    CHECK(access.find_user("roger")->password->weak());
    CHECK(access.decide(principal("roger", "c"), Action::publish, "foo/bar", {}).allowed);
    CHECK(access.decide(principal("roger", "c"), Action::subscribe, "#", {}).allowed);
    CHECK(access.decide(principal("roger", "c"), Action::receive, "foo/bar", {}).allowed);
    CHECK_FALSE(access.decide(principal("roger", "c"), Action::receive, "foo/baz", {}).allowed);
    CHECK(access.decide(principal("", "c"), Action::receive, "$SYS/x", {}).allowed);
    CHECK(access.decide(principal("bob", "c"), Action::publish, "$SYS/broker/connection/c/state", {}).allowed);
}

TEST_CASE("entries of an ACL file for shared subscriptions are left out, and said so", "[auth]") {
    const MosquittoAcl acl = acl_of("topic $share/g/a\nuser roger\ntopic deny $share\ntopic read a\n"
                                    "pattern $share/%c/#\n");
    std::vector<Problem> notes;
    const Access access(parsed(to_roles_file(&acl, nullptr, notes)), 2);
    REQUIRE(notes.size() == 4);                              // and names with wildcards
    CHECK(notes[1].place == "acl:5:1");
    CHECK(notes[2].place == "acl:1:1");
    CHECK(notes[2].message.find("$share/g/a") != std::string::npos);
    CHECK(notes[3].place == "acl:3:1");
    CHECK(access.decide(principal("roger", "c"), Action::subscribe, "$share/g/a", {}).allowed);
    CHECK(access.decide(principal("roger", "c"), Action::receive, "a", {}).allowed);
}

TEST_CASE("a converted ACL file decides alike, but where it says so", "[auth]") {
    std::mt19937_64 random(23);
    const char* const filters[] = {"a", "a/#", "a/+", "b/%c", "%u/#", "a/%c/+", "x%%/#", "#", "+/b", "$SYS/#", "b/x%c"};
    const char* const topics[] = {"a",     "a/b",  "a/c1",   "b/c1",  "u1/x", "a/c1/b",
                                  "x%%/y", "c1/b", "$SYS/x", "b/xc1", "z"};
    const char* const kinds[] = {"", "read ", "write ", "readwrite ", "deny "};
    std::size_t differ = 0;
    for (int n = 0; n < 300; ++n) {
        std::string text;
        for (int i = 0; i < 8; ++i) {
            if (random() % 3 == 0) text += std::string("user ") + (random() % 2 ? "u1" : "u2") + "\n";
            text +=
                std::string(random() % 3 ? "topic " : "pattern ") + kinds[random() % 5] + filters[random() % 11] + "\n";
        }
        const MosquittoAcl acl = acl_of(text);
        std::vector<Problem> notes;
        const Access access(parsed(to_roles_file(&acl, nullptr, notes)), 2);
        for (const char* user : {"", "u1", "u2", "u3"}) {
            for (const char* topic : topics) {
                for (const Action action : {Action::publish, Action::receive}) {
                    const auto name = *user ? std::optional<std::string>(user) : nobody;
                    const bool theirs = acl.allowed(name, "c1", action, topic);
                    const bool ours = access.decide(principal(user, "c1"), action, topic, {}).allowed;
                    INFO(text << user << " " << name_of(action) << " " << topic);
                    if (theirs == ours) continue;
                    REQUIRE((theirs && notes.size() > 1));      // never more is allowed, and it was noted
                    ++differ;
                }
            }
        }
    }
    CHECK(differ > 0);
}
