// What a client that comes back must not notice of its earlier connection. Both were found by tests/sim.
#include <catch2/catch.hpp>

#include "tests/unit/core/script.h"

using namespace trunkline;
using namespace trunkline::broker;
using namespace trunkline::broker::test;
using mqtt::PacketType;
using mqtt::Reason;

namespace {

Hello lasting(const std::string& id) { return {.id = id, .clean = false, .expiry_s = 3'600}; }

void retain_at_qos2(Script& script, std::string_view topic, std::string_view payload) {
    Peer& peer = script.connect({.id = "writer"});
    peer.send(Text{.topic = std::string(topic), .payload = std::string(payload), .qos = 2, .id = 1, .retain = true});
    script.settle();
    peer.drop();
}

}  // namespace

TEST_CASE("a retained QoS 2 message does not go out under an identifier that the client still holds",
          "[core][session]") {
    Script script;
    retain_at_qos2(script, "r/2", "second");
    Peer& first = script.connect(lasting("a"));
    script.subscribe(first, "r/#", 2);
    const auto held = first.expect<mqtt::Publish>();
    CHECK(held.payload == "second");
    const std::uint16_t id = held.packet_id;   // the client has it, and its PUBREC is lost with the connection
    first.drop();
    script.settle();
    retain_at_qos2(script, "r/1", "first");            // will be sent before the other

    Peer& again = script.connect(lasting("a"));
    (void)again.expect_ack(PacketType::pubrel, id);   // [MQTT-4.4.0-1] the client lets go of the old exchange
    const auto publish = again.expect<mqtt::Publish>();
    CHECK(publish.packet_id == id);
    CHECK(publish.payload == "first");
    again.ack(PacketType::pubcomp, id);
    again.ack(PacketType::pubrec, id);
    script.settle();
    const std::uint16_t next = static_cast<std::uint16_t>(id + 1);
    (void)again.expect_ack(PacketType::pubrel, next);
    CHECK(again.expect<mqtt::Publish>().payload == "second");
    (void)again.expect_ack(PacketType::pubrel, id);
    CHECK_FALSE(again.expect<mqtt::Publish>().retain);   // what was published meanwhile, from its queue
    again.ack(PacketType::pubcomp, id);
    again.ack(PacketType::pubcomp, next, Reason::packet_identifier_not_found);
    again.ack(PacketType::pubrec, next);
    (void)again.expect_ack(PacketType::pubrel, next);
    again.ack(PacketType::pubcomp, next);
    script.settle();
    CHECK(again.quiet());
}

TEST_CASE("a new session is not asked to let go of identifiers", "[core][session]") {
    Script script;
    retain_at_qos2(script, "r/1", "first");
    Peer& peer = script.connect(lasting("a"));
    script.subscribe(peer, "r/#", 2);
    CHECK(peer.expect<mqtt::Publish>().payload == "first");
    CHECK(peer.quiet());
}

TEST_CASE("No Local holds for what a client published on an earlier connection", "[core][session]") {
    const bool kept = GENERATE(true, false);   // both kinds of session
    Script script;
    Peer& witness = script.connect(lasting("witness"));
    script.subscribe(witness, "t", 1);         // so that what is published goes through the log
    const Hello hello = kept ? lasting("a") : Hello{.id = "a"};
    Peer& first = script.connect(hello);
    first.subscribe(1, "t", {.qos = 0, .no_local = true});
    script.settle();
    first.send(Text{.topic = "t", .payload = "own", .qos = 1, .id = 1});
    first.drop();                              // the log has not committed it yet

    Peer& again = script.open();
    again.send(hello);
    if (!kept) again.subscribe(1, "t", {.qos = 0, .no_local = true});
    script.settle();
    CHECK(witness.payloads() == std::vector<std::string>{"own"});
    (void)again.expect<mqtt::Connack>();
    if (!kept) (void)again.expect<mqtt::Suback>();
    CHECK(again.quiet());                      // [MQTT-3.8.3-3]
}
