// Watching one client: what is shown, what never is, and that who does not read costs nobody anything.
#include <catch2/catch.hpp>

#include <algorithm>
#include <sstream>

#include "broker/core/shard.h"
#include "tests/unit/core/script.h"

using namespace trunkline;
using namespace trunkline::broker;
using namespace trunkline::broker::test;
using mqtt::PacketType;

namespace {

struct Watched {
    explicit Watched(Script& of, std::string id = "a")
        : script(of), trace(std::make_shared<ClientTrace>(std::move(id), [this] { ++wakes; })) {
        REQUIRE(script.broker->begin_trace(trace));
        script.settle();
    }
    ~Watched() { stop(); }
    void stop() {
        script.broker->end_trace(trace);
        script.settle();
    }
    /// "> PUBLISH" from the client, "< PUBACK" to it, "- closed" for the connection.
    std::vector<std::string> names() {
        packets = trace->take();
        std::vector<std::string> all;
        for (const TracedPacket& packet : packets) {
            const char* way = packet.bytes == 0 ? "- " : packet.from_client ? "> " : "< ";
            all.push_back(way + std::string(packet.name));
        }
        return all;
    }
    std::string field(std::size_t index, std::string_view name) const {
        for (const auto& [key, value] : packets.at(index).fields) {
            if (key != name) continue;
            if (const auto* text = std::get_if<std::string>(&value)) return *text;
            if (const auto* number = std::get_if<std::uint64_t>(&value)) return std::to_string(*number);
            if (const auto* list = std::get_if<std::vector<std::string>>(&value)) return list->at(0);
        }
        return {};
    }
    Script& script;
    int wakes = 0;
    ClientTracePtr trace;
    std::vector<TracedPacket> packets;
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a trace shows every packet of both directions in order", "[core]") {
    Script script;
    Peer& peer = script.connect({.id = "a"});
    Peer& other = script.connect({.id = "b"});
    Watched watched(script);
    CHECK(watched.names() == Names{"- attached"});
    script.subscribe(peer, "in/#", 1);
    other.send(Text{.topic = "in/1", .payload = "hello", .qos = 1, .id = 5});
    script.settle();
    peer.ack(PacketType::puback, 1);
    peer.send(Text{.topic = "out", .payload = "there", .qos = 1, .id = 9});
    script.settle();
    peer.ping();
    script.settle();
    peer.disconnect();
    script.settle();
    CHECK(watched.names() == Names{"> SUBSCRIBE", "< SUBACK", "< PUBLISH", "> PUBACK", "> PUBLISH", "< PUBACK",
                                   "> PINGREQ", "< PINGRESP", "> DISCONNECT", "- closed"});
    CHECK(watched.field(0, "filters") == "in/# qos 1");
    CHECK(watched.field(2, "topic") == "in/1");
    CHECK(watched.packets[2].payload == "hello");
    CHECK(watched.field(4, "packet_id") == "9");
    CHECK(watched.wakes >= 2);
}

TEST_CASE("a client that comes later, goes and comes back is shown from its CONNECT on", "[core]") {
    Script script(2);
    Watched watched(script);
    Peer& first = script.connect({.id = "a"}, 0);
    first.drop();
    script.settle();
    script.connect({.id = "a", .version = mqtt::Version::v311}, 1);
    script.connect({.id = "ab"}, 1);
    CHECK(watched.names() == Names{"> CONNECT", "< CONNACK", "- closed", "> CONNECT", "< CONNACK"});
    CHECK(watched.packets[0].connection != watched.packets[3].connection);
    CHECK(watched.field(3, "protocol") == "3.1.1");
}

TEST_CASE("passwords and authentication data are in no trace", "[core]") {
    Script script;
    Watched watched(script);
    Peer& peer = script.open();
    mqtt::Connect connect;
    connect.client_id = "a";
    connect.clean_start = true;
    connect.user_name = "ann";
    connect.password = "s3cret-password";
    connect.authentication_method = "TWO";
    connect.authentication_data = "s3cret-data";
    mqtt::Buffer out;
    mqtt::encode(out, connect);
    peer.send_bytes(out.view());
    script.settle();
    REQUIRE(watched.names().front() == "> CONNECT");
    CHECK(watched.field(0, "user_name") == "ann");
    CHECK(watched.field(0, "password") == "(15 bytes, not shown)");
    for (const TracedPacket& packet : watched.packets) {
        for (const auto& [name, value] : packet.fields) {
            if (const auto* text = std::get_if<std::string>(&value)) CHECK(text->find("s3cret") == std::string::npos);
        }
    }
    mqtt::Buffer auth;
    mqtt::encode(auth, mqtt::Version::v5,
                 mqtt::Auth{mqtt::Reason::continue_authentication, "TWO", "s3cret", {}, {}});
    const auto frame = mqtt::next_frame(auth.view(), 1'000);
    const TracedPacket packet = describe_packet(*frame, mqtt::Version::v5);
    CHECK(std::get<std::string>(packet.fields.back().second) == "(6 bytes, not shown)");
}

TEST_CASE("payloads are cut, and who does not read misses packets and hears how many", "[core]") {
    Script script;
    Peer& peer = script.connect({.id = "a"});
    Watched watched(script);
    (void)watched.names();
    peer.send(Text{.topic = "t", .payload = std::string(5'000, 'x')});
    CHECK(watched.names() == Names{"> PUBLISH"});
    CHECK(watched.packets[0].payload->size() == TracedPacket::payload_bytes_max);
    CHECK(watched.packets[0].payload_bytes == 5'000);
    for (std::size_t i = 0; i < ClientTrace::waiting_max + 500; ++i) peer.send(Text{.topic = "t"});
    CHECK(watched.names().size() == ClientTrace::waiting_max + 1);
    CHECK(watched.packets.back().name == "missed");
    CHECK(watched.field(ClientTrace::waiting_max, "count") == "500");
    script.pass(1'000);
    peer.send(Text{.topic = "t"});
    CHECK(watched.names() == Names{"> PUBLISH"});
}

TEST_CASE("a client whose socket is full is shown completely, whatever is written when", "[core]") {
    Script script;
    Peer& peer = script.connect({.id = "a"});
    Peer& other = script.connect({.id = "b"});
    script.subscribe(peer, "in", 0);
    Watched watched(script);
    (void)watched.names();
    peer.transport.takes = 3;   // in the middle of a packet
    for (int i = 0; i < 50; ++i) {
        other.send(Text{.topic = "in", .payload = std::to_string(i)});
        script.settle();
        if (i % 3 == 0) script.takes(peer, 7);
    }
    script.takes(peer, SIZE_MAX);
    script.settle();
    const Names names = watched.names();
    CHECK(std::count(names.begin(), names.end(), "< PUBLISH") == 50);
    for (std::size_t i = 0; i < watched.packets.size(); ++i) CHECK(watched.packets[i].payload == std::to_string(i));
}

TEST_CASE("after its end a trace costs nothing and the client goes on", "[core]") {
    Script script;
    Peer& peer = script.connect({.id = "a"});
    Watched watched(script);
    watched.stop();
    CHECK_FALSE(peer.client->traced);
    (void)watched.names();
    script.subscribe(peer, "t", 1);
    peer.send(Text{.topic = "t", .qos = 1, .id = 3});
    script.settle();
    CHECK(watched.names().empty());
    CHECK(peer.expect<mqtt::Publish>().topic == "t");
    CHECK(peer.expect_ack(PacketType::puback, 3).reason == mqtt::Reason::success);
    std::vector<ClientTracePtr> many;
    for (std::size_t i = 0; i <= TraceBook::traces_max; ++i) {
        many.push_back(std::make_shared<ClientTrace>("x", [] {}));
        CHECK(script.broker->begin_trace(many.back()) == (i < TraceBook::traces_max));
    }
    for (const ClientTracePtr& one : many) script.broker->end_trace(one);
}
