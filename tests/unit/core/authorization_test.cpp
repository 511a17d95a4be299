// Who may do what, on the way through a broker: the rows of "Nobody gets in where they don't belong", without sockets.
#include "tests/unit/core/guarded.h"

using namespace trunkline;
using namespace trunkline::broker;
using namespace trunkline::broker::test;
using mqtt::PacketType;

TEST_CASE("a publish is refused with the rule, its file and line", "[core][access]") {
    Guarded script(plain, {{"edge-1", {"edge"}}, {"watch", {"all"}}});
    Peer& watch = script.join("watch");
    REQUIRE(subscribe(script, watch, "#") == Reason{1});
    Peer& edge = script.join("edge-1");
    edge.send(text("plant/edge/locked", "1"));
    auto ack = edge.expect<mqtt::Ack>();
    CHECK(ack.reason == Reason::not_authorized);
    CHECK(std::string(ack.reason_string.value_or("")) ==
          "TL-1102 publish plant/edge/locked: denied by roles.yaml:8 deny publish plant/edge/locked");
    edge.send(text("plant/office", "2", 2, 7));
    ack = edge.expect<mqtt::Ack>();
    CHECK(ack.type == PacketType::pubrec);
    CHECK(ack.reason == Reason::not_authorized);
    CHECK(std::string(ack.reason_string.value_or("")) ==
          "TL-1101 publish plant/office: no rule of edge allows it");
    edge.send(text("plant/office", "3", 0, 0));
    CHECK(edge.quiet());
    CHECK(publish(script, edge, text("plant/edge/a", "4")) == Reason::success);
    CHECK(publish(script, edge, text("plant/edge/a", "5", 1, 2, true)) == Reason::success);
    CHECK(publish(script, edge, text("plant/edge/locked", "6", 1, 3, true)) == Reason::not_authorized);
    CHECK(watch.payloads() == List{"4", "5"});
    CHECK(script.decisions(auth::Action::publish, false) == 4);
    CHECK(script.decisions(auth::Action::publish, true) == 2);
    REQUIRE(script.trail.denials.size() == 4);
    CHECK(script.trail.denials[0].actor == "u-edge-1");
    CHECK(script.trail.denials[0].reason == "TL-1102 roles.yaml:8");
    CHECK(script.trail.denials[1].object == "plant/office");
}

TEST_CASE("a 3.1.1 publisher is acknowledged and its message goes nowhere", "[core][access]") {
    Guarded script(plain, {{"edge-1", {"edge"}}, {"watch", {"all"}}});
    Peer& watch = script.join("watch");
    REQUIRE(subscribe(script, watch, "#") == Reason{1});
    Peer& edge = script.join("edge-1", 0, mqtt::Version::v311);
    edge.send(text("plant/edge/locked", "1"));
    CHECK(edge.expect_ack(PacketType::puback, 1).reason == Reason::success);
    edge.send(text("plant/edge/a", "2", 1, 2));
    CHECK(edge.expect_ack(PacketType::puback, 2).reason == Reason::success);
    CHECK(watch.payloads() == List{"2"});
}

TEST_CASE("without any role nobody may do anything, and a file without roles denies", "[core][access]") {
    Guarded script("roles: {}\n", {{"a", {"edge"}}});
    Peer& a = script.join("a");
    CHECK(publish(script, a, text("t", "1")) == Reason::not_authorized);
    CHECK(subscribe(script, a, "t") == Reason::not_authorized);
    Peer& nobody = script.join("nobody");
    CHECK(publish(script, nobody, text("t", "1")) == Reason::not_authorized);
}

TEST_CASE("each filter of a SUBSCRIBE is answered for itself, shared ones by what they share", "[core][access]") {
    Guarded script(plain, {{"r", {"reader"}}});
    Peer& r = script.join("r");
    CHECK(subscribe(script, r, "plant/a") == Reason{1});
    CHECK(subscribe(script, r, "plant/+/b") == Reason{1});
    CHECK(subscribe(script, r, "plant/#") == Reason{1});
    CHECK(subscribe(script, r, "#") == Reason::not_authorized);
    CHECK(subscribe(script, r, "+/a") == Reason::not_authorized);
    CHECK(subscribe(script, r, "office/a") == Reason::not_authorized);
    CHECK(subscribe(script, r, "$share/g/plant/#") == Reason{1});
    CHECK(subscribe(script, r, "$share/g/#") == Reason::not_authorized);
    CHECK(subscribe(script, r, "$SYS/#") == Reason::not_authorized);
    CHECK(script.decisions(auth::Action::subscribe, false) == 5);
    mqtt::Subscribe two;
    two.packet_id = 9;
    two.requests.push_back({"office/a", {}});
    two.requests.push_back({"plant/c", {}});
    r.send_packet(two);
    CHECK(r.expect<mqtt::Suback>().reasons == std::vector<Reason>{Reason::not_authorized, Reason::success});
}

TEST_CASE("a deny of receive keeps back live and retained messages alike", "[core][access]") {
    const std::uint32_t shards = GENERATE(1U, 2U);
    Guarded script(plain, {{"r", {"reader"}}, {"p", {"all"}}}, shards);
    Peer& p = script.join("p");
    REQUIRE(publish(script, p, text("plant/secret/a", "old-secret", 1, 1, true)) == Reason::success);
    REQUIRE(publish(script, p, text("plant/open", "old", 1, 2, true)) == Reason::success);
    Peer& r = script.join("r", shards - 1);
    REQUIRE(subscribe(script, r, "plant/#") == Reason{1});
    CHECK(r.payloads() == List{"old"});
    for (const std::uint8_t qos : {0, 1, 2}) {
        p.send(text("plant/secret/a", "secret", qos, 5));
        p.send(text("plant/open", "open", qos, 6));
    }
    script.settle();
    CHECK(r.payloads() == List{"open", "open", "open"});
}

TEST_CASE("topics of the broker are reached by filters that begin with a dollar sign", "[core][access]") {
    Guarded script(R"(roles:
  all: {rules: [{allow: subscribe, topic: "#"}]}
  ops: {rules: [{allow: subscribe, topic: "$SYS/#"}]}
)", {{"a", {"all"}}, {"o", {"ops"}}});
    Peer& a = script.join("a");
    CHECK(subscribe(script, a, "$SYS/#") == Reason::not_authorized);
    Peer& o = script.join("o");
    CHECK(subscribe(script, o, "$SYS/#") == Reason{1});
    script.broker->publish("$SYS/broker/uptime", "1", false, 0);
    script.turn();
    CHECK(o.payloads() == List{"1"});
    CHECK(a.payloads().empty());
}

TEST_CASE("a member of a shared subscription that may not receive is passed over", "[core][access]") {
    const std::uint32_t shards = GENERATE(1U, 2U, 3U);
    Guarded script(plain, {{"r1", {"reader"}}, {"r2", {"reader"}}, {"ok", {"all"}}, {"p", {"all"}}}, shards);
    Peer& p = script.join("p");
    Peer& r1 = script.join("r1", 1 % shards);
    Peer& r2 = script.join("r2", 2 % shards);
    Peer& ok = script.join("ok", shards - 1);
    for (Peer* peer : {&r1, &r2, &ok}) REQUIRE(subscribe(script, *peer, "$share/g/plant/#") == Reason{1});
    List expected;
    for (int i = 0; i < 12; ++i) {
        expected.push_back(std::to_string(i));
        p.send(text("plant/secret/a", expected.back(), static_cast<std::uint8_t>(i % 2), 1));
    }
    script.settle();
    auto got = ok.payloads();
    std::sort(got.begin(), got.end());
    std::sort(expected.begin(), expected.end());
    CHECK(got == expected);
    CHECK(r1.quiet());
    CHECK(r2.quiet());
    SECTION("with nobody else it goes nowhere, and does not go round for ever") {
        ok.drop();
        p.send(text("plant/secret/a", "x", 0));
        script.settle();
        CHECK(r1.quiet());
        CHECK(r2.quiet());
        CHECK(script.dropped(Drop::no_local_member) > 0);
    }
}

TEST_CASE("topic aliases and response topics are judged like any topic", "[core][access]") {
    Guarded script(plain, {{"edge-1", {"edge"}}, {"watch", {"all"}}});
    Peer& watch = script.join("watch");
    REQUIRE(subscribe(script, watch, "#") == Reason{1});
    Peer& edge = script.join("edge-1");
    Text named = text("plant/edge/a", "1");
    named.alias = 1;
    CHECK(publish(script, edge, named) == Reason::success);
    Text bare = text("", "2", 1, 2);
    bare.alias = 1;
    CHECK(publish(script, edge, bare) == Reason::success);
    Text locked = text("plant/edge/locked", "3", 1, 3);
    locked.alias = 2;
    CHECK(publish(script, edge, locked) == Reason::not_authorized);
    Text again = text("", "4", 1, 4);
    again.alias = 2;
    CHECK(publish(script, edge, again) == Reason::not_authorized);
    CHECK(publish(script, edge, text("response/watch", "5", 1, 5)) == Reason::not_authorized);
    script.change("roles: {all: {rules: [{allow: subscribe, topic: \"#\"}]}}\n");
    bare.id = 6;
    CHECK(publish(script, edge, bare) == Reason::not_authorized);
    CHECK(watch.payloads() == List{"1", "2"});
}

TEST_CASE("a value with pattern characters or slashes widens no rule", "[core][access]") {
    constexpr std::string_view rules = R"(roles:
  own:
    rules:
      - {allow: [publish, subscribe], topic: "own/%c/#"}
      - {allow: [publish, subscribe], topic: "user/%u"}
)";
    const List ids = {"a", "+", "#", "a/b", "..", "*", "%c", "$SYS", "a+b"};
    std::map<std::string, std::vector<std::string>> table;
    for (const std::string& id : ids) table[id] = {"own"};
    Guarded script(rules, table);
    std::map<std::string, Peer*> peers;
    for (const std::string& id : ids) peers[id] = &script.join(id);
    // What is decided for one client is not what holds for the next on the same topic.
    CHECK(publish(script, *peers["a"], text("own/a/x", "1")) == Reason::success);
    CHECK(publish(script, *peers["*"], text("own/a/x", "1")) == Reason::not_authorized);
    CHECK(publish(script, *peers["a"], text("own/a/x", "1")) == Reason::success);
    for (const std::string& id : ids) {
        INFO(id);
        const bool usable = id.find_first_of("+#/") == std::string::npos;
        for (const std::string& other : ids) {
            if (other.find_first_of("+#") != std::string::npos) continue;   // no topic name
            if (other.starts_with(id + "/")) continue;                      // its own branch
            const Reason reason = publish(script, *peers[id], text("own/" + other + "/x", "1"));
            CHECK(reason == (usable && other == id ? Reason::success : Reason::not_authorized));
        }
        for (const char* filter : {"own/+/x", "own/#", "own/+/#", "#", "user/+"}) {
            CHECK(subscribe(script, *peers[id], filter) == Reason::not_authorized);
        }
        if (usable) CHECK(subscribe(script, *peers[id], "own/" + id + "/#") == Reason{1});
    }
}

TEST_CASE("a will is judged at CONNECT and when it is sent", "[core][access]") {
    Guarded script(plain, {{"edge-1", {"edge"}}, {"watch", {"all"}}});
    Peer& watch = script.join("watch");
    REQUIRE(subscribe(script, watch, "#") == Reason{1});
    mqtt::Will will;
    will.payload = "gone";
    will.qos = 1;
    SECTION("at CONNECT") {
        will.topic = "plant/edge/locked";
        Hello hello{.id = "edge-1", .will = will};
        Peer& refused = script.open();
        refused.send(hello);
        const auto connack = refused.expect<mqtt::Connack>();
        CHECK(connack.reason == Reason::not_authorized);
        CHECK(connack.reason_string->find("roles.yaml:8") != std::string_view::npos);
    }
    will.topic = "plant/edge/status";
    SECTION("of a session that ends with its connection") {
        Peer& edge = script.connect({.id = "edge-1", .will = will});
        SECTION("still allowed") {
            edge.drop();
            CHECK(watch.payloads() == List{"gone"});
        }
        SECTION("not any more") {
            script.change("roles: {all: {rules: [{allow: subscribe, topic: \"#\"}]}}\n");
            edge.drop();
            script.settle();
            CHECK(watch.payloads().empty());
        }
    }
    SECTION("of a session that outlives it, later and after a restart") {
        will.delay_s = 60;
        Peer& edge = script.connect({.id = "edge-1", .clean = false, .expiry_s = 3'600, .will = will});
        edge.drop();
        script.settle();
        const bool restart = GENERATE(false, true);
        const bool revoked = GENERATE(false, true);
        Peer* witness = &watch;
        if (restart) {
            script.restart();
            script.attach_all();
            witness = &script.join("watch");
            REQUIRE(subscribe(script, *witness, "#") == Reason{1});
        }
        if (revoked) script.change("roles: {all: {rules: [{allow: subscribe, topic: \"#\"}]}}\n");
        script.pass(61'000);
        script.settle();
        CHECK(witness->payloads() == (revoked ? List{} : List{"gone"}));
        script.pass(61'000);
        script.settle();
        CHECK(witness->payloads().empty());
    }
}

TEST_CASE("a rule holds from its time on and no longer", "[core][access]") {
    Guarded script("roles: {edge: {rules: [{allow: publish, topic: \"#\", until: 2023-11-14T22:15:00Z}]}}\n",
                   {{"edge-1", {"edge"}}});
    Peer& edge = script.join("edge-1");   // at 22:13:20
    CHECK(publish(script, edge, text("t", "1")) == Reason::success);
    script.pass(99'000);
    CHECK(publish(script, edge, text("t", "2")) == Reason::success);
    script.pass(2'000);
    CHECK(publish(script, edge, text("t", "3")) == Reason::not_authorized);
    script.now.wall_ms -= 60'000;   // the clock is put back
    script.pass(0);
    CHECK(publish(script, edge, text("t", "4")) == Reason::success);
}

TEST_CASE("rules may ask the model, and a change of the model is noticed", "[core][access]") {
    constexpr std::string_view plant = R"(trunkline: 1
namespace: acme
version: 1.0.0
defaults: {mode: observe, payload: any}
types:
  motor: {version: 1, metrics: {speed: {}}, commands: {stop: {}}}
  filler:
    version: 2
    parts: {drive: motor@1}
    metrics: {level: {}}
    commands: {start: {}, reset: {writers: ["role:boss"]}}
tree:
  acme:
    munich:
      $kind: site
      $owner: ann
      hall:
        $kind: area
        f1: {$type: filler, $aliases: [{path: old/f1}]}
        m1: {$type: motor}
)";
    Guarded script(R"(roles:
  commander: {rules: [{allow: publish, topic: "#", member: command, type: filler}]}
  motors: {rules: [{allow: publish, topic: "#", type: motor@1}]}
  area: {rules: [{allow: publish, topic: "#", kind: area}]}
  owner: {rules: [{allow: publish, topic: "#", branch-owner: ann}]}
  boss: {rules: [{allow: publish, topic: "#"}]}
  old: {rules: [{allow: publish, topic: "old/#"}]}
)", {{"c", {"commander"}}, {"m", {"motors"}}, {"a", {"area"}}, {"o", {"owner"}}, {"b", {"boss"}}, {"w", {"area"}},
     {"x", {"old"}}});
    const std::string start = "acme/munich/hall/f1/start", level = "acme/munich/hall/f1/level";
    std::map<std::string, Peer*> peers;
    for (const auto& [id, roles] : script.roles) peers[id] = &script.join(id);
    CHECK(publish(script, *peers["c"], text(start, "1")) == Reason::not_authorized);   // there is no model
    script.govern(plant);
    const auto may = [&](const char* who, const std::string& topic) {
        return publish(script, *peers[who], text(topic, "1")) == Reason::success;
    };
    CHECK(may("c", start));
    CHECK_FALSE(may("c", level));
    CHECK_FALSE(may("c", "acme/munich/hall/m1/stop"));
    CHECK(may("c", "acme/munich/hall/f1/drive/stop"));
    CHECK(may("m", "acme/munich/hall/f1/drive/speed"));
    CHECK(may("m", "acme/munich/hall/m1/speed"));
    CHECK_FALSE(may("m", level));
    CHECK(may("a", level));
    CHECK_FALSE(may("a", "acme/other"));
    CHECK(may("o", level));
    CHECK_FALSE(may("o", "acme/other"));
    CHECK(may("b", "acme/munich/hall/f1/reset"));         // $writers ask for the role
    CHECK_FALSE(may("w", "acme/munich/hall/f1/reset"));
    CHECK_FALSE(may("x", "old/f1/level"));                // an old path leads where it may not publish
    CHECK(may("b", "old/f1/level"));
    std::string changed(plant);
    changed.replace(changed.find("1.0.0"), 5, "1.0.1");
    changed.replace(changed.find("$type: filler"), 13, "$type: motor ");
    script.govern(changed);
    CHECK_FALSE(may("c", start));
}

TEST_CASE("who may not publish learns nothing of the model", "[core][access]") {
    Guarded script(plain, {{"r", {"reader"}}, {"p", {"all"}}});
    script.govern("trunkline: 1\nnamespace: acme\nversion: 1.0.0\ntree: {acme: {x: {$payload: any}}}\n");
    Peer& r = script.join("r");
    Peer& p = script.join("p");
    CHECK(publish(script, p, text("nowhere", "1")) == Reason::topic_name_invalid);
    CHECK(publish(script, r, text("nowhere", "1")) == Reason::not_authorized);
}

TEST_CASE("a message of administration is judged as its sender's", "[core][access]") {
    Guarded script(R"(users: {ann: {roles: [edge]}}
roles: {edge: {rules: [{allow: publish, topic: "plant/#"}]}}
)", {});
    const auto publish_as = [&](std::string user, std::string topic) {
        Publication publication;
        publication.topic = std::move(topic);
        publication.user = std::move(user);
        publication.qos = 0;
        auto kind = Refused::Kind::unavailable;
        script.broker->publish_for(publication, [&](const Refused& refused) { kind = refused.kind; });
        script.settle();
        return kind;
    };
    CHECK(publish_as("ann", "plant/a") == Refused::Kind::none);
    CHECK(publish_as("ann", "office") == Refused::Kind::forbidden);
    CHECK(publish_as("bob", "plant/a") == Refused::Kind::forbidden);
    CHECK(publish_as("", "plant/a") == Refused::Kind::forbidden);
}

TEST_CASE("a message of administration has its sender's roles, also where an old path leads", "[core][access]") {
    Guarded script(R"(roles:
  old: {rules: [{allow: publish, topic: "old/#"}]}
  both: {rules: [{allow: publish, topic: "#"}]}
)", {});
    script.govern("trunkline: 1\nnamespace: acme\nversion: 1.0.0\n"
                  "tree: {acme: {f1: {$aliases: [{path: old/f1}], level: {$payload: any}}}}\n");
    const auto publish_as = [&](const std::string& role, bool unasked) {
        auto principal = std::make_shared<auth::Principal>();
        principal->user = "somebody";
        if (!role.empty()) principal->roles = {role};
        Publication publication;
        publication.topic = "old/f1/level";
        publication.payload = "1";
        publication.principal = std::move(principal);
        publication.unasked = unasked;
        publication.qos = 0;
        auto kind = Refused::Kind::unavailable;
        script.broker->publish_for(publication, [&](const Refused& refused) { kind = refused.kind; });
        script.settle();
        return kind;
    };
    CHECK(publish_as("", false) == Refused::Kind::forbidden);
    CHECK(publish_as("old", false) == Refused::Kind::forbidden);
    CHECK(publish_as("both", false) == Refused::Kind::none);
    CHECK(publish_as("", true) == Refused::Kind::none);
}

TEST_CASE("what is kept on routes is what a decision says", "[core][access]") {
    std::mt19937 random(11);
    const auto pick = [&](const List& from) { return from[random() % from.size()]; };
    const List levels = {"a", "b", "c", "%c", "%u", "+"};
    const List topics = {"a", "b", "a/b", "a/c", "b/p1", "b/p2", "a/u-p1", "a/b/c", "p1/p2"};
    for (int round = 0; round < 20; ++round) {
        std::string rules = "roles:\n";
        for (int role = 0; role < 6; ++role) {
            rules += "  r" + std::to_string(role) + ":\n    rules:\n";
            for (int i = 0; i < 4; ++i) {
                std::string filter = pick(levels);
                for (auto more = random() % 3; more > 0; --more) filter += "/" + pick(levels);
                if (random() % 3 == 0) filter += "/#";
                rules += std::string("      - {") + (random() % 3 ? "allow" : "deny") + ": " +
                         pick({"publish", "[publish, receive]", "receive", "subscribe"}) + ", topic: \"" + filter +
                         "\"}\n";
            }
        }
        std::map<std::string, std::vector<std::string>> table;
        for (int i = 0; i < 8; ++i) {
            table["p" + std::to_string(i)] = {"r" + std::to_string(random() % 6), "r" + std::to_string(random() % 6)};
        }
        Guarded script(rules, table);
        std::vector<Peer*> peers;
        for (const auto& [id, roles] : table) peers.push_back(&script.join(id));
        for (int step = 0; step < 300; ++step) {
            const std::size_t who = random() % peers.size();
            const auto& [id, roles] = *std::next(table.begin(), static_cast<long>(who));
            const std::string topic = pick(topics);
            auth::Principal principal;
            principal.client_id = id;
            principal.user = "u-" + id;
            principal.roles = roles;
            const auto access = script.access.current();
            const bool expected =
                access->decide(principal, auth::Action::publish, topic, {script.now.wall_ms, nullptr}).allowed;
            INFO(rules << id << " " << topic);
            CHECK((publish(script, *peers[who], text(topic, "1")) == Reason::success) == expected);
            if (step == 150) script.change(rules + "  more: {rules: []}\n");
        }
    }
}
