#include "tests/packets/rows.h"

namespace trunkline::tests {
namespace {

std::vector<Row> connacks() {
    std::vector<Row> rows = {
        ok("CONNACK 5.0, accepted", "MQTT-3.1.4-5", v5, "20 [ 00 00 [] ]"),
        ok("CONNACK 5.0, session present", "MQTT-3.2.2-3", v5, "20 [ 01 00 [] ]"),
        ok("CONNACK 5.0, every property in canonical order", "MQTT-3.2.2-19", v5,
           "20 [ 00 00 [ 11 00000E10 21 0400 24 01 25 00 27 00100000 12 s'auto-1' 22 0040 1F s'welcome' 26 s'k' s'1' "
           "26 s'k' s'2' 28 00 29 00 2A 01 13 0E10 1A s'reply/' 1C s'other:1883' 15 s'SCRAM' 16 { 00 01 } ] ]"),
        also("CONNACK 5.0, properties in another order", "", v5,
             "20 [ 00 00 [ 16 { 01 } 15 s'X' 21 0001 11 00000001 ] ]"),
        ok("CONNACK 3.1.1, session present", "MQTT-3.2.2-3", v311, "20 [ 01 00 ]"),
        bad("CONNACK without a body", "", all, "20 []", malformed, "CONNACK is cut short"),
        bad("CONNACK of one byte", "", all, "20 [ 00 ]", malformed, "CONNACK is cut short"),
        bad("CONNACK 5.0 without a property length", "MQTT-2.2.2-1", v5, "20 [ 00 00 ]", malformed, "property length"),
        bad("CONNACK 5.0, reserved flag bit 1", "MQTT-3.2.2-1", v5, "20 [ 02 00 [] ]", malformed, "reserved bits"),
        bad("CONNACK 5.0, reserved flag bit 7", "MQTT-3.2.2-1", v5, "20 [ 80 00 [] ]", malformed, "reserved bits"),
        bad("CONNACK 3.1.1, reserved flag bit 1", "MQTT-3.2.2-1", v311, "20 [ 02 00 ]", malformed, "reserved bits"),
        bad("CONNACK 5.0, session present in a refusal", "MQTT-3.2.2-6", v5, "20 [ 01 87 [] ]", violation,
            "Session Present"),
        bad("CONNACK 3.1.1, session present in a refusal", "MQTT-3.2.2-6", v311, "20 [ 01 05 ]", violation,
            "Session Present"),
        bad("CONNACK 3.x, code 6", "", v3, "20 [ 00 06 ]", violation, "return code"),
        bad("CONNACK 3.x, code 255", "", v3, "20 [ 00 FF ]", violation, "return code"),
        bad("CONNACK 3.x with properties", "", v3, "20 [ 00 00 00 ]", malformed, "left over"),
        bad("CONNACK 5.0, bytes after the properties", "", v5, "20 [ 00 00 [] 00 ]", malformed, "left over"),
        bad("CONNACK 5.0, property length beyond the packet", "", v5, "20 [ 00 00 04 21 0001 ]", malformed,
            "property length reaches"),
    };
    for (const char* code : {"80", "81", "82", "83", "84", "85", "86", "87", "88", "89", "8A", "8C", "90", "95", "97",
                             "99", "9A", "9B", "9C", "9D", "9F"})
        rows.push_back({std::string("CONNACK 5.0, reason ") + code, "MQTT-3.2.2-8", v5,
                        std::string("20 [ 00 ") + code + " [] ]"});
    for (const char* code : {"01", "05", "10", "8B", "8D", "8E", "8F", "91", "96", "A0", "FF"})
        rows.push_back({std::string("CONNACK 5.0, unlisted reason ") + code, "MQTT-3.2.2-8", v5,
                        std::string("20 [ 00 ") + code + " [] ]", Expect::refused, violation, "reason code"});
    for (const char* code : {"00", "01", "02", "03", "04", "05"})
        rows.push_back({std::string("CONNACK 3.x, code ") + code, "", v3, std::string("20 [ 00 ") + code + " ]"});
    return rows;
}

std::vector<Row> disconnects() {
    std::vector<Row> rows = {
        ok("DISCONNECT without a body", "MQTT-3.14.4-3", all, "E0 []"),
        also("DISCONNECT 5.0, normal spelled out", "", v5, "E0 [ 00 ]"),
        also("DISCONNECT 5.0, normal and no properties spelled out", "", v5, "E0 [ 00 [] ]"),
        ok("DISCONNECT 5.0, session expiry", "MQTT-3.14.2-2", v5, "E0 [ 00 [ 11 00000000 ] ]"),
        ok("DISCONNECT 5.0, every property in canonical order", "MQTT-3.14.2-3", v5,
           "E0 [ 9D [ 11 00000001 1F s'moved' 26 s'k' s'1' 26 s'k' s'2' 1C s'other:1883' ] ]"),
        also("DISCONNECT 5.0, properties in another order", "", v5, "E0 [ 04 [ 1C s'x' 1F s'y' 11 00000001 ] ]"),
        bad("DISCONNECT 3.x with a body", "", v3, "E0 [ 00 ]", malformed, "left over"),
        bad("DISCONNECT 5.0, bytes after the properties", "", v5, "E0 [ 00 [] 00 ]", malformed, "left over"),
        bad("DISCONNECT 5.0, two bytes after a property", "", v5, "E0 [ 00 05 11 00000000 00 01 ]", malformed,
            "left over"),
        bad("DISCONNECT 5.0, properties cut short", "", v5, "E0 [ 00 05 11 0000 ]", malformed,
            "property length reaches"),
        bad("DISCONNECT 5.0, property length in a longer form", "MQTT-1.5.5-1", v5, "E0 [ 00 8000 ]", malformed,
            "shortest form"),
        bad("DISCONNECT 5.0, reason string no UTF-8", "MQTT-1.5.4-1", v5, "E0 [ 80 [ 1F { 80 } ] ]", malformed,
            "UTF-8"),
    };
    for (const char* code : {"04", "80", "81", "82", "83", "87", "89", "8B", "8C", "8D", "8E", "8F", "90", "93", "94",
                             "95", "96", "97", "98", "99", "9A", "9B", "9C", "9D", "9E", "9F", "A0", "A1", "A2"})
        rows.push_back({std::string("DISCONNECT 5.0, reason ") + code, "MQTT-3.14.2-1", v5,
                        std::string("E0 [ ") + code + " ]"});
    for (const char* code : {"01", "02", "10", "18", "84", "85", "86", "88", "8A", "91", "92", "A3", "FF"})
        rows.push_back({std::string("DISCONNECT 5.0, unlisted reason ") + code, "MQTT-3.14.2-1", v5,
                        std::string("E0 [ ") + code + " ]", Expect::refused, violation, "reason code"});
    return rows;
}

std::vector<Row> small_ones() {
    return {
        ok("PINGREQ", "MQTT-3.12.4-1", all, "C0 []"),
        ok("PINGRESP", "MQTT-3.12.4-1", all, "D0 []"),
        bad("PINGREQ with a body", "", all, "C0 [ 00 ]", malformed, "no body"),
        bad("PINGREQ with 200 bytes of body", "", all,
            "C0 [ '01234567890123456789012345678901234567890123456789' "
            "'01234567890123456789012345678901234567890123456789'"
            "'01234567890123456789012345678901234567890123456789' '01234567890123456789012345678901234567890123456789' "
            "]",
            malformed, "no body"),
        bad("PINGRESP with a body", "", all, "D0 [ 00 ]", malformed, "no body"),
        ok("AUTH, continue", "MQTT-3.15.2-1", v5, "F0 [ 18 [ 15 s'SCRAM' 16 { 00 01 } ] ]"),
        ok("AUTH, re-authenticate", "MQTT-3.15.2-1", v5, "F0 [ 19 [ 15 s'SCRAM' ] ]"),
        ok("AUTH, success with everything", "MQTT-3.15.2-1", v5,
           "F0 [ 00 [ 15 s'SCRAM' 16 {} 1F s'fine' 26 s'k' s'1' 26 s'k' s'2' ] ]"),
        also("AUTH, properties in another order", "", v5, "F0 [ 18 [ 26 s'k' s'1' 16 { 01 } 15 s'SCRAM' ] ]"),
        bad("AUTH before MQTT 5", "", v3, "F0 [ 18 [ 15 s'SCRAM' ] ]", malformed, "reserved before MQTT 5"),
        bad("AUTH without a body", "", v5, "F0 []", violation, "Authentication Method"),
        bad("AUTH of a reason code alone", "MQTT-2.2.2-1", v5, "F0 [ 18 ]", malformed, "property length"),
        bad("AUTH without a method", "", v5, "F0 [ 18 [] ]", violation, "Authentication Method"),
        bad("AUTH with data without a method", "", v5, "F0 [ 18 [ 16 { 01 } ] ]", violation, "Authentication Method"),
        bad("AUTH, reason 01", "MQTT-3.15.2-1", v5, "F0 [ 01 [ 15 s'X' ] ]", violation, "reason code"),
        bad("AUTH, reason 17", "MQTT-3.15.2-1", v5, "F0 [ 17 [ 15 s'X' ] ]", violation, "reason code"),
        bad("AUTH, reason 87", "MQTT-3.15.2-1", v5, "F0 [ 87 [ 15 s'X' ] ]", violation, "reason code"),
        bad("AUTH, bytes after the properties", "", v5, "F0 [ 18 [ 15 s'X' ] 00 ]", malformed, "left over"),
        bad("AUTH, method no UTF-8", "MQTT-1.5.4-1", v5, "F0 [ 18 [ 15 { C0 } ] ]", malformed, "UTF-8"),
    };
}

/// Every packet type with each flag nibble that it must not have.
std::vector<Row> fixed_headers() {
    std::vector<Row> rows = {
        bad("remaining length of 2 in two bytes", "MQTT-1.5.5-1", all, "40 8200 0001", malformed, "shortest form"),
        bad("remaining length of 0 in two bytes", "MQTT-1.5.5-1", all, "C0 8000", malformed, "shortest form"),
        bad("remaining length of 0 in four bytes", "MQTT-1.5.5-1", all, "C0 80808000", malformed, "shortest form"),
        bad("remaining length over four bytes", "MQTT-1.5.5-1", all, "30 FFFFFFFF7F", malformed, "over four bytes"),
        bad("remaining length of five bytes that say 1", "MQTT-1.5.5-1", all, "30 8180808000", malformed,
            "over four bytes"),
        bad("packet type 0", "MQTT-2.1.3-1", all, "00 00", malformed, "type 0"),
        bad("packet type 0 with flags", "MQTT-2.1.3-1", all, "0F 00", malformed, "type 0"),
    };
    constexpr const char* digits = "0123456789ABCDEF";
    for (unsigned type = 1; type < 16; ++type) {
        const bool with_two = type == 6 || type == 8 || type == 10;
        if (type == 3) continue;  // PUBLISH uses all four
        for (unsigned flags = 0; flags < 16; ++flags) {
            if (flags == (with_two ? 2U : 0U) || (with_two && flags == 10)) continue;
            const std::string first = {digits[type], digits[flags]};
            const auto name = std::string(mqtt::packet_name(static_cast<mqtt::PacketType>(type)));
            rows.push_back({name + " with flags " + digits[flags], "MQTT-2.1.3-1", v5, first + " [ 0001 ]",
                            Expect::refused, malformed, "reserved flag bits"});
        }
    }
    return rows;
}

}  // namespace

std::vector<Row> connection_rows() {
    std::vector<Row> rows;
    for (const auto part : {connacks, disconnects, small_ones, fixed_headers}) {
        for (auto& row : part()) rows.push_back(std::move(row));
    }
    return rows;
}

}  // namespace trunkline::tests
