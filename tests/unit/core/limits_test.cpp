// What happens at the limits that no socket can bring about: memory, connections over all shards, failed connects.
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include <catch2/catch.hpp>

#include "broker/core/broker.h"
#include "broker/mqtt/decode.h"
#include "broker/mqtt/encode.h"

namespace trunkline::broker::test {
namespace {

using mqtt::PacketType;
using mqtt::Reason;
using mqtt::Version;

/// Stores nothing: the tests here are of what never reaches it.
struct NoLog final : CommitLog {
    void submit(std::uint32_t, std::shared_ptr<const store::OpBatch>, Token) override {}
    void fetch(std::uint32_t, SessionId, std::uint64_t, std::uint64_t, std::uint32_t) override {}
    [[nodiscard]] Health health() const override { return {}; }
};

/// A socket that takes all or nothing.
struct Wire final : Transport {
    std::string received;
    bool takes = true, reading = true, closed = false;
    void flush(mqtt::Buffer& out) override {
        if (!takes) return;
        received += out.view();
        out.clear();
    }
    void close(mqtt::Buffer&& out) override {
        received += out.view();
        closed = true;
    }
    void set_reading(bool enabled) override { reading = enabled; }
};

Config config_with(const Limits& limits) {
    Config config;
    config.limits = limits;
    return config;
}

class Setup {
public:
    explicit Setup(const Limits& limits = {}, std::uint32_t shards = 1)
        : broker(config_with(limits), shards, [this](std::uint32_t) { ++wakes; }) {
        broker.attach(log_);
        broker.on_connect_failure([this](const PeerAddress& peer) { failures.push_back(peer.port); });
        tick();
    }

    /// A new connection; the port of its address tells it from others.
    Client* open(Wire& wire, std::uint32_t shard = 0, std::uint16_t port = 1) {
        ConnectionInfo info;
        info.peer.family = 4;
        info.peer.ip = {10, 0, 0, 1};
        info.peer.port = port;
        info.local = true;
        return broker.shard(shard).on_open(wire, info);
    }
    template <class Packet>
    void send(Client* client, const Packet& packet, std::uint32_t shard = 0) {
        mqtt::Buffer out;
        if constexpr (std::is_same_v<Packet, mqtt::Connect>) {
            mqtt::encode(out, packet);
        } else {
            mqtt::encode(out, Version::v5, packet);
        }
        send_bytes(client, out.view(), shard);
    }
    void send_bytes(Client* client, std::string_view bytes, std::uint32_t shard = 0) {
        broker.shard(shard).on_bytes(*client, bytes);
        broker.shard(shard).end_turn();
    }
    Client* connect(Wire& wire, const std::string& id, std::uint32_t shard = 0, Version version = Version::v5) {
        Client* client = open(wire, shard);
        mqtt::Connect packet;
        packet.version = version;
        packet.client_id = id;
        packet.clean_start = true;
        send(client, packet, shard);
        return client;
    }
    void publish(Client* client, std::string_view topic, std::string_view payload) {
        mqtt::PublishOut packet;
        packet.topic = topic;
        packet.payload = payload;
        send(client, packet);
    }
    void subscribe(Client* client, std::string_view filter, std::uint8_t qos) {
        mqtt::Subscribe packet;
        packet.packet_id = 1;
        mqtt::SubscriptionRequest request;
        request.filter = filter;
        request.options.qos = qos;
        packet.requests.push_back(request);
        send(client, packet);
    }
    void mail() {
        for (std::uint32_t i = 0; i < broker.shard_count(); ++i) {
            broker.shard(i).on_mail();
            broker.shard(i).end_turn();
        }
    }
    void tick() {
        now_.steady_ms += 100;
        now_.wall_ms += 100;
        for (std::uint32_t i = 0; i < broker.shard_count(); ++i) {
            broker.shard(i).set_time(now_);
            broker.shard(i).on_tick();
            broker.shard(i).end_turn();
        }
    }
    [[nodiscard]] std::uint64_t dropped(Drop why) const {
        return broker.counters(0).dropped[static_cast<std::size_t>(why)].get();
    }

    std::vector<std::uint16_t> failures;
    int wakes = 0;                                 // calls for another turn
    Broker broker;

private:
    NoLog log_;
    Now now_{1'000'000, 1'700'000'000'000};
};

/// Reason of the CONNACK that the wire got; nothing without one.
std::optional<Reason> connack(const Wire& wire, Version version = Version::v5) {
    const auto frame = mqtt::next_frame(wire.received, 1 << 20, version);
    if (frame.has_error() || frame->size == 0 || frame->type != PacketType::connack) return std::nullopt;
    const auto packet = mqtt::decode_connack(frame->body, version);
    return packet.has_error() ? std::nullopt : std::optional(packet->reason);
}

constexpr MemoryUse use(std::uint64_t percent) { return {percent, 100}; }

}  // namespace

TEST_CASE("memory is judged by its limits, and the way back leads two percent below", "[core][limits]") {
    const Limits limits;  // 70 and 85
    CHECK(judge_memory({}, limits, Pressure::refuse) == Pressure::none);  // nothing known
    CHECK(judge_memory(use(69), limits, Pressure::none) == Pressure::none);
    CHECK(judge_memory(use(70), limits, Pressure::none) == Pressure::pause);
    CHECK(judge_memory(use(85), limits, Pressure::none) == Pressure::refuse);
    CHECK(judge_memory(use(84), limits, Pressure::refuse) == Pressure::refuse);
    CHECK(judge_memory(use(82), limits, Pressure::refuse) == Pressure::pause);
    CHECK(judge_memory(use(84), limits, Pressure::pause) == Pressure::pause);
    CHECK(judge_memory(use(69), limits, Pressure::pause) == Pressure::pause);
    CHECK(judge_memory(use(67), limits, Pressure::pause) == Pressure::none);
}

TEST_CASE("numbers of the kernel's files are read, and what is none is not", "[core][limits]") {
    CHECK(parse_byte_count("4096\n") == 4'096u);
    CHECK(parse_byte_count("9223372036854771712") == 9'223'372'036'854'771'712u);
    for (const char* none : {"max\n", "", "\n", "12x", "-1"}) CHECK(!parse_byte_count(none));
    const std::string_view stat = "anon 7\nfile_mapped 1\nfile 4096\nMemTotal:   8 kB\nlast";
    CHECK(parse_field(stat, "file") == 4'096u);
    CHECK(parse_field(stat, "MemTotal") == 8u);
    CHECK(!parse_field(stat, "last"));
    CHECK(!parse_field(stat, "none"));
}

TEST_CASE("at memory_pause_percent a client is not read from after its next PUBLISH, until the pressure is gone",
          "[core][limits]") {
    Setup setup;
    Wire publisher, other;
    Client* client = setup.connect(publisher, "p");
    setup.connect(other, "s");
    setup.broker.set_memory_pressure(Pressure::pause);
    setup.tick();
    CHECK(publisher.reading);
    setup.publish(client, "t", "x");
    CHECK(!publisher.reading);
    CHECK(other.reading);
    setup.tick();
    CHECK(!publisher.reading);
    setup.broker.set_memory_pressure(Pressure::none);
    setup.tick();
    CHECK(publisher.reading);
    CHECK(setup.broker.counters(0).messages_received[0].get() == 1);
}

TEST_CASE("at memory_refuse_percent CONNECT gets 0x97 and slow clients lose QoS 0", "[core][limits]") {
    Setup setup;
    Wire slow, quick, publisher, late, old;
    setup.subscribe(setup.connect(slow, "slow"), "t", 0);
    setup.subscribe(setup.connect(quick, "quick"), "t", 0);
    Client* client = setup.connect(publisher, "p");
    slow.takes = false;
    setup.publish(client, "t", "first");  // waits in the slow client's buffer
    setup.broker.set_memory_pressure(Pressure::refuse);
    setup.publish(client, "t", "second");
    CHECK(setup.dropped(Drop::memory) == 1);
    CHECK(quick.received.find("second") != std::string::npos);
    setup.connect(late, "late");
    CHECK(connack(late) == Reason::quota_exceeded);
    CHECK(late.closed);
    setup.connect(old, "old", 0, Version::v311);
    CHECK(old.received == std::string("\x20\x02\x00\x03", 4));  // server unavailable
    CHECK(setup.failures.empty());                              // not the peers' fault
    setup.broker.set_memory_pressure(Pressure::none);
    Wire again;
    setup.connect(again, "late");
    CHECK(connack(again) == Reason::success);
}

TEST_CASE("max_connections counts the connections of all shards", "[core][limits]") {
    Limits limits;
    limits.max_connections = 2;
    Setup setup(limits, 2);
    Wire one, two, three;
    Client* first = setup.connect(one, "1", 0);
    setup.connect(two, "2", 1);
    setup.connect(three, "3", 0);
    CHECK(connack(one) == Reason::success);
    CHECK(connack(two) == Reason::success);
    CHECK(connack(three) == Reason::quota_exceeded);
    setup.broker.shard(0).on_closed(*first);
    setup.broker.shard(0).end_turn();
    Wire four, five;
    setup.connect(four, "4", 1);
    setup.connect(five, "5", 1);
    CHECK(connack(four) == Reason::success);
    CHECK(connack(five) == Reason::quota_exceeded);
}

TEST_CASE("what a peer does wrong before its CONNACK is told to who counts failures", "[core][limits]") {
    Limits limits;
    limits.max_client_id_bytes = 23;
    Setup setup(limits);
    std::deque<Wire> wires;
    std::uint16_t port = 10;
    const auto open = [&] { return setup.open(wires.emplace_back(), 0, port++); };
    mqtt::Connect packet;
    packet.version = Version::v5;
    packet.client_id = "a client identifier of more than 23 bytes";
    setup.send(open(), packet);                                        // 10
    packet.client_id = "c";
    packet.authentication_method = "none such";
    setup.send(open(), packet);                                        // 11
    setup.send_bytes(open(), std::string("\xC0\x00", 2));              // 12: PINGREQ first
    setup.send_bytes(open(), std::string("\x10\x04\x00\x04MQ", 6));    // 13: a CONNECT that ends early
    packet.authentication_method.reset();
    setup.send(open(), packet);                                        // 14: welcome
    CHECK(setup.failures == std::vector<std::uint16_t>{10, 11, 12, 13});
    CHECK(connack(wires.back()) == Reason::success);
    open();                                                            // 15 says nothing
    for (int i = 0; i < 130; ++i) setup.tick();                        // connect_timeout_ms is 10 s
    CHECK(setup.failures.back() == 15);
    CHECK(wires.back().closed);
}

TEST_CASE("thousands whose time is over are sent away a few in a turn", "[core][limits]") {
    Setup setup;
    std::deque<Wire> wires;
    for (int i = 0; i < 100; ++i) setup.open(wires.emplace_back());
    const auto gone = [&] { return std::count_if(wires.begin(), wires.end(), [](const Wire& w) { return w.closed; }); };
    for (int i = 0; i < 130 && gone() == 0; ++i) setup.tick();         // connect_timeout_ms is 10 s
    CHECK(gone() > 0);
    CHECK(gone() < 50);
    for (int i = 0; i < 100 && gone() < 100; ++i) {
        const int woken = setup.wakes;
        setup.broker.shard(0).on_mail();
        CHECK((setup.wakes > woken) == (gone() < 100));                // it asks for its next turn itself
    }
    CHECK(gone() == 100);
}

TEST_CASE("a transient queue that is full in bytes refuses its publisher; what was acknowledged is in it",
          "[core][limits]") {
    Limits limits;
    limits.transient_queue_bytes = 2'000;
    limits.max_inflight_out = 1;
    Setup setup(limits);
    Wire subscriber, publisher;
    setup.subscribe(setup.connect(subscriber, "s"), "t", 1);
    Client* client = setup.connect(publisher, "p");
    publisher.received.clear();
    const std::string payload(500, 'x');
    int accepted = 0, refused = 0;
    for (std::uint16_t id = 1; id <= 20; ++id) {
        mqtt::PublishOut packet;
        packet.qos = 1;
        packet.packet_id = id;
        packet.topic = "t";
        packet.payload = payload;
        publisher.received.clear();
        setup.send(client, packet);
        const auto frame = mqtt::next_frame(publisher.received, 1 << 20, Version::v5);
        REQUIRE(!frame.has_error());
        const auto ack = mqtt::decode_ack(frame->type, frame->body, Version::v5);
        REQUIRE(!ack.has_error());
        ++(ack->reason == Reason::quota_exceeded ? refused : accepted);
    }
    CHECK(accepted >= 2);
    CHECK(refused > 10);
    CHECK(setup.dropped(Drop::queue_full) == 0);
    CHECK(setup.broker.counters(0).queued_transient.get() + 1 == static_cast<std::uint64_t>(accepted));
}

TEST_CASE("draining sends clients away with the reference and refuses new ones until it ends", "[core][limits]") {
    Setup setup({}, 2);
    Wire one, two, fresh, refused, old, back;
    setup.connect(one, "1", 0);
    setup.connect(two, "2", 1);
    setup.open(fresh, 0);
    std::optional<std::uint64_t> sent_away;
    setup.broker.drain({"other:1883", true}, [&](std::uint64_t clients) { sent_away = clients; });
    setup.mail();
    CHECK(sent_away == 2u);
    CHECK(setup.broker.draining()->server_reference == "other:1883");
    for (const Wire* wire : {&one, &two}) {
        CHECK(wire->closed);
        CHECK(wire->received.find("other:1883") != std::string::npos);
    }
    CHECK(!fresh.closed);  // is told when it sends its CONNECT
    setup.connect(refused, "3", 1);
    CHECK(connack(refused) == Reason::server_moved);
    CHECK(refused.received.find("other:1883") != std::string::npos);
    setup.connect(old, "4", 0, Version::v311);
    CHECK(old.received == std::string("\x20\x02\x00\x03", 4));
    bool ended = false;
    setup.broker.end_drain([&] { ended = true; });
    setup.mail();
    CHECK(ended);
    CHECK(!setup.broker.draining());
    setup.connect(back, "1", 0);
    CHECK(connack(back) == Reason::success);
}

}  // namespace trunkline::broker::test
