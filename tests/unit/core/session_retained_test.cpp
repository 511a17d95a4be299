// Retained values beside live ones: who subscribes while a topic changes sees each change once and none go backwards.
#include <catch2/catch.hpp>

#include "tests/unit/core/script.h"

using namespace trunkline;
using namespace trunkline::broker;
using namespace trunkline::broker::test;

namespace {

Text retained(std::string topic, std::string payload, std::uint8_t qos, std::uint16_t id) {
    Text text;
    text.topic = std::move(topic);
    text.payload = std::move(payload);
    text.qos = qos;
    text.id = id;
    text.retain = true;
    return text;
}

using Payloads = std::vector<std::string>;

/// A publisher on shard 0 whose retained messages `from` to `to` on topic a/x are committed, and still on their way.
Peer& publish_under_way(Script& script, std::uint16_t from, std::uint16_t to) {
    Peer& p = script.connect({.id = "p"}, 0);
    script.log->hold_effects = true;
    for (std::uint16_t id = from; id <= to; ++id) {
        p.send(retained("a/x", std::to_string(id), 1, id));
        script.commit();
    }
    return p;
}

void arrive(Script& script) {
    script.log->hold_effects = false;
    script.log->deliver();
    script.settle();
}

}  // namespace

TEST_CASE("a message that was committed before a SUBSCRIBE does not follow the retained one", "[core][session]") {
    Script script(2);
    publish_under_way(script, 1, 3);
    Peer& s = script.connect({.id = "s"}, 1);
    script.subscribe(s, "a/#", 1);
    CHECK(s.payloads() == Payloads{"3"});
    arrive(script);
    CHECK(s.payloads() == Payloads{});
}

TEST_CASE("after a restart retained values are sent", "[core][session]") {
    Script script(2);
    publish_under_way(script, 1, 3);
    arrive(script);
    script.restart();
    Peer& s = script.connect({.id = "s"}, 1);
    script.subscribe(s, "a/#", 1);
    CHECK(s.payloads() == Payloads{"3"});
}

TEST_CASE("an older subscription gets what is under way although a newer one has the retained value",
          "[core][session]") {
    Script script(2);
    Peer& s = script.connect({.id = "s"}, 1);
    script.subscribe(s, "a/+", 1);
    publish_under_way(script, 1, 3);
    script.subscribe(s, "a/#", 1);
    CHECK(s.payloads() == Payloads{"3"});
    arrive(script);
    CHECK(s.payloads() == Payloads{"1", "2", "3"});
}

TEST_CASE("a subscription that is made again misses nothing that is under way", "[core][session]") {  // [MQTT-3.8.4-4]
    Script script(2);
    Peer& s = script.connect({.id = "s"}, 1);
    script.subscribe(s, "a/#", 1);
    publish_under_way(script, 1, 3);
    script.subscribe(s, "a/#", 1);
    CHECK(s.payloads() == Payloads{"3"});
    arrive(script);
    CHECK(s.payloads() == Payloads{"1", "2", "3"});
}

TEST_CASE("a value that changes while retained messages stream comes once, live", "[core][session]") {
    const bool durable = GENERATE(false, true);
    Script script(2);
    Peer& p = script.connect({.id = "p"}, 0);
    for (std::uint16_t id = 1; id <= 3; ++id) p.send(retained("a/" + std::to_string(id), "old", 1, id));
    script.settle();
    Peer& s = script.connect({.id = "s", .clean = !durable, .expiry_s = durable ? 100U : 0U, .receive_maximum = 1}, 1);
    script.subscribe(s, "a/#", 1);
    const auto first = s.expect<mqtt::Publish>();
    CHECK(first.topic == "a/1");
    p.send(retained("a/3", "new", 1, 4));
    script.settle();
    Payloads of_third;
    std::uint16_t id = first.packet_id;
    for (int round = 0; round < 5; ++round) {
        s.ack(mqtt::PacketType::puback, id);
        script.settle();
        const auto next = s.next();
        if (!next) break;
        const auto& publish = std::get<mqtt::Publish>(*next);
        id = publish.packet_id;
        if (publish.topic == "a/3") of_third.emplace_back(publish.payload);
    }
    CHECK(of_third == Payloads{"new"});
}

TEST_CASE("a QoS 0 value that came live is not followed by the older retained one", "[core][session]") {
    Script script(2);
    Peer& p = script.connect({.id = "p"}, 0);
    for (std::uint16_t id = 1; id <= 3; ++id) p.send(retained("a/" + std::to_string(id), "old", 1, id));
    script.settle();
    Peer& s = script.connect({.id = "s", .receive_maximum = 1}, 1);
    script.subscribe(s, "a/#", 1);
    const auto first = s.expect<mqtt::Publish>();
    p.send(retained("a/3", "new", 0, 0));  // live at once, in the tree after its commit
    CHECK(s.expect<mqtt::Publish>().payload == "new");
    s.ack(mqtt::PacketType::puback, first.packet_id);
    const auto second = s.expect<mqtt::Publish>();
    CHECK(second.topic == "a/2");
    s.ack(mqtt::PacketType::puback, second.packet_id);
    CHECK(s.quiet());
    script.settle();
    CHECK(s.quiet());
}
