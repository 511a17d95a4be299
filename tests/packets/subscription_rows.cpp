#include "tests/packets/rows.h"

namespace trunkline::tests {
namespace {

std::vector<Row> requests() {
    return {
        ok("SUBSCRIBE 5.0, one filter", "MQTT-3.8.3-2", v5, "82 [ 0001 [] s'a/+/#' 00 ]"),
        ok("SUBSCRIBE 5.0, QoS 1 and 2", "MQTT-3.8.4-5", v5, "82 [ 0001 [] s'a' 01 s'b' 02 ]"),
        ok("SUBSCRIBE 5.0, every option", "MQTT-3.8.3-3", v5, "82 [ FFFF [] s'a' 2E s'b' 1D s'c' 04 s'd' 08 s'e' 10 ]"),
        ok("SUBSCRIBE 5.0, identifier of one byte", "MQTT-3.3.4-3", v5, "82 [ 0001 [ 0B 01 ] s'a' 00 ]"),
        ok("SUBSCRIBE 5.0, largest identifier and user properties", "MQTT-3.3.4-3", v5,
           "82 [ 0001 [ 0B FFFFFF7F 26 s'k' s'1' 26 s'k' s'2' ] s'a' 00 ]"),
        also("SUBSCRIBE 5.0, user property before identifier", "", v5, "82 [ 0001 [ 26 s'k' s'1' 0B 01 ] s'a' 00 ]"),
        ok("SUBSCRIBE 5.0, shared filter", "MQTT-3.8.3-4", v5, "82 [ 0001 [] s'$share/g/a' 01 ]"),
        ok("SUBSCRIBE 5.0, filter that the session will refuse", "", v5, "82 [ 0001 [] s'a/#/b' 00 s'' 00 ]"),
        ok("SUBSCRIBE 5.0, No Local on a filter named like a share", "", v5, "82 [ 0001 [] s'$shared/a' 04 ]"),
        ok("SUBSCRIBE 3.x", "MQTT-3.8.3-2", v3, "82 [ 0001 s'a' 00 s'b/#' 01 s'c' 02 ]"),
        also("SUBSCRIBE 3.1 with DUP", "", v31, "8A [ 0001 s'a' 00 ]"),
        ok("UNSUBSCRIBE 5.0", "MQTT-3.10.3-2", v5, "A2 [ 0001 [] s'a' ]"),
        ok("UNSUBSCRIBE 5.0, several filters and user properties", "MQTT-3.10.4-6", v5,
           "A2 [ 0001 [ 26 s'k' s'1' 26 s'k' s'2' ] s'a' s'b/+' s'#' ]"),
        ok("UNSUBSCRIBE 3.x", "MQTT-3.10.3-2", v3, "A2 [ 0001 s'a' s'b' ]"),
        also("UNSUBSCRIBE 3.1 with DUP", "", v31, "AA [ 0001 s'a' ]"),
    };
}

std::vector<Row> wrong_requests() {
    return {
        bad("SUBSCRIBE without a body", "MQTT-2.2.1-3", all, "82 []", malformed, "packet identifier is missing"),
        bad("SUBSCRIBE, half an identifier", "MQTT-2.2.1-3", all, "82 [ 00 ]", malformed,
            "packet identifier is missing"),
        bad("SUBSCRIBE 5.0, identifier 0", "MQTT-2.2.1-3", v5, "82 [ 0000 [] s'a' 00 ]", violation, "identifier is 0"),
        bad("SUBSCRIBE 3.x, identifier 0", "MQTT-2.2.1-3", v3, "82 [ 0000 s'a' 00 ]", violation, "identifier is 0"),
        bad("SUBSCRIBE 5.0 without a property length", "MQTT-2.2.2-1", v5, "82 [ 0001 ]", malformed, "property length"),
        bad("SUBSCRIBE 5.0 without a filter", "MQTT-3.8.3-2", v5, "82 [ 0001 [] ]", violation,
            "without a topic filter"),
        bad("SUBSCRIBE 3.x without a filter", "MQTT-3.8.3-2", v3, "82 [ 0001 ]", violation, "without a topic filter"),
        bad("SUBSCRIBE 5.0, filter without options", "", v5, "82 [ 0001 [] s'a' ]", malformed, "options are missing"),
        bad("SUBSCRIBE 3.x, filter without QoS", "", v3, "82 [ 0001 s'a' ]", malformed, "options are missing"),
        bad("SUBSCRIBE 5.0, second filter without options", "", v5, "82 [ 0001 [] s'a' 00 s'b' ]", malformed,
            "options are missing"),
        bad("SUBSCRIBE 5.0, filter longer than the packet", "MQTT-3.8.3-1", v5, "82 [ 0001 [] 0003 'a' 00 ]", malformed,
            "filter is cut short"),
        bad("SUBSCRIBE 3.x, half a filter length", "MQTT-3.8.3-1", v3, "82 [ 0001 00 ]", malformed,
            "filter is cut short"),
        bad("SUBSCRIBE 5.0, filter no UTF-8", "MQTT-3.8.3-1", v5, "82 [ 0001 [] { FF } 00 ]", malformed, "UTF-8"),
        bad("SUBSCRIBE 3.x, filter no UTF-8", "MQTT-3.8.3-1", v3, "82 [ 0001 { FF } 00 ]", malformed, "UTF-8"),
        bad("SUBSCRIBE 5.0, filter with U+0000", "MQTT-1.5.4-2", v5, "82 [ 0001 [] { 6100 } 00 ]", malformed, "UTF-8"),
        bad("SUBSCRIBE 3.x, filter with U+0000", "MQTT-1.5.4-2", v3, "82 [ 0001 { 6100 } 00 ]", malformed, "UTF-8"),
        bad("SUBSCRIBE 5.0, second filter no UTF-8", "MQTT-3.8.3-1", v5, "82 [ 0001 [] s'a' 00 { EDA080 } 00 ]",
            malformed, "UTF-8"),
        bad("SUBSCRIBE 5.0, option bit 6", "MQTT-3.8.3-5", v5, "82 [ 0001 [] s'a' 40 ]", malformed, "reserved bits"),
        bad("SUBSCRIBE 5.0, option bit 7", "MQTT-3.8.3-5", v5, "82 [ 0001 [] s'a' 80 ]", malformed, "reserved bits"),
        bad("SUBSCRIBE 5.0, all options", "MQTT-3.8.3-5", v5, "82 [ 0001 [] s'a' FF ]", malformed, "reserved bits"),
        bad("SUBSCRIBE 5.0, QoS 3", "", v5, "82 [ 0001 [] s'a' 03 ]", violation, "Maximum QoS of a subscription is 3"),
        bad("SUBSCRIBE 5.0, Retain Handling 3", "", v5, "82 [ 0001 [] s'a' 30 ]", violation, "Retain Handling"),
        bad("SUBSCRIBE 5.0, second filter with QoS 3", "", v5, "82 [ 0001 [] s'a' 00 s'b' 03 ]", violation,
            "Maximum QoS"),
        bad("SUBSCRIBE 5.0, No Local on a shared subscription", "MQTT-3.8.3-4", v5, "82 [ 0001 [] s'$share/g/a' 04 ]",
            violation, "No Local"),
        bad("SUBSCRIBE 3.x, QoS 3", "", v3, "82 [ 0001 s'a' 03 ]", malformed, "not 0, 1 or 2"),
        bad("SUBSCRIBE 3.x, reserved bit of the QoS byte", "", v3, "82 [ 0001 s'a' 04 ]", malformed, "not 0, 1 or 2"),
        bad("SUBSCRIBE 3.x, highest bit of the QoS byte", "", v3, "82 [ 0001 s'a' 81 ]", malformed, "not 0, 1 or 2"),
        bad("SUBSCRIBE 5.0, property length beyond the packet", "MQTT-2.2.2-1", v5, "82 [ 0001 7F s'a' 00 ]", malformed,
            "property length reaches"),
        bad("SUBSCRIBE 5.0, two subscription identifiers", "", v5, "82 [ 0001 [ 0B 01 0B 02 ] s'a' 00 ]", violation,
            "more than once"),
        bad("SUBSCRIBE 5.0, subscription identifier over four bytes", "MQTT-1.5.5-1", v5,
            "82 [ 0001 [ 0B FFFFFFFF01 ] s'a' 00 ]", malformed, "badly encoded"),
        bad("UNSUBSCRIBE without a body", "MQTT-2.2.1-3", all, "A2 []", malformed, "packet identifier is missing"),
        bad("UNSUBSCRIBE 5.0, identifier 0", "MQTT-2.2.1-3", v5, "A2 [ 0000 [] s'a' ]", violation, "identifier is 0"),
        bad("UNSUBSCRIBE 3.x, identifier 0", "MQTT-2.2.1-3", v3, "A2 [ 0000 s'a' ]", violation, "identifier is 0"),
        bad("UNSUBSCRIBE 5.0 without a property length", "MQTT-2.2.2-1", v5, "A2 [ 0001 ]", malformed,
            "property length"),
        bad("UNSUBSCRIBE 5.0 without a filter", "MQTT-3.10.3-2", v5, "A2 [ 0001 [] ]", violation,
            "without a topic filter"),
        bad("UNSUBSCRIBE 3.x without a filter", "MQTT-3.10.3-2", v3, "A2 [ 0001 ]", violation,
            "without a topic filter"),
        bad("UNSUBSCRIBE 5.0, filter longer than the packet", "MQTT-3.10.3-1", v5, "A2 [ 0001 [] 0002 'a' ]", malformed,
            "filter is cut short"),
        bad("UNSUBSCRIBE 3.x, bytes behind the last filter", "MQTT-3.10.3-1", v3, "A2 [ 0001 s'a' 00 ]", malformed,
            "filter is cut short"),
        bad("UNSUBSCRIBE 5.0, filter no UTF-8", "MQTT-3.10.3-1", v5, "A2 [ 0001 [] { C0AF } ]", malformed, "UTF-8"),
        bad("UNSUBSCRIBE 3.x, filter with U+0000", "MQTT-1.5.4-2", v3, "A2 [ 0001 { 00 } ]", malformed, "UTF-8"),
    };
}

std::vector<Row> answers() {
    return {
        ok("SUBACK 5.0, every reason code", "MQTT-3.9.3-2", v5, "90 [ 0001 [] 00 01 02 80 83 87 8F 91 97 9E A1 A2 ]"),
        ok("SUBACK 5.0, reason string and user properties", "MQTT-3.9.2-1", v5,
           "90 [ 0001 [ 1F s'why' 26 s'k' s'1' 26 s'k' s'2' ] 87 ]"),
        ok("SUBACK 3.x", "MQTT-3.9.3-1", v3, "90 [ 0001 00 01 02 80 ]"),
        bad("SUBACK without a body", "MQTT-2.2.1-6", all, "90 []", malformed, "packet identifier is missing"),
        bad("SUBACK 5.0, identifier 0", "MQTT-2.2.1-6", v5, "90 [ 0000 [] 00 ]", violation, "identifier is 0"),
        bad("SUBACK 3.x, identifier 0", "MQTT-2.2.1-6", v3, "90 [ 0000 00 ]", violation, "identifier is 0"),
        bad("SUBACK 5.0 without reason codes", "MQTT-3.8.4-6", v5, "90 [ 0001 [] ]", violation, "no reason code"),
        bad("SUBACK 5.0 without a property length", "MQTT-2.2.2-1", v5, "90 [ 0001 ]", malformed, "property length"),
        bad("SUBACK 3.x without return codes", "MQTT-3.8.4-6", v3, "90 [ 0001 ]", malformed, "without a return code"),
        bad("SUBACK 5.0, reason 03", "MQTT-3.9.3-2", v5, "90 [ 0001 [] 03 ]", violation, "reason code"),
        bad("SUBACK 5.0, reason 11 of UNSUBACK", "MQTT-3.9.3-2", v5, "90 [ 0001 [] 00 11 ]", violation, "reason code"),
        bad("SUBACK 5.0, reason FF", "MQTT-3.9.3-2", v5, "90 [ 0001 [] FF ]", violation, "reason code"),
        bad("SUBACK 3.x, code 03", "MQTT-3.9.3-2", v3, "90 [ 0001 03 ]", violation, "reason code"),
        bad("SUBACK 3.x, code 87 of MQTT 5", "MQTT-3.9.3-2", v3, "90 [ 0001 87 ]", violation, "reason code"),
        ok("UNSUBACK 5.0, every reason code", "MQTT-3.11.3-2", v5, "B0 [ 0001 [] 00 11 80 83 87 8F 91 ]"),
        ok("UNSUBACK 5.0, reason string and user property", "MQTT-3.11.2-1", v5,
           "B0 [ 0001 [ 1F s'why' 26 s'k' s'v' ] 80 ]"),
        ok("UNSUBACK 3.x", "MQTT-3.10.4-5", v3, "B0 [ 0001 ]"),
        bad("UNSUBACK without a body", "MQTT-2.2.1-6", all, "B0 []", malformed, "packet identifier is missing"),
        bad("UNSUBACK 5.0, identifier 0", "MQTT-2.2.1-6", v5, "B0 [ 0000 [] 00 ]", violation, "identifier is 0"),
        bad("UNSUBACK 3.x, identifier 0", "MQTT-2.2.1-6", v3, "B0 [ 0000 ]", violation, "identifier is 0"),
        bad("UNSUBACK 5.0 without reason codes", "MQTT-3.11.3-1", v5, "B0 [ 0001 [] ]", violation, "no reason code"),
        bad("UNSUBACK 5.0, reason 01 of SUBACK", "MQTT-3.11.3-2", v5, "B0 [ 0001 [] 01 ]", violation, "reason code"),
        bad("UNSUBACK 5.0, reason 97", "MQTT-3.11.3-2", v5, "B0 [ 0001 [] 97 ]", violation, "reason code"),
        bad("UNSUBACK 3.x with a body", "", v3, "B0 [ 0001 00 ]", malformed, "left over"),
    };
}

}  // namespace

std::vector<Row> subscription_rows() {
    std::vector<Row> rows;
    for (const auto part : {requests, wrong_requests, answers}) {
        for (auto& row : part()) rows.push_back(std::move(row));
    }
    return rows;
}

}  // namespace trunkline::tests
