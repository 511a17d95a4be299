#include "tests/packets/rows.h"

namespace trunkline::tests {
namespace {

struct Acknowledgement {
    std::string name;
    std::string first;       // byte, in hexadecimal
    std::string clause;      // of its reason codes
    std::vector<std::string> listed;
    std::vector<std::string> unlisted;
};

/// The four share a layout, so each shows the same cases under its own name and reason codes.
std::vector<Row> rows_of(const Acknowledgement& ack) {
    const auto row = [&](const std::string& what, unsigned versions, const std::string& body, Expect expect,
                         mqtt::Reason reason = mqtt::Reason::success, const char* says = "") {
        return Row{ack.name + what, ack.clause, versions, ack.first + " [ " + body + " ]", expect, reason, says};
    };
    const std::string error = ack.listed.back();
    std::vector<Row> rows = {
        row(", identifier only", all, "0001", Expect::same_bytes),
        row(", identifier 65,535", all, "FFFF", Expect::same_bytes),
        row(" 5.0, success spelled out", v5, "0001 00", Expect::accepted),
        row(" 5.0, success and no properties spelled out", v5, "0001 00 []", Expect::accepted),
        row(" 5.0, failure without properties spelled out", v5, "0001 " + error + " []", Expect::accepted),
        row(" 5.0, reason string", v5, "0001 " + error + " [ 1F s'no such asset' ]", Expect::same_bytes),
        row(" 5.0, success with user property", v5, "0001 00 [ 26 s'k' s'v' ]", Expect::same_bytes),
        row(" 5.0, reason string and user properties", v5, "0001 " + error + " [ 1F s'' 26 s'k' s'1' 26 s'k' s'2' ]",
            Expect::same_bytes),
        row(" 5.0, user property before reason string", v5, "0001 " + error + " [ 26 s'k' s'1' 1F s'r' ]",
            Expect::accepted),
        row(" without a body", all, "", Expect::refused, malformed, "packet identifier is missing"),
        row(", half an identifier", all, "00", Expect::refused, malformed, "packet identifier is missing"),
        row(", identifier 0", all, "0000", Expect::refused, violation, "packet identifier is 0"),
        row(" 5.0, identifier 0 with a reason", v5, "0000 00", Expect::refused, violation, "packet identifier is 0"),
        row(" 3.x with a reason code", v3, "0001 00", Expect::refused, malformed, "left over"),
        row(" 5.0, bytes after the properties", v5, "0001 00 [] 00", Expect::refused, malformed, "left over"),
        row(" 5.0, property length beyond the packet", v5, "0001 00 04 1F 0000", Expect::refused, malformed,
            "property length reaches"),
        row(" 5.0, property length in a longer form", v5, "0001 00 8000", Expect::refused, malformed, "shortest form"),
        row(" 5.0, reason string no UTF-8", v5, "0001 00 [ 1F { C3 } ]", Expect::refused, malformed, "UTF-8"),
        row(" 5.0, reason string twice", v5, "0001 00 [ 1F s'a' 1F s'b' ]", Expect::refused, violation,
            "more than once"),
    };
    for (const auto& code : ack.listed) {
        if (code != "00") rows.push_back(row(" 5.0, reason " + code, v5, "0001 " + code, Expect::same_bytes));
    }
    for (const auto& code : ack.unlisted)
        rows.push_back(
            row(" 5.0, unlisted reason " + code, v5, "0001 " + code, Expect::refused, violation, "reason code"));
    return rows;
}

}  // namespace

std::vector<Row> acknowledgement_rows() {
    const std::vector<std::string> publish_codes = {"00", "10", "80", "83", "87", "90", "91", "97", "99"};
    const std::vector<std::string> others = {"01", "11", "81", "92", "95", "9B", "A3", "FF"};
    const std::vector<std::string> beside_92 = {"01", "10", "80", "91", "93", "FF"};
    std::vector<Row> rows = {
        also("PUBREL 3.1 with DUP", "", v31, "6A [ 0001 ]"),
        bad("PUBREL 3.1.1 with DUP", "MQTT-3.6.1-1", v311 | v5, "6A [ 0001 ]", malformed, "reserved flag bits"),
    };
    for (const Acknowledgement& ack : {Acknowledgement{"PUBACK", "40", "MQTT-3.4.2-1", publish_codes, others},
                                       Acknowledgement{"PUBREC", "50", "MQTT-3.5.2-1", publish_codes, others},
                                       Acknowledgement{"PUBREL", "62", "MQTT-3.6.2-1", {"00", "92"}, beside_92},
                                       Acknowledgement{"PUBCOMP", "70", "MQTT-3.7.2-1", {"00", "92"}, beside_92}}) {
        for (auto& row : rows_of(ack)) rows.push_back(std::move(row));
    }
    return rows;
}

}  // namespace trunkline::tests
