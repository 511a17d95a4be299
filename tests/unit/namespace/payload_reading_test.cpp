#include <limits>
#include <random>
#include <vector>

#include "namespace/payload/reading.h"
#include "namespace/payload/reading_scan.h"
#include "namespace/payload/rfc3339.h"
#include "tests/unit/namespace/payload_rows.h"

using namespace trunkline::uns;
using namespace trunkline::uns::test;
using namespace std::string_literals;

namespace {

PayloadSpec temperature() {
    PayloadSpec spec = spec_of(Format::reading, Kind::number);
    spec.value.min = -20;
    spec.value.max = 120;
    spec.value.unit = "Cel";
    return spec;
}

Violation violation_of(const PayloadSpec& spec, std::string_view payload) {
    const auto violation = compiled(spec)->check(payload);
    REQUIRE(violation);
    return *violation;
}

}  // namespace

TEST_CASE("A reading keeps its contract or breaks one rule at one place", "[namespace][payload]") {
    check_rows(temperature(), std::initializer_list<Row>{
        // Good ones.
        {R"({"value":23.5,"timestamp":1700000000000})"},
        {R"({"timestamp":1700000000000,"value":23.5})"},
        {" \t\r\n{ \"value\" : 23.5 , \"timestamp\" : 1 } \n"},
        {R"({"value":-20,"timestamp":0})"},
        {R"({"value":120,"timestamp":253402300799999})"},
        {R"({"value":120.0,"timestamp":1.7e12})"},
        {R"({"value":1e-400,"timestamp":1700000000000.0})"},
        {R"({"value":-0,"timestamp":1})"},
        {R"({"value":-0.0,"timestamp":1})"},
        {R"({"value":1.2E+2,"timestamp":1})"},
        {R"({"value":1,"timestamp":1,"quality":"good","unit":"Cel"})"},
        {R"({"value":1,"timestamp":1,"quality":"uncertain"})"},
        {R"({"value":1,"timestamp":1,"quality":"bad"})"},
        {R"({"value":1,"timestamp":1,"quality":0})"},
        {R"({"value":1,"timestamp":1,"quality":2147483648})"},
        {R"({"value":1,"timestamp":1,"quality":4294967295})"},
        {R"({"value":1,"timestamp":"2023-11-14T22:13:20Z"})"},
        {R"({"value":1,"timestamp":"2023-11-14t22:13:20.123456789+01:00"})"},
        {R"({"val\u0075e":1,"timestamp":1})"},
        // Further members are let through, whatever they hold.
        {R"({"value":1,"timestamp":1,"source":"plc-7","seq":12})"},
        {R"({"value":1,"timestamp":1,"tags":{"a":[1,{"b":null}]}})"},
        {R"({"value":1,"timestamp":1,"ts":5,"val":6,"validity":7,"unix":1})"},
        // Not readable.
        {"", rule::empty},
        {" ", rule::not_json},
        {"nonsense", rule::not_json},
        {R"({"value":1,"timestamp":1)", rule::not_json, "/timestamp"},
        {R"({"value":1,"timestamp":1}})", rule::not_json},
        {R"({"value":1,"timestamp":1} x)", rule::not_json},
        {R"({"value":1,"timestamp":1}{"value":1,"timestamp":1})", rule::not_json},
        {R"({"value":1,"timestamp":1,})", rule::not_json, "/timestamp"},
        {R"({"value":1 "timestamp":1})", rule::not_json, "/value"},
        {R"({value:1,"timestamp":1})", rule::not_json, "/"},
        {R"({'value':1,"timestamp":1})", rule::not_json, "/"},
        {R"({"value":NaN,"timestamp":1})", rule::not_json, "/value"},
        {R"({"value":nan,"timestamp":1})", rule::not_json, "/value"},
        {R"({"value":Infinity,"timestamp":1})", rule::not_json, "/value"},
        {R"({"value":-Infinity,"timestamp":1})", rule::not_json, "/value"},
        {R"({"value":+5,"timestamp":1})", rule::not_json, "/value"},
        {R"({"value":.5,"timestamp":1})", rule::not_json, "/value"},
        {R"({"value":5.,"timestamp":1})", rule::not_json, "/value"},
        {R"({"value":05,"timestamp":1})", rule::not_json, "/value"},
        {R"({"value":-,"timestamp":1})", rule::not_json, "/value"},
        {R"({"value":0x10,"timestamp":1})", rule::not_json, "/value"},
        {R"({"value":1e,"timestamp":1})", rule::not_json, "/value"},
        {R"({"value":True,"timestamp":1})", rule::not_json, "/value"},
        {R"({"value":truex,"timestamp":1})", rule::not_json, "/value"},
        {R"({"value":,"timestamp":1})", rule::not_json, "/value"},
        {R"({"value":1,"timestamp":1,"n":"a)" "\n" R"(b"})", rule::not_json, "/n"},
        {R"({"value":1,"timestamp":1,"n":"\q"})", rule::not_json, "/n"},
        {"\xEF\xBB\xBF{\"value\":1,\"timestamp\":1}", rule::not_json},
        {"{\"value\":1,\"timestamp\":1,\"n\":\"\xC3\x28\"}", rule::not_utf8},
        {"{\"value\":1,\"timestamp\":1,\"n\":\"\xED\xA0\x80\"}", rule::not_utf8},
        {"{\"value\":1,\"timestamp\":1,\"n\":\"\xF4\x90\x80\x80\"}", rule::not_utf8},
        {"{\"value\":1,\"timestamp\":1,\"n\":\"\xC0\x80\"}", rule::not_utf8},
        {R"({"value":1,"timestamp":1,"n":"\ud800"})", rule::not_utf8, "/n"},
        {R"({"value":1,"timestamp":1,"n":"\udc00\ud800"})", rule::not_utf8, "/n"},
        {R"({"value":1,"timestamp":1,"n":"\ud83d\ude00"})"},
        {R"({"value":1e999,"timestamp":1})", rule::number_range, "/value"},
        {R"({"value":-1e999,"timestamp":1})", rule::number_range, "/value"},
        {R"({"value":18446744073709551616,"timestamp":1})", rule::number_range, "/value"},
        {R"({"value":-9223372036854775809,"timestamp":1})", rule::number_range, "/value"},
        {R"({"value":1,"timestamp":99999999999999999999999})", rule::number_range, "/timestamp"},
        // Not an object, members.
        {"23.5", rule::type},
        {"\"23.5\"", rule::type},
        {"null", rule::type},
        {"[]", rule::type},
        {"[{\"value\":1,\"timestamp\":1}]", rule::type},
        {"{}", rule::missing, "/value"},
        {R"({"value":1})", rule::missing, "/timestamp"},
        {R"({"timestamp":1})", rule::missing, "/value"},
        {R"({"value":1,"timestamp_ms":1})", rule::missing, "/timestamp"},
        {R"({"value":1,"value":2,"timestamp":1})", rule::duplicate, "/value"},
        {R"({"value":1,"val\u0075e":2,"timestamp":1})", rule::duplicate, "/value"},
        {R"({"value":1,"timestamp":1,"timestamp":1})", rule::duplicate, "/timestamp"},
        {R"({"value":1,"timestamp":1,"a":1,"b":2,"a":3})", rule::duplicate, "/a"},
        {R"({"Value":1,"timestamp":1})", rule::misspelt, "/Value"},
        {R"({"value":1,"Timestamp":1})", rule::misspelt, "/Timestamp"},
        {R"({"value":1,"time_stamp":1})", rule::misspelt, "/time_stamp"},
        {R"({"value":1,"timestamp":1,"Quality":"good"})", rule::misspelt, "/Quality"},
        {R"({"value":1,"timestamp":1,"units":"Cel"})", rule::misspelt, "/units"},
        {R"({"value":1,"timestamp":1,"UNIT":"Cel"})", rule::misspelt, "/UNIT"},
        // The value.
        {R"({"value":"23.5","timestamp":1})", rule::type, "/value"},
        {R"({"value":null,"timestamp":1})", rule::type, "/value"},
        {R"({"value":true,"timestamp":1})", rule::type, "/value"},
        {R"({"value":[23.5],"timestamp":1})", rule::type, "/value"},
        {R"({"value":{"v":23.5},"timestamp":1})", rule::type, "/value"},
        {R"({"value":131.4,"timestamp":1})", rule::range, "/value"},
        {R"({"value":120.00000000000001,"timestamp":1})", rule::range, "/value"},
        {R"({"value":-20.000001,"timestamp":1})", rule::range, "/value"},
        {R"({"value":1e308,"timestamp":1})", rule::range, "/value"},
        {R"({"value":18446744073709551615,"timestamp":1})", rule::range, "/value"},
        {R"({"value":-9223372036854775808,"timestamp":1})", rule::range, "/value"},
        // Timestamp.
        {R"({"value":1,"timestamp":-1})", rule::timestamp, "/timestamp"},
        {R"({"value":1,"timestamp":1.5})", rule::timestamp, "/timestamp"},
        {R"({"value":1,"timestamp":253402300800000})", rule::timestamp, "/timestamp"},
        {R"({"value":1,"timestamp":1700000000000000})", rule::timestamp, "/timestamp"},
        {R"({"value":1,"timestamp":"1700000000000"})", rule::timestamp, "/timestamp"},
        {R"({"value":1,"timestamp":null})", rule::timestamp, "/timestamp"},
        {R"({"value":1,"timestamp":true})", rule::timestamp, "/timestamp"},
        {R"({"value":1,"timestamp":{}})", rule::timestamp, "/timestamp"},
        {R"({"value":1,"timestamp":""})", rule::timestamp, "/timestamp"},
        {R"({"value":1,"timestamp":"2023-11-14"})", rule::timestamp, "/timestamp"},
        {R"({"value":1,"timestamp":"2023-11-14T22:13:20"})", rule::timestamp, "/timestamp"},
        {R"({"value":1,"timestamp":"2023-11-14 22:13:20Z"})", rule::timestamp, "/timestamp"},
        {R"({"value":1,"timestamp":"2023-02-29T00:00:00Z"})", rule::timestamp, "/timestamp"},
        {R"({"value":1,"timestamp":"1969-12-31T23:59:59Z"})", rule::timestamp, "/timestamp"},
        {R"({"value":1,"timestamp":"2023-11-14T22:13:20Zx"})", rule::timestamp, "/timestamp"},
        // Quality and unit.
        {R"({"value":1,"timestamp":1,"quality":"GOOD"})", rule::quality, "/quality"},
        {R"({"value":1,"timestamp":1,"quality":"ok"})", rule::quality, "/quality"},
        {R"({"value":1,"timestamp":1,"quality":-1})", rule::quality, "/quality"},
        {R"({"value":1,"timestamp":1,"quality":4294967296})", rule::quality, "/quality"},
        {R"({"value":1,"timestamp":1,"quality":0.5})", rule::quality, "/quality"},
        {R"({"value":1,"timestamp":1,"quality":null})", rule::quality, "/quality"},
        {R"({"value":1,"timestamp":1,"quality":true})", rule::quality, "/quality"},
        {R"({"value":1,"timestamp":1,"unit":"K"})", rule::unit, "/unit"},
        {R"({"value":1,"timestamp":1,"unit":"cel"})", rule::unit, "/unit"},
        {R"({"value":1,"timestamp":1,"unit":""})", rule::unit, "/unit"},
        {R"({"value":1,"timestamp":1,"unit":null})", rule::unit, "/unit"},
        // One finding at a time, in this order: members, value, timestamp, quality, unit.
        {R"({"unit":"K","quality":"no","timestamp":-1,"value":131.4})", rule::range, "/value"},
        {R"({"unit":"K","quality":"no","timestamp":-1,"value":1})", rule::timestamp, "/timestamp"},
        {R"({"unit":"K","quality":"no","timestamp":1,"value":1})", rule::quality, "/quality"},
    });
}

TEST_CASE("Each type of a reading's value takes its own and nothing else", "[namespace][payload]") {
    const auto reading = [](std::string_view value) {
        return "{\"value\":" + std::string(value) + ",\"timestamp\":1}";
    };
    const std::string_view values[] = {"1",    "1.5", "2.0", "true", "\"x\"", "{}", "[]", "null", "9007199254740993",
                                       "1e300"};
    struct Taken {
        Kind kind;
        std::string_view mask;    // x: taken, in the order of `values`
    };
    const Taken table[] = {{Kind::any, "xxxxxxxxxx"},    {Kind::number, "xxx.....xx"}, {Kind::integer, "x.x.....x."},
                           {Kind::boolean, "...x......"}, {Kind::string, "....x....."}, {Kind::object, ".....x...."},
                           {Kind::array, "......x..."}};
    for (const Taken& row : table) {
        const Contract contract = compiled(spec_of(Format::reading, row.kind));
        for (std::size_t i = 0; i < std::size(values); ++i) {
            CAPTURE(static_cast<int>(row.kind), values[i]);
            const auto violation = contract->check(reading(values[i]));
            CHECK(violation.has_value() == (row.mask[i] == '.'));
            if (violation) CHECK(violation->rule == rule::type);
            if (violation) CHECK(is_told_well(*violation));
        }
    }
}

TEST_CASE("Strings are judged by enum, length in characters, and a pattern for all of them", "[namespace][payload]") {
    PayloadSpec state = spec_of(Format::reading, Kind::string);
    state.value.enumeration = {"idle", "running", "held", "fault"};
    check_rows(state, std::initializer_list<Row>{
        {R"({"value":"running","timestamp":1})"},
        {R"({"value":"r\u0075nning","timestamp":1})"},
        {R"({"value":"Running","timestamp":1})", rule::not_in_enum, "/value"},
        {R"({"value":"","timestamp":1})", rule::not_in_enum, "/value"},
        {R"({"value":1,"timestamp":1})", rule::type, "/value"},
    });
    CHECK(violation_of(state, R"({"value":"Running","timestamp":1})").fix == R"(send "running")");

    PayloadSpec batch = spec_of(Format::reading, Kind::string);
    batch.value.pattern = "B[0-9]{6}";
    batch.value.max_length = 7;
    check_rows(batch, std::initializer_list<Row>{
        {R"({"value":"B123456","timestamp":1})"},
        {R"({"value":"B12345","timestamp":1})", rule::pattern, "/value"},
        {R"({"value":"xB12345","timestamp":1})", rule::pattern, "/value"},
        {R"({"value":"B1234567","timestamp":1})", rule::too_long, "/value"},
        {R"({"value":"B123456\n","timestamp":1})", rule::too_long, "/value"},
    });

    PayloadSpec text = spec_of(Format::reading, Kind::string);
    text.value.max_length = 3;
    check_rows(text, std::initializer_list<Row>{
        {R"({"value":"äöü","timestamp":1})"},
        {R"({"value":"😀😀😀","timestamp":1})"},
        {R"({"value":"äöüß","timestamp":1})", rule::too_long, "/value"},
    });
}

TEST_CASE("Integers keep every digit, also at the edge of what a double can tell apart", "[namespace][payload]") {
    PayloadSpec spec = spec_of(Format::reading, Kind::integer);
    spec.value.min = -9007199254740992.0;
    spec.value.max = 9007199254740992.0;
    check_rows(spec, std::initializer_list<Row>{
        {R"({"value":9007199254740992,"timestamp":1})"},
        {R"({"value":9007199254740993,"timestamp":1})", rule::range, "/value"},
        {R"({"value":-9007199254740992,"timestamp":1})"},
        {R"({"value":-9007199254740993,"timestamp":1})", rule::range, "/value"},
    });
    const auto violation = violation_of(spec, R"({"value":9007199254740993,"timestamp":1})");
    CHECK(violation.text == "value 9007199254740993 is above max 9007199254740992");
    PayloadSpec numbers = spec_of(Format::reading, Kind::number);
    numbers.value.enumeration = {"1", "2.5", "-3"};
    check_rows(numbers, std::initializer_list<Row>{
        {R"({"value":1.0,"timestamp":1})"},
        {R"({"value":2.50,"timestamp":1})"},
        {R"({"value":-3,"timestamp":1})"},
        {R"({"value":2,"timestamp":1})", rule::not_in_enum, "/value"},
    });
    PayloadSpec truth = spec_of(Format::reading, Kind::boolean);
    truth.value.enumeration = {"true"};
    check_rows(truth, std::initializer_list<Row>{
        {R"({"value":true,"timestamp":1})"},
        {R"({"value":false,"timestamp":1})", rule::not_in_enum, "/value"},
    });
}

TEST_CASE("A refusal says what was found, what is wanted and what to do", "[namespace][payload]") {
    const auto above = violation_of(temperature(), R"({"value":131.4,"timestamp":1})");
    CHECK(above.rule == "TL-3102");
    CHECK(above.at == "/value");
    CHECK(above.text == "value 131.4 is above max 120 Cel");
    CHECK(above.expected == "a number from -20 to 120 Cel");
    CHECK(above.fix == "send a value of at most 120 Cel; if the value is right, change max in the model");
    CHECK(violation_of(temperature(), R"({"value":-273.15,"timestamp":1})").text ==
          "value -273.15 is below min -20 Cel");
    struct Fix {
        std::string_view payload, fix;
    };
    const Fix fixes[] = {
        {R"({"value":"23.5","timestamp":1})", "send the number without quotes: 23.5"},
        {R"({"value":"23,5","timestamp":1})", "send the number without quotes: 23.5"},
        {R"({"value":" +7 ","timestamp":1})", "send the number without quotes: 7"},
        {R"({"value":null,"timestamp":1})", "send the last value with quality bad, or no message"},
        {R"({"value":"NaN","timestamp":1})", "send the last value with quality bad, or no message"},
        {R"({"value":1,"timestamp":"2023-11-14 22:13:20Z"})", "write a T between date and time: 2023-11-14T22:13:20Z"},
        {R"({"value":1,"timestamp":"2023-11-14T22:13:20"})", "say the offset: 2023-11-14T22:13:20Z for UTC, or +01:00"},
        {R"({"value":1,"timestamp":1700000000000000})", "these look like microseconds: divide by 1000"},
        {R"({"value":1,"timestamp":1700000000000000000})", "these look like nanoseconds: divide by 1000000"},
        {R"({"value":1,"timestamp":1,"quality":"Good"})", "send \"good\""},
        {R"({"value":1,"timestamp_ms":1})", "rename timestamp_ms to timestamp, or let the model say payload: umh"},
        {"23.5", "send {\"value\": ..., \"timestamp\": ...}, or let the model say payload: plain"},
        {R"({"value":1,"Timestamp":1})", "rename the member to \"timestamp\""},
    };
    for (const Fix& row : fixes) CHECK(violation_of(temperature(), row.payload).fix == row.fix);
    CHECK(violation_of(temperature(), "{\"value\":1,\n\"timestamp\":1\n,}").text ==
          "there is a comma after the last member (line 3, column 2)");
    CHECK(violation_of(spec_of(Format::reading, Kind::boolean), R"({"value":0,"timestamp":1})").fix ==
          "send false instead of 0");
    CHECK(violation_of(spec_of(Format::reading, Kind::integer), R"({"value":1.5,"timestamp":1})").text ==
          "value 1.5 is not an integer");
}

TEST_CASE("What a payload holds can't break the texts about it", "[namespace][payload]") {
    PayloadSpec spec = spec_of(Format::reading, Kind::string);
    spec.value.enumeration = {"a"};
    const auto control = violation_of(spec, R"({"value":"\u0000\u0007\u009f\"\\","timestamp":1})");
    CHECK(control.text == R"(value "\u0000\u0007\u009f\"\\" is not an allowed value)");
    const auto longer = violation_of(spec, "{\"value\":\"" + std::string(5'000, 'x') + "\",\"timestamp\":1}");
    CHECK(longer.text.size() < 120);
    const auto umlauts = violation_of(spec, "{\"value\":\"x" + []{
        std::string text;
        for (int i = 0; i < 60; ++i) text += "ä";
        return text;
    }() + "\",\"timestamp\":1}");
    CHECK(umlauts.text.find("ä…\"") != std::string::npos);
    const auto name = violation_of(spec_of(Format::umh), R"({"a/b~c\n":1})");
    CHECK(name.at == "/a~1b~0c\\u000a");
}

TEST_CASE("Nesting is bounded at 64 levels, size at 16 MiB", "[namespace][payload]") {
    const auto nested = [](std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
    const Contract json = compiled(spec_of(Format::json));
    CHECK(!json->check(nested(64)));
    for (const std::string& deep :
         {nested(65), nested(100'000), std::string(1'000'000, '['), "{\"a\":" + nested(64) + "}"}) {
        const auto violation = json->check(deep);
        REQUIRE(violation);
        CHECK(violation->rule == rule::too_deep);
    }
    const std::string large = "\"" + std::string((16u << 20) - 2, 'x') + "\"";
    CHECK(!json->check(large));
    CHECK(json->check(large + " ")->rule == rule::too_large);
    CHECK(!json->check("{\"a\":1}"));    // the buffers of the large one are gone, and it still works
}

TEST_CASE("umh is exactly timestamp_ms and value", "[namespace][payload]") {
    PayloadSpec spec = spec_of(Format::umh, Kind::number);
    spec.value.max = 100;
    check_rows(spec, std::initializer_list<Row>{
        {R"({"timestamp_ms":1700000000000,"value":1})"},
        {R"({"value":1.5,"timestamp_ms":1700000000000})"},
        {"", rule::empty},
        {"1", rule::type},
        {"{}", rule::missing, "/value"},
        {R"({"value":1})", rule::missing, "/timestamp_ms"},
        {R"({"timestamp_ms":1})", rule::missing, "/value"},
        {R"({"timestamp":1,"value":1})", rule::unknown, "/timestamp"},
        {R"({"timestamp_ms":1,"value":1,"unit":"Cel"})", rule::unknown, "/unit"},
        {R"({"timestamp_ms":1,"value":1,"value":1})", rule::duplicate, "/value"},
        {R"({"timestamp_ms":"2023-11-14T22:13:20Z","value":1})", rule::timestamp, "/timestamp_ms"},
        {R"({"timestamp_ms":1.5,"value":1})", rule::timestamp, "/timestamp_ms"},
        {R"({"timestamp_ms":1,"value":"1"})", rule::type, "/value"},
        {R"({"timestamp_ms":1,"value":101})", rule::range, "/value"},
    });
    check_rows(spec_of(Format::umh, Kind::object), std::initializer_list<Row>{
        {R"({"timestamp_ms":1,"value":{"a":1}})"},
        {R"({"timestamp_ms":1,"value":{"a":1,"b":{"c":1,"c":2}}})", rule::duplicate, "/value/b/c"},
    });
}

TEST_CASE("Timestamps follow RFC 3339 to the letter", "[namespace][payload]") {
    struct Time {
        std::string_view text;
        std::optional<std::int64_t> ms;
    };
    const Time table[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.001Z", 1},
        {"1970-01-01T00:00:00.0019Z", 1},
        {"2023-11-14T22:13:20Z", 1'700'000'000'000},
        {"2023-11-14T23:13:20+01:00", 1'700'000'000'000},
        {"2023-11-14T16:43:20-05:30", 1'700'000'000'000},
        {"2000-02-29T12:00:00Z", 951'825'600'000},
        {"2016-12-31T23:59:60Z", 1'483'228'800'000},
        {"2017-01-01T00:59:60+01:00", 1'483'228'800'000},
        {"9999-12-31T23:59:59.999Z", 253'402'300'799'999},
        {"1969-12-31T23:59:59Z", -1'000},
        {"0000-01-01T00:00:00Z", -62'167'219'200'000},
        {"1900-02-29T00:00:00Z", {}}, {"2023-04-31T00:00:00Z", {}}, {"2023-13-01T00:00:00Z", {}},
        {"2023-00-01T00:00:00Z", {}}, {"2023-01-00T00:00:00Z", {}}, {"2023-01-01T24:00:00Z", {}},
        {"2023-01-01T00:60:00Z", {}}, {"2023-01-01T00:00:61Z", {}}, {"2023-01-01T12:00:60Z", {}},
        {"2023-01-01T00:00:00", {}}, {"2023-01-01T00:00:00.Z", {}}, {"2023-01-01T00:00:00+1:00", {}},
        {"2023-01-01T00:00:00+24:00", {}}, {"2023-01-01T00:00:00+00:60", {}}, {"2023-01-01T00:00Z", {}},
        {"23-01-01T00:00:00Z", {}}, {"2023-1-1T00:00:00Z", {}}, {"2023-01-01T00:00:00ZZ", {}},
        {" 2023-01-01T00:00:00Z", {}}, {"2023-01-01T00:00:00 Z", {}}, {"20230101T000000Z", {}}, {"", {}},
        {"2023-01-01T0a:00:00Z", {}}, {"+023-01-01T00:00:00Z", {}},
    };
    for (const Time& row : table) {
        CAPTURE(row.text);
        CHECK(parse_date_time(row.text) == row.ms);
    }
    for (std::size_t i = 0; i < 24; ++i)
        CHECK(!parse_date_time(std::string_view("2023-11-14T23:13:20+01:00").substr(0, i)));
}

TEST_CASE("A value type that contradicts itself is no contract", "[namespace][payload]") {
    const auto error_of = [](Kind kind, auto&& change) {
        PayloadSpec spec = spec_of(Format::reading, kind);
        change(spec.value);
        const SpecError error = refused_spec(spec);
        CHECK(!error.message.empty());
        CHECK(!error.mend.empty());
        return error.at;
    };
    CHECK(error_of(Kind::string, [](ValueType& type) { type.min = 1; }) == "min");
    CHECK(error_of(Kind::any, [](ValueType& type) { type.max = 1; }) == "max");
    CHECK(error_of(Kind::number, [](ValueType& type) { type.min = 2, type.max = 1; }) == "min");
    CHECK(error_of(Kind::number, [](ValueType& type) { type.max = std::numeric_limits<double>::quiet_NaN(); }) ==
          "max");
    CHECK(error_of(Kind::number, [](ValueType& type) { type.min = -std::numeric_limits<double>::infinity(); }) ==
          "min");
    CHECK(error_of(Kind::integer, [](ValueType& type) { type.min = 1.2, type.max = 1.8; }) == "min");
    CHECK(error_of(Kind::number, [](ValueType& type) { type.max_length = 1; }) == "max_length");
    CHECK(error_of(Kind::boolean, [](ValueType& type) { type.pattern = "x"; }) == "pattern");
    CHECK(error_of(Kind::string, [](ValueType& type) { type.pattern = "("; }) == "pattern");
    CHECK(error_of(Kind::string, [](ValueType& type) { type.pattern = "(a)\\1"; }) == "pattern");
    CHECK(error_of(Kind::string, [](ValueType& type) { type.pattern = "a(?=b)"; }) == "pattern");
    CHECK(error_of(Kind::string, [](ValueType& type) { type.pattern = "((a{1,100}){1,100}){1,100}"; }) == "pattern");
    CHECK(error_of(Kind::string, [](ValueType& type) { type.pattern = std::string(5'000, 'a'); }) == "pattern");
    CHECK(error_of(Kind::number, [](ValueType& type) { type.enumeration = {"one"}; }) == "enum");
    CHECK(error_of(Kind::integer, [](ValueType& type) { type.enumeration = {"1.5"}; }) == "enum");
    CHECK(error_of(Kind::number, [](ValueType& type) { type.enumeration = {"7"}, type.max = 5; }) == "enum");
    CHECK(error_of(Kind::string, [](ValueType& type) { type.enumeration = {"a", "a"}; }) == "enum");
    CHECK(error_of(Kind::string, [](ValueType& type) { type.enumeration = {"abc"}, type.max_length = 2; }) == "enum");
    CHECK(error_of(Kind::object, [](ValueType& type) { type.enumeration = {"a"}; }) == "enum");
    CHECK(error_of(Kind::string, [](ValueType& type) { type.enumeration = {"\xFF"}; }) == "enum");
    CHECK(refused_spec(spec_of(Format::plain, Kind::object)).at == "type");
    CHECK(refused_spec(spec_of(Format::plain, Kind::array)).at == "type");
}

TEST_CASE("Patterns take linear time", "[namespace][payload]") {
    PayloadSpec spec = spec_of(Format::plain, Kind::string);
    spec.value.pattern = "(a+)+b";    // exponential where a matcher goes back
    const Contract contract = compiled(spec);
    CHECK(contract->check(std::string(100'000, 'a'))->rule == rule::pattern);
    CHECK(!contract->check(std::string(100'000, 'a') + "b"));
}

TEST_CASE("The short way for readings never accepts what the long way refuses", "[namespace][payload]") {
    PayloadSpec spec = temperature();
    struct Ways {
        ValueCheck check;
        Contract thorough, usual;
    };
    std::vector<Ways> all;
    for (const Kind kind : {Kind::number, Kind::integer, Kind::boolean, Kind::string, Kind::any, Kind::object}) {
        spec.value.kind = kind;
        spec.value.min.reset();
        spec.value.max.reset();
        if (kind == Kind::number || kind == Kind::integer) spec.value.min = -20, spec.value.max = 120;
        const auto check = [&] { return std::get<ValueCheck>(ValueCheck::compile(spec.value)); };
        all.push_back({check(), make_reading_contract(check(), false), make_reading_contract(check())});
    }
    const std::string_view pieces[] = {"{",
                                       "}",
                                       ",",
                                       ":",
                                       " ",
                                       "\n",
                                       "\"value\"",
                                       "\"timestamp\"",
                                       "\"quality\"",
                                       "\"unit\"",
                                       "\"Unit\"",
                                       "\"seq\"",
                                       "\"Cel\"",
                                       "\"good\"",
                                       "\"2023-11-14T22:13:20Z\"",
                                       "1700000000000",
                                       "23.5",
                                       "-0",
                                       "-0.0",
                                       "007",
                                       "1.",
                                       ".5",
                                       "120.0",
                                       "120.00000000000001",
                                       "0.1",
                                       "999999999999999",
                                       "9999999999999999",
                                       "18446744073709551616",
                                       "1e2",
                                       "1e999",
                                       "true",
                                       "false",
                                       "null",
                                       "truely",
                                       "[1]",
                                       "{}",
                                       "\"\\u0041\"",
                                       "\"\xC3\xA4\"",
                                       "\"\xFF\"",
                                       "\"\t\"",
                                       "\0"};
    std::mt19937_64 random(7);
    const auto pick = [&](std::size_t count) {
        return std::uniform_int_distribution<std::size_t>(0, count - 1)(random);
    };
    std::size_t good = 0, quickly = 0;
    for (int i = 0; i < 40'000; ++i) {
        // A reading of random members and values, then a few random changes.
        std::string payload = "{";
        const std::size_t members = 2 + pick(4);
        for (std::size_t m = 0; m < members; ++m) {
            payload += m > 0 ? "," : "";
            payload += m < 2 && pick(10) > 0 ? pieces[6 + m] : pieces[6 + pick(6)];
            payload += ":";
            payload += m == 1 && pick(4) > 0 ? pieces[15] : m == 0 && pick(4) > 0 ? pieces[16] : pieces[12 + pick(25)];
        }
        payload += "}";
        for (std::size_t change = pick(3); change > 0; --change) {
            const std::size_t at = pick(payload.size() + 1);
            if (pick(2) == 0 && at < payload.size()) {
                payload.erase(at, 1);
            } else {
                payload.insert(at, pieces[pick(std::size(pieces))]);
            }
        }
        const Ways& ways = all[pick(all.size())];
        const auto thorough = ways.thorough->check(payload);
        const auto usual = ways.usual->check(payload);
        good += !thorough;
        quickly += is_good_reading(payload, ways.check);
        if (thorough.has_value() == usual.has_value() && (!usual || usual->text == thorough->text)) continue;
        FAIL_CHECK(payload << ": " << (thorough ? thorough->text : "fine") << " and "
                           << (usual ? usual->text : "fine"));
    }
    CHECK(good > 1'000);
    CHECK(quickly > 500);
    CHECK(quickly <= good);
}
