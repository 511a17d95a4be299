// Scripts about messages: flow control, aliases, expiry, retained values, shared subscriptions.
#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

#include "broker/core/shard.h"
#include "tests/unit/core/script.h"

using namespace trunkline;
using namespace trunkline::broker;
using namespace trunkline::broker::test;
using mqtt::PacketType;
using mqtt::Reason;
using mqtt::Version;

namespace {

std::vector<std::uint32_t> identifiers(const mqtt::Publish& publish) {
    std::vector<std::uint32_t> all;
    for (std::string_view rest = publish.properties; !rest.empty();) {
        const auto property = mqtt::detail::first_property(rest);
        if (property.id == mqtt::Property::subscription_identifier) all.push_back(property.number);
        rest = property.next;
    }
    std::sort(all.begin(), all.end());
    return all;
}

void retain(Script& script, const std::string& topic, const std::string& payload, std::uint8_t qos = 0,
            std::optional<std::uint32_t> expiry_s = std::nullopt) {
    Peer& p = script.connect({.id = "retains"});
    p.send(Text{.topic = topic, .payload = payload, .qos = qos, .id = static_cast<std::uint16_t>(qos ? 1 : 0),
                .retain = true, .expiry_s = expiry_s});
    script.settle();
    p.disconnect();
}

}  // namespace

TEST_CASE("QoS 2 from and to sessions that end with their connections", "[core][session]") {
    Script script(2);
    Peer& s = script.connect({.id = "s"}, 1);
    script.subscribe(s, "t", 2);
    Peer& p = script.connect({.id = "p"});
    p.send(Text{.payload = "1", .qos = 2, .id = 1});
    CHECK(p.expect_ack(PacketType::pubrec, 1).reason == Reason::success);
    p.send(Text{.payload = "1", .qos = 2, .id = 1, .dup = true});
    (void)p.expect_ack(PacketType::pubrec, 1);
    p.ack(PacketType::pubrel, 1);
    CHECK(p.expect_ack(PacketType::pubcomp, 1).reason == Reason::success);
    p.ack(PacketType::pubrel, 1);
    CHECK(p.expect_ack(PacketType::pubcomp, 1).reason == Reason::packet_identifier_not_found);

    const auto message = s.expect<mqtt::Publish>();
    CHECK(s.quiet());
    CHECK(message.qos == 2);
    CHECK_FALSE(message.dup);  // [MQTT-3.3.1-3] [MQTT-4.3.3-2]
    CHECK(message.packet_id != 0);  // [MQTT-2.2.1-4]
    s.ack(PacketType::pubcomp, message.packet_id);  // out of turn: not yet
    CHECK(s.quiet());
    s.ack(PacketType::pubrec, message.packet_id);
    (void)s.expect_ack(PacketType::pubrel, message.packet_id);
    s.ack(PacketType::pubcomp, message.packet_id);
    s.ack(PacketType::pubrec, message.packet_id);
    CHECK(s.expect_ack(PacketType::pubrel, message.packet_id).reason == Reason::packet_identifier_not_found);
    s.ack(PacketType::puback, 77);  // means nothing
    CHECK(s.quiet());
}

TEST_CASE("a publish goes out at the lower QoS, as DUP never, with its properties in order", "[core][session]") {
    Script script;
    Peer& s = script.connect({.id = "s"});
    script.subscribe(s, "t", 1);
    Peer& p = script.connect({.id = "p"});
    std::string properties;
    mqtt::append_user_property(properties, "b", "1");
    mqtt::append_user_property(properties, "a", "2");
    mqtt::append_user_property(properties, "b", "3");
    p.send(Text{.qos = 2, .id = 1, .dup = true, .expiry_s = 9, .properties = properties});
    const auto message = s.expect<mqtt::Publish>();
    CHECK(message.qos == 1);  // [MQTT-3.8.4-8]
    CHECK_FALSE(message.dup);
    std::string forwarded;
    mqtt::append_forwarded_properties(message.properties, forwarded);
    CHECK(forwarded == properties);  // [MQTT-3.3.2-17] [MQTT-3.3.2-18]
    CHECK(message.message_expiry_s == 9U);
}

TEST_CASE("the client's Receive Maximum bounds what is under way, and QoS 0 passes by", "[core][session]") {
    Script script;
    const std::uint32_t expiry_s = GENERATE(0U, 60U);
    Peer& s = script.connect({.id = "s", .expiry_s = expiry_s, .receive_maximum = 2});
    script.subscribe(s, "t", 2);
    Peer& p = script.connect({.id = "p"});
    for (std::uint16_t id = 1; id <= 6; ++id) {
        p.send(Text{.payload = std::to_string(id), .qos = static_cast<std::uint8_t>(1 + id % 2), .id = id});
    }
    script.settle();
    p.send(Text{.payload = "0"});
    std::vector<std::string> order;
    std::vector<mqtt::Publish> open;
    std::size_t most = 0;
    for (bool any = true; any;) {
        any = false;
        while (auto packet = s.next()) {
            any = true;
            if (const auto* publish = std::get_if<mqtt::Publish>(&*packet)) {
                order.emplace_back(publish->payload);
                if (publish->qos > 0) open.push_back(*publish);
            } else if (const auto* ack = std::get_if<mqtt::Ack>(&*packet)) {
                s.ack(PacketType::pubcomp, ack->packet_id);
                script.settle();
            }
            most = std::max(most, open.size());
        }
        if (!open.empty()) {
            any = true;
            s.ack(open.front().qos == 1 ? PacketType::puback : PacketType::pubrec, open.front().packet_id);
            open.erase(open.begin());
            script.settle();
        }
    }
    CHECK(most == 2);  // [MQTT-3.3.4-9]
    CHECK(order == std::vector<std::string>{"1", "2", "0", "3", "4", "5", "6"});
}

TEST_CASE("our Receive Maximum: v5 is disconnected beyond it, v3 goes on", "[core][session]") {
    Config config;
    config.limits.receive_maximum = 2;
    Script script(1, config);
    Peer& p = script.connect({.id = "p"});
    for (std::uint16_t id = 1; id <= 3; ++id) p.send(Text{.qos = 2, .id = id});
    (void)p.expect_ack(PacketType::pubrec, 1);
    (void)p.expect_ack(PacketType::pubrec, 2);
    CHECK(p.expect<mqtt::Disconnect>().reason == Reason::receive_maximum_exceeded);  // [MQTT-3.3.4-8]

    Peer& old = script.connect({.id = "old", .version = Version::v311});
    for (std::uint16_t id = 1; id <= 20; ++id) old.send(Text{.qos = 2, .id = id});
    CHECK(old.transport.reading);  // or its PUBREL could never come
    for (std::uint16_t id = 1; id <= 20; ++id) {
        (void)old.expect_ack(PacketType::pubrec, id);
        old.ack(PacketType::pubrel, id);
    }
    for (std::uint16_t id = 1; id <= 20; ++id) (void)old.expect_ack(PacketType::pubcomp, id);
}

TEST_CASE("a publisher pauses while the log catches up, and goes on", "[core][session]") {
    Config config;
    config.limits.log_backlog_bytes = 1'000;
    Script script(1, config);
    Peer& p = script.connect({.id = "p"});
    for (std::uint16_t id = 1; id <= 5; ++id) {
        p.send(Text{.topic = "r", .payload = std::string(400, 'x'), .qos = 1, .id = id, .retain = true});
    }
    CHECK_FALSE(p.transport.reading);
    script.settle();
    CHECK(p.transport.reading);
}

TEST_CASE("what is larger than the client's Maximum Packet Size is not sent, and that is an end of it",
          "[core][session]") {
    Script script;
    const std::uint32_t expiry_s = GENERATE(0U, 60U);
    Peer& s = script.connect({.id = "s", .expiry_s = expiry_s, .receive_maximum = 1, .maximum_packet_size = 60});
    script.subscribe(s, "t", 1);
    Peer& p = script.connect({.id = "p"});
    p.send(Text{.payload = std::string(100, 'x'), .qos = 1, .id = 1});
    p.send(Text{.payload = "small", .qos = 1, .id = 2});
    script.settle();
    CHECK(s.payloads() == std::vector<std::string>{"small"});  // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
    CHECK(script.dropped(Drop::too_large) == 1);
    Peer& tiny = script.open();
    tiny.send(Hello{.id = "tiny", .maximum_packet_size = 4});
    CHECK(tiny.transport.closed);
    CHECK(tiny.quiet());
}

TEST_CASE("topic aliases of the client and ours", "[core][session]") {
    Script script;
    Peer& s = script.connect({.id = "s", .alias_maximum = 1});
    script.subscribe(s, "#", 0);
    Peer& p = script.connect({.id = "p"});
    p.send(Text{.topic = "one", .alias = 1});
    auto got = s.expect<mqtt::Publish>();
    CHECK(got.topic == "one");
    CHECK(got.topic_alias == 1);
    p.send(Text{.topic = "", .alias = 1});
    got = s.expect<mqtt::Publish>();
    CHECK(got.topic.empty());  // [MQTT-3.3.2-10]
    CHECK(got.topic_alias == 1);
    p.send(Text{.topic = "two", .alias = 1});  // stands for another topic from now on [MQTT-3.3.2-12]
    got = s.expect<mqtt::Publish>();
    CHECK(got.topic == "two");
    CHECK(got.topic_alias == 0);  // [MQTT-3.3.2-11]: the client takes one alias
    script.subscribe(s, "two", 0);
    p.send(Text{.topic = "", .alias = 1});  // its route is up to date
    CHECK(s.expect<mqtt::Publish>().topic == "two");
    p.send(Text{.topic = "", .alias = 2});
    CHECK(p.expect<mqtt::Disconnect>().reason == Reason::protocol_error);
    Peer& q = script.connect({.id = "q"});
    q.send(Text{.topic = "t", .alias = 65});
    CHECK(q.expect<mqtt::Disconnect>().reason == Reason::topic_alias_invalid);  // [MQTT-3.3.2-9]
    Peer& r = script.connect({.id = "r"});
    r.send(Text{.topic = "", .alias = 1});  // aliases are the connection's own [MQTT-3.3.2-7]
    CHECK(r.transport.closed);
}

TEST_CASE("overlapping subscriptions: one copy, the highest QoS, all identifiers", "[core][session]") {
    Script script(2);
    const std::uint32_t expiry_s = GENERATE(0U, 60U);
    Peer& s = script.connect({.id = "s", .expiry_s = expiry_s}, 1);
    script.subscribe(s, "a/+", 1, 7);
    script.subscribe(s, "a/#", 2, 9);
    script.subscribe(s, "a/b", 0);
    Peer& p = script.connect({.id = "p"});
    p.send(Text{.topic = "a/b", .qos = 2, .id = 1});
    script.settle();
    const auto got = s.expect<mqtt::Publish>();
    CHECK(got.qos == 2);                                           // [MQTT-3.3.4-2]
    CHECK(identifiers(got) == std::vector<std::uint32_t>{7, 9});   // [MQTT-3.3.4-3] [MQTT-3.3.4-4]
    CHECK(s.quiet());
    s.subscribe(2, "a/+", {.qos = 1});                             // replaced, without its identifier
    script.settle();
    (void)s.expect<mqtt::Suback>();
    p.send(Text{.topic = "a/b"});
    CHECK(identifiers(s.expect<mqtt::Publish>()) == std::vector<std::uint32_t>{9});
    s.unsubscribe(3, "a/#");
    script.settle();
    (void)s.expect<mqtt::Unsuback>();
    p.send(Text{.topic = "a/c/d"});
    CHECK(s.quiet());                                              // [MQTT-3.10.4-2]
    CHECK(script.broker->subscription_count() == 2);
}

TEST_CASE("No Local keeps a client's own messages from it, through that subscription alone", "[core][session]") {
    Script script;
    const std::uint32_t expiry_s = GENERATE(0U, 60U);
    Peer& a = script.connect({.id = "a", .expiry_s = expiry_s});
    a.subscribe(1, "t/#", {.qos = 1, .no_local = true}, 5);
    script.settle();
    (void)a.expect<mqtt::Suback>();
    a.send(Text{.topic = "t/x", .qos = 1, .id = 1});
    a.send(Text{.topic = "t/x"});
    script.settle();
    (void)a.expect_ack(PacketType::puback, 1);
    CHECK(a.quiet());  // [MQTT-3.8.3-3]
    script.subscribe(a, "t/x", 1, 6);
    a.send(Text{.topic = "t/x", .qos = 1, .id = 2});
    script.settle();
    bool got = false;
    while (auto packet = a.next()) {
        if (const auto* publish = std::get_if<mqtt::Publish>(&*packet)) {
            CHECK_FALSE(got);
            got = true;
            CHECK(identifiers(*publish) == std::vector<std::uint32_t>{6});
        }
    }
    CHECK(got);
}

TEST_CASE("retain handling, retain as published, and removal", "[core][session]") {
    Script script;
    retain(script, "r", "kept", 1);
    const std::uint32_t expiry_s = GENERATE(0U, 60U);
    Peer& s = script.connect({.id = "s", .expiry_s = expiry_s});
    const auto subscribe = [&](mqtt::RetainHandling handling, bool as_published) {
        s.subscribe(1, "r", {.qos = 1, .retain_as_published = as_published, .retain_handling = handling}, 3);
        script.settle();
        (void)s.expect<mqtt::Suback>();
        std::vector<std::pair<std::string, bool>> got;
        while (auto packet = s.next()) {
            const auto publish = std::get<mqtt::Publish>(*packet);
            CHECK(identifiers(publish) == std::vector<std::uint32_t>{3});
            got.emplace_back(publish.payload, publish.retain);
            if (publish.qos) s.ack(PacketType::puback, publish.packet_id);
            script.settle();
        }
        return got;
    };
    using Got = std::vector<std::pair<std::string, bool>>;
    using enum mqtt::RetainHandling;
    CHECK(subscribe(do_not_send, false).empty());                      // [MQTT-3.3.1-11]
    CHECK(subscribe(send_if_new, false).empty());                      // [MQTT-3.3.1-10]
    CHECK(subscribe(send, false) == Got{{"kept", true}});              // [MQTT-3.3.1-9]
    s.unsubscribe(2, "r");
    script.settle();
    (void)s.expect<mqtt::Unsuback>();
    CHECK(subscribe(send_if_new, true) == Got{{"kept", true}});
    retain(script, "r", "newer", 1);
    auto live = s.expect<mqtt::Publish>();
    CHECK(live.retain);                                                // [MQTT-3.3.1-13]
    s.ack(PacketType::puback, live.packet_id);
    CHECK(subscribe(do_not_send, false).empty());
    retain(script, "r", "", 1);
    live = s.expect<mqtt::Publish>();
    CHECK_FALSE(live.retain);                                          // [MQTT-3.3.1-12]
    CHECK(subscribe(send, false).empty());                             // [MQTT-3.3.1-6] [MQTT-3.3.1-7]
}

TEST_CASE("expired messages are not sent, others say what is left of their time", "[core][session]") {
    Script script;
    retain(script, "r", "short", 0, 5);
    retain(script, "r2", "long", 0, 50);
    Peer& s = script.connect({.id = "s", .clean = false, .expiry_s = 600});
    script.subscribe(s, "t", 1);
    s.disconnect();
    script.settle();
    Peer& p = script.connect({.id = "p"});
    p.send(Text{.payload = "short", .qos = 1, .id = 1, .expiry_s = 5});
    p.send(Text{.payload = "long", .qos = 1, .id = 2, .expiry_s = 50});
    script.settle();
    script.pass(10'000);
    script.settle();
    Peer& back = script.connect({.id = "s", .clean = false, .expiry_s = 600});
    script.settle();
    auto got = back.expect<mqtt::Publish>();
    CHECK(got.payload == "long");              // [MQTT-3.3.2-5]
    CHECK(got.message_expiry_s == 40U);        // [MQTT-3.3.2-6]
    CHECK(back.quiet());
    Peer& late = script.connect({.id = "late"});
    late.subscribe(1, "#");
    (void)late.expect<mqtt::Suback>();
    got = late.expect<mqtt::Publish>();
    CHECK(got.payload == "long");
    CHECK(got.message_expiry_s == 40U);
    CHECK(late.quiet());
    // under way before it expired: it is sent to its end, whatever the clock says [MQTT-4.3.3-7]
    back.drop();
    script.settle();
    script.pass(60'000);
    Peer& again = script.connect({.id = "s", .clean = false, .expiry_s = 600});
    script.settle();
    CHECK(again.payloads() == std::vector<std::string>{"long"});
}

TEST_CASE("retained messages stream as far as Receive Maximum and the write buffer let them", "[core][session]") {
    Config config;
    config.limits.write_buffer_bytes = 64 * 1024;
    Script script(1, config);
    Peer& p = script.connect({.id = "p"});
    constexpr int topics = 600;
    for (int i = 0; i < topics; ++i) {
        p.send(Text{.topic = "r/" + std::to_string(i), .payload = std::string(4'000, 'x'), .qos = 1,
                    .id = static_cast<std::uint16_t>(1 + i % 500), .retain = true});
        if (i % 100 == 99) script.settle();
    }
    const bool acknowledged = GENERATE(false, true);
    Peer& s = script.connect({.id = "s", .receive_maximum = 10});
    s.transport.takes = 0;
    s.subscribe(1, "r/#", {.qos = static_cast<std::uint8_t>(acknowledged ? 1 : 0)});
    std::uint64_t buffered = 0;
    script.broker->visit_clients([&](const ClientInfo& info) { buffered = std::max(buffered, info.write_buffer_bytes); },
                                 [] {});
    script.turn();
    CHECK(buffered > 4'000);
    CHECK(buffered < 3 * config.limits.write_buffer_bytes);
    std::set<std::string> seen;
    bool suback = false;
    for (int round = 0; round < 3'000 && static_cast<int>(seen.size()) < topics; ++round) {
        script.takes(s, 10'000);
        while (auto packet = s.next()) {
            if (std::holds_alternative<mqtt::Suback>(*packet)) {
                suback = true;
                continue;
            }
            const auto publish = std::get<mqtt::Publish>(*packet);
            CHECK(seen.emplace(publish.topic).second);
            if (publish.qos) s.ack(PacketType::puback, publish.packet_id);
        }
    }
    CHECK(suback);
    CHECK(seen.size() == topics);
}

TEST_CASE("a slow client loses QoS 0, counted, and keeps QoS 1 waiting", "[core][session]") {
    Config config;
    config.limits.write_buffer_bytes = 2'000;
    config.limits.transient_queue_messages = 3;
    Script script(1, config);
    Peer& s = script.connect({.id = "s"});
    script.subscribe(s, "t", 1);
    s.transport.takes = 0;
    Peer& p = script.connect({.id = "p"});
    const std::string big(1'500, 'x');
    for (int i = 0; i < 5; ++i) p.send(Text{.payload = big});
    CHECK(script.dropped(Drop::qos0_slow_consumer) == 3);
    for (std::uint16_t id = 1; id <= 4; ++id) p.send(Text{.payload = std::to_string(id), .qos = 1, .id = id});
    for (std::uint16_t id = 1; id <= 3; ++id) CHECK(p.expect_ack(PacketType::puback, id).reason == Reason::success);
    CHECK(p.expect_ack(PacketType::puback, 4).reason == Reason::quota_exceeded);
    script.takes(s, SIZE_MAX);
    CHECK(s.payloads() == std::vector<std::string>{big, big, "1", "2", "3"});
    p.send(Text{.payload = "5", .qos = 1, .id = 5});
    CHECK(p.expect_ack(PacketType::puback, 5).reason == Reason::success);
    CHECK(script.dropped(Drop::queue_full) == 0);
}

TEST_CASE("a transient queue that is full by its bytes refuses the publisher, too", "[core][session]") {
    Config config;
    config.limits.transient_queue_bytes = 2'000;
    Script script(1, config);
    Peer& s = script.connect({.id = "s", .receive_maximum = 1});
    script.subscribe(s, "t", 1);
    Peer& p = script.connect({.id = "p"});
    for (std::uint16_t id = 1; id <= 4; ++id) p.send(Text{.payload = std::string(1'500, 'x'), .qos = 1, .id = id});
    for (std::uint16_t id = 1; id <= 3; ++id) CHECK(p.expect_ack(PacketType::puback, id).reason == Reason::success);
    CHECK(p.expect_ack(PacketType::puback, 4).reason == Reason::quota_exceeded);
    CHECK(script.dropped(Drop::queue_full) == 0);
    s.ack(PacketType::puback, s.expect<mqtt::Publish>().packet_id);
    s.ack(PacketType::puback, s.expect<mqtt::Publish>().packet_id);
    p.send(Text{.qos = 1, .id = 5});
    CHECK(p.expect_ack(PacketType::puback, 5).reason == Reason::success);
}

TEST_CASE("shared subscriptions: in turn, across shards, and on to another when a member leaves", "[core][session]") {
    Script script(3);
    Peer& a = script.connect({.id = "a"}, 0);
    Peer& b = script.connect({.id = "b"}, 1);
    Peer& plain = script.connect({.id = "plain"}, 2);
    script.subscribe(a, "$share/g/t", 2);
    script.subscribe(b, "$share/g/t", 1, 4);
    script.subscribe(plain, "t", 0);
    Peer& p = script.connect({.id = "p"}, 0);
    for (std::uint16_t id = 1; id <= 6; ++id) {
        p.send(Text{.payload = std::to_string(id), .qos = static_cast<std::uint8_t>(id > 3 ? 2 : 1), .id = id});
    }
    std::vector<mqtt::Publish> of_a, of_b;
    while (!a.quiet()) of_a.push_back(a.expect<mqtt::Publish>());
    while (!b.quiet()) of_b.push_back(b.expect<mqtt::Publish>());
    CHECK(of_a.size() == 3);
    CHECK(of_b.size() == 3);
    for (const auto& publish : of_b) {
        CHECK(publish.qos == 1);  // [MQTT-4.8.2-3]
        CHECK(identifiers(publish) == std::vector<std::uint32_t>{4});
    }
    CHECK(plain.payloads().size() == 6);
    // a leaves: its QoS 1 goes to b, the QoS 2 exchanges that had begun do not [MQTT-4.8.2-4] [MQTT-4.8.2-5]
    std::size_t qos1 = 0;
    for (const auto& publish : of_a) qos1 += publish.qos == 1;
    REQUIRE(qos1 > 0);
    REQUIRE(qos1 < of_a.size());
    a.drop();
    CHECK(b.payloads().size() == qos1);
    script.subscribe(b, "$share/g/t", 1, 5);  // again: replaced
    p.send(Text{.payload = "last", .qos = 1, .id = 9});
    CHECK(identifiers(b.expect<mqtt::Publish>()) == std::vector<std::uint32_t>{5});
    CHECK(script.broker->subscription_count() == 2);
    b.unsubscribe(3, "$share/g/t");
    (void)b.expect<mqtt::Unsuback>();
    p.send(Text{.payload = "nobody", .qos = 1, .id = 10});
    CHECK(b.quiet());
}

TEST_CASE("shared subscriptions of durable sessions go through the log, connected or not", "[core][session]") {
    Script script(2);
    Peer& a = script.connect({.id = "a", .clean = false, .expiry_s = 60}, 0);
    Peer& b = script.connect({.id = "b", .clean = false, .expiry_s = 60}, 1);
    script.subscribe(a, "$share/g/t", 1);
    script.subscribe(b, "$share/g/t", 1);
    Peer& p = script.connect({.id = "p"});
    for (std::uint16_t id = 1; id <= 4; ++id) p.send(Text{.payload = std::to_string(id), .qos = 1, .id = id});
    CHECK(a.quiet());
    script.settle();
    CHECK(a.payloads().size() == 2);
    CHECK(b.payloads().size() == 2);
    a.disconnect(Reason::success, 0);  // the session ends: what it did not acknowledge goes to b
    script.settle();
    CHECK(b.payloads().size() == 2);
    b.drop();
    script.settle();
    p.send(Text{.payload = "5", .qos = 1, .id = 5});
    script.settle();
    Peer& back = script.connect({.id = "b", .clean = false, .expiry_s = 60}, 0);
    script.settle();
    auto all = back.payloads();
    std::sort(all.begin(), all.end());
    CHECK(all == std::vector<std::string>{"1", "2", "3", "4", "5"});
}

TEST_CASE("filters that are none, and limits, are answered one by one", "[core][session]") {
    Config config;
    config.limits.max_subscriptions_per_client = 2;
    config.limits.max_topic_levels = 3;
    Script script(1, config);
    Peer& a = script.connect({.id = "a"});
    mqtt::Subscribe many;
    many.packet_id = 1;
    for (const char* filter : {"a/#/b", "$share//t", "a/b/c/d", "x", "y", "z"}) many.requests.push_back({filter, {.qos = 1}});
    a.send_packet(many);
    CHECK(a.expect<mqtt::Suback>().reasons ==  // [MQTT-3.8.4-6] [MQTT-3.9.3-2]
          std::vector{Reason::topic_filter_invalid, Reason::topic_filter_invalid, Reason::topic_filter_invalid,
                      Reason::granted_qos_1, Reason::granted_qos_1, Reason::quota_exceeded});
    a.unsubscribe(2, "nothing");
    CHECK(a.expect<mqtt::Unsuback>().reasons == std::vector{Reason::no_subscription_existed});
    a.send(Text{.topic = "a/b/c/d", .qos = 1, .id = 1});
    CHECK(a.expect_ack(PacketType::puback, 1).reason == Reason::topic_name_invalid);
}
