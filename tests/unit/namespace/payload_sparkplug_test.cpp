#include <bit>
#include <cstring>
#include <vector>

#include "namespace/payload/sparkplug.h"
#include "namespace/payload/value.h"
#include "tests/unit/namespace/payload_rows.h"

using namespace trunkline::uns;
using namespace trunkline::uns::test;

namespace {

/// Writes the wire format: what a Sparkplug library would.
struct Message {
    std::string bytes;

    static std::string varint(std::uint64_t value) {
        std::string text;
        for (; value >= 0x80; value >>= 7) text += static_cast<char>(value | 0x80);
        return text + static_cast<char>(value);
    }
    Message& number(std::uint32_t field, std::uint64_t value) {
        bytes += varint(field << 3) + varint(value);
        return *this;
    }
    Message& text(std::uint32_t field, std::string_view value) {
        bytes += varint(field << 3 | 2) + varint(value.size()) + std::string(value);
        return *this;
    }
    Message& real(std::uint32_t field, double value) {
        bytes += varint(field << 3 | 1) + std::string(8, '\0');
        std::memcpy(bytes.data() + bytes.size() - 8, &value, 8);
        return *this;
    }
    Message& single(std::uint32_t field, float value) {
        bytes += varint(field << 3 | 5) + std::string(4, '\0');
        std::memcpy(bytes.data() + bytes.size() - 4, &value, 4);
        return *this;
    }
    Message& message(std::uint32_t field, const Message& inner) { return text(field, inner.bytes); }
};

constexpr std::uint64_t now_ms = 1'700'000'000'000;

Message metric(std::string_view name, std::uint32_t type) {
    return Message().text(1, name).number(3, now_ms).number(4, type);
}
std::string payload_of(const Message& one) { return Message().number(1, now_ms).message(2, one).number(3, 7).bytes; }

std::string rule_of(const PayloadSpec& spec, std::string_view payload, std::string* at = nullptr) {
    const auto violation = compiled(spec)->check(payload);
    if (!violation) return {};
    CHECK(is_told_well(*violation));
    if (at) *at = violation->at;
    return violation->rule;
}

}  // namespace

TEST_CASE("Well-formed Sparkplug B payloads pass", "[namespace][payload][sparkplug]") {
    const PayloadSpec spec = spec_of(Format::sparkplug);
    const Message properties = Message().text(1, "engUnit").message(2, Message().number(1, 12).text(8, "Cel"));
    const Message row = Message().message(1, Message().number(1, 5)).message(1, Message().text(6, "x"));
    const Message set = Message().number(1, 2).text(2, "a").text(2, "b").number(3, 3).number(3, 12).message(4, row);
    const Message packed = Message().number(1, 2).text(2, "a").text(2, "b").text(3, "\x03\x0C").message(4, row);
    const Message inner = metric("x", 3).number(10, 5);
    const Message shape = Message()
                              .text(1, "1")
                              .message(2, inner)
                              .message(3, Message().text(1, "p").number(2, 3).number(3, 1))
                              .text(4, "motor")
                              .number(5, 0);
    const std::vector<std::pair<const char*, Message>> metrics = {
        {"Int32", metric("a", 3).number(10, 5)},
        {"Int32, negative as 32 bits", metric("a", 3).number(10, 0xFFFF'FFFF)},
        {"Int32, negative as 64 bits", metric("a", 3).number(11, ~0ull)},
        {"Int8, negative", metric("a", 1).number(10, 0xFFFF'FF80)},
        {"Int8 as eight bits", metric("a", 1).number(10, 0x80)},
        {"UInt8", metric("a", 5).number(10, 255)},
        {"UInt32 in the long field", metric("a", 7).number(11, 4'000'000'000)},
        {"UInt64", metric("a", 8).number(11, ~0ull)},
        {"Float", metric("a", 9).single(12, 1.5F)},
        {"Double", metric("a", 10).real(13, 1.5)},
        {"Boolean", metric("a", 11).number(14, 1)},
        {"String", metric("a", 12).text(15, "x")},
        {"DateTime", metric("a", 13).number(11, now_ms)},
        {"Bytes", metric("a", 17).text(16, "\xFF\xFE")},
        {"array of Int32", metric("a", 24).text(16, "\x01\x02\x03\x04")},
        {"DataSet", metric("a", 16).message(17, set)},
        {"DataSet with packed types", metric("a", 16).message(17, packed)},
        {"Template", metric("a", 19).message(18, shape)},
        {"null", metric("a", 3).number(7, 1)},
        {"alias alone, no type", Message().number(2, 17).number(10, 5)},
        {"metadata and properties",
         metric("a", 3).message(8, Message().text(8, "d").number(3, 1)).message(9, properties).number(10, 1)},
        {"a field of the future", metric("a", 3).number(10, 5).text(100, "?")},
    };
    for (const auto& [what, one] : metrics) {
        CAPTURE(what);
        CHECK(rule_of(spec, payload_of(one)).empty());
    }
    CHECK(rule_of(spec, Message().number(1, now_ms).bytes).empty());
    CHECK(
        rule_of(spec, Message().number(1, now_ms).text(4, "uuid").text(5, "body").text(9, "extension").bytes).empty());
}

TEST_CASE("Sparkplug B payloads that break the format name the metric and the field",
          "[namespace][payload][sparkplug]") {
    const PayloadSpec spec = spec_of(Format::sparkplug);
    struct Bad {
        const char* what;
        std::string payload;
        std::string_view at;
    };
    Message deep = Message().text(1, "k");
    for (int i = 0; i < 20; ++i) deep = Message().text(1, "k").message(2, Message().number(1, 20).message(9, deep));
    const std::string good = payload_of(metric("a", 3).number(10, 5));
    const std::vector<Bad> table = {
        {"JSON", "{\"value\":1}", ""},
        {"plain text", "23.5", ""},
        {"field 0", std::string("\x00\x01", 2), ""},
        {"a group", "\x0B\x0C", ""},
        {"varint of 11 bytes", "\x08" + std::string(10, '\xFF') + "\x01", ""},
        {"varint above 64 bits", "\x08" + std::string(9, '\xFF') + "\x02", ""},
        {"a length beyond the end",
         "\x12\x7F"
         "abc",
         ""},
        {"a huge length", "\x12" + std::string(9, '\xFF') + "\x01", ""},
        {"timestamp as text", Message().text(1, "now").bytes, "/timestamp"},
        {"timestamp twice", Message().number(1, 1).number(1, 2).bytes, "/timestamp"},
        {"timestamp in microseconds", Message().number(1, now_ms * 1000).bytes, "/timestamp"},
        {"seq 256", Message().number(3, 256).bytes, "/seq"},
        {"metrics as a number", Message().number(2, 1).bytes, "/metrics"},
        {"uuid not UTF-8", Message().text(4, "\xFF").bytes, "/uuid"},
        {"neither name nor alias", payload_of(Message().number(4, 3).number(10, 5)), "/metrics/0/name"},
        {"no value", payload_of(metric("a", 3)), "/metrics/0/is_null"},
        {"null with a value", payload_of(metric("a", 3).number(7, 1).number(10, 5)), "/metrics/0/is_null"},
        {"two values", payload_of(metric("a", 3).number(10, 5).number(11, 5)), "/metrics/0/long_value"},
        {"name twice", payload_of(metric("a", 3).text(1, "b").number(10, 5)), "/metrics/0/name"},
        {"name not UTF-8", payload_of(metric("\xC3", 3).number(10, 5)), "/metrics/0/name"},
        {"unknown data type", payload_of(metric("a", 35).number(10, 5)), "/metrics/0/datatype"},
        {"double for Int32", payload_of(metric("a", 3).real(13, 5)), "/metrics/0/double_value"},
        {"string for Boolean", payload_of(metric("a", 11).text(15, "true")), "/metrics/0/string_value"},
        {"int for Double", payload_of(metric("a", 10).number(10, 5)), "/metrics/0/int_value"},
        {"template for DataSet", payload_of(metric("a", 16).message(18, Message())), "/metrics/0/template_value"},
        {"Int8 128 in 64 bits", payload_of(metric("a", 1).number(11, 0xFF80)), "/metrics/0/long_value"},
        {"UInt8 256", payload_of(metric("a", 5).number(10, 256)), "/metrics/0/int_value"},
        {"UInt32 beyond", payload_of(metric("a", 7).number(11, 1ull << 32)), "/metrics/0/long_value"},
        {"wrong wire type", payload_of(metric("a", 9).real(12, 1.5)), "/metrics/0/float_value"},
        {"data set cut short", payload_of(metric("a", 16).text(17, "\x22\x05")), "/metrics/0/dataset_value"},
        {"row of a data set", payload_of(metric("a", 16).message(17, Message().message(4, Message().number(1, 1)))),
         "/metrics/0/dataset_value/rows/elements"},
        {"properties nested too deeply", payload_of(metric("a", 3).message(9, deep).number(10, 1)),
         "/metrics/0/properties/values/propertyset_value/values/propertyset_value/values/propertyset_value/values/"
         "propertyset_value"},
        {"second metric",
         Message().message(2, metric("a", 3).number(10, 1)).message(2, metric("b", 5).number(10, 256)).bytes,
         "/metrics/1/int_value"},
    };
    for (const Bad& row : table) {
        CAPTURE(row.what);
        std::string at;
        CHECK(rule_of(spec, row.payload, &at) == rule::not_sparkplug);
        CHECK(at == row.at);
    }
    CHECK(rule_of(spec, "") == rule::empty);
    // Whatever is cut off, the reader stays within the bytes; what is left is a payload or refused.
    const Contract contract = compiled(spec);
    for (std::size_t i = 0; i < good.size(); ++i) {
        const std::string cut(good.substr(0, i));
        const auto violation = contract->check(cut);
        if (violation) CHECK(is_told_well(*violation));
    }
    std::string many;
    for (int i = 0; i < 10'001; ++i) many += Message().message(2, Message().number(2, 1).number(10, 1)).bytes;
    CHECK(rule_of(spec, many) == rule::not_sparkplug);
}

TEST_CASE("The values of Sparkplug metrics are judged by type and range", "[namespace][payload][sparkplug]") {
    PayloadSpec spec = spec_of(Format::sparkplug, Kind::number);
    spec.value.min = -20;
    spec.value.max = 120;
    spec.value.unit = "Cel";
    std::string at;
    CHECK(rule_of(spec, payload_of(metric("a", 10).real(13, 23.5))).empty());
    CHECK(rule_of(spec, payload_of(metric("a", 3).number(10, 0xFFFF'FFF6))).empty());
    CHECK(rule_of(spec, payload_of(metric("a", 10).real(13, 131.4)), &at) == rule::range);
    CHECK(at == "/metrics/0/double_value");
    CHECK(rule_of(spec, payload_of(metric("a", 10).real(13, std::bit_cast<double>(0x7FF8'0000'0000'0000)))) ==
          rule::type);
    CHECK(rule_of(spec, payload_of(metric("a", 9).single(12, std::bit_cast<float>(0x7F80'0000)))) == rule::type);
    CHECK(rule_of(spec, payload_of(metric("a", 12).text(15, "23.5"))) == rule::type);
    CHECK(rule_of(spec, payload_of(metric("a", 3).number(7, 1)), &at) == rule::type);
    CHECK(at == "/metrics/0");
    const auto violation = compiled(spec)->check(payload_of(metric("Bowl/TT-101", 10).real(13, 131.4)));
    REQUIRE(violation);
    CHECK(violation->text == "metric Bowl/TT-101 131.4 is above max 120 Cel");
    // Without a data type the model's range says how the bits are meant.
    const std::string bare = Message().message(2, Message().number(2, 17).number(10, 0xFFFF'FFF6)).bytes;
    CHECK(rule_of(spec, bare).empty());
    spec.value.min = 0;
    CHECK(rule_of(spec, bare) == rule::range);
}

TEST_CASE("Sparkplug payloads are read for display", "[namespace][payload][sparkplug]") {
    const auto one = read_value(payload_of(metric("a", 10).real(13, 23.5)), Format::sparkplug);
    REQUIRE(one);
    CHECK(one->text == "23.5");
    CHECK(one->timestamp_ms == static_cast<std::int64_t>(now_ms));
    const auto two = read_value(
        Message().number(1, 5).message(2, metric("a", 3).number(10, 1)).message(2, metric("b", 3).number(10, 2)).bytes,
        Format::sparkplug);
    REQUIRE(two);
    CHECK(two->text == "2 metrics");
    CHECK(two->timestamp_ms == 5);
    CHECK(!read_value("{}", Format::sparkplug));
    CHECK(!read_value("", Format::sparkplug));
}
