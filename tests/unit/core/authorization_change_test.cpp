// Roles that change while sessions live: publishes, deliveries, subscriptions, queues and QoS 2 exchanges.
#include "tests/unit/core/guarded.h"

using namespace trunkline;
using namespace trunkline::broker;
using namespace trunkline::broker::test;
using mqtt::PacketType;

TEST_CASE("changed roles hold for live sessions: publishes, deliveries, subscriptions", "[core][access]") {
    Guarded script(plain, {{"edge-1", {"edge"}}, {"r", {"reader"}}, {"watch", {"all"}}, {"p", {"all"}}});
    Peer& watch = script.join("watch");
    Peer& p = script.join("p");
    Peer& edge = script.join("edge-1");
    Peer& r = script.join("r");
    REQUIRE(subscribe(script, watch, "#") == Reason{1});
    REQUIRE(subscribe(script, r, "plant/edge/a") == Reason{1});
    REQUIRE(publish(script, edge, text("plant/edge/a", "1")) == Reason::success);
    script.change(R"(roles:
  all: {rules: [{allow: [publish, subscribe], topic: "#"}]}
  reader: {rules: [{allow: receive, topic: "#"}]}
)");
    CHECK(publish(script, edge, text("plant/edge/a", "2")) == Reason::not_authorized);
    CHECK(publish(script, p, text("plant/edge/a", "3")) == Reason::success);
    CHECK(r.payloads() == List{"1"});      // may receive, but not subscribe any more
    CHECK(watch.payloads() == List{"1", "3"});
    script.change(plain);
    CHECK(publish(script, edge, text("plant/edge/a", "4")) == Reason::success);
    CHECK(r.payloads() == List{"4"});
    r.unsubscribe(5, "plant/edge/a");
    CHECK(r.expect<mqtt::Unsuback>().reasons.at(0) == Reason::success);
    CHECK(script.broker->subscription_count() == 1);
}

TEST_CASE("a subscription that is not allowed can be left, and made again", "[core][access]") {
    Guarded script(plain, {{"r", {"reader"}}, {"p", {"all"}}});
    Peer& p = script.join("p");
    Peer& r = script.join("r");
    REQUIRE(subscribe(script, r, "plant/a") == Reason{1});
    REQUIRE(subscribe(script, r, "$share/g/plant/b") == Reason{1});
    constexpr std::string_view less = "roles: {all: {rules: [{allow: [publish, subscribe], topic: \"#\"}]}}\n";
    script.change(less);
    CHECK(script.broker->subscription_count() == 0);
    CHECK(subscribe(script, r, "plant/a") == Reason::not_authorized);
    SECTION("left") {
        r.unsubscribe(5, "plant/a");
        CHECK(r.expect<mqtt::Unsuback>().reasons.at(0) == Reason::success);
        script.change(plain);
        p.send(text("plant/a", "1", 0));
        CHECK(r.payloads().empty());
        p.send(text("plant/b", "2", 0));
        CHECK(r.payloads() == List{"2"});
    }
    SECTION("the connection ends") {
        r.disconnect();
        script.change(plain);
        CHECK(script.broker->subscription_count() == 0);
    }
    SECTION("made again before the change was looked at") {
        script.load(plain);
        CHECK(subscribe(script, r, "plant/a", 0) == Reason{0});
        p.send(text("plant/a", "1", 0));
        p.send(text("plant/b", "2", 0));
        CHECK(r.payloads() == List{"1", "2"});
        CHECK(script.broker->subscription_count() == 2);
    }
}

TEST_CASE("what waits in memory is not delivered after a revocation", "[core][access]") {
    Guarded script(plain, {{"r", {"reader"}}, {"p", {"all"}}});
    Peer& p = script.join("p");
    Peer& r = script.connect({.id = "r", .receive_maximum = 1});
    REQUIRE(subscribe(script, r, "plant/#") == Reason{1});
    for (const char* topic : {"plant/x/1", "plant/x/2", "plant/y/3", "plant/x/4"}) {
        REQUIRE(publish(script, p, text(topic, topic)) == Reason::success);
    }
    const auto first = r.expect<mqtt::Publish>();
    CHECK(first.topic == "plant/x/1");
    script.change(R"(roles:
  all: {rules: [{allow: [publish, subscribe], topic: "#"}]}
  reader: {rules: [{allow: subscribe, topic: "plant/#"}, {deny: receive, topic: "plant/x/#"}]}
)");
    r.ack(PacketType::puback, first.packet_id);
    script.settle();
    CHECK(r.payloads() == List{"plant/y/3"});
    CHECK(script.dropped(Drop::not_authorized) == 1);   // 4 waits behind 3's acknowledgement
}

TEST_CASE("a durable queue is judged again when its session resumes, and moves on", "[core][access]") {
    Guarded script(plain, {{"r", {"reader"}}, {"p", {"all"}}});
    Peer& p = script.join("p");
    Peer& r = script.join_durable("r");
    REQUIRE(subscribe(script, r, "plant/#", 2) == Reason{2});
    r.drop();
    script.settle();
    for (int i = 0; i < 6; ++i) {
        const auto qos = static_cast<std::uint8_t>(1 + i % 2);
        REQUIRE(publish(script, p, text(i < 4 ? "plant/x" : "plant/y", std::to_string(i), qos,
                                        static_cast<std::uint16_t>(10 + i))) == Reason::success);
    }
    SECTION("a part of it") {
        script.change(R"(roles:
  all: {rules: [{allow: [publish, subscribe], topic: "#"}]}
  reader: {rules: [{allow: subscribe, topic: "plant/#"}, {deny: receive, topic: plant/x}]}
)");
        Peer& again = script.join_durable("r");
        script.settle();
        const auto four = again.expect<mqtt::Publish>();
        CHECK(four.payload == "4");
        again.ack(PacketType::puback, four.packet_id);
        const auto five = again.expect<mqtt::Publish>();
        CHECK(five.payload == "5");
        again.ack(PacketType::pubrec, five.packet_id);
        script.settle();
        (void)again.expect_ack(PacketType::pubrel, five.packet_id);
        again.ack(PacketType::pubcomp, five.packet_id);
        script.settle();
        CHECK(script.state->queued_messages() == 0);
    }
    SECTION("all of it, and the subscription; when it is allowed again, what comes then") {
        script.change(R"(roles:
  all: {rules: [{allow: [publish, subscribe], topic: "#"}]}
)");
        Peer& again = script.join_durable("r");
        script.settle();
        CHECK(again.quiet());
        REQUIRE(publish(script, p, text("plant/y", "denied", 1, 30)) == Reason::success);
        script.settle();
        CHECK(again.quiet());
        CHECK(script.state->queued_messages() == 0);
        script.change(plain);
        REQUIRE(publish(script, p, text("plant/y", "again", 1, 31)) == Reason::success);
        script.settle();
        CHECK(again.payloads() == List{"again"});
    }
}

TEST_CASE("a QoS 2 exchange that began before a revocation is completed, and brings nothing more", "[core][access]") {
    Guarded script(plain, {{"edge-1", {"edge"}}, {"r", {"reader"}}});
    const bool durable = GENERATE(false, true);
    Peer& r = durable ? script.join_durable("r") : script.join("r");
    REQUIRE(subscribe(script, r, "plant/#", 2) == Reason{2});
    Peer& edge = durable ? script.join_durable("edge-1") : script.join("edge-1");
    REQUIRE(publish(script, edge, text("plant/edge/a", "1", 2, 5)) == Reason::success);
    script.settle();
    const auto got = r.expect<mqtt::Publish>();
    CHECK(got.payload == "1");
    r.ack(PacketType::pubrec, got.packet_id);
    script.settle();
    script.change("roles: {}\n");
    // The publisher repeats it: the same message, which was taken; nobody gets it again.
    Text repeated = text("plant/edge/a", "1", 2, 5);
    repeated.dup = true;
    CHECK(publish(script, edge, repeated) == Reason::success);
    edge.ack(PacketType::pubrel, 5);
    script.settle();
    CHECK(edge.expect_ack(PacketType::pubcomp, 5).reason == Reason::success);
    (void)r.expect_ack(PacketType::pubrel, got.packet_id);
    r.ack(PacketType::pubcomp, got.packet_id);
    script.settle();
    CHECK(r.quiet());
    CHECK(publish(script, edge, text("plant/edge/a", "2", 2, 5)) == Reason::not_authorized);
    script.settle();
    CHECK(r.quiet());
}
