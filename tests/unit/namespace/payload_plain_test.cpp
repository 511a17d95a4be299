#include <fstream>
#include <iterator>
#include <set>

#include "namespace/payload/plain_text.h"
#include "namespace/payload/value.h"
#include "tests/unit/namespace/payload_rows.h"

using namespace trunkline::uns;
using namespace trunkline::uns::test;

TEST_CASE("plain is the bare scalar as text", "[namespace][payload]") {
    PayloadSpec number = spec_of(Format::plain, Kind::number);
    number.value.min = -20;
    number.value.max = 120;
    check_rows(number, std::initializer_list<Row>{
        {"23.5"}, {"-20"}, {"120"}, {"0"}, {"-0"}, {"1e2"}, {"1.2E+2"}, {"1e-400"}, {"-0.0"},
        {"", rule::empty},
        {"131.4", rule::range}, {"-21", rule::range}, {"18446744073709551615", rule::range},
        {"18446744073709551616", rule::type}, {"1e999", rule::type},
        {"23,5", rule::type}, {" 23.5", rule::type}, {"23.5\n", rule::type}, {"+5", rule::type}, {"05", rule::type},
        {".5", rule::type}, {"5.", rule::type}, {"0x10", rule::type}, {"nan", rule::type}, {"NaN", rule::type},
        {"inf", rule::type}, {"-inf", rule::type}, {"1e", rule::type}, {"-", rule::type}, {"true", rule::type},
        {"\"23.5\"", rule::type}, {"{\"value\":1}", rule::type}, {"23.5 Cel", rule::type}, {"1 2", rule::type},
        {std::string_view("2\0", 2), rule::type}, {"\xFF", rule::not_utf8}, {"１２", rule::type},
    });
    check_rows(spec_of(Format::plain, Kind::integer), std::initializer_list<Row>{
        {"7"}, {"-7"}, {"7.0"}, {"9223372036854775808"}, {"7.5", rule::type}, {"1e300", rule::type},
    });
    check_rows(spec_of(Format::plain, Kind::boolean), std::initializer_list<Row>{
        {"true"}, {"false"}, {"True", rule::type}, {"1", rule::type}, {"on", rule::type}, {"true ", rule::type},
    });
    PayloadSpec state = spec_of(Format::plain, Kind::string);
    state.value.enumeration = {"idle", "running"};
    check_rows(state, std::initializer_list<Row>{
                          {"running"},
                          {"Running", rule::not_in_enum},
                          {"\"running\"", rule::not_in_enum},
                          {"running\n", rule::not_in_enum},
                          {"\xC3", rule::not_utf8},
                          {"", rule::empty},
                      });
    check_rows(spec_of(Format::plain), std::initializer_list<Row>{{"anything"}, {"ä"}, {"\xFE", rule::not_utf8}});
    const auto violation = compiled(number)->check("23.5\n");
    REQUIRE(violation);
    CHECK(violation->fix == "send 23.5 alone: no spaces, line breaks, plus signs or commas");
    CHECK(violation->text == "value \"23.5\\u000a\" is not a number");
}

TEST_CASE("json takes any JSON, any takes any bytes", "[namespace][payload]") {
    check_rows(spec_of(Format::json), std::initializer_list<Row>{
                                          {"{}"},
                                          {"[]"},
                                          {"1"},
                                          {"\"\""},
                                          {"null"},
                                          {" true "},
                                          {"{\"a\":1,\"a\":2}"},
                                          {"[1,[2,[3]]]"},
                                          {"\"\\u0000\""},
                                          {"-0"},
                                          {"1e-999"},
                                          {"18446744073709551615"},
                                          {"-9223372036854775808"},
                                          {"", rule::empty},
                                          {"{", rule::not_json, "/"},
                                          {"[1,", rule::not_json, "/1"},
                                          {"[1 2]", rule::not_json, "/0"},
                                          {"[1,,2]", rule::not_json, "/1"},
                                          {"nul", rule::not_json},
                                          {"\"", rule::not_json},
                                          {"\"\\u12\"", rule::not_json},
                                          {"\"\\", rule::not_json},
                                          {"tru", rule::not_json},
                                          {"1 1", rule::not_json},
                                          {"// x\n1", rule::not_json},
                                          {std::string_view("1\0", 2), rule::not_json},
                                          {std::string_view("\0", 1), rule::not_json},
                                          {"\x0C"
                                           "1",
                                           rule::not_json},
                                          {"\xC2\xA0"
                                           "1",
                                           rule::not_json},
                                          {"[1e999]", rule::number_range, "/0"},
                                          {"{\"a\":[0,{\"b\":tru}]}", rule::not_json, "/a/1/b"},
                                          {"{\"a\" 1}", rule::not_json, "/a"},
                                          {"{\"a\":1,\"b\"}", rule::not_json, "/b"},
                                          {"]", rule::not_json},
                                          {"{]", rule::not_json, "/"},
                                          {"[}", rule::not_json, "/0"},
                                          {"\xFF\xFE", rule::not_utf8},
                                      });
    check_rows(spec_of(Format::any), std::initializer_list<Row>{{""}, {"\xFF"}, {"{"}});
}

TEST_CASE("Numbers as text follow the grammar of JSON", "[namespace][payload]") {
    for (const std::string_view text : {"0", "-1", "10", "0.5", "-0.25e-3", "1E5", "1e+05", "9223372036854775807"}) {
        CHECK(parse_json_number(text));
    }
    for (const std::string_view text : {"", "-", "+1", "01", "-01", "1.", ".1", "1e", "1e+", "0x1", "1_000", "1,5",
                                        "1 ", "inf", "nan", "1e400", "-1e400", "99999999999999999999"}) {
        CHECK(!parse_json_number(text));
    }
    CHECK(parse_json_number("1e-999")->as_double() == 0);
}

TEST_CASE("Values are read for display and learning", "[namespace][payload]") {
    const auto reading = read_value(
        R"({"value":23.5,"timestamp":"2023-11-14T22:13:20Z","quality":1073741824,"unit":"Cel"})", Format::reading);
    REQUIRE(reading);
    CHECK(reading->kind == Kind::number);
    CHECK(reading->text == "23.5");
    CHECK(reading->number == 23.5);
    CHECK(reading->timestamp_ms == 1'700'000'000'000);
    CHECK(reading->quality == Quality::uncertain);
    CHECK(reading->unit == "Cel");
    struct Shown {
        std::string_view payload;
        Format format;
        Kind kind;
        std::string_view text;
    };
    const Shown table[] = {
        {R"({"value":7,"timestamp_ms":5})", Format::umh, Kind::integer, "7"},
        {R"({"value":"running","timestamp":5})", Format::reading, Kind::string, "running"},
        {R"({"value":{"a":[1,2.5,"x",null]},"timestamp":5})", Format::reading, Kind::object,
         R"({"a":[1,2.5,"x",null]})"},
        {R"({"value":null})", Format::reading, Kind::any, "null"},
        {"23.5", Format::plain, Kind::number, "23.5"},
        {"12", Format::plain, Kind::integer, "12"},
        {"true", Format::plain, Kind::boolean, "true"},
        {"running", Format::plain, Kind::string, "running"},
        {"[1, 2]", Format::json, Kind::array, "[1,2]"},
        {R"({"batch":"B1"})", Format::schema, Kind::object, R"({"batch":"B1"})"},
        {R"({"value":3})", Format::schema, Kind::integer, "3"},
        {"not json", Format::any, Kind::string, "not json"},
        {"{\"value\":1}", Format::any, Kind::integer, "1"},
    };
    for (const Shown& row : table) {
        CAPTURE(row.payload);
        const auto value = read_value(row.payload, row.format);
        REQUIRE(value);
        CHECK(value->kind == row.kind);
        CHECK(value->text == row.text);
    }
    CHECK(!read_value("", Format::reading));
    CHECK(!read_value("{", Format::reading));
    CHECK(!read_value("{\"a\":1}", Format::reading));
    CHECK(!read_value("\xFF", Format::plain));
    CHECK(!read_value("\xFF\x01", Format::any));
    CHECK(!read_value("", Format::any));
    const auto large = read_value("{\"value\":\"" + std::string(10'000, 'x') + "\"}", Format::reading);
    REQUIRE(large);
    CHECK(large->text.size() <= 256);
    const auto controls = read_value(std::string(250, '\0') + "x", Format::plain);
    REQUIRE(controls);
    CHECK(controls->text.size() <= 256);
}

TEST_CASE("The format of a payload is guessed", "[namespace][payload]") {
    CHECK(guess_format(R"({"value":1,"timestamp":1})") == Format::reading);
    CHECK(guess_format(R"({"value":1,"timestamp_ms":1})") == Format::umh);
    CHECK(guess_format(R"({"value":1,"timestamp_ms":1,"x":1})") == Format::json);
    CHECK(guess_format(R"({"a":1})") == Format::json);
    CHECK(guess_format("[1]") == Format::json);
    CHECK(guess_format("23.5") == Format::plain);
    CHECK(guess_format("running") == Format::plain);
    CHECK(guess_format("{broken") == Format::plain);
    CHECK(guess_format("\x08\x01\x12") == Format::any);
    CHECK(guess_format("") == Format::any);
}

TEST_CASE("Every rule of payloads is listed once, with its meaning and mend, and documented", "[namespace][payload]") {
    std::set<std::string_view> ids;
    for (const PayloadRule& rule : payload_rules) {
        CAPTURE(rule.id);
        CHECK(ids.insert(rule.id).second);
        CHECK(rule.id.starts_with("TL-3"));
        CHECK(rule.id.size() == 7);
        CHECK(!rule.name.empty());
        CHECK(!rule.meaning.empty());
        CHECK(!rule.mend.empty());
    }
    std::ifstream file(TRUNKLINE_SOURCE "/docs/payloads.md");
    const std::string documented(std::istreambuf_iterator<char>(file), {});
    for (const PayloadRule& rule : payload_rules) {
        const std::string row = "| `" + std::string(rule.id) + "` | " + std::string(rule.name) + " | " +
                                std::string(rule.meaning) + " | " + std::string(rule.mend) + " |";
        CAPTURE(row);
        CHECK(documented.find(row) != std::string::npos);
    }
    CHECK(find_payload_rule("TL-3102")->name == "out of range");
    CHECK(!find_payload_rule("TL-3999"));
}
