// The table of control packets, valid and malformed, that drives the codec's tests and the replay against a live
// broker.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "broker/mqtt/types.h"

namespace trunkline::tests {

enum class Expect {
    same_bytes,  // decodes, and encodes to the same bytes
    accepted,    // decodes; encodes to other bytes (another order of properties, a longer form) with equal values
    refused,     // the decoder gives `reason`, and a sentence that holds `says`
};

inline constexpr unsigned v31 = 1;
inline constexpr unsigned v311 = 2;
inline constexpr unsigned v5 = 4;
inline constexpr unsigned v3 = v31 | v311;
inline constexpr unsigned all = v3 | v5;

/// One packet. `bytes` is hexadecimal with shorthands that keep rows readable: 'text' is ASCII, s'text' a string with
/// its two-byte length, { ... } any bytes behind a two-byte length, [ ... ] any bytes behind a Variable Byte Integer
/// length, so "30 [ s'a/b' [] 'on' ]" is a whole PUBLISH.
struct Row {
    std::string name;
    std::string clauses;  // the statements that the row shows, separated by blanks
    unsigned versions = all;
    std::string bytes;
    Expect expect = Expect::same_bytes;
    mqtt::Reason reason = mqtt::Reason::success;
    std::string says = "";
};

inline constexpr auto malformed = mqtt::Reason::malformed_packet;
inline constexpr auto violation = mqtt::Reason::protocol_error;

inline Row ok(const char* name, const char* clauses, unsigned versions, const char* bytes) {
    return {name, clauses, versions, bytes, Expect::same_bytes, mqtt::Reason::success, ""};
}
inline Row also(const char* name, const char* clauses, unsigned versions, const char* bytes) {
    return {name, clauses, versions, bytes, Expect::accepted, mqtt::Reason::success, ""};
}
inline Row bad(const char* name, const char* clauses, unsigned versions, const char* bytes, mqtt::Reason reason,
               const char* says) {
    return {name, clauses, versions, bytes, Expect::refused, reason, says};
}

std::vector<Row> connect_rows();
std::vector<Row> publish_rows();
std::vector<Row> acknowledgement_rows();  // PUBACK, PUBREC, PUBREL, PUBCOMP
std::vector<Row> subscription_rows();     // SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK
std::vector<Row> connection_rows();       // CONNACK, PINGREQ, PINGRESP, DISCONNECT, AUTH, and the fixed header
std::vector<Row> property_rows();  // every property in every packet: allowed, misplaced, repeated, cut, out of range

/// All of them.
const std::vector<Row>& packet_rows();

/// The bytes that the shorthand stands for; asserts on a slip of the pen.
std::string packet_bytes(std::string_view shorthand);

/// The versions of a set, newest first.
std::vector<mqtt::Version> versions_of(unsigned versions);

}  // namespace trunkline::tests
