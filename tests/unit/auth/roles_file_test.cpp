#include "auth/access_store.h"
#include "auth/roles_file.h"
#include "tests/unit/auth/samples.h"

using namespace trunkline;
using namespace trunkline::auth;
using namespace trunkline::auth::test;

namespace {

bool has(const std::vector<Problem>& problems, std::string_view rule, std::string_view place, std::string_view word) {
    for (const Problem& problem : problems) {
        const std::string text = to_string(problem);
        if (problem.rule == rule && problem.place == place && text.find(word) != std::string::npos) return true;
    }
    for (const Problem& problem : problems) UNSCOPED_INFO(to_string(problem));
    return false;
}

constexpr std::string_view good = R"(trunkline: 1
clock: utc
users:
  ann:
    password: $argon2id$v=19$m=8192,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
    groups: [operators]
    until: 2027-01-01
  press-7: {certificate: {cn: press-7, o: Acme}, roles: edge, client_ids: [press-7, "%u-*"]}
groups:
  operators: {roles: [operator], description: All shifts}
roles:
  operator:
    rules:
      - allow: [publish, subscribe]
        topics: [acme/munich/#, "acme/+/shared"]
      - {allow: publish, topic: acme/#, member: command, type: filler, days: mon-fri, hours: 06:00-14:00}
      - {deny: receive, topic: acme/munich/lab/#, branch-owner: "%u"}
  edge:
    client_id: "%cn"
    rules: [{allow: publish, topic: "acme/%c/#"}]
  admin:
    rules: [{allow: admin, actions: ["model/#", clients/kick]}]
everyone: []
anonymous: [edge]
)";

}  // namespace

TEST_CASE("a roles file is read", "[auth]") {
    const RolesFile file = parsed(good);
    REQUIRE(file.roles.size() == 3);
    REQUIRE(file.rules.size() == 5);
    REQUIRE(file.users.size() == 2);
    CHECK(file.rules[0].place == "roles.yaml:14");
    CHECK(file.rules[0].text == "allow publish subscribe acme/munich/#, acme/+/shared");
    CHECK(file.rules[0].actions == (bit(Action::publish) | bit(Action::subscribe) | bit(Action::receive)));
    CHECK(file.rules[1].text ==
          "allow publish acme/# member=command type=filler on mon,tue,wed,thu,fri at 06:00-14:00 UTC");
    CHECK(file.rules[2].effect == Effect::deny);
    CHECK(file.users[0].password->memory_kib == 8192);
    CHECK(file.users[1].client_ids.size() == 2);
    CHECK(file.anonymous == std::vector<std::uint32_t>{1});
}

TEST_CASE("all that is wrong with a roles file is told at once, with its place and the mend", "[auth]") {
    const auto result = parse_roles(R"(trunkline: 1
users:
  ann: {pasword: x, roles: [operater], groups: [nobody]}
  bob: {password: hunter2, until: never}
  cat: {certificate: {cn: a}}
  dog: {certificate: {cn: a}, client_ids: "%c"}
  ann: {}
groups: {g: {roles: [operator], members: [x]}}
roles:
  operator:
    rules:
      - {allow: publsh, topic: a/#/b}
      - {allow: publish, deny: publish, topic: a}
      - {topic: "$share/g/x"}
      - {allow: admin, topic: a}
      - {allow: [publish, admin], topic: "%usr", member: tag, hours: 6-14, days: someday,
         from: 2027-01-01, until: 2026-01-01}
      - {deny: publish}
      - nonsense
)", "r.yaml");
    CHECK_FALSE(result.file);
    const auto& p = result.problems;
    CHECK(has(p, "TL-9002", "r.yaml:3:9", "did you mean \"password\"?"));
    CHECK(has(p, "TL-9201", "r.yaml:3:29", "did you mean \"operator\"?"));
    CHECK(has(p, "TL-9201", "r.yaml:3:49", "groups have no \"nobody\""));
    CHECK(has(p, "TL-9203", "r.yaml:4:19", "password of user \"bob\""));
    CHECK(has(p, "TL-9206", "r.yaml:4:35", "is no time"));
    CHECK(has(p, "TL-9205", "r.yaml:6:22", "have the same certificate"));
    CHECK(has(p, "TL-9202", "r.yaml:6:43", "%c is the client identifier itself"));
    CHECK(has(p, "TL-9005", "r.yaml:7:3", "twice"));
    CHECK(has(p, "TL-9002", "r.yaml:8:33", "unknown key \"members\""));
    CHECK(has(p, "TL-9204", "r.yaml:12:17", "did you mean \"publish\"?"));
    CHECK(has(p, "TL-9202", "r.yaml:12:32", "no topic filter"));
    CHECK(has(p, "TL-9204", "r.yaml:13:9", "both allows and denies"));
    CHECK(has(p, "TL-9204", "r.yaml:14:9", "neither allows nor denies"));
    CHECK(has(p, "TL-9202", "r.yaml:14:17", "without $share"));
    CHECK(has(p, "TL-9204", "r.yaml:15:31", "actions, not topics"));
    CHECK(has(p, "TL-9204", "r.yaml:16:9", "admin stands alone"));
    CHECK(has(p, "TL-9202", "r.yaml:16:42", "did you mean %u?"));
    CHECK(has(p, "TL-9204", "r.yaml:16:58", "metric, event or command"));
    CHECK(has(p, "TL-9206", "r.yaml:16:70", "06:00-14:00"));
    CHECK(has(p, "TL-9206", "r.yaml:16:82", "mon-fri"));
    CHECK(has(p, "TL-9206", "r.yaml:17:35", "not after from"));
    CHECK(has(p, "TL-9204", "r.yaml:18:9", "names no topic"));
    CHECK(has(p, "TL-9003", "r.yaml:19:9", "no mapping"));
    for (const Problem& problem : p) CHECK(to_string(problem).find("hunter2") == std::string::npos);
}

TEST_CASE("what is no roles file is refused and never thrown about", "[auth]") {
    for (const char* bad :
         {"", "\n", "null", "- a", "a", "trunkline: 2", "users: {}", "trunkline: 1\n---\ntrunkline: 1",
          "trunkline: 1\nroles: [a]", "trunkline: 1\nusers: {a: {roles: {x: y}}}", "{", "a: &a [*a]", "\t",
          "trunkline: 1\nroles: {r: {rules: {}}}", "trunkline: 1\nroles: {r: {rules: [[[]]]}}"}) {
        INFO(bad);
        const auto result = parse_roles(bad, "r.yaml");
        CHECK_FALSE(result.file);
        CHECK_FALSE(result.problems.empty());
    }
    CHECK(parse_roles("trunkline: 1\n", "r.yaml").file);
    std::string deep = "trunkline: 1\nroles: ";
    deep.append(100'000, '[');
    CHECK_FALSE(parse_roles(deep, "r.yaml").file);
}

TEST_CASE("a secret never stands in what is said about a roles file", "[auth]") {
    const std::string secret = "s3cr3t-hunter2";
    for (const std::string& text : {"trunkline: 1\nusers:\n  bob: {password: " + secret + "}\n",
                                    "trunkline: 1\nusers:\n  bob: {password: *" + secret + "}\n",
                                    "trunkline: 1\nusers:\n  bob: {password: [" + secret + "]}\n",
                                    "trunkline: 1\nusers:\n  bob: {password: {" + secret + ": 1}}\n",
                                    "trunkline: 1\nusers:\n  bob: {scram: " + secret + "}\n",
                                    "trunkline: 1\nusers:\n  bob: {password: !" + secret + " x}\n",
                                    "trunkline: 1\nusers:\n  bob: {password: $argon2id$" + secret + "}\n",
                                    "trunkline: 1\nusers:\n  bob: {password: \"" + secret + "}\n"}) {
        const auto result = parse_roles(text, "r.yaml");
        CHECK_FALSE(result.file);
        for (const Problem& problem : result.problems) {
            INFO(text);
            CHECK(to_string(problem).find(secret) == std::string::npos);
        }
    }
}

TEST_CASE("a bad reload keeps what was in force, and nothing at all denies", "[auth]") {
    AccessStore store;
    const Principal who = principal("", "press-7");
    const Circumstances now;
    CHECK_FALSE(store.current()->decide(who, Action::publish, "acme/press-7/x", now).allowed);
    const auto broken = store.load("", "roles.yaml");
    CHECK_FALSE(broken.taken);
    CHECK_FALSE(store.current()->decide(who, Action::publish, "acme/press-7/x", now).allowed);

    CHECK(store.load(good, "roles.yaml").taken);
    const std::uint64_t generation = store.generation();
    CHECK(store.current()->decide(who, Action::publish, "acme/press-7/x", now).allowed);
    for (const char* bad : {",\"\"\"    from: ", "", "trunkline: 1\nroles: 5\n", "{{{"}) {
        const auto outcome = store.load(bad, "roles.yaml");
        CHECK_FALSE(outcome.taken);
        CHECK_FALSE(outcome.problems.empty());
    }
    CHECK(store.generation() == generation);
    CHECK(store.current()->decide(who, Action::publish, "acme/press-7/x", now).allowed);
    CHECK_FALSE(store.load_file("/nowhere/roles.yaml").taken);
    CHECK(store.current()->decide(who, Action::publish, "acme/press-7/x", now).allowed);

    CHECK(store.load("trunkline: 1\n", "roles.yaml").taken);
    CHECK(store.generation() == generation + 1);
    CHECK_FALSE(store.current()->decide(who, Action::publish, "acme/press-7/x", now).allowed);
}
