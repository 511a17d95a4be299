// What the packet table can't say: framing limits, UTF-8 exhaustively, encoder limits, property helpers.
#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "broker/mqtt/decode.h"
#include "broker/mqtt/encode.h"
#include "broker/mqtt/text.h"
#include "tests/packets/rows.h"

namespace {

using namespace trunkline;
using namespace trunkline::mqtt;
using tests::packet_bytes;

/// UTF-8 by definition: decode the code point, then ask whether it has this shortest form.
bool is_utf8_by_definition(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const unsigned lead = static_cast<unsigned char>(text[at]);
        const std::size_t size = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
        if (size == 0 || at + size > text.size()) return false;
        std::uint32_t point = size == 1 ? lead : lead & (0x7FU >> size);
        for (std::size_t i = 1; i < size; ++i) {
            const unsigned next = static_cast<unsigned char>(text[at + i]);
            if (next >> 6 != 2) return false;
            point = point << 6 | (next & 63U);
        }
        constexpr std::uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
        if (point < lowest[size] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) return false;
        at += size;
    }
    return true;
}

std::string encoded_text(const auto& packet, std::uint32_t limit, bool expected = true) {
    Buffer out;
    CHECK(encode(out, Version::v5, packet, limit) == expected);
    return std::string(out.view());
}

}  // namespace

TEST_CASE("next_frame says how many bytes it needs", "[mqtt]") {
    const auto needed = [](std::string_view bytes) { return next_frame(bytes, 1 << 28)->needed; };
    CHECK(needed("") == 2);
    CHECK(needed(packet_bytes("30")) == 2);
    CHECK(needed(packet_bytes("30 80")) == 3);
    CHECK(needed(packet_bytes("30 80 80")) == 4);
    CHECK(needed(packet_bytes("30 80 80 80")) == 5);
    CHECK(needed(packet_bytes("30 0A")) == 12);
    CHECK(needed(packet_bytes("30 80 01")) == 131);
    CHECK(needed(packet_bytes("30 80 80 80 01")) == 2'097'152 + 5);
}

TEST_CASE("next_frame takes the first of several packets", "[mqtt]") {
    const std::string bytes = packet_bytes("C0 [] 40 [ 0007 ] 30");
    const auto first = next_frame(bytes, 100);
    REQUIRE(first->size == 2);
    CHECK(first->type == PacketType::pingreq);
    const auto second = next_frame(std::string_view(bytes).substr(2), 100);
    REQUIRE(second->size == 4);
    CHECK(second->type == PacketType::puback);
    CHECK(second->body == packet_bytes("0007"));
    CHECK(next_frame(std::string_view(bytes).substr(6), 100)->size == 0);
}

TEST_CASE("a packet above the maximum size is refused on its header alone", "[mqtt]") {
    const auto refused = [](const char* bytes, std::uint32_t limit) {
        const auto frame = next_frame(packet_bytes(bytes), limit);
        return !frame && frame.error().reason == Reason::packet_too_large;
    };
    CHECK(refused("30 FFFFFF7F", 1 << 20));
    CHECK(refused("30 7F", 128));
    CHECK_FALSE(refused("30 7F", 129));
    CHECK(refused("10 8020", 4096));
    CHECK_FALSE(refused("10 FD1F", 4096));  // 4,093 bytes and three of header
    CHECK(refused("10 FE1F", 4096));
}

TEST_CASE("a wrong first byte is refused before any more has come", "[mqtt]") {
    CHECK_FALSE(next_frame(packet_bytes("00"), 100).has_value());
    CHECK_FALSE(next_frame(packet_bytes("60"), 100).has_value());
    CHECK_FALSE(next_frame("GET / HTTP/1.1\r\n\r\n", 100).has_value());
    CHECK_FALSE(next_frame(packet_bytes("16 03 01 02 00"), 100).has_value());  // a TLS client on a plain port
}

TEST_CASE("UTF-8 is checked as RFC 3629 defines it: every two bytes, and the edges of what may follow them", "[mqtt]") {
    std::size_t wrong = 0;  // counted, since millions of assertions are slow
    const auto probe = [&](std::string_view text) {
        const bool good = is_utf8_by_definition(text);
        wrong += is_valid_utf8_payload(text) != good;
        wrong += is_valid_utf8(text) != (good && text.find('\0') == text.npos);
    };
    for (unsigned a = 0; a < 256; ++a) {
        const char one[] = {static_cast<char>(a)};
        probe({one, 1});
        for (unsigned b = 0; b < 256; ++b) {
            const char two[] = {static_cast<char>(a), static_cast<char>(b)};
            probe({two, 2});
            if (a < 0xC0) continue;
            for (const unsigned c : {0x00U, 0x7FU, 0x80U, 0x8FU, 0x90U, 0x9FU, 0xA0U, 0xBFU, 0xC0U, 0xFFU}) {
                const char three[] = {static_cast<char>(a), static_cast<char>(b), static_cast<char>(c)};
                probe({three, 3});
                for (const unsigned d : {0x00U, 0x7FU, 0x80U, 0xBFU, 0xC0U}) {
                    const char four[] = {three[0], three[1], three[2], static_cast<char>(d)};
                    probe({four, 4});
                }
            }
        }
    }
    CHECK(wrong == 0);
}

TEST_CASE("UTF-8 faults are found at every place of texts of every length", "[mqtt]") {
    std::size_t wrong = 0;
    for (std::size_t size = 1; size <= 70; ++size) {
        std::string text(size, 'x');
        wrong += !is_valid_utf8(text);
        for (std::size_t at = 0; at < size; ++at) {
            for (const char fault : {'\0', '\x80', '\xC3', '\xFF'}) {
                text[at] = fault;
                wrong += is_valid_utf8(text);
                wrong += is_valid_utf8_payload(text) != (fault == '\0');
            }
            text[at] = 'x';
            if (at + 1 < size) {
                text[at] = '\xC3';
                text[at + 1] = '\xBC';
                wrong += !is_valid_utf8(text);
                text[at] = text[at + 1] = 'x';
            }
        }
    }
    CHECK(wrong == 0);
}

TEST_CASE("the one-pass topic check finds each suspect byte at every place, and nothing else", "[mqtt]") {
    std::size_t wrong = 0;
    for (std::size_t size = 1; size <= 50; ++size) {
        std::string text(size, '/');
        for (std::size_t at = 0; at < size; ++at) {
            for (unsigned byte = 0; byte < 256; ++byte) {
                text[at] = static_cast<char>(byte);
                const bool suspect = byte >= 0x80 || byte == 0 || byte == '+' || byte == '#';
                wrong += detail::is_plain<'\0', '+', '#'>(text.data(), size) == suspect;
                wrong += detail::is_plain_in<detail::WordBlock, '\0', '+', '#'>(text.data(), size) == suspect;
            }
            text[at] = '/';
        }
    }
    CHECK(detail::is_plain<'\0', '+', '#'>(nullptr, 0));
    CHECK(wrong == 0);
}

TEST_CASE("a reason is allowed in a packet as section 2.4 lists it", "[mqtt]") {
    for (unsigned code = 0; code < 256; ++code) {
        const auto reason = static_cast<Reason>(code);
        CHECK_FALSE(reason_allowed(PacketType::publish, reason));
        CHECK_FALSE(reason_allowed(PacketType::connect, reason));
        CHECK(reason_allowed(PacketType::pubrel, reason) == (code == 0 || code == 0x92));
        CHECK(reason_allowed(PacketType::puback, reason) == reason_allowed(PacketType::pubrec, reason));
        if (reason_name(reason) == "unknown") {
            for (unsigned type = 0; type < 16; ++type)
                CHECK_FALSE(reason_allowed(static_cast<PacketType>(type), reason));
        }
    }
    CHECK(reason_name(Reason::not_authorized) == "Not authorized");
    CHECK(packet_name(PacketType::unsuback) == "UNSUBACK");
}

TEST_CASE("MQTT 5 reasons become 3.1.1 return codes and come back", "[mqtt]") {
    for (std::uint8_t code = 0; code <= 5; ++code) {
        const char body[] = {0, static_cast<char>(code)};
        const auto connack = decode_connack({body, 2}, Version::v311);
        REQUIRE(connack.has_value());
        CHECK(connack->v3_code == code);
        CHECK(v3_return_code(connack->reason) == code);
    }
    CHECK(v3_return_code(Reason::banned) == 5);
    CHECK(v3_return_code(Reason::bad_authentication_method) == 4);
    CHECK(v3_return_code(Reason::server_busy) == 3);
    CHECK(v3_return_code(Reason::qos_not_supported) == 5);
}

TEST_CASE("before MQTT 5 clean session decides how long a session lasts", "[mqtt]") {
    const auto expiry = [](const char* bytes) {
        return decode_connect(next_frame(packet_bytes(bytes), 1000)->body)->session_expiry_s;
    };
    CHECK(expiry("10 [ s'MQTT' 04 02 003C s'gw' ]") == 0);
    CHECK(expiry("10 [ s'MQTT' 04 00 003C s'gw' ]") == 0xFFFFFFFF);
    CHECK(expiry("10 [ s'MQTT' 05 00 003C [] s'gw' ]") == 0);
    CHECK(expiry("10 [ s'MQTT' 05 02 003C [ 11 00000007 ] s'gw' ]") == 7);
}

TEST_CASE("the version of a CONNECT is known although the rest is malformed", "[mqtt]") {
    const auto version = [](const char* body) { return connect_version(packet_bytes(body)); };
    CHECK(version("s'MQTT' 05 03") == Version::v5);
    CHECK(version("s'MQTT' 04") == Version::v311);
    CHECK(version("s'MQIsdp' 03 FF") == Version::v31);
    CHECK_FALSE(version("s'MQTT' 06"));
    CHECK_FALSE(version("s'MQTT'"));
    CHECK_FALSE(version(""));
}

TEST_CASE("PUBLISH properties are read where the broker needs them", "[mqtt]") {
    const std::string body = packet_bytes(
        "s'a/b' 0007 [ 26 s'k' s'1' 02 0000003C 23 0009 0B 05 01 01 08 s're' 0B 8001 26 s'kk' s'' ] 'on'");
    const auto publish = decode_publish(0x0B, body, Version::v5);
    REQUIRE(publish.has_value());
    CHECK(publish->dup);
    CHECK(publish->retain);
    CHECK(publish->qos == 1);
    CHECK(publish->packet_id == 7);
    CHECK(publish->topic == "a/b");
    CHECK(publish->topic_alias == 9);
    CHECK(publish->message_expiry_s == 60U);
    CHECK(publish->subscription_identifiers == 2);
    CHECK(publish->has_payload_format);
    CHECK(publish->payload_is_utf8);
    CHECK(publish->response_topic == "re");
    CHECK(publish->has_hop_properties);
    CHECK(publish->payload == "on");

    std::string forwarded;
    append_forwarded_properties(publish->properties, forwarded);
    CHECK(forwarded == packet_bytes("26 s'k' s'1' 01 01 08 s're' 26 s'kk' s''"));  // [MQTT-3.3.2-18]
    std::string seen;
    for_each_user_property(publish->properties, [&](std::string_view name, std::string_view value) {
        seen.append(name).append("=").append(value).append(";");
    });
    CHECK(seen == "k=1;kk=;");
    const auto size = user_property_size(publish->properties);
    CHECK(size.count == 2);
    CHECK(size.bytes == packet_bytes("26 s'k' s'1' 26 s'kk' s''").size());
}

TEST_CASE("without hop properties the raw bytes are the forwarded ones", "[mqtt]") {
    const std::string properties = packet_bytes("26 s'k' s'1' 01 00 03 s'x' 09 { 00 } 08 s'r'");
    const auto publish = decode_publish(0, packet_bytes("s'a'") + char(properties.size()) + properties, Version::v5);
    REQUIRE(publish.has_value());
    CHECK_FALSE(publish->has_hop_properties);
    std::string forwarded;
    append_forwarded_properties(properties, forwarded);
    CHECK(forwarded == properties);
}

TEST_CASE("append_user_property makes what the decoder reads", "[mqtt]") {
    std::string properties;
    append_user_property(properties, "site", "munich");
    append_user_property(properties, "", "");
    CHECK(properties == packet_bytes("26 s'site' s'munich' 26 s'' s''"));
}

TEST_CASE("a packet too large for its receiver loses its reason string, then its user properties", "[mqtt]") {
    // [MQTT-3.4.2-2] [MQTT-3.4.2-3]
    Ack ack;
    ack.packet_id = 1;
    ack.reason = Reason::quota_exceeded;
    ack.reason_string = "queue of the session is full";
    ack.user_properties = {{"rule", "TL-1"}};
    const std::string whole = encoded_text(ack, no_limit);
    const auto size = static_cast<std::uint32_t>(whole.size());
    CHECK(encoded_text(ack, size) == whole);
    const std::string without_reason = packet_bytes("40 [ 0001 97 [ 26 s'rule' s'TL-1' ] ]");
    CHECK(encoded_text(ack, size - 1) == without_reason);
    CHECK(encoded_text(ack, static_cast<std::uint32_t>(without_reason.size())) == without_reason);
    const std::string bare = packet_bytes("40 [ 0001 97 ]");
    CHECK(encoded_text(ack, static_cast<std::uint32_t>(without_reason.size()) - 1) == bare);
    CHECK(encoded_text(ack, 5) == bare);
    CHECK(encoded_text(ack, 4, false).empty());
}

TEST_CASE("diagnostics are left out of every packet that would be too large", "[mqtt]") {
    const auto bare_and_full = [](auto packet, const char* bare) {
        const std::string expected = packet_bytes(bare);
        packet.reason_string = "a sentence that is too long for so small a limit";
        packet.user_properties = {{"key", "value"}};
        CHECK(encoded_text(packet, no_limit).size() > expected.size() + 50);
        CHECK(encoded_text(packet, static_cast<std::uint32_t>(expected.size())) == expected);
        CHECK(encoded_text(packet, static_cast<std::uint32_t>(expected.size()) - 1, false).empty());
    };
    Connack connack;
    connack.reason = Reason::not_authorized;
    bare_and_full(connack, "20 [ 00 87 [] ]");  // [MQTT-3.2.2-19] [MQTT-3.2.2-20]
    for (const auto& [type, bare] :
         {std::pair{PacketType::pubrec, "50 [ 0001 97 ]"},      // [MQTT-3.5.2-2] [MQTT-3.5.2-3]
          std::pair{PacketType::pubrel, "62 [ 0001 92 ]"},      // [MQTT-3.6.2-2] [MQTT-3.6.2-3]
          std::pair{PacketType::pubcomp, "70 [ 0001 92 ]"}}) {  // [MQTT-3.7.2-2] [MQTT-3.7.2-3]
        Ack ack;
        ack.type = type;
        ack.packet_id = 1;
        ack.reason = type == PacketType::pubrec ? Reason::quota_exceeded : Reason::packet_identifier_not_found;
        bare_and_full(ack, bare);
    }
    Suback suback;
    suback.packet_id = 1;
    suback.reasons = {Reason::success, Reason::not_authorized};
    bare_and_full(suback, "90 [ 0001 [] 00 87 ]");  // [MQTT-3.9.2-1] [MQTT-3.9.2-2]
    Unsuback unsuback;
    unsuback.packet_id = 1;
    unsuback.reasons = {Reason::no_subscription_existed};
    bare_and_full(unsuback, "B0 [ 0001 [] 11 ]");  // [MQTT-3.11.2-1] [MQTT-3.11.2-2]
    Disconnect disconnect;
    disconnect.reason = Reason::server_shutting_down;
    bare_and_full(disconnect, "E0 [ 8B ]");  // [MQTT-3.14.2-3] [MQTT-3.14.2-4]
    Auth auth;
    auth.reason = Reason::continue_authentication;
    auth.method = "X";
    bare_and_full(auth, "F0 [ 18 [ 15 s'X' ] ]");  // [MQTT-3.15.2-2] [MQTT-3.15.2-3]
}

TEST_CASE("answers to clients before MQTT 5 are written in their codes", "[mqtt]") {
    Buffer out;
    Connack connack;
    connack.reason = Reason::not_authorized;
    connack.session_present = true;
    connack.receive_maximum = 7;
    CHECK(encode(out, Version::v311, connack));
    Suback suback;
    suback.packet_id = 1;
    suback.reasons = {Reason::granted_qos_2, Reason::topic_filter_invalid};
    CHECK(encode(out, Version::v311, suback));
    Unsuback unsuback;
    unsuback.packet_id = 2;
    unsuback.reasons = {Reason::success};
    CHECK(encode(out, Version::v31, unsuback));
    Ack ack;
    ack.packet_id = 3;
    ack.reason = Reason::quota_exceeded;
    ack.reason_string = "full";
    CHECK(encode(out, Version::v31, ack));
    CHECK(out.view() == packet_bytes("20 [ 00 05 ] 90 [ 0001 02 80 ] B0 [ 0002 ] 40 [ 0003 ]"));
}

TEST_CASE("session present is not said with a refusal, nor to MQTT 3.1", "[mqtt]") {  // [MQTT-3.2.2-6]
    Connack connack;
    connack.session_present = true;
    Buffer out;
    CHECK(encode(out, Version::v31, connack));
    connack.reason = Reason::server_busy;
    CHECK(encode(out, Version::v5, connack));
    CHECK(out.view() == packet_bytes("20 [ 00 00 ] 20 [ 00 89 [] ]"));
}

TEST_CASE("a will can be built from its fields", "[mqtt]") {
    Connect connect;
    connect.client_id = "gw";
    connect.clean_start = true;
    connect.keep_alive_s = 60;
    Will& will = connect.will.emplace();
    will.topic = "t";
    will.payload = "p";
    will.delay_s = 5;
    will.message_expiry_s = 9;
    will.has_payload_format = will.payload_is_utf8 = true;
    will.response_topic = "r";
    Buffer out;
    encode(out, connect);
    CHECK(out.view() == packet_bytes("10 [ s'MQTT' 05 06 003C [] s'gw' [ 18 00000005 01 01 02 00000009 08 s'r' ] s't' "
                                     "s'p' ]"));
}

TEST_CASE("encode of a PUBLISH tells where the packet identifier stands and how long the packet is", "[mqtt]") {
    const std::string payload(20'000, 'x');
    for (const std::size_t payload_size : {0U, 1U, 100U, 127U, 128U, 16'370U, 20'000U}) {
        for (const auto version : {Version::v31, Version::v311, Version::v5}) {
            for (std::uint8_t qos = 0; qos <= 2; ++qos) {
                const std::uint32_t identifiers[] = {1, 200, 268'435'455};
                PublishOut packet;
                packet.qos = qos;
                packet.dup = true;
                packet.packet_id = qos ? 0xABCD : 0;
                packet.topic = "acme/munich/line-1";
                packet.payload = std::string_view(payload).substr(0, payload_size);
                packet.subscription_identifiers = identifiers;
                packet.subscription_identifier_count = 3;
                packet.message_expiry_s = 60;
                Buffer out;
                out.append("earlier bytes");
                const std::uint32_t at = encode(out, version, packet);
                const std::string_view bytes = out.view().substr(13);
                CHECK(bytes.size() == encoded_size(version, packet));
                CHECK((at != 0) == (qos > 0));
                if (at) CHECK(bytes.substr(at, 2) == "\xAB\xCD");
                const auto frame = next_frame(bytes, no_limit, version);
                REQUIRE(frame->size == bytes.size());
                const auto publish = decode_publish(frame->flags, frame->body, version);
                REQUIRE(publish.has_value());
                CHECK(publish->payload == packet.payload);
                CHECK(publish->dup == (qos > 0));  // [MQTT-3.3.1-2]
                CHECK(publish->packet_id == packet.packet_id);
                CHECK(publish->subscription_identifiers == (version == Version::v5 ? 3U : 0U));
            }
        }
    }
}

TEST_CASE("a buffer slides, grows and forgets", "[mqtt]") {
    Buffer buffer;
    buffer.append("");
    CHECK(buffer.empty());
    std::string expected;
    for (int i = 0; i < 5000; ++i) {
        const std::string piece = std::to_string(i);
        buffer.append(piece);
        expected += piece;
        if (i % 3 == 0) {
            buffer.consume(4 < expected.size() ? 4 : expected.size());
            expected.erase(0, 4 < expected.size() ? 4 : expected.size());
        }
    }
    CHECK(buffer.view() == expected);
    buffer.truncate(10);
    CHECK(buffer.view() == expected.substr(0, 10));
    buffer.put_u32(0x01020304);
    CHECK(buffer.view().substr(10) == packet_bytes("01020304"));
    Buffer other = std::move(buffer);
    CHECK(other.size() == 14);
    other.release();
    CHECK(other.capacity() == 0);
}

TEST_CASE("an acknowledgement with ready User Properties is the packet that encode makes of them", "[mqtt]") {
    Ack ack;
    ack.type = PacketType::puback;
    ack.packet_id = 0x1234;
    const std::string value(200, 'v');
    ack.user_properties = {{"audit-time", "now"}, {"who", value}};
    std::string properties;
    append_user_property(properties, "audit-time", "now");
    append_user_property(properties, "who", value);
    const std::string whole = encoded_text(ack, no_limit);
    const auto ready = [&](std::uint32_t limit) {
        Buffer out;
        encode_ack(out, PacketType::puback, 0x1234, properties, limit);
        return std::string(out.view());
    };
    CHECK(ready(no_limit) == whole);
    CHECK(ready(static_cast<std::uint32_t>(whole.size())) == whole);
    CHECK(ready(static_cast<std::uint32_t>(whole.size()) - 1) == packet_bytes("40 [ 1234 ]"));  // [MQTT-3.4.2-2]
}
