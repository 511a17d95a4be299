// What was acknowledged is delivered, or the publisher was told otherwise: full queues of sessions that end with their
// connection, whichever shard the publisher is on.
#include <catch2/catch.hpp>

#include <set>

#include "broker/core/client.h"
#include "broker/core/shard.h"
#include "tests/unit/core/script.h"

using namespace trunkline;
using namespace trunkline::broker;
using namespace trunkline::broker::test;
using mqtt::PacketType;
using mqtt::Reason;
using mqtt::Version;

namespace {

Config with_queue_of(std::uint32_t messages) {
    Config config;
    config.limits.transient_queue_messages = messages;
    return config;
}

/// Publishes numbers of `from` to `to` one by one; those that were acknowledged, the others having been told 0x97.
std::vector<std::string> publish(Peer& p, Text text, std::uint16_t from, std::uint16_t to, Script* log = nullptr) {
    std::vector<std::string> accepted;
    for (std::uint16_t id = from; id <= to; ++id) {
        text.payload = std::to_string(id);
        text.id = id;
        p.send(text);
        if (log) log->settle();
        const auto ack = p.expect_ack(text.qos == 1 ? PacketType::puback : PacketType::pubrec, id);
        if (static_cast<std::uint8_t>(ack.reason) < 0x80) {
            accepted.push_back(text.payload);
            if (text.qos == 2) {
                p.ack(PacketType::pubrel, id);
                (void)p.expect_ack(PacketType::pubcomp, id);
            }
        } else {
            CHECK(ack.reason == Reason::quota_exceeded);
        }
    }
    return accepted;
}

/// Everything that waits for a subscriber, by acknowledging one after the other.
std::vector<std::string> drain(Peer& s) {
    std::vector<std::string> all;
    while (auto packet = s.next()) {
        if (const auto* publish = std::get_if<mqtt::Publish>(&*packet)) {
            all.emplace_back(publish->payload);
            if (publish->qos == 1) s.ack(PacketType::puback, publish->packet_id);
            if (publish->qos == 2) s.ack(PacketType::pubrec, publish->packet_id);
        } else if (const auto* ack = std::get_if<mqtt::Ack>(&*packet); ack && ack->type == PacketType::pubrel) {
            s.ack(PacketType::pubcomp, ack->packet_id);
        }
    }
    return all;
}

/// Bytes to a shard and the end of its turn, without the other shards getting theirs.
void send_alone(Script& script, Peer& peer, const std::vector<Text>& messages) {
    mqtt::Buffer out;
    for (const Text& message : messages) {
        mqtt::PublishOut packet;
        packet.topic = message.topic;
        packet.payload = message.payload;
        packet.qos = message.qos;
        packet.packet_id = message.id;
        mqtt::encode(out, peer.version(), packet);
    }
    ShardApi& shard = script.broker->shard(peer.shard());
    REQUIRE(shard.on_bytes(*peer.client, out.view()) == out.size());
    shard.end_turn();
}

}  // namespace

TEST_CASE("a full transient queue refuses publishers on every shard until there is room", "[core][session]") {
    Script script(3, with_queue_of(20));
    const std::uint32_t shard = GENERATE(0U, 1U, 2U);
    const auto qos = static_cast<std::uint8_t>(GENERATE(1, 2));
    const std::string filter = GENERATE(as<std::string>{}, "t", "+");
    Peer& s = script.connect({.id = "s", .receive_maximum = 1}, 1);
    script.subscribe(s, filter, 2);
    Peer& other = script.connect({.id = "other"}, 2);
    script.subscribe(other, "t", 0);
    Peer& p = script.connect({.id = "p"}, shard);
    const auto accepted = publish(p, {.qos = qos}, 1, 60);
    CHECK(accepted.size() == 21);  // one under way, twenty in the queue
    p.send(Text{.payload = "0"});  // QoS 0 has no queue
    CHECK(publish(p, {.topic = "elsewhere/u", .qos = qos}, 1, 3).size() == 3);

    Peer& old = script.connect({.id = "old", .version = Version::v311}, shard);
    old.send(Text{.qos = 1, .id = 1});  // has no negative answer
    CHECK_FALSE(old.transport.closed);  // it may be the one that makes room
    old.send(Text{.topic = "elsewhere/u", .qos = 1, .id = 2});
    script.pass(2'000);
    CHECK(old.transport.closed);
    CHECK(old.quiet());

    auto came = drain(s);
    std::erase(came, "0");
    CHECK(came == accepted);
    CHECK(script.dropped(Drop::queue_full) == 0);
    CHECK(publish(p, {.qos = qos}, 100, 110).size() == 11);
}

TEST_CASE("a transient queue that is full by its bytes refuses publishers on other shards, too", "[core][session]") {
    Config config;
    config.limits.transient_queue_bytes = 4'000;
    Script script(2, config);
    Peer& s = script.connect({.id = "s", .receive_maximum = 1}, 0);
    script.subscribe(s, "t", 1);
    Peer& p = script.connect({.id = "p"}, 1);
    std::size_t accepted = 0;
    for (std::uint16_t id = 1; id <= 20; ++id) {
        p.send(Text{.payload = std::string(500, 'x'), .qos = 1, .id = id});
        accepted += p.expect_ack(PacketType::puback, id).reason == Reason::success;
    }
    CHECK(accepted >= 8);
    CHECK(accepted <= 9);
    CHECK(drain(s).size() == accepted);
    CHECK(script.dropped(Drop::queue_full) == 0);
}

TEST_CASE("what other shards had acknowledged before they saw a queue fill is delivered", "[core][session]") {
    Script script(3, with_queue_of(10));
    Peer& s = script.connect({.id = "s", .receive_maximum = 1}, 0);
    script.subscribe(s, "t", 1);
    Peer& p = script.connect({.id = "p"}, 1);
    Peer& q = script.connect({.id = "q"}, 2);
    std::vector<Text> many;
    for (std::uint16_t id = 1; id <= 100; ++id) many.push_back({.payload = std::to_string(id), .qos = 1, .id = id});
    send_alone(script, p, many);
    send_alone(script, q, many);
    script.turn();
    std::size_t accepted = 0;
    for (Peer* peer : {&p, &q}) {
        for (std::uint16_t id = 1; id <= 100; ++id) {
            accepted += peer->expect_ack(PacketType::puback, id).reason == Reason::success;
        }
    }
    CHECK(publish(p, {.qos = 1}, 200, 205).empty());
    CHECK(drain(s).size() == accepted);
    CHECK(script.dropped(Drop::queue_full) == 0);
}

TEST_CASE("who publishes to a shard that is behind is not read from until it has caught up", "[core][session]") {
    Script script(2, with_queue_of(10));
    Peer& s = script.connect({.id = "s"}, 1);
    script.subscribe(s, "t", 1);
    Peer& p = script.connect({.id = "p"}, 0);
    Peer& aside = script.connect({.id = "aside"}, 0);
    std::uint16_t id = 0;
    while (p.transport.reading && id < 100) {
        ++id;
        send_alone(script, p, {{.payload = std::to_string(id), .qos = 1, .id = id}});
        send_alone(script, aside, {{.topic = "nobody", .qos = 1, .id = id}});
    }
    CHECK(id >= 5);
    CHECK(id <= 10);
    CHECK(aside.transport.reading);
    script.turn();
    CHECK(p.transport.reading);
    CHECK(drain(s).size() == id);
}

TEST_CASE("a shared subscription passes over members that are full and refuses when all are", "[core][session]") {
    Script script(3, with_queue_of(4));
    Peer& a = script.connect({.id = "a", .receive_maximum = 1}, 0);
    Peer& b = script.connect({.id = "b", .receive_maximum = 1}, 1);
    script.subscribe(a, "$share/g/t", 1);
    script.subscribe(b, "$share/g/t", 2);
    Peer& p = script.connect({.id = "p"}, GENERATE(0U, 1U, 2U));
    const auto accepted = publish(p, {.qos = 1}, 1, 30);
    CHECK(accepted.size() == 10);
    const auto of_a = drain(a);
    CHECK(of_a.size() == 5);
    const auto more = publish(p, {.qos = 1}, 31, 36);  // b is full still
    CHECK(more.size() == 5);
    CHECK(drain(a) == more);
    std::set<std::string> all(of_a.begin(), of_a.end());
    for (const std::string& payload : drain(b)) CHECK(all.insert(payload).second);
    CHECK(all == std::set<std::string>(accepted.begin(), accepted.end()));
    CHECK(script.dropped(Drop::queue_full) == 0);
    Peer& at_most_once = script.connect({.id = "c"}, 1);
    script.subscribe(at_most_once, "$share/g/t", 0);  // never full
    CHECK(publish(p, {.qos = 1}, 41, 80).size() == 40);
}

TEST_CASE("what goes through the log is refused, too, while a transient queue is full", "[core][session]") {
    Script script(2, with_queue_of(3));
    Peer& keeps = script.connect({.id = "keeps", .clean = false, .expiry_s = 60}, 0);
    script.subscribe(keeps, "t", 1);
    Peer& s = script.connect({.id = "s", .receive_maximum = 1}, 1);
    script.subscribe(s, "t", 1);
    Peer& p = script.connect({.id = "p"}, 0);
    const auto accepted = publish(p, {.qos = 1, .retain = GENERATE(false, true)}, 1, 10, &script);
    CHECK(accepted.size() == 4);
    CHECK(drain(s) == accepted);
    script.settle();
    CHECK(drain(keeps) == accepted);
    CHECK(script.dropped(Drop::queue_full) == 0);
}

TEST_CASE("what the log had taken before a transient queue was full is delivered", "[core][session]") {
    Script script(2, with_queue_of(3));
    Peer& s = script.connect({.id = "s", .receive_maximum = 1}, 1);
    script.subscribe(s, "t", 1);
    Peer& p = script.connect({.id = "p"}, 0);
    for (std::uint16_t id = 1; id <= 20; ++id) {  // every second one only waits for its turn behind the log
        p.send(Text{.payload = std::to_string(id), .qos = 1, .id = id, .retain = id % 2 == 1});
    }
    script.settle();
    std::vector<std::string> accepted;
    for (std::uint16_t id = 1; id <= 20; ++id) {
        if (p.expect_ack(PacketType::puback, id).reason == Reason::success) accepted.push_back(std::to_string(id));
    }
    CHECK(accepted.size() == 20);
    CHECK(drain(s) == accepted);
    CHECK(script.dropped(Drop::queue_full) == 0);
}

TEST_CASE("a full session that comes, goes or changes what it subscribes to is known everywhere", "[core][session]") {
    Script script(2, with_queue_of(4));
    Peer& s = script.connect({.id = "s", .receive_maximum = 1}, 0);
    script.subscribe(s, "t", 1);
    Peer& p = script.connect({.id = "p"}, 1);
    CHECK(publish(p, {.qos = 1}, 1, 10).size() == 5);
    (void)s.expect<mqtt::Publish>();
    CHECK(publish(p, {.topic = "u", .qos = 1}, 1, 2).size() == 2);
    script.subscribe(s, "u", 1);
    CHECK(publish(p, {.topic = "u", .qos = 1}, 1, 2).empty());
    script.subscribe(s, "u", 0);
    CHECK(publish(p, {.topic = "u", .qos = 1}, 1, 2).size() == 2);
    (void)s.expect<mqtt::Publish>();
    (void)s.expect<mqtt::Publish>();
    s.unsubscribe(3, "t");
    (void)s.expect<mqtt::Unsuback>();
    Peer& second = script.connect({.id = "second"}, 0);
    script.subscribe(second, "t", 1);
    CHECK(publish(p, {.qos = 1}, 1, 10).size() == 10);
    script.subscribe(s, "t", 1);
    CHECK(publish(p, {.qos = 1}, 1, 10).empty());
    s.drop();
    CHECK(publish(p, {.qos = 1}, 1, 10).size() == 10);
    CHECK(second.payloads().size() == 20);
    CHECK(script.dropped(Drop::queue_full) == 0);
}

TEST_CASE("a shared message under way to a member of another shard that has left goes to another", "[core][session]") {
    Script script(2);
    Peer& a = script.connect({.id = "a"}, 0);
    Peer& b = script.connect({.id = "b"}, 1);
    script.subscribe(a, "$share/g/t", 1);
    script.subscribe(b, "$share/g/t", 1);
    Peer& p = script.connect({.id = "p"}, 0);
    std::vector<Text> many;
    for (std::uint16_t id = 1; id <= 6; ++id) many.push_back({.payload = std::to_string(id), .qos = 1, .id = id});
    send_alone(script, p, many);
    if (GENERATE(false, true)) {
        b.drop();
    } else {
        script.broker->shard(1).on_bytes(*b.client, std::string_view("\xA2\x0F\x00\x05\x00\x00\x0A$share/g/t", 17));
    }
    script.turn();
    CHECK(a.payloads().size() == 6);
}

TEST_CASE("nobody can fill memory with what is not acknowledged: queues end at what may be under way", "[core]") {
    Script script(1, with_queue_of(10));
    Peer& s = script.connect({.id = "s", .receive_maximum = 1});
    script.subscribe(s, "t", 1);
    constexpr std::uint64_t more = 100'000;
    for (std::uint64_t i = 0; i < more; ++i) script.broker->publish("t", "x", false, 1);
    script.turn();
    const std::uint64_t dropped = script.dropped(Drop::queue_full);
    CHECK(dropped > 0);
    CHECK(more - dropped == 1 + 10 + 65'536);
}

TEST_CASE("a 3.1.1 client that fills its own queue is heard before it is closed, and goes on", "[core][session]") {
    Script script(2, with_queue_of(4));
    Peer* c = &script.connect({.id = "c", .version = Version::v311}, 0);
    script.subscribe(*c, "t", 1);
    script.takes(*c, 0);  // nothing gets through to it, so it acknowledges nothing
    std::uint16_t id = 0;
    while (c->client && c->client->unanswered_since_ms == 0 && id < 3'000) {
        c->send(Text{.payload = std::string(2'000, 'x'), .qos = 1, .id = ++id});
    }
    REQUIRE(c->client->unanswered_since_ms != 0);
    script.takes(*c, SIZE_MAX);
    std::size_t came = 0;
    while (auto packet = c->next()) {
        const auto* publish = std::get_if<mqtt::Publish>(&*packet);
        if (publish) c->ack(PacketType::puback, publish->packet_id);
        came += publish != nullptr;
    }
    CHECK(came == id - 1U);  // all that was acknowledged, while it waits for the end
    script.pass(2'000);
    CHECK(c->transport.closed);
}
