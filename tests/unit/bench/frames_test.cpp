#include "bench/frames.h"

#include <cstring>
#include <string>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "broker/mqtt/decode.h"
#include "broker/mqtt/encode.h"

using namespace trunkline;
using namespace trunkline::bench;

TEST_CASE("a patched frame is the PUBLISH that the codec reads", "[bench]") {
    const auto version = GENERATE(mqtt::Version::v311, mqtt::Version::v5);
    const auto qos = GENERATE(as<std::uint8_t>{}, 0, 1, 2);
    const auto payload_bytes = GENERATE(24U, 128U, 70'000U);
    const PublishFrame frame(version, "acme/munich/line-1", qos, true, payload_bytes);
    mqtt::Buffer out;
    frame.append_to(out, 0xABCD, {stamp_magic(), 7, 1'234'567'890'123, 42});
    const auto split = mqtt::next_frame(out.view(), mqtt::no_limit);
    REQUIRE(split.has_value());
    REQUIRE(split->size == out.size());
    const auto publish = mqtt::decode_publish(split->flags, split->body, version);
    REQUIRE(publish.has_value());
    CHECK(publish->topic == "acme/munich/line-1");
    CHECK(publish->qos == qos);
    CHECK(publish->retain);
    CHECK(publish->packet_id == (qos ? 0xABCD : 0));
    REQUIRE(publish->payload.size() == payload_bytes);
    Stamp stamp;
    std::memcpy(&stamp, publish->payload.data(), stamp_bytes);
    CHECK(stamp.magic == stamp_magic());
    CHECK(stamp.publisher == 7);
    CHECK(stamp.sequence == 1'234'567'890'123);
    CHECK(stamp.sent_ns == 42);
}

TEST_CASE("the header-only reader agrees with the codec, properties included", "[bench]") {
    std::string properties;
    for (int i = 0; i < 20; ++i) mqtt::append_user_property(properties, "name", "a value of some length");
    mqtt::PublishOut packet;
    packet.qos = 1;
    packet.packet_id = 77;
    packet.topic = "a/b";
    packet.payload = "hello";
    packet.forwarded_properties = properties;
    mqtt::Buffer out;
    mqtt::encode(out, mqtt::Version::v5, packet);
    const char* at = out.data();
    RawPacket raw;
    REQUIRE(split_packet(at, out.data() + out.size(), raw) == Split::packet);
    CHECK(at == out.data() + out.size());
    Incoming incoming;
    REQUIRE(read_publish(raw, mqtt::Version::v5, incoming));
    CHECK(incoming.topic == "a/b");
    CHECK(incoming.packet_id == 77);
    CHECK(incoming.payload == "hello");
}

TEST_CASE("a packet is incomplete at every byte but its last", "[bench]") {
    const PublishFrame frame(mqtt::Version::v5, "a/b", 1, false, 200);
    mqtt::Buffer out;
    frame.append_to(out, 1, {});
    for (std::size_t bytes = 0; bytes < out.size(); ++bytes) {
        const char* at = out.data();
        RawPacket raw;
        REQUIRE(split_packet(at, out.data() + bytes, raw) == Split::incomplete);
        REQUIRE(at == out.data());
    }
}

TEST_CASE("a PUBLISH body cut anywhere before its payload is refused, and a five-byte length is malformed", "[bench]") {
    const PublishFrame frame(mqtt::Version::v5, "a/b", 1, false, 24);
    mqtt::Buffer out;
    frame.append_to(out, 1, {});
    const char* at = out.data();
    RawPacket raw;
    REQUIRE(split_packet(at, out.data() + out.size(), raw) == Split::packet);
    Incoming incoming;
    for (std::uint32_t bytes = 0; bytes < raw.body_bytes - 24; ++bytes) {
        CHECK_FALSE(read_publish({raw.first, raw.body, bytes}, mqtt::Version::v5, incoming));
    }
    const std::string endless = "\x30\xFF\xFF\xFF\xFF\xFF\xFF";
    const char* front = endless.data();
    CHECK(split_packet(front, front + endless.size(), raw) == Split::malformed);
}

TEST_CASE("a reading is JSON of the size asked for, and its stamp is read back", "[bench]") {
    const auto bytes = GENERATE(128U, 200U);
    const auto qos = GENERATE(as<std::uint8_t>{}, 0, 1);
    const PublishFrame frame(mqtt::Version::v5, "acme/line-1/t", qos, false, bytes, PayloadForm::reading, 20'512);
    mqtt::Buffer out;
    const Stamp sent{stamp_magic(), 7, 1'234'567'890'123, -42};
    frame.append_to(out, 0xABCD, sent);
    const auto split = mqtt::next_frame(out.view(), mqtt::no_limit);
    REQUIRE(split.has_value());
    const auto publish = mqtt::decode_publish(split->flags, split->body, mqtt::Version::v5);
    REQUIRE(publish.has_value());
    REQUIRE(publish->payload.size() == bytes);
    const auto json = nlohmann::json::parse(publish->payload);
    CHECK(json["value"] == 20.512);
    CHECK(json["timestamp"] == 1'700'000'000'000);
    CHECK(json["quality"] == "good");
    CHECK(json["unit"] == "Cel");
    Stamp read;
    REQUIRE(read_stamp(publish->payload, read));
    CHECK(std::memcmp(&read, &sent, stamp_bytes) == 0);
    std::string spoilt(publish->payload);
    spoilt[spoilt.size() - 3] = 'x';
    CHECK_FALSE(read_stamp(spoilt, read));
    CHECK_FALSE(read_stamp("short", read));
}
