// Section 2.2.2.2 of MQTT 5.0 as a second table, kept apart from the decoder's own so that a slip in one shows.
#include "tests/packets/rows.h"

namespace trunkline::tests {
namespace {

struct Place {
    std::string name;
    std::string before;  // the packet up to the property length, from behind the remaining length
    std::string after;
    std::string first;
};

const std::vector<Place>& places() {
    static const std::vector<Place> list = {
        {"CONNECT", "s'MQTT' 05 02 003C", "s'gw'", "10"},
        {"will", "s'MQTT' 05 06 003C [] s'gw'", "s't' s'p'", "10"},
        {"CONNACK", "00 00", "", "20"},
        {"PUBLISH", "s'a/b'", "'on'", "30"},
        {"PUBACK", "0001 80", "", "40"},
        {"PUBREC", "0001 80", "", "50"},
        {"PUBREL", "0001 92", "", "62"},
        {"PUBCOMP", "0001 92", "", "70"},
        {"SUBSCRIBE", "0001", "s'a' 00", "82"},
        {"SUBACK", "0001", "00", "90"},
        {"UNSUBSCRIBE", "0001", "s'a'", "A2"},
        {"UNSUBACK", "0001", "00", "B0"},
        {"DISCONNECT", "80", "", "E0"},
        {"AUTH", "18", "", "F0"},
    };
    return list;
}

struct Rule {
    std::string name;
    std::string good;                 // identifier and a value
    std::string cut;                  // identifier and one byte too few
    std::vector<std::string> out_of_range;
    std::string places;               // where it may stand, each between blanks
};

const std::vector<Rule>& rules() {
    static const std::string answers = " PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK ";
    static const std::vector<Rule> list = {
        {"Payload Format Indicator", "01 01", "01", {"01 02", "01 FF"}, " PUBLISH will "},
        {"Message Expiry Interval", "02 00000001", "02 000001", {}, " PUBLISH will "},
        {"Content Type", "03 s'x'", "03 0002 'x'", {}, " PUBLISH will "},
        {"Response Topic", "08 s'x'", "08 0002 'x'", {}, " PUBLISH will "},
        {"Correlation Data", "09 { 00 }", "09 0002 00", {}, " PUBLISH will "},
        {"Subscription Identifier", "0B 8001", "0B 80", {"0B 00"}, " PUBLISH SUBSCRIBE "},
        {"Session Expiry Interval", "11 00000001", "11 000001", {}, " CONNECT CONNACK DISCONNECT "},
        {"Assigned Client Identifier", "12 s'x'", "12 0002 'x'", {}, " CONNACK "},
        {"Server Keep Alive", "13 0001", "13 01", {}, " CONNACK "},
        {"Authentication Method", "15 s'x'", "15 0002 'x'", {}, " CONNECT CONNACK AUTH "},
        {"Authentication Data", "16 { 00 }", "16 0002 00", {}, " CONNECT CONNACK AUTH "},
        {"Request Problem Information", "17 00", "17", {"17 02", "17 80"}, " CONNECT "},
        {"Will Delay Interval", "18 00000001", "18 000001", {}, " will "},
        {"Request Response Information", "19 01", "19", {"19 02", "19 FF"}, " CONNECT "},
        {"Response Information", "1A s'x'", "1A 0002 'x'", {}, " CONNACK "},
        {"Server Reference", "1C s'x'", "1C 0002 'x'", {}, " CONNACK DISCONNECT "},
        {"Reason String", "1F s'x'", "1F 0002 'x'", {}, answers + " CONNACK DISCONNECT AUTH "},
        {"Receive Maximum", "21 0001", "21 01", {"21 0000"}, " CONNECT CONNACK "},
        {"Topic Alias Maximum", "22 0000", "22 00", {}, " CONNECT CONNACK "},
        {"Topic Alias", "23 0001", "23 01", {"23 0000"}, " PUBLISH "},
        {"Maximum QoS", "24 01", "24", {"24 02", "24 03"}, " CONNACK "},
        {"Retain Available", "25 01", "25", {"25 02"}, " CONNACK "},
        {"User Property", "26 s'k' s'v'", "26 s'k' 0002 'v'", {}, "everywhere"},
        {"Maximum Packet Size", "27 00000001", "27 000001", {"27 00000000"}, " CONNECT CONNACK "},
        {"Wildcard Subscription Available", "28 01", "28", {"28 02"}, " CONNACK "},
        {"Subscription Identifier Available", "29 01", "29", {"29 02"}, " CONNACK "},
        {"Shared Subscription Available", "2A 01", "2A", {"2A 02"}, " CONNACK "},
    };
    return list;
}

bool allowed(const Rule& rule, const Place& place) {
    return rule.places == "everywhere" || rule.places.find(" " + place.name + " ") != std::string::npos;
}

bool may_repeat(const Rule& rule, const Place& place) {
    return rule.name == "User Property" || (rule.name == "Subscription Identifier" && place.name == "PUBLISH");
}

/// What else a packet needs beside the property, for it to be valid.
std::string company(const Rule& rule, const Place& place) {
    const bool auth = place.name == "AUTH" || (place.name == "CONNECT" && rule.name == "Authentication Data");
    return auth && rule.name != "Authentication Method" ? "15 s'X' " : "";
}

std::string packet(const Place& place, const std::string& properties) {
    return place.first + " [ " + place.before + " [ " + properties + " ] " + place.after + " ]";
}

void add_rows(const Rule& rule, const Place& place, std::vector<Row>& rows) {
    const std::string where = " in " + place.name;
    const std::string with = company(rule, place);
    if (!allowed(rule, place)) {
        rows.push_back({rule.name + where, "", v5, packet(place, with + rule.good), Expect::refused, malformed,
                        rule.name + " is not allowed"});
        return;
    }
    rows.push_back({rule.name + where, "", v5, packet(place, with + rule.good)});
    rows.push_back({rule.name + " cut short" + where, "", v5, packet(place, with + rule.cut), Expect::refused,
                    malformed, rule.name + " is cut short"});
    const std::string twice = packet(place, with + rule.good + " " + rule.good);
    if (may_repeat(rule, place))
        rows.push_back({rule.name + " twice" + where, "", v5, twice});
    else
        rows.push_back({rule.name + " twice" + where, "", v5, twice, Expect::refused, violation,
                        rule.name + " is there more than once"});
    for (const auto& value : rule.out_of_range) {
        const bool alias = rule.name == "Topic Alias";
        rows.push_back({rule.name + " of " + value.substr(3) + where, alias ? "MQTT-3.3.2-8" : "", v5,
                        packet(place, with + value), Expect::refused,
                        alias ? mqtt::Reason::topic_alias_invalid : violation, rule.name + " is not within"});
    }
}

}  // namespace

std::vector<Row> property_rows() {
    std::vector<Row> rows;
    for (const auto& place : places()) {
        for (const auto& rule : rules()) add_rows(rule, place, rows);
        for (const char* unknown : {"00", "04", "0A", "14", "20", "2B", "7F", "8100", "FF"})
            rows.push_back({std::string("unknown property ") + unknown + " in " + place.name, "", v5,
                            packet(place, unknown), Expect::refused, malformed, "unknown property"});
    }
    return rows;
}

}  // namespace trunkline::tests
