// Scripts about what waits for the log: acknowledgements, their order, refusals, resumed sessions.
#include <catch2/catch.hpp>

#include "broker/core/shard.h"
#include "tests/unit/core/script.h"

using namespace trunkline;
using namespace trunkline::broker;
using namespace trunkline::broker::test;
using mqtt::PacketType;
using mqtt::Reason;
using mqtt::Version;

namespace {

Hello durable(const std::string& id, bool clean = false) { return {.id = id, .clean = clean, .expiry_s = 3'600}; }

/// A durable session that is subscribed and away.
void leave_queue(Script& script, const std::string& id, std::string_view filter, std::uint8_t qos) {
    Peer& peer = script.connect(durable(id));
    script.subscribe(peer, filter, qos);
    peer.disconnect();
    script.settle();
}

}  // namespace

TEST_CASE("CONNACK of a durable session leaves after its commit, that of another one at once", "[core][session]") {
    Script script;
    Peer& kept = script.open();
    kept.send(durable("kept"));
    CHECK(kept.quiet());
    CHECK(script.commit());
    CHECK(kept.expect<mqtt::Connack>().reason == Reason::success);  // [MQTT-3.2.0-1]
    Peer& passing = script.open();
    passing.send(Hello{.id = "passing"});
    CHECK_FALSE(passing.expect<mqtt::Connack>().session_present);
    CHECK(script.log->commits == 1);
}

TEST_CASE("SUBACK and UNSUBACK of a durable session leave after their commit", "[core][session]") {
    Script script;
    Peer& a = script.connect(durable("a"));
    a.subscribe(7, "x", {.qos = 1});
    CHECK(a.quiet());
    script.commit();
    const auto suback = a.expect<mqtt::Suback>();
    CHECK(suback.packet_id == 7);  // [MQTT-3.8.4-2]
    CHECK(suback.reasons.at(0) == Reason::granted_qos_1);
    a.unsubscribe(8, "x");
    CHECK(a.quiet());
    script.commit();
    CHECK(a.expect<mqtt::Unsuback>().packet_id == 8);  // [MQTT-3.10.4-5]
    Peer& b = script.connect({.id = "b"});
    b.subscribe(1, "x");
    CHECK(b.expect<mqtt::Suback>().packet_id == 1);
}

TEST_CASE("PUBACK waits for the commit exactly when a durable session or a retained value is owed", "[core][session]") {
    Script script;
    Peer& p = script.connect({.id = "p"});
    Peer& live = script.connect({.id = "live"});
    script.subscribe(live, "#", 1);
    p.send(Text{.topic = "free", .qos = 1, .id = 1});
    CHECK(p.expect_ack(PacketType::puback, 1).reason == Reason::success);
    CHECK(live.payloads().size() == 1);

    p.send(Text{.topic = "kept", .qos = 1, .id = 2, .retain = true});
    CHECK(p.quiet());
    CHECK(live.quiet());  // what anyone has seen is on disk
    script.commit();
    CHECK(p.expect_ack(PacketType::puback, 2).reason == Reason::success);  // [MQTT-4.3.2-4]
    CHECK(live.payloads().size() == 1);

    leave_queue(script, "away", "owed", 1);
    p.send(Text{.topic = "owed", .qos = 1, .id = 3});
    CHECK(p.quiet());
    p.send(Text{.topic = "owed", .payload = "fast"});  // QoS 0 never waits
    CHECK(live.payloads() == std::vector<std::string>{"fast"});
    script.commit();
    CHECK(p.expect_ack(PacketType::puback, 3).reason == Reason::success);
}

TEST_CASE("nothing overtakes a publish that is under way, and answers leave in order", "[core][session]") {
    Script script;
    leave_queue(script, "away", "owed", 2);
    Peer& p = script.connect({.id = "p"});
    Peer& live = script.connect({.id = "live"});
    script.subscribe(live, "#", 2);
    p.send(Text{.topic = "owed", .payload = "1", .qos = 1, .id = 1});
    p.send(Text{.topic = "free", .payload = "2", .qos = 1, .id = 2});   // held
    p.send(Text{.topic = "$SYS/x", .payload = "3", .qos = 1, .id = 3}); // refused
    p.send(Text{.topic = "free", .payload = "4", .qos = 2, .id = 4});
    p.send(Text{.topic = "free", .payload = "4", .qos = 2, .id = 4, .dup = true});
    CHECK(p.quiet());
    CHECK(live.quiet());
    script.commit();
    // PUBACK and PUBREC in the order of the PUBLISH packets [MQTT-4.6.0-2] [MQTT-4.6.0-3]
    CHECK(p.expect_ack(PacketType::puback, 1).reason == Reason::success);
    CHECK(p.expect_ack(PacketType::puback, 2).reason == Reason::success);
    CHECK(p.expect_ack(PacketType::puback, 3).reason == Reason::topic_name_invalid);
    CHECK(p.expect_ack(PacketType::pubrec, 4).reason == Reason::success);
    CHECK(p.expect_ack(PacketType::pubrec, 4).reason == Reason::success);
    CHECK(live.payloads() == std::vector<std::string>{"1", "2", "4"});  // [MQTT-4.6.0-5]
}

TEST_CASE("a publisher that goes while its messages are under way loses nothing of what the log has",
          "[core][session]") {
    Script script;
    leave_queue(script, "away", "owed", 1);
    Peer& p = script.connect({.id = "p"});
    Peer& live = script.connect({.id = "live"});
    script.subscribe(live, "#", 1);
    p.send(Text{.topic = "owed", .payload = "1", .qos = 1, .id = 1});
    p.send(Text{.topic = "free", .payload = "2", .qos = 1, .id = 2});
    p.drop();
    script.settle();
    CHECK(live.payloads() == std::vector<std::string>{"1", "2"});
    Peer& back = script.connect(durable("away"));
    script.settle();
    CHECK(back.payloads() == std::vector<std::string>{"1"});
}

TEST_CASE("the broker can end while publishes are under way", "[core][session]") {
    Script script;
    leave_queue(script, "away", "owed", 1);
    Peer& p = script.connect({.id = "p"});
    Peer& q = script.connect({.id = "q"});
    p.send(Text{.topic = "owed", .payload = "1", .qos = 1, .id = 1});
    q.send(Text{.topic = "owed", .payload = "1", .qos = 1, .id = 1});
    q.drop();
    script.restart();
    Peer& back = script.connect(durable("away"));
    script.settle();
    CHECK(back.quiet());
}

TEST_CASE("QoS 2 from a durable session: PUBREC and PUBCOMP after their commits", "[core][session]") {
    Script script;
    Peer& live = script.connect({.id = "live"});
    script.subscribe(live, "#", 2);
    Peer* p = &script.connect(durable("p"));
    p->send(Text{.payload = "1", .qos = 2, .id = 5});
    CHECK(p->quiet());
    script.commit();
    CHECK(p->expect_ack(PacketType::pubrec, 5).reason == Reason::success);  // [MQTT-4.3.3-8]
    CHECK(live.payloads() == std::vector<std::string>{"1"});

    p->drop();
    script.settle();
    mqtt::Connack connack;
    p = &script.connect(durable("p"), 0, &connack);
    CHECK(connack.session_present);                                          // [MQTT-3.2.2-3]
    p->send(Text{.payload = "1", .qos = 2, .id = 5, .dup = true});           // sent again: the same message
    script.settle();
    CHECK(p->expect_ack(PacketType::pubrec, 5).reason == Reason::success);
    CHECK(live.quiet());                                                     // [MQTT-4.3.3-10]
    p->ack(PacketType::pubrel, 5);
    CHECK(p->quiet());
    script.commit();
    CHECK(p->expect_ack(PacketType::pubcomp, 5).reason == Reason::success);  // [MQTT-4.3.3-11]
    p->send(Text{.payload = "2", .qos = 2, .id = 5});                        // [MQTT-4.3.3-12]
    script.settle();
    CHECK(p->expect_ack(PacketType::pubrec, 5).reason == Reason::success);
    CHECK(live.payloads() == std::vector<std::string>{"2"});
}

TEST_CASE("QoS 2 survives a crash between PUBREC and PUBREL", "[core][session]") {
    Script script;
    leave_queue(script, "away", "t", 2);
    Peer* p = &script.connect(durable("p"));
    p->send(Text{.payload = "once", .qos = 2, .id = 5});
    script.settle();
    script.restart();
    p = &script.connect(durable("p"));
    p->send(Text{.payload = "once", .qos = 2, .id = 5, .dup = true});
    script.settle();
    CHECK(p->expect_ack(PacketType::pubrec, 5).reason == Reason::success);
    Peer& back = script.connect(durable("away"));
    script.settle();
    CHECK(back.payloads() == std::vector<std::string>{"once"});
}

TEST_CASE("QoS 2 to a durable session: PUBREL leaves after the PUBREC's commit and survives a reconnect",
          "[core][session]") {
    Script script;
    leave_queue(script, "s", "t", 2);
    Peer& p = script.connect({.id = "p"});
    for (std::uint16_t id = 1; id <= 3; ++id) p.send(Text{.payload = std::to_string(id), .qos = 2, .id = id});
    script.settle();
    Peer* s = &script.connect(durable("s"));
    script.settle();
    std::vector<std::uint16_t> ids;
    for (int i = 0; i < 3; ++i) {
        const auto publish = s->expect<mqtt::Publish>();
        CHECK_FALSE(publish.dup);
        ids.push_back(publish.packet_id);
    }
    s->ack(PacketType::pubrec, ids[0]);
    CHECK(s->quiet());
    script.commit();
    CHECK(s->expect_ack(PacketType::pubrel, ids[0]).reason == Reason::success);  // [MQTT-4.3.3-4]
    s->ack(PacketType::pubrec, ids[0]);  // once more before PUBCOMP
    script.settle();
    (void)s->expect_ack(PacketType::pubrel, ids[0]);
    s->drop();
    script.settle();

    s = &script.connect(durable("s"));
    script.settle();
    // what was under way is sent again with its packet identifiers [MQTT-4.4.0-1], in order [MQTT-4.6.0-1]
    (void)s->expect_ack(PacketType::pubrel, ids[0]);
    for (std::size_t i = 1; i < 3; ++i) {
        const auto publish = s->expect<mqtt::Publish>();
        CHECK(publish.dup);  // [MQTT-3.3.1-1]
        CHECK(publish.packet_id == ids[i]);
        CHECK(publish.payload == std::to_string(i + 1));
    }
    s->ack(PacketType::pubcomp, ids[0]);
    s->ack(PacketType::pubrec, ids[1], Reason::unspecified_error);  // [MQTT-4.4.0-2]: as if it were acknowledged
    s->ack(PacketType::pubrec, ids[2]);
    script.settle();
    (void)s->expect_ack(PacketType::pubrel, ids[2]);
    s->ack(PacketType::pubcomp, ids[2]);
    script.settle();
    s->drop();
    script.settle();
    s = &script.connect(durable("s"));
    script.settle();
    CHECK(s->quiet());
}

TEST_CASE("a durable session that was closed in the middle of its claim keeps its messages", "[core][session]") {
    Script script(2);
    leave_queue(script, "s", "t", 1);
    Peer& p = script.connect({.id = "p"}, 1);
    p.send(Text{.payload = "kept", .qos = 1, .id = 1});
    script.settle();
    Peer& gone = script.open();
    gone.send(durable("s"));
    gone.drop();  // before its CONNACK
    script.settle();
    mqtt::Connack connack;
    Peer& s = script.connect(durable("s"), 1, &connack);
    CHECK(connack.session_present);
    script.settle();
    CHECK(s.payloads() == std::vector<std::string>{"kept"});
}

TEST_CASE("a new durable session whose connection goes before its CONNACK leaves nothing behind", "[core][session]") {
    Script script;
    Peer& gone = script.open();
    gone.send(durable("s"));
    gone.drop();
    script.settle();
    CHECK(script.broker->durable_session_count() == 0);
}

TEST_CASE("packets right after CONNECT wait for the CONNACK, however they are cut", "[core][session]") {
    Script script;
    Peer& live = script.connect({.id = "live"});
    script.subscribe(live, "#", 0);
    Peer& a = script.open();
    mqtt::Connect connect;
    connect.client_id = "a";
    connect.session_expiry_s = 100;
    connect.has_session_expiry = true;
    mqtt::Buffer out;
    mqtt::encode(out, connect);
    for (const char* payload : {"1", "2", "3"}) {
        mqtt::PublishOut packet;
        packet.topic = "t";
        packet.payload = payload;
        mqtt::encode(out, Version::v5, packet);
    }
    const std::string bytes(out.view());
    const std::size_t cut = bytes.size() - 3;
    a.send_bytes(bytes.substr(0, cut));
    CHECK(a.quiet());
    CHECK(live.quiet());
    script.settle();
    CHECK(a.expect<mqtt::Connack>().reason == Reason::success);
    CHECK(live.payloads() == std::vector<std::string>{"1", "2"});
    a.send_bytes(bytes.substr(cut, 1));
    a.send_bytes(bytes.substr(cut + 1));
    CHECK(live.payloads() == std::vector<std::string>{"3"});
    a.ping();
    CHECK(std::holds_alternative<tests::Ping>(*a.next()));
    CHECK(script.broker->counters(0).bytes_received.get() >= bytes.size());
}

TEST_CASE("a full queue refuses the publisher: 0x97, in v3 the connection ends unanswered", "[core][session]") {
    StateLimits limits;
    limits.queue_messages = 2;
    Script script(1, {}, limits);
    leave_queue(script, "away", "t", 1);
    Peer& p = script.connect({.id = "p"});
    Peer& live = script.connect({.id = "live"});
    script.subscribe(live, "#", 1);
    for (std::uint16_t id = 1; id <= 4; ++id) {
        p.send(Text{.payload = std::to_string(id), .qos = static_cast<std::uint8_t>(id == 4 ? 2 : 1), .id = id});
    }
    script.settle();
    (void)p.expect_ack(PacketType::puback, 1);
    (void)p.expect_ack(PacketType::puback, 2);
    CHECK(p.expect_ack(PacketType::puback, 3).reason == Reason::quota_exceeded);
    CHECK(p.expect_ack(PacketType::pubrec, 4).reason == Reason::quota_exceeded);
    CHECK(live.payloads() == std::vector<std::string>{"1", "2"});
    p.send(Text{.topic = "free", .qos = 2, .id = 4});  // the identifier is free again [MQTT-4.3.3-9]
    CHECK(p.expect_ack(PacketType::pubrec, 4).reason == Reason::success);

    Peer& old = script.connect({.id = "old", .version = Version::v311});
    old.send(Text{.qos = 1, .id = 1});
    script.settle();
    CHECK(old.quiet());
    script.pass(2'000);
    CHECK(old.transport.closed);
}

TEST_CASE("without space, what must be stored is refused with 0x97 and said so", "[core][session]") {
    Script script;
    Peer& old = script.connect(durable("old"));
    script.subscribe(old, "have", 1);
    script.log->growth_allowed = false;

    Peer& fresh = script.open();
    fresh.send(durable("fresh"));
    script.settle();
    CHECK(fresh.expect<mqtt::Connack>().reason == Reason::quota_exceeded);
    CHECK(fresh.transport.closed);

    mqtt::Subscribe two;
    two.packet_id = 3;
    two.requests.push_back({"have", {.qos = 2}});
    two.requests.push_back({"more", {.qos = 1}});
    old.send_packet(two);
    script.settle();
    CHECK(old.expect<mqtt::Suback>().reasons == std::vector{Reason::granted_qos_2, Reason::quota_exceeded});
    old.unsubscribe(4, "more");
    script.settle();
    CHECK(old.expect<mqtt::Unsuback>().reasons == std::vector{Reason::no_subscription_existed});

    Peer& p = script.connect({.id = "p"});
    p.send(Text{.topic = "have", .qos = 1, .id = 1});
    p.send(Text{.topic = "kept", .qos = 1, .id = 2, .retain = true});
    p.send(Text{.topic = "free", .qos = 1, .id = 3});
    script.settle();
    CHECK(p.expect_ack(PacketType::puback, 1).reason == Reason::quota_exceeded);
    CHECK(p.expect_ack(PacketType::puback, 2).reason == Reason::quota_exceeded);
    CHECK(static_cast<int>(p.expect_ack(PacketType::puback, 3).reason) < 0x80);
}

TEST_CASE("a log that refuses everything lets nothing look as if it were safe", "[core][session]") {
    Script script;
    Peer& p = script.connect(durable("p"));
    Peer& s = script.connect(durable("s"));
    script.subscribe(s, "t", 2);
    p.send(Text{.payload = "1", .qos = 2, .id = 1});
    script.settle();
    (void)p.expect_ack(PacketType::pubrec, 1);
    const std::uint16_t id = s.expect<mqtt::Publish>().packet_id;

    p.ack(PacketType::pubrel, 1);
    s.ack(PacketType::pubrec, id);
    script.log->refuse(Refusal::no_space);
    script.turn();
    // a PUBCOMP would free the identifier for a message that the log still takes for the old one
    const auto bye = p.expect<mqtt::Disconnect>();
    CHECK(bye.reason == Reason::quota_exceeded);
    CHECK(p.transport.closed);
    // a PUBREL that is forgotten would let the message come twice
    for (auto packet = s.next(); packet; packet = s.next()) CHECK_FALSE(std::holds_alternative<mqtt::Ack>(*packet));

    Peer& clean = script.open();
    clean.send(Hello{.id = "s"});
    script.turn();
    script.log->refuse(Refusal::no_space);
    script.turn();
    CHECK(clean.expect<mqtt::Connack>().reason == Reason::quota_exceeded);
    script.settle();

    Peer& again = script.connect(durable("p"));
    again.send(Text{.payload = "1", .qos = 2, .id = 1, .dup = true});
    script.settle();
    CHECK(again.expect_ack(PacketType::pubrec, 1).reason == Reason::success);
    again.ack(PacketType::pubrel, 1);
    script.settle();
    CHECK(again.expect_ack(PacketType::pubcomp, 1).reason == Reason::success);
    Peer& back = script.connect(durable("s"));
    script.settle();
    CHECK(back.payloads() == std::vector<std::string>{"1"});
}

TEST_CASE("a session that fell behind goes on from the disk without loss, doubling or reordering", "[core][session]") {
    StateLimits limits;
    limits.live_messages = 4;
    Script script(1, {}, limits);
    Peer& s = script.connect({.id = "s", .clean = false, .expiry_s = 3'600, .receive_maximum = 3});
    script.subscribe(s, "t", 1);
    Peer& p = script.connect({.id = "p"});
    std::vector<std::string> sent, got;
    std::uint16_t next_id = 1;
    for (int round = 0; round < 40; ++round) {
        for (int i = 0; i < 1 + round % 4; ++i) {
            sent.push_back(std::to_string(sent.size()));
            p.send(Text{.payload = sent.back(), .qos = 1, .id = next_id});
            next_id = static_cast<std::uint16_t>(next_id % 1'000 + 1);
        }
        if (round % 3 == 0) script.commit();
        while (!s.quiet()) {
            const auto publish = s.expect<mqtt::Publish>();
            got.emplace_back(publish.payload);
            s.ack(PacketType::puback, publish.packet_id);
            if (round % 5 == 0) script.commit();
        }
    }
    for (script.settle(); !s.quiet(); script.settle()) {
        const auto publish = s.expect<mqtt::Publish>();
        got.emplace_back(publish.payload);
        s.ack(PacketType::puback, publish.packet_id);
    }
    CHECK(got == sent);
}

TEST_CASE("a session that is declared behind after its last acknowledgement still gets what waits", "[core][session]") {
    StateLimits limits;
    limits.live_messages = 2;
    Script script(1, {}, limits);
    Peer& s = script.connect(durable("s"));
    script.subscribe(s, "t", 1);
    Peer& p = script.connect({.id = "p"});
    for (std::uint16_t id = 1; id <= 2; ++id) p.send(Text{.payload = std::to_string(id), .qos = 1, .id = id});
    script.settle();
    std::vector<std::uint16_t> ids{s.expect<mqtt::Publish>().packet_id, s.expect<mqtt::Publish>().packet_id};
    p.send(Text{.payload = "3", .qos = 1, .id = 3});  // submitted before the acknowledgements
    for (const std::uint16_t id : ids) s.ack(PacketType::puback, id);
    script.settle();
    CHECK(s.payloads() == std::vector<std::string>{"3"});
}

TEST_CASE("a client that never acknowledges one message can't exhaust the window of the others", "[core][session]") {
    Script script;
    const bool is_durable = GENERATE(false, true);
    Hello hello{.id = "s"};
    if (is_durable) hello = durable("s");
    Peer& s = script.connect(hello);
    script.subscribe(s, "t", 1);
    Peer& p = script.connect({.id = "p"});
    std::uint32_t sent = 0, got = 0;
    std::uint16_t first = 0;
    std::uint16_t last = 0;
    while (sent < 33'000) {
        for (std::uint16_t id = 1; id <= 500; ++id, ++sent) {
            mqtt::PublishOut packet;
            packet.topic = "t";
            packet.qos = 1;
            packet.packet_id = id;
            p.send_packet(packet);
        }
        script.settle();
        while (p.next()) {}
        mqtt::Buffer acks;
        while (auto packet = s.next()) {
            last = std::get<mqtt::Publish>(*packet).packet_id;
            if (got++ == 0) {
                first = last;
            } else {
                mqtt::encode_ack(acks, PacketType::puback, last);
            }
        }
        if (!acks.empty()) s.send_bytes(acks.view());
    }
    script.settle();
    CHECK(got == 32'767);
    if (!is_durable) {
        p.send(Text{.topic = "r", .qos = 1, .id = 1, .retain = true});  // retained messages mind the window, too
        script.settle();
        s.subscribe(2, "r", {.qos = 1});
        script.settle();
        CHECK(s.expect<mqtt::Suback>().packet_id == 2);
        CHECK(s.quiet());
    }
    s.ack(PacketType::puback, first);
    script.settle();
    while (auto packet = s.next()) got += std::holds_alternative<mqtt::Publish>(*packet);
    CHECK(got == sent + (is_durable ? 0 : 1));
}

TEST_CASE("a durable session's effects that arrive after its client has closed do no harm", "[core][session]") {
    Script script;
    Peer& s = script.connect(durable("s"));
    Peer& t = script.connect(durable("t"));
    script.subscribe(s, "t", 1);
    script.subscribe(t, "t", 2);
    Peer& p = script.connect({.id = "p"});
    script.log->hold_effects = true;
    p.send(Text{.payload = "1", .qos = 1, .id = 1});
    s.subscribe(1, "u", {.qos = 1});
    t.subscribe(1, "u", {.qos = 1});
    script.commit();
    s.drop();
    t.disconnect();
    p.drop();
    script.log->hold_effects = false;
    script.log->deliver();
    script.settle();
    Peer& back = script.connect(durable("s"));
    script.settle();
    CHECK(back.payloads() == std::vector<std::string>{"1"});
    Peer& too = script.connect(durable("t"));
    script.settle();
    CHECK(too.payloads() == std::vector<std::string>{"1"});
}

TEST_CASE("a session ends when its expiry has run out, and DISCONNECT may change the expiry", "[core][session]") {
    Script script;
    Peer& a = script.connect({.id = "a", .clean = false, .expiry_s = 10});
    a.disconnect();
    script.settle();
    script.pass(9'000);
    script.settle();
    mqtt::Connack connack;
    Peer& again = script.connect({.id = "a", .clean = false, .expiry_s = 10}, 0, &connack);
    CHECK(connack.session_present);
    again.disconnect(Reason::success, 2);
    script.settle();
    script.pass(3'000);
    script.settle();
    Peer& late = script.connect({.id = "a", .clean = false, .expiry_s = 10}, 0, &connack);
    CHECK_FALSE(connack.session_present);  // [MQTT-3.1.2-23] [MQTT-4.1.0-2]
    late.disconnect(Reason::success, 0);
    script.settle();
    CHECK(script.broker->durable_session_count() == 0);

    Peer& none = script.connect({.id = "none"});
    none.disconnect(Reason::success, 5);  // section 3.14.2.2.2: 0 in CONNECT stays 0
    CHECK(none.expect<mqtt::Disconnect>().reason == Reason::protocol_error);
}

TEST_CASE("Clean Start drops what an earlier session left, and nothing of it comes back", "[core][session]") {
    Script script;
    leave_queue(script, "s", "t", 1);
    Peer& p = script.connect({.id = "p"});
    p.send(Text{.qos = 1, .id = 1});
    script.settle();
    mqtt::Connack connack;
    const bool keeps = GENERATE(false, true);
    Hello hello = durable("s", true);
    if (!keeps) hello.expiry_s = 0;
    Peer& s = script.connect(hello, 0, &connack);
    CHECK_FALSE(connack.session_present);  // [MQTT-3.1.2-4] [MQTT-3.2.2-2]
    script.settle();
    CHECK(s.quiet());
    CHECK(script.broker->durable_session_count() == (keeps ? 1 : 0));
}
