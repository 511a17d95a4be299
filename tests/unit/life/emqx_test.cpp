// Models of EMQX's UNS Governance: what its documentation says is accepted and refused, is.
#include "namespace/life/emqx_import.h"
#include "tests/unit/namespace/model_fixture.h"

using namespace trunkline::uns;
using namespace trunkline::uns::test;

namespace {

EmqxImport import_text(const std::string& text) {
    const EmqxFile file{"emqx.json", text};
    return import_emqx({&file, 1});
}

std::shared_ptr<const Model> imported(const std::string& text) {
    const EmqxImport result = import_text(text);
    for (const auto& problem : result.problems) UNSCOPED_INFO(trunkline::to_string(problem));
    REQUIRE(result.problems.empty());
    INFO(result.yaml);
    return compiled(result.yaml, "imported.yaml");
}

/// "accept", or the first digits of the rule: TL-2, TL-3.
std::string verdict(const Model& model, const std::string& topic, const std::string& payload = "{}") {
    PublishFacts facts;
    facts.topic = topic;
    facts.payload = payload;
    const Verdict found = model.judge(model.resolve(topic), facts);
    if (!found.finding) return "accept";
    CHECK(found.outcome == Outcome::reject);
    return found.finding->rule.substr(0, 4);
}

std::string refused(const std::string& text) {
    const EmqxImport result = import_text(text);
    CHECK(result.yaml.empty());
    REQUIRE_FALSE(result.problems.empty());
    for (const auto& problem : result.problems) {
        CHECK_FALSE(problem.fix.empty());
        CHECK(problem.place.starts_with("emqx.json"));
    }
    return result.problems.front().message;
}

// A bottling site: variables by pattern and by enum, one schema, one open branch.
const std::string bottling = R"({
  "id": "plant-v1", "name": "Plant",
  "variable_types": {
    "site": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]{0,15}$"},
    "line": {"type": "string", "pattern": "^Line[0-9]{1,4}$"},
    "shift": {"type": "enum", "values": ["early", "late", "a.b"]}
  },
  "payload_types": {
    "control": {
      "required": ["Status"],
      "properties": {"Status": {"type": "string", "enum": ["on", "off"]}, "Rate": {"type": "number", "minimum": 0}},
      "additionalProperties": false
    }
  },
  "tree": {
    "plant": {"children": {
      "{site}": {"children": {
        "Lines": {"children": {"{line}": {"children": {
          "Control": {"_payload": "control"},
          "Free": {},
          "{shift}": {"children": {"Count": {"_payload": "any"}}}
        }}}},
        "stream": {"children": {"#": {"_payload": "any"}}}
      }},
      "all": {"children": {"+": {"children": {"leaf": {}}}}}
    }}
  }
})";

}  // namespace

TEST_CASE("an EMQX model gives the verdicts that its documentation describes", "[life][emqx]") {
    const auto model = imported(bottling);
    const struct {
        const char* topic;
        const char* payload;
        const char* verdict;
    } rows[] = {
        {"plant/Munich/Lines/Line1/Control", R"({"Status":"on"})", "accept"},
        {"plant/Munich/Lines/Line1/Control", R"({"Status":"on","Rate":2})", "accept"},
        {"plant/Munich/Lines/Line1234/Control", R"({"Status":"off"})", "accept"},
        {"plant/Munich/Lines/Line12345/Control", R"({"Status":"off"})", "TL-2"},
        {"plant/Munich/Lines/xLine1/Control", R"({"Status":"off"})", "TL-2"},
        {"plant/Munich/Lines/line1/Control", R"({"Status":"off"})", "TL-2"},
        {"plant/1Munich/Lines/Line1/Control", R"({"Status":"on"})", "TL-2"},
        {"Plant/Munich/Lines/Line1/Control", R"({"Status":"on"})", "TL-2"},
        {"other/Munich/Lines/Line1/Control", R"({"Status":"on"})", "TL-2"},
        {"plant/Munich/Lines/Line1/Control", R"({"Status":"broken"})", "TL-3"},
        {"plant/Munich/Lines/Line1/Control", R"({"Status":"on","More":1})", "TL-3"},
        {"plant/Munich/Lines/Line1/Control", R"({"Status":"on","Rate":-1})", "TL-3"},
        {"plant/Munich/Lines/Line1/Control", R"({})", "TL-3"},
        {"plant/Munich/Lines/Line1/Control", R"([1])", "TL-3"},
        {"plant/Munich/Lines/Line1/Control", "on", "TL-3"},
        {"plant/Munich/Lines/Line1/Free", "anything \xFF", "accept"},
        {"plant/Munich/Lines/Line1/Free", "", "accept"},
        {"plant/Munich/Lines/Line1/Free/more", "1", "TL-2"},
        {"plant/Munich/Lines/Line1", "1", "TL-2"},  // no endpoint
        {"plant/Munich/Lines", "1", "TL-2"},
        {"plant", "1", "TL-2"},
        {"plant/Munich/Lines/Line1/early/Count", "1", "accept"},
        {"plant/Munich/Lines/Line1/a.b/Count", "1", "accept"},
        {"plant/Munich/Lines/Line1/axb/Count", "1", "TL-2"},  // an enum is no pattern
        {"plant/Munich/Lines/Line1/night/Count", "1", "TL-2"},
        {"plant/Munich/stream/a", "1", "accept"},
        {"plant/Munich/stream/a/b/c", "1", "accept"},
        {"plant/Munich/stream", "1", "accept"},  // zero remaining levels
        {"plant/all/whatever/leaf", "1", "accept"},
        {"plant/all/what ever/leaf", "1", "accept"},
        {"plant/all/leaf", "1", "TL-2"},
        {"plant/all/a/b/leaf", "1", "TL-2"},
        {"plant/all/Lines/Line1/Control", R"({"Status":"on"})", "TL-2"},  // a literal is taken before a variable
    };
    for (const auto& row : rows) {
        INFO(row.topic << " " << row.payload);
        CHECK(verdict(*model, row.topic, row.payload) == row.verdict);
    }
}

TEST_CASE("EMQX patterns are searched for, ours hold for the whole level", "[life][emqx]") {
    const auto with = [](const std::string& pattern) {
        return imported(R"({"id":"m","variable_types":{"v":{"type":"string","pattern":")" + pattern +
                        R"("}},"tree":{"a":{"children":{"{v}":{"children":{"x":{}}}}}}})");
    };
    CHECK(verdict(*with("[0-9]"), "a/x1y/x") == "accept");
    CHECK(verdict(*with("[0-9]"), "a/xy/x") == "TL-2");
    CHECK(verdict(*with("^L"), "a/Line/x") == "accept");
    CHECK(verdict(*with("^L"), "a/xL/x") == "TL-2");
    CHECK(verdict(*with("1$"), "a/x1/x") == "accept");
    CHECK(verdict(*with("1$"), "a/1x/x") == "TL-2");
    CHECK(verdict(*with("^a|b$"), "a/ax/x") == "accept");
    CHECK(verdict(*with("^a|b$"), "a/xb/x") == "accept");
    CHECK(verdict(*with("^a|b$"), "a/xa/x") == "TL-2");
    CHECK(verdict(*with("^(a|b)$"), "a/b/x") == "accept");
    CHECK(verdict(*with("^(a|b)$"), "a/bb/x") == "TL-2");
    CHECK(verdict(*with("x\\\\$"), "a/yx$z/x") == "accept");  // an escaped dollar is one
    CHECK(refused(R"({"id":"m","variable_types":{"v":{"type":"string","pattern":"(?=x)y"}},"tree":{"a":{}}})")
              .find("refused") != std::string::npos);
}

TEST_CASE("compatibility keys, inference and defaults are as documented", "[life][emqx]") {
    const auto model =
        imported(R"({"id":"m","variable_types":{"n":{"type":"enum","values":["x",7]},"odd":{"type":"float"}},
      "tree":{"a":{"_type":"namespace","children":{
        "{id}":{"_type":"variable","_var_type":"n","children":{"e":{"_type":"endpoint"}}}}},
       "b":{"children":{"{missing}":{"children":{"e":{}}}}},
       "c":{"children":{"{odd}":{"children":{"e":{}}}}},
       "d":{"children":{"+":{}}},
       "e":{"children":{"{lone}":{}}},
       "f":{"children":{}}}})");
    CHECK(verdict(*model, "a/x/e") == "accept");
    CHECK(verdict(*model, "a/7/e") == "accept");
    CHECK(verdict(*model, "a/y/e") == "TL-2");
    CHECK(verdict(*model, "b/anything/e") == "accept");
    CHECK(verdict(*model, "c/anything/e") == "accept");
    CHECK(verdict(*model, "d/anything") == "accept");
    CHECK(verdict(*model, "e/{lone}") == "accept");
    CHECK(verdict(*model, "e/anything") == "TL-2");
    CHECK(verdict(*model, "f") == "TL-2");
}

TEST_CASE("several models come as an array or as files, and may not match the same topic", "[life][emqx]") {
    const std::string one =
        R"({"id":"b","payload_types":{"p":{"required":["x"]}},"tree":{"s":{"children":{"one":{"_payload":"p"}}}}})";
    const std::string two =
        R"({"id":"a","payload_types":{"p":{"required":["y"]}},"tree":{"s":{"children":{"two":{"_payload":"p"}}}}})";
    const auto both = imported("[" + one + "," + two + "]");
    CHECK(verdict(*both, "s/one", R"({"x":1})") == "accept");
    CHECK(verdict(*both, "s/one", R"({"y":1})") == "TL-3");
    CHECK(verdict(*both, "s/two", R"({"y":1})") == "accept");
    const EmqxFile files[] = {{"one.json", one}, {"two.json", two}};
    CHECK(import_emqx(files).problems.empty());
    const auto list = imported(R"({"models":[{"id":"b","active":true,"model":)" + one + "}]}");
    CHECK(verdict(*list, "s/one", R"({"x":1})") == "accept");

    for (const char* other :
         {R"({"s":{"children":{"one":{}}}})", R"({"s":{"children":{"+":{}}}})", R"({"s":{"children":{"#":{}}}})",
          R"({"{v}":{"children":{"one":{}}}})", R"({"s":{"children":{"one":{"children":{"#":{}}}}}})"}) {
        INFO(other);
        const std::string message = refused("[" + one + R"(,{"id":"a","tree":)" + other + "}]");
        CHECK(message.find("both match topics such as") != std::string::npos);
        CHECK(message.find("\"a\"") != std::string::npos);
    }
    CHECK(refused("[" + one + "," + one + "]").find("two models have the id") != std::string::npos);
}

TEST_CASE("variables side by side that take the same name are refused, not ordered", "[life][emqx]") {
    const std::string message = refused(
        R"({"id":"m","variable_types":{"a":{"type":"string","pattern":"^x"},"b":{"type":"string","pattern":"y$"}},
      "tree":{"t":{"children":{"{a}":{"children":{"p":{}}},"{b}":{"children":{"q":{}}}}}}})");
    CHECK(message.find("match the same name") != std::string::npos);
}

TEST_CASE("what EMQX itself refuses is refused, each with its place", "[life][emqx]") {
    CHECK(refused(R"({"tree":{"a":{}}})").find("id is missing") != std::string::npos);
    CHECK(refused(R"({"id":"a b","tree":{"a":{}}})").find("id is missing") != std::string::npos);
    CHECK(refused(R"({"id":"m"})").find("no tree") != std::string::npos);
    CHECK(refused(R"({"id":"m","tree":{"a":{"_payload":"none"}}})").find("no payload type") != std::string::npos);
    CHECK(refused(R"({"id":"m","payload_types":{"p":{"type":"string"}},"tree":{"a":{}}})").find("must be an object") !=
          std::string::npos);
    CHECK(
        refused(R"({"id":"m","tree":{"a":{"_type":"endpoint","children":{"b":{}}}}})").find("endpoint has children") !=
        std::string::npos);
    CHECK(
        refused(R"({"id":"m","tree":{"a":{"_type":"variable","children":{"b":{}}}}})").find("can't name a variable") !=
        std::string::npos);
    CHECK(refused(R"({"id":"m","tree":{"a":{"_type":"namespace"}}})").find("has no children") != std::string::npos);
    const EmqxImport all =
        import_text(R"({"id":"m","payload_types":{"p":3,"q":{"type":"array"}},"tree":{"a/b":{},"c":5}})");
    CHECK(all.problems.size() == 4);  // all at once
}

TEST_CASE("hostile JSON is refused quickly", "[life][emqx]") {
    CHECK(refused("").find("no JSON") != std::string::npos);
    CHECK(refused("{\"id\":").find("no JSON") != std::string::npos);
    CHECK(refused("\xFF\xFE").find("UTF-8") != std::string::npos);
    CHECK(refused("null").find("JSON object") != std::string::npos);
    CHECK(refused("[]").find("no model") != std::string::npos);
    CHECK(refused(std::string(1'000'000, '[')).find("nested") != std::string::npos);
    std::string deep = R"({"id":"m","tree":)";
    for (int i = 0; i < 5'000; ++i) deep += R"({"a":{"children":)";
    CHECK(refused(deep).find("nested") != std::string::npos);
    CHECK(refused(R"({"id":"m","id":"n","tree":{"a":{}}})").find("twice") != std::string::npos);
    CHECK(refused(R"({"id":"m","tree":{"a":{"children":{"#":{"children":{"b":{}}}}}}})").find("#") !=
          std::string::npos);
    CHECK(refused(R"({"id":"m","tree":{"#":{}}})").find("every topic") != std::string::npos);
    CHECK(refused(R"({"id":"m","variable_types":{"v":{"type":"string","pattern":"(a{1000}){1000}"}},"tree":{"a":{}}})")
              .find("large") != std::string::npos);
    std::string wide = R"({"id":"m","tree":{)";
    for (int i = 0; i < 20'000; ++i) wide += (i ? "," : "") + ("\"n" + std::to_string(i)) + "\":{}";
    CHECK(import_text(wide + "}}").problems.empty());
    // Variables against variables, many times over: the comparison gives up instead of going on for ever.
    std::string tree = R"({"leaf":{}})";
    for (int depth = 0; depth < 8; ++depth) {
        std::string wider;
        for (int i = 0; i < 3; ++i)
            wider += (i ? "," : "") + ("\"{v" + std::to_string(i)) + "}\":{\"children\":" + tree + "}";
        tree = "{" + wider + "}";
    }
    const std::string a = R"({"id":"a","tree":{"x":{"children":)" + tree + "}}}";
    std::string other = tree;
    for (std::size_t at; (at = other.find("leaf")) != std::string::npos;) other.replace(at, 4, "twig");
    const std::string b = R"({"id":"b","tree":{"x":{"children":)" + other + "}}}";
    CHECK_FALSE(import_text("[" + a + "," + b + "]").problems.empty());
}
