// What asking for rights costs a publish.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <random>

#include "tests/unit/core/guarded.h"

using namespace trunkline;
using namespace trunkline::broker;
using namespace trunkline::broker::test;

// Not run by itself: trunkline_tests "[cost]" prints what asking costs a publish with its delivery, in turn with not
// asking, in a process without sockets.
TEST_CASE("what asking costs", "[.][cost]") {
    struct Kind {
        const char* name;
        std::string rules;
        std::vector<double> ns;
    };
    std::string many = "roles:\n  all: {rules: [{allow: [publish, subscribe], topic: \"#\"}]}\n";
    for (int role = 0; role < 999; ++role) {
        many += "  r" + std::to_string(role) + ":\n    rules:\n";
        for (int rule = 0; rule < 10; ++rule) {
            many += "      - {allow: publish, topic: plant/" + std::to_string(role) + "/" + std::to_string(rule);
            many += "}\n";
        }
    }
    std::vector<Kind> kinds = {
        {"nobody asks", "", {}},
        {"by role", "roles: {all: {rules: [{allow: [publish, subscribe], topic: \"#\"}]}}\n", {}},
        {"1,000 roles", many, {}},
        {"by role, each delivery",
         "roles: {all: {rules: [{allow: [publish, subscribe], topic: \"#\"}, {deny: receive, topic: x/y}]}}\n", {}},
        {"by client",
         "roles: {all: {rules: [{allow: publish, topic: \"+/%c/#\"}, {allow: subscribe, topic: \"#\"}]}}\n", {}},
    };
    constexpr int messages = 200'000, rounds = 9;
    for (int round = 0; round < rounds; ++round) {
        for (Kind& kind : kinds) {
            auth::AccessStore access;
            const std::map<std::string, std::vector<std::string>> table = {{"p", {"all"}}, {"s", {"all"}}};
            Script script;
            if (!kind.rules.empty()) {
                REQUIRE(access.load("trunkline: 1\n" + kind.rules, "roles.yaml").taken);
                script.broker->attach(access);
                script.broker->attach(std::make_unique<ByTable>(table));
                script.pass(1);
            }
            Peer& s = script.connect({.id = "s"});
            REQUIRE(subscribe(script, s, "#", 0) == Reason{0});
            Peer& p = script.connect({.id = "p"});
            mqtt::Buffer out;
            for (int i = 0; i < 64; ++i) {
                const std::string topic = "plant/p/" + std::to_string(i);
                mqtt::PublishOut packet;
                packet.topic = topic;
                packet.payload = "12345678901234567890";
                mqtt::encode(out, mqtt::Version::v5, packet);
            }
            const auto some = [&](int count) {
                for (int i = 0; i < count; i += 64) {
                    (void)script.broker->shard(0).on_bytes(*p.client, out.view());
                    script.broker->shard(0).end_turn();
                    s.transport.received.clear();
                }
            };
            some(6'400);
            const auto began = std::chrono::steady_clock::now();
            some(messages);
            const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - began;
            kind.ns.push_back(took.count() / messages);
        }
    }
    for (Kind& kind : kinds) {
        std::sort(kind.ns.begin(), kind.ns.end());
        const double more = kind.ns[rounds / 2] - kinds[0].ns[rounds / 2];
        std::cout << kind.name << ": " << kind.ns[rounds / 2] << " ns, " << more << " more; least " << kind.ns[0]
                  << '\n';
    }
}
