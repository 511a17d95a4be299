#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "tests/unit/namespace/payload_rows.h"

using namespace trunkline::uns;
using namespace trunkline::uns::test;

namespace {

constexpr std::string_view batch_event = R"({"type": "object", "required": ["batch", "state", "timestamp"],
    "additionalProperties": false, "properties": {"batch": {"type": "string", "pattern": "^B[0-9]{6}$"},
    "state": {"enum": ["started", "held", "completed", "aborted"]}, "timestamp": {"type": "integer"}}})";

/// A schema with payloads: the rule that refuses each, or "" where it passes.
struct Behaviour {
    std::string_view schema;
    std::vector<std::pair<std::string_view, std::string_view>> payloads;
};

std::string_view rule_of(const Contract& contract, std::string_view payload) {
    const auto violation = contract->check(payload);
    if (!violation) return {};
    CHECK(is_told_well(*violation));
    return find_payload_rule(violation->rule)->id;
}

}  // namespace

TEST_CASE("The batch event of the model's example", "[namespace][payload][schema]") {
    check_rows(schema_of(std::string(batch_event)), std::initializer_list<Row>{
        {R"({"batch":"B123456","state":"held","timestamp":1})"},
        {R"({"batch":"B123456","state":"held","timestamp":1.0})"},
        {R"({"batch":"B12345","state":"held","timestamp":1})", rule::pattern, "/batch"},
        {R"({"batch":"B123456","state":"Held","timestamp":1})", rule::not_in_enum, "/state"},
        {R"({"batch":"B123456","state":"held","timestamp":"1"})", rule::type, "/timestamp"},
        {R"({"batch":"B123456","state":"held","timestamp":1.5})", rule::type, "/timestamp"},
        {R"({"batch":"B123456","state":"held"})", rule::missing, "/timestamp"},
        {R"({"batch":"B123456","state":"held","time_stamp":1})", rule::unknown, "/time_stamp"},
        {R"({"batch":"B123456","state":"held","timestamp":1,"x":1})", rule::unknown, "/x"},
        {R"({"batch":"B123456","batch":"B123456","state":"held","timestamp":1})", rule::duplicate, "/batch"},
        {"[]", rule::type},
        {"{", rule::not_json, "/"},
        {"", rule::empty},
    });
    const auto violation = compiled(schema_of(std::string(batch_event)))
                               ->check(R"({"batch":"B123456","state":"held","time_stamp":1})");
    REQUIRE(violation);
    CHECK(violation->fix == "rename the member to \"timestamp\"");
}

TEST_CASE("Each keyword of draft 7 does what the draft says", "[namespace][payload][schema]") {
    const Behaviour table[] = {
        {"true", {{"1", ""}, {"null", ""}, {"{\"a\":1}", ""}}},
        {"false", {{"1", rule::forbidden}, {"{}", rule::forbidden}}},
        {"{}", {{"1", ""}, {"[]", ""}}},
        {R"({"type":"integer"})",
         {{"1", ""},
          {"1.0", ""},
          {"1e300", ""},
          {"-0.0", ""},
          {"18446744073709551615", ""},
          {"1.5", rule::type},
          {"\"1\"", rule::type},
          {"true", rule::type}}},
        {R"({"type":"number"})", {{"1", ""}, {"1.5", ""}, {"\"1\"", rule::type}, {"null", rule::type}}},
        {R"({"type":"string"})", {{"\"\"", ""}, {"1", rule::type}}},
        {R"({"type":"boolean"})", {{"false", ""}, {"0", rule::type}, {"\"true\"", rule::type}}},
        {R"({"type":"null"})", {{"null", ""}, {"false", rule::type}, {"0", rule::type}}},
        {R"({"type":["string","null"]})", {{"null", ""}, {"\"a\"", ""}, {"1", rule::type}}},
        {R"({"type":["integer","number"]})", {{"1.5", ""}, {"1", ""}}},
        {R"({"enum":[1,"a",null,[1,2],{"x":1}]})",
         {{"1.0", ""},
          {"\"a\"", ""},
          {"null", ""},
          {"[1,2]", ""},
          {"{\"x\":1.0}", ""},
          {"2", rule::not_in_enum},
          {"[2,1]", rule::not_in_enum},
          {"{\"x\":2}", rule::not_in_enum},
          {"{\"x\":1,\"y\":1}", rule::not_in_enum},
          {"true", rule::not_in_enum}}},
        {R"({"enum":[0]})", {{"0.0", ""}, {"-0", ""}, {"false", rule::not_in_enum}}},
        {R"({"enum":[[false]]})", {{"[false]", ""}, {"[0]", rule::not_in_enum}}},
        {R"({"const":2})", {{"2", ""}, {"2.0", ""}, {"5", rule::not_in_enum}, {"\"2\"", rule::not_in_enum}}},
        {R"({"const":{"a":1,"b":[2]}})", {{R"({"b":[2],"a":1})", ""}, {R"({"a":1})", rule::not_in_enum}}},
        {R"({"const":null})", {{"null", ""}, {"0", rule::not_in_enum}}},
        {R"({"const":9007199254740993})", {{"9007199254740993", ""}, {"9007199254740992", rule::not_in_enum}}},
        {R"({"minimum":1.1})", {{"1.1", ""}, {"2", ""}, {"0.6", rule::range}, {"\"x\"", ""}}},
        {R"({"maximum":3})", {{"3", ""}, {"3.0", ""}, {"3.5", rule::range}, {"null", ""}}},
        {R"({"exclusiveMinimum":1})", {{"1.2", ""}, {"1", rule::range}, {"0", rule::range}}},
        {R"({"exclusiveMaximum":3})", {{"2.9", ""}, {"3", rule::range}, {"4", rule::range}}},
        {R"({"minimum":-9223372036854775808,"maximum":18446744073709551614})",
         {{"18446744073709551614", ""}, {"18446744073709551615", rule::range}, {"-9223372036854775808", ""}}},
        {R"({"multipleOf":2})",
         {{"10", ""},
          {"-4", ""},
          {"0", ""},
          {"7", rule::multiple},
          {"7.0", rule::multiple},
          {"8.0", ""},
          {"\"x\"", ""}}},
        {R"({"multipleOf":0.01})", {{"4.35", ""}, {"0.3", ""}, {"19.99", ""}, {"0", ""}, {"0.005", rule::multiple}}},
        {R"({"multipleOf":0.0001})", {{"0.0075", ""}, {"0.00751", rule::multiple}}},
        {R"({"multipleOf":1.5})", {{"4.5", ""}, {"35", rule::multiple}}},
        {R"({"multipleOf":0.5})", {{"1e308", ""}, {"9007199254740993", ""}}},
        {R"({"multipleOf":0.123456789})", {{"1e308", rule::multiple}}},
        {R"({"minLength":2})",
         {{"\"ab\"", ""},
          {"\"a\"", rule::too_short},
          {"\"😀\"", rule::too_short},
          {"\"\\ud83d\\ude00x\"", ""},
          {"1", ""}}},
        {R"({"maxLength":2})", {{"\"ab\"", ""}, {"\"😀😀\"", ""}, {"\"abc\"", rule::too_long}}},
        {R"({"minLength":2.0})", {{"\"ab\"", ""}, {"\"a\"", rule::too_short}}},
        {R"({"pattern":"^a*$"})", {{"\"aaa\"", ""}, {"\"\"", ""}, {"\"aab\"", rule::pattern}, {"true", ""}}},
        {R"({"pattern":"a+"})", {{"\"xxaayy\"", ""}, {"\"xyz\"", rule::pattern}}},
        {R"({"pattern":"^\\d{2}\\s\\w$"})",
         {{"\"12 x\"", ""},
          {R"("12\u00a0x")", ""},
          {R"("12\u000bx")", ""},
          {"\"1 x\"", rule::pattern},
          {R"("\u0661\u0662 x")", rule::pattern}}},
        {R"({"pattern":"^.$"})",
         {{"\"ä\"", ""}, {R"("\n")", rule::pattern}, {R"("\u2028")", rule::pattern}, {R"("\r")", rule::pattern}}},
        {R"({"pattern":"^[[:alpha:]]$"})", {{"\"a]\"", ""}, {"\":]\"", ""}, {"\"[]\"", ""}, {"\"b\"", rule::pattern}}},
        {R"({"pattern":"^\\u00e9\\x41\\/\\-$"})", {{"\"éA/-\"", ""}, {"\"eA/-\"", rule::pattern}}},
        {R"({"pattern":"^a$"})", {{R"("a\n")", rule::pattern}}},
        {R"({"pattern":"^\\p{Lu}+$"})", {{"\"ÄB\"", ""}, {"\"äb\"", rule::pattern}}},
        {R"({"items":{"type":"integer"}})",
         {{"[]", ""}, {"[1,2,3]", ""}, {"[1,\"x\"]", rule::type}, {"{\"length\":1}", ""}}},
        {R"({"items":true})", {{"[1,null]", ""}}},
        {R"({"items":false})", {{"[]", ""}, {"[1]", rule::forbidden}}},
        {R"({"items":[{"type":"integer"},{"type":"string"}]})",
         {{"[1,\"a\"]", ""}, {"[1]", ""}, {"[]", ""}, {"[1,\"a\",true]", ""}, {"[\"a\",1]", rule::type}}},
        {R"({"items":[{}],"additionalItems":{"type":"integer"}})",
         {{"[null,2,3]", ""}, {"[null,2,\"x\"]", rule::type}}},
        {R"({"items":[{},{}],"additionalItems":false})", {{"[1,2]", ""}, {"[1,2,3]", rule::forbidden}}},
        {R"({"minItems":1,"maxItems":2})",
         {{"[1]", ""}, {"[]", rule::item_count}, {"[1,2,3]", rule::item_count}, {"\"\"", ""}}},
        {R"({"uniqueItems":true})",
         {{"[1,2]", ""},
          {"[]", ""},
          {"[1,1]", rule::not_unique},
          {"[1.0,1.00,1]", rule::not_unique},
          {"[0,false]", ""},
          {"[1,true]", ""},
          {R"([{"a":1,"b":2},{"b":2,"a":1}])", rule::not_unique},
          {R"([[1],[1]])", rule::not_unique},
          {R"([{"a":1},{"a":2}])", ""},
          {R"(["1",1])", ""},
          {"[9007199254740992,9007199254740993]", ""},
          {"[-0.0,0]", rule::not_unique},
          {"[null,null]", rule::not_unique},
          {R"([{"a":"b"},{"b":"a"}])", ""},
          {"[[[[1]]],[[[1]]]]", rule::not_unique}}},
        {R"({"uniqueItems":false})", {{"[1,1]", ""}}},
        {R"({"contains":{"minimum":5}})",
         {{"[3,4,5]", ""}, {"[2,3]", rule::contains}, {"[]", rule::contains}, {"{}", ""}}},
        {R"({"contains":false})", {{"[1]", rule::contains}, {"\"x\"", ""}}},
        {R"({"minProperties":1,"maxProperties":2})",
         {{"{\"a\":1}", ""},
          {"{}", rule::member_count},
          {"{\"a\":1,\"b\":2,\"c\":3}", rule::member_count},
          {"[]", ""}}},
        {R"({"required":["foo"]})", {{"{\"foo\":1}", ""}, {"{\"bar\":1}", rule::missing}, {"[]", ""}, {"\"\"", ""}}},
        {R"({"required":[]})", {{"{}", ""}}},
        {R"({"properties":{"foo":{"type":"integer"},"bar":false}})",
         {{"{\"foo\":1}", ""},
          {"{\"foo\":\"1\"}", rule::type},
          {"{\"bar\":1}", rule::forbidden},
          {"{\"quux\":[]}", ""},
          {"[]", ""}}},
        {R"({"properties":{"foo\nbar":{"type":"number"},"foo\"bar":{"type":"number"}}})",
         {{R"({"foo\nbar":1,"foo\"bar":1})", ""}, {R"({"foo\nbar":"1"})", rule::type}}},
        {R"({"patternProperties":{"f.*o":{"type":"integer"}}})",
         {{R"({"foo":1,"foooooo":2})", ""}, {R"({"foo":"bar"})", rule::type}, {R"({"x":"y"})", ""}}},
        {R"({"patternProperties":{"^a":{"type":"integer"},"aaa":{"maximum":20}}})",
         {{R"({"a":21,"xaaa":18})", ""}, {R"({"aaa":31})", rule::range}, {R"({"aaaa":"foo"})", rule::type}}},
        {R"({"properties":{"foo":{}},"patternProperties":{"^v":{}},"additionalProperties":false})",
         {{R"({"foo":1,"vroom":2})", ""}, {R"({"foo":1,"quux":"boom"})", rule::unknown}, {"[1]", ""}}},
        {R"({"properties":{"foo":{}},"additionalProperties":{"type":"boolean"}})",
         {{R"({"foo":1,"quux":true})", ""}, {R"({"foo":1,"quux":12})", rule::type}}},
        {R"({"additionalProperties":{"type":"boolean"},"allOf":[{"properties":{"foo":{}}}]})",
         {{R"({"foo":1})", rule::type}, {R"({"foo":true})", ""}}},
        {R"({"propertyNames":{"maxLength":3}})",
         {{R"({"f":{},"foo":{}})", ""}, {R"({"foo":{},"foobar":{}})", rule::member_name}, {"[]", ""}}},
        {R"({"propertyNames":{"enum":["a","b"]}})", {{R"({"a":1})", ""}, {R"({"c":1})", rule::member_name}}},
        {R"({"propertyNames":{"anyOf":[{"pattern":"^x"},{"const":"ok"}]}})",
         {{R"({"xy":1,"ok":2})", ""}, {R"({"no":1})", rule::member_name}}},
        {R"({"propertyNames":{"not":{"type":"string"}}})", {{"{}", ""}, {R"({"a":1})", rule::member_name}}},
        {R"({"propertyNames":false})", {{"{}", ""}, {R"({"a":1})", rule::member_name}}},
        {R"({"dependencies":{"bar":["foo"]}})",
         {{R"({"foo":1,"bar":2})", ""}, {R"({"foo":1})", ""}, {R"({"bar":2})", rule::dependency}, {"[\"bar\"]", ""}}},
        {R"({"dependencies":{"bar":{"properties":{"foo":{"type":"integer"}},"required":["foo"]}}})",
         {{R"({"foo":1,"bar":2})", ""}, {R"({"foo":"q","bar":2})", rule::type}, {R"({"bar":2})", rule::missing}}},
        {R"({"dependencies":{"bar":false}})", {{R"({"foo":1})", ""}, {R"({"bar":1})", rule::forbidden}}},
        {R"({"allOf":[{"required":["a"]},{"required":["b"]}]})",
         {{R"({"a":1,"b":1})", ""}, {R"({"a":1})", rule::missing}}},
        {R"({"anyOf":[{"type":"integer"},{"minimum":2}]})", {{"1", ""}, {"2.5", ""}, {"1.5", rule::no_alternative}}},
        {R"({"anyOf":[true,false]})", {{"1", ""}}},
        {R"({"oneOf":[{"type":"integer"},{"minimum":2}]})",
         {{"1", ""}, {"2.5", ""}, {"3", rule::many_alternatives}, {"1.5", rule::no_alternative}}},
        {R"({"oneOf":[{"required":["a"]},{"required":["b"]}]})",
         {{R"({"a":1})", ""}, {R"({"a":1,"b":1})", rule::many_alternatives}, {"{}", rule::no_alternative}}},
        {R"({"not":{"type":"integer"}})", {{"\"a\"", ""}, {"1", rule::forbidden}}},
        {R"({"not":{}})", {{"1", rule::forbidden}}},
        {R"({"properties":{"foo":{"not":{"type":"string"}}}})",
         {{R"({"foo":1})", ""}, {R"({"foo":"x"})", rule::forbidden}}},
        {R"({"if":{"exclusiveMaximum":0},"then":{"minimum":-10},"else":{"multipleOf":2}})",
         {{"-1", ""}, {"-100", rule::range}, {"4", ""}, {"3", rule::multiple}}},
        {R"({"if":{"const":0}})", {{"0", ""}, {"1", ""}}},
        {R"({"if":true,"then":{"const":"then"},"else":{"const":"else"}})",
         {{"\"then\"", ""}, {"\"else\"", rule::not_in_enum}}},
        {R"({"properties":{"child":{"$ref":"#"}},"additionalProperties":false})",
         {{R"({"child":{"child":{}}})", ""}, {R"({"child":{"bar":1}})", rule::unknown}}},
        {R"({"properties":{"a":{"type":"integer"},"b":{"$ref":"#/properties/a"}}})",
         {{R"({"b":3})", ""}, {R"({"b":true})", rule::type}}},
        {R"({"definitions":{"til~de":{"type":"integer"},"sl/ash":{"type":"string"},"per%cent":{"type":"null"}},
            "properties":{"t":{"$ref":"#/definitions/til~0de"},"s":{"$ref":"#/definitions/sl~1ash"},
            "p":{"$ref":"#/definitions/per%25cent"}}})",
         {{R"({"t":1,"s":"x","p":null})", ""},
          {R"({"t":"1"})", rule::type},
          {R"({"s":1})", rule::type},
          {R"({"p":1})", rule::type}}},
        {R"({"$id":"http://acme.example/s.json","definitions":{"n":{"$id":"#num","type":"number"}},
            "items":{"$ref":"http://acme.example/s.json#num"}})",
         {{"[1]", ""}, {"[\"1\"]", rule::type}}},
        {R"({"properties":{"$ref":{"type":"string"}}})", {{R"({"$ref":"a"})", ""}, {R"({"$ref":2})", rule::type}}},
        {R"({"definitions":{"a":{"$ref":"#/definitions/b"},"b":{"$ref":"#/definitions/c"},"c":{"type":"integer"}},
            "allOf":[{"$ref":"#/definitions/a"}]})",
         {{"5", ""}, {"\"a\"", rule::type}}},
        {R"({"items":{"$ref":"#/x-types/0/n"},"x-types":[{"n":{"type":"integer"}}]})",
         {{"[1]", ""}, {"[null]", rule::type}}},
        {R"({"$schema":"http://json-schema.org/draft-07/schema#","title":"t","description":"d","default":1,
            "examples":[1],"$comment":"c","readOnly":true,"x-unit":"Cel"})",
         {{"1", ""}}},
        {R"({"format":"date-time"})", {{"\"2023-11-14T22:13:20Z\"", ""}, {"\"2023-11-14\"", rule::format}, {"1", ""}}},
        {R"({"format":"date"})", {{"\"2024-02-29\"", ""}, {"\"2023-02-29\"", rule::format}}},
        {R"({"format":"time"})",
         {{"\"22:13:20Z\"", ""}, {"\"22:13:20\"", rule::format}, {"\"25:00:00Z\"", rule::format}}},
        {R"({"format":"ipv4"})",
         {{"\"127.0.0.1\"", ""},
          {"\"127.0.0\"", rule::format},
          {"\"256.0.0.1\"", rule::format},
          {"\"1.2.3.4.5\"", rule::format}}},
        {R"({"format":"ipv6"})", {{"\"::1\"", ""}, {"\"fe80::1%eth0\"", rule::format}, {"\"12345::\"", rule::format}}},
        {R"({"format":"hostname"})",
         {{"\"plc-7.acme.example\"", ""},
          {"\"-a\"", rule::format},
          {"\"a..b\"", rule::format},
          {"\"\"", rule::format},
          {"\"a_b\"", rule::format}}},
        {R"({"format":"email"})",
         {{"\"ot-data@acme.example\"", ""},
          {"\"acme.example\"", rule::format},
          {"\".a@b\"", rule::format},
          {"\"a..b@c\"", rule::format}}},
        {R"({"format":"uri"})",
         {{"\"http://acme.example/a?b#c\"", ""},
          {"\"urn:oasis:x\"", ""},
          {"\"/a\"", rule::format},
          {"\"http://a b\"", rule::format},
          {"\"a:%zz\"", rule::format},
          {"\"http://[::1]/\"", ""}}},
        {R"({"format":"uri-reference"})",
         {{"\"/a/b\"", ""}, {"\"#x\"", ""}, {"\"\"", ""}, {"\"\\\\\\\\x\"", rule::format}, {"\"1:b\"", rule::format}}},
        {R"({"format":"uuid"})",
         {{"\"2eb8aa08-aa98-11ea-b4aa-73b441d16380\"", ""},
          {"\"2eb8aa08aa9811eab4aa73b441d16380\"", rule::format},
          {"\"2eb8aa08-aa98-11ea-b4aa-73b441d1638g\"", rule::format}}},
        {R"({"format":"json-pointer"})",
         {{"\"/a~0b/0\"", ""},
          {"\"\"", ""},
          {"\"a\"", rule::format},
          {"\"/~2\"", rule::format},
          {"\"/~\"", rule::format}}},
        {R"({"format":"regex"})", {{"\"^a$\"", ""}, {"\"(\"", rule::format}, {"\"a(?=b)\"", rule::format}}},
    };
    for (const Behaviour& row : table) {
        CAPTURE(row.schema);
        const Contract contract = compiled(schema_of(std::string(row.schema)));
        for (const auto& [payload, wanted] : row.payloads) {
            CAPTURE(payload);
            CHECK(rule_of(contract, payload) == wanted);
        }
    }
}

TEST_CASE("A schema's refusal names the place in the message", "[namespace][payload][schema]") {
    struct Told {
        std::string_view schema, payload, at, text;
    };
    const Told table[] = {
        {R"({"properties":{"drives":{"items":{"properties":{"speed":{"maximum":3600}}}}}})",
         R"({"drives":[{"speed":1},{"speed":4000}]})", "/drives/1/speed", "speed 4000 is above maximum 3600"},
        {R"({"required":["a"]})", "{}", "/a", "member a is missing"},
        {R"({"properties":{"a/b":{"required":["~"]}}})", R"({"a/b":{}})", "/a~1b/~0", "member ~ is missing"},
        {R"({"properties":{"n":{"type":"number"}}})", R"({"n":"23.5"})", "/n", "n \"23.5\" is a string, not a number"},
        {R"({"type":"object"})", "[]", "", "the payload is an array, not an object"},
        {R"({"items":{"enum":[1,2]}})", "[1,3]", "/1", "item 1 3 is not an allowed value"},
        {R"({"anyOf":[{"type":"string"},{"properties":{"a":{"minimum":5}}, "type":"object"}]})", R"({"a":1})", "/a",
         "the payload fits none of 2 alternatives; nearest: a 1 is below minimum 5"},
        {R"({"properties":{"s":{"const":"x"}}})", R"({"s":"y"})", "/s", "s \"y\" is not \"x\""},
        {R"({"minItems":2})", "[1]", "", "the payload has 1 items"},
    };
    for (const Told& row : table) {
        CAPTURE(row.schema, row.payload);
        const auto violation = compiled(schema_of(std::string(row.schema)))->check(row.payload);
        REQUIRE(violation);
        CHECK(violation->at == row.at);
        CHECK(violation->text == row.text);
        CHECK(is_told_well(*violation));
    }
}

TEST_CASE("What can't be compiled is refused with its place, never skipped", "[namespace][payload][schema]") {
    struct Refused {
        std::string schema;
        std::string_view at;
    };
    std::string chain = R"({"definitions":{)", deep = "{}";
    for (int i = 0; i < 40; ++i) {
        chain +=
            "\"d" + std::to_string(i) + R"(":{"allOf":[{"$ref":"#/definitions/d)" + std::to_string(i + 1) + "\"}]},";
    }
    chain += R"("d40":{}},"$ref":"#/definitions/d0"})";
    for (int i = 0; i < 40; ++i) deep = R"({"not":)" + deep + "}";
    std::string many = R"({"anyOf":[)";
    for (int i = 0; i < 20'001; ++i) many += "{},";
    many.back() = ']';
    many += '}';
    const Refused table[] = {
        {"", ""},
        {"{", "/"},
        {"[]", ""},
        {"1", ""},
        {"\"x\"", ""},
        {R"({"type":"integer","type":"number"})", "/type"},
        {R"({"type":"float"})", "/type"},
        {R"({"type":[]})", "/type"},
        {R"({"type":["string",1]})", "/type/1"},
        {R"({"requred":["a"]})", "/requred"},
        {R"({"properties":{"a":{"minimun":1}}})", "/properties/a/minimun"},
        {R"({"$defs":{}})", "/$defs"},
        {R"({"unevaluatedProperties":false})", "/unevaluatedProperties"},
        {R"({"dependentRequired":{}})", "/dependentRequired"},
        {R"({"contentEncoding":"base64"})", "/contentEncoding"},
        {R"({"minimum":"1"})", "/minimum"},
        {R"({"minimum":1,"exclusiveMinimum":true})", "/exclusiveMinimum"},
        {R"({"multipleOf":0})", "/multipleOf"},
        {R"({"multipleOf":-1})", "/multipleOf"},
        {R"({"minLength":-1})", "/minLength"},
        {R"({"minLength":1.5})", "/minLength"},
        {R"({"minLength":3,"maxLength":2})", ""},
        {R"({"minItems":3,"maxItems":2})", ""},
        {R"({"minProperties":3,"maxProperties":2})", ""},
        {R"({"minimum":3,"maximum":2})", ""},
        {R"({"required":"a"})", "/required"},
        {R"({"required":[1]})", "/required/0"},
        {R"({"required":["a","a"]})", "/required/1"},
        {R"({"enum":[]})", "/enum"},
        {R"({"enum":"a"})", "/enum"},
        {R"({"properties":[]})", "/properties"},
        {R"({"items":1})", "/items"},
        {R"({"items":[]})", "/items"},
        {R"({"additionalItems":false})", ""},
        {R"({"items":{},"additionalItems":false})", ""},
        {R"({"then":{}})", ""},
        {R"({"allOf":[]})", "/allOf"},
        {R"({"anyOf":{}})", "/anyOf"},
        {R"({"uniqueItems":1})", "/uniqueItems"},
        {R"({"dependencies":{"a":[1]}})", "/dependencies/a/0"},
        {R"({"dependencies":{"a":1}})", "/dependencies/a"},
        {R"j({"pattern":1})j", "/pattern"},
        {R"j({"pattern":"("})j", "/pattern"},
        {R"j({"pattern":"^(?=a)"})j", "/pattern"},
        {R"j({"pattern":"^(?!a)"})j", "/pattern"},
        {R"j({"pattern":"(?<=a)b"})j", "/pattern"},
        {R"j({"pattern":"(?<n>a)"})j", "/pattern"},
        {R"j({"pattern":"(?i)a"})j", "/pattern"},
        {R"j({"pattern":"(a)\\1"})j", "/pattern"},
        {R"j({"pattern":"[a"})j", "/pattern"},
        {R"j({"pattern":"[]"})j", "/pattern"},
        {R"j({"pattern":"\\A"})j", "/pattern"},
        {R"j({"pattern":"a\\"})j", "/pattern"},
        {R"j({"pattern":"\\ud800"})j", "/pattern"},
        {R"j({"pattern":"\\pL"})j", "/pattern"},
        {R"j({"pattern":"((a{1,100}){1,100}){1,100}"})j", "/pattern"},
        {R"j({"patternProperties":{"(":{}}})j", "/patternProperties/("},
        {R"({"format":"iri"})", "/format"},
        {R"({"format":"datetime"})", "/format"},
        {R"({"$ref":"#/definitions/x"})", "/$ref"},
        {R"({"$ref":"#nowhere"})", "/$ref"},
        {R"({"$ref":"http://acme.example/x.json"})", "/$ref"},
        {R"({"$ref":"other.json#/a"})", "/$ref"},
        {R"({"$ref":"#/%zz"})", "/$ref"},
        {R"({"$ref":"#%e4"})", "/$ref"},
        {R"({"$ref":1})", "/$ref"},
        {R"({"$ref":"#/definitions/a","minimum":1,"definitions":{"a":{}}})", "/minimum"},
        {R"({"$ref":"#"})", "/$ref"},
        {R"({"definitions":{"a":{"$ref":"#/definitions/b"},"b":{"$ref":"#/definitions/a"}}})", "/definitions/a/$ref"},
        {R"({"allOf":[{"$ref":"#"}]})", ""},
        {R"({"anyOf":[{"type":"null"},{"not":{"$ref":"#"}}]})", ""},
        {R"({"dependencies":{"a":{"$ref":"#"}}})", ""},
        {R"({"definitions":{"unused":{"type":"nothing"}}})", "/definitions/unused/type"},
        {R"({"$schema":"https://json-schema.org/draft/2020-12/schema"})", "/$schema"},
        {R"({"$schema":"http://json-schema.org/draft-04/schema#"})", "/$schema"},
        {R"({"properties":{"a":{"$id":"http://acme.example/other"}}})", "/properties/a/$id"},
        {R"({"definitions":{"a":{"$id":"#x"},"b":{"$id":"#x"}}})", "/definitions/b/$id"},
        {R"({"const":1e999})", "/const"},
        {chain, "/definitions/d32"},
        {deep,
         "/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not"
         "/not/not/not/not/not"},
        {std::string(100, '[') + std::string(100, ']'), "/0/0/0/0/0"},
        {many, "/anyOf/19999"},
        {std::string((1u << 20) + 1, ' '), ""},
    };
    for (const Refused& row : table) {
        CAPTURE(row.schema.substr(0, 200));
        const SpecError error = refused_spec(schema_of(row.schema));
        if (row.schema.starts_with("[[")) {
            CHECK(error.at.starts_with(row.at));
        } else {
            CHECK(error.at == row.at);
        }
        CHECK(!error.message.empty());
        CHECK(!error.mend.empty());
    }
    CHECK(refused_spec(schema_of(R"({"requred":[]})")).mend == "write required");
}

TEST_CASE("Schemas that multiply their work are stopped, not waited for", "[namespace][payload][schema]") {
    // Each level asks two questions of the next: without a bound 2^60 of them.
    const Contract doubling = compiled(schema_of(R"({"allOf":[{"items":{"$ref":"#"}},{"items":{"$ref":"#"}}]})"));
    const std::string nested = std::string(60, '[') + std::string(60, ']');
    CHECK(rule_of(doubling, nested) == rule::too_costly);
    CHECK(rule_of(doubling, "[[[]]]").empty());
    // A negation does not turn "could not find out" into "fine".
    const Contract negated = compiled(schema_of(
        R"({"not":{"$ref":"#/definitions/a"},"definitions":{"a":{"allOf":[
            {"items":{"$ref":"#/definitions/a"}},{"items":{"$ref":"#/definitions/a"}}]}}})"));
    CHECK(rule_of(negated, nested) == rule::too_costly);
    // Many equal hashes would make comparing items quadratic; large arrays of different ones are fine.
    const Contract unique = compiled(schema_of(R"({"uniqueItems":true})"));
    std::string items = "[0";
    for (int i = 1; i < 100'000; ++i) items += "," + std::to_string(i);
    CHECK(rule_of(unique, items + "]").empty());
    CHECK(rule_of(unique, items + ",5]") == rule::not_unique);
}

TEST_CASE("Objects with many members are judged as those with few", "[namespace][payload][schema]") {
    std::string properties, required, payload;
    for (int i = 0; i < 200; ++i) {
        const std::string name = "m" + std::to_string(i);
        const char* comma = i > 0 ? "," : "";
        properties += comma + ("\"" + name + R"(":{"type":"integer","maximum":)" + std::to_string(i)) + "}";
        required += comma + ("\"" + name + "\"");
        payload += comma + ("\"" + name + "\":") + std::to_string(i);
    }
    const Contract contract = compiled(schema_of(R"({"additionalProperties":false,"properties":{)" + properties +
                                                 R"(},"required":[)" + required + "]}"));
    CHECK(rule_of(contract, "{" + payload + "}").empty());
    CHECK(rule_of(contract, "{" + payload + ",\"m200\":1}") == rule::unknown);
    CHECK(rule_of(contract, "{" + payload + ",\"m7\":1}") == rule::duplicate);
    CHECK(rule_of(contract, "{" + payload.substr(7) + "}") == rule::missing);
}

TEST_CASE("A contract is asked by many threads at once", "[namespace][payload][schema]") {
    const Contract contract = compiled(schema_of(std::string(batch_event)));
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] {
            for (int round = 0; round < 500; ++round) {
                const std::string batch = "B" + std::to_string(100'000 + i * 1'000 + round);
                const std::string good = R"({"batch":")" + batch + R"(","state":"held","timestamp":1})";
                const std::string bad = R"({"batch":")" + batch + R"(0","state":"held","timestamp":1})";
                if (contract->check(good)) ++wrong;
                const auto violation = contract->check(bad);
                if (!violation || violation->text.find(batch + "0") == std::string::npos) ++wrong;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
}
