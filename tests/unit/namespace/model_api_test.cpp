// What the model tells: contracts, metadata, children, differences, Sparkplug names; the examples and their schema.
#include <map>
#include <set>

#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

#include "namespace/model/diff.h"
#include "tests/unit/namespace/model_fixture.h"

using namespace trunkline;
using namespace trunkline::uns;
using namespace trunkline::uns::test;
using Json = nlohmann::json;

namespace {

std::shared_ptr<const Model> example(const std::string& name) {
    return compiled(read_source("deploy/examples/" + name + ".yaml"), name + ".yaml");
}
std::shared_ptr<const Model> line_model() { return compiled(read_source("tests/namespace/line.yaml"), "line.yaml"); }

Outcome outcome(const Model& model, std::string_view topic, std::string_view payload, std::string_view client = "",
                bool retain = false) {
    PublishFacts facts;
    facts.topic = topic;
    facts.payload = payload;
    facts.client_id = client;
    facts.retain = retain;
    return model.judge(model.resolve(topic), facts).outcome;
}

std::set<std::string> lines_of(const std::vector<ModelChange>& changes) {
    std::set<std::string> out;
    for (const ModelChange& change : changes) out.insert(to_string(change));
    return out;
}

// Whether the schema for editors takes a model, as JSON.
bool schema_takes(const Json& model) {
    static const Json text = Json::parse(read_source("deploy/trunkline-model.schema.json"));
    valijson::Schema schema;
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(text), schema);
    valijson::Validator validator;
    valijson::ValidationResults results;
    const bool good = validator.validate(schema, valijson::adapters::NlohmannJsonAdapter(model), &results);
    valijson::ValidationResults::Error error;
    while (results.popError(error)) {
        std::string at;
        for (const std::string& step : error.context) at += step;
        UNSCOPED_INFO(at << ": " << error.description);
    }
    return good;
}

}  // namespace

TEST_CASE("a resolution tells the contract of a topic", "[namespace][model]") {
    const auto model = line_model();
    const Resolution temperature = model->resolve("acme/munich/packaging/line-1/filler-1/temperature");
    CHECK(temperature.status == Resolution::Status::member);
    CHECK(temperature.kind == MemberKind::metric);
    CHECK(temperature.is_state());
    CHECK(temperature.mode == Mode::enforce);
    CHECK(temperature.owner == "munich-ot@acme.example");
    CHECK(temperature.asset_levels == 5);
    CHECK(temperature.member->value.unit == "Cel");
    CHECK(temperature.member->value.max == 120);
    CHECK(temperature.payload != nullptr);
    CHECK(temperature.writers->size() == 2);
    CHECK_FALSE(temperature.has_free_level);
    CHECK_FALSE(temperature.failure);
    CHECK(model->place_text(temperature.place).starts_with("line.yaml:"));

    const Resolution speed = model->resolve("acme/munich/packaging/line-1/packer-3/gear/input/speed");
    CHECK(speed.every_ms() == 5000);
    CHECK(speed.has_free_level);
    CHECK(speed.asset_levels == 5);
    CHECK(model->resolve("acme/munich/packaging/line-1/filler-2/batch").kind == MemberKind::event);
    CHECK_FALSE(model->resolve("acme/munich/packaging/line-1/filler-2/batch").is_state());
    const Resolution command = model->resolve("acme/munich/packaging/line-2/filler-1/target-rate");
    CHECK(command.kind == MemberKind::command);
    CHECK(command.mode == Mode::observe);
    CHECK(command.writers->size() == 3);
    const Resolution open = model->resolve("acme/munich/packaging/line-44/x/y");
    CHECK(open.kind == MemberKind::open);
    CHECK(open.payload == nullptr);
    CHECK(open.asset_levels == 0);
    CHECK(model->resolve("spBv1.0/x").status == Resolution::Status::exempt);
    const Resolution quota = model->resolve("acme/munich/stores/rack/b3/status");
    CHECK(quota.quota_levels == 4);
    CHECK(*quota.quota->messages_per_s == 10);
    CHECK(*quota.quota->bytes_per_s == 2000);
    const Resolution moved = model->resolve("acme/muc/filling/x/y");
    REQUIRE(moved.moved);
    CHECK(moved.moved->topic == "acme/munich/abf\u00fcllung/line-9/x/y");
    CHECK_FALSE(moved.moved->until_ms);
    CHECK(moved.status == Resolution::Status::member);

    const auto pharma = example("pharma");
    CHECK(pharma->resolve("HELIX/BASEL/API-SOUTH/PC10/R101/TI_Product").regulated);
    CHECK(pharma->resolve("HELIX/BASEL/API-SOUTH/PC20/R207/TI_Product").mode == Mode::quarantine);
    CHECK(pharma->v3_reject() == V3Reject::disconnect);
}

TEST_CASE("a report tells every check, also behind the first that fails", "[namespace][model]") {
    const auto model = line_model();
    PublishFacts facts;
    facts.topic = "acme/munich/Packaging/line-1/filler-2/temperature";
    facts.payload = R"({"value":131.4,"timestamp":1})";
    const Report report = model->explain(facts);
    std::vector<std::string> stages, failed;
    for (const Check& check : report.checks) {
        stages.emplace_back(check.stage);
        if (check.result == Check::Result::fail) failed.push_back(check.finding->rule);
    }
    CHECK(stages == std::vector<std::string>{"writers", "name", "payload", "retain"});
    CHECK(failed == std::vector<std::string>{"TL-2103", "TL-3102"});
    CHECK(report.verdict.outcome == Outcome::reject);
    CHECK(report.verdict.reason == VerdictReason::topic_name_invalid);
    CHECK(report.verdict.finding->rule == "TL-2103");
    CHECK(report.verdict.finding->fix == "acme/munich/packaging/line-1/filler-2/temperature");
    CHECK(report.verdict.finding->text == "level 3 \"Packaging\" differs only in case from \"packaging\"");

    facts.topic = "legacy/x";
    CHECK(model->explain(facts).checks.front().result == Check::Result::skipped);
}

TEST_CASE("a topic is described as JSON", "[namespace][model]") {
    const auto model = line_model();
    const auto described = [&](std::string_view topic) {
        const auto text = model->describe(topic);
        REQUIRE(text);
        return Json::parse(*text);
    };
    const Json member = described("acme/munich/packaging/line-1/filler-1/temperature");
    CHECK(member["kind"] == "metric");
    CHECK(member["type"] == "number");
    CHECK(member["unit"] == "Cel");
    CHECK(member["min"] == -20);
    CHECK(member["max"] == 120);
    CHECK(member["asset_type"] == "filler@2");
    CHECK(member["owner"] == "munich-ot@acme.example");
    CHECK(member["model"] == Json({{"name", "acme"}, {"version", "3.1.0"}}));
    CHECK(described("acme/munich/packaging/line-1/filler-2/drive")["part_type"] == "motor@1");
    CHECK(described("acme/munich/packaging/line-1/filler-2/drive/speed")["every_ms"] == 5000);
    CHECK(described("acme/munich/packaging")["level"] == "area");
    CHECK(described("acme/munich/packaging/line-1/packer-9")["kind"] == "asset");
    CHECK(described("acme/munich/packaging/line-1/filler-2/target-rate")["writers"].size() == 3);
    CHECK_FALSE(model->describe("acme/berlin"));
    CHECK_FALSE(model->describe(""));
    const auto plant = example("pharma");
    const Json reactor = Json::parse(plant->describe("HELIX/BASEL/API-SOUTH/PC10/R101").value());
    CHECK(reactor["metadata"] == Json({{"material", "3009 glass"}, {"gmp_class", "D"}, {"asset_no", "700101"}}));
    CHECK(reactor["regulated"] == true);
    CHECK(reactor["level"] == "unit");
}

TEST_CASE("children are paged in order, patterns last", "[namespace][model]") {
    const auto model = line_model();
    const auto names = [&](std::string_view topic, std::string_view after = "", std::size_t limit = 100) {
        std::string out;
        for (const ModelChild& child : model->children(topic, after, limit)) out += child.name + " ";
        return out;
    };
    CHECK(names("") == "acme ");
    CHECK(names("acme/munich/packaging") == "line-1 line-2 line-3 {line} ");
    CHECK(names("acme/munich/packaging", "line-1", 2) == "line-2 line-3 ");
    CHECK(names("acme/munich/packaging", "line-3") == "{line} ");
    CHECK(names("acme/munich/packaging", "{line}").empty());
    CHECK(names("acme/munich/packaging/{line}") == "# ");
    CHECK(names("acme/munich/packaging/line-1/packer-4") == "gear pressure ");
    CHECK(names("acme/munich/packaging/line-1/packer-4/gear") == "input oil output ");
    CHECK(names("acme/munich/packaging/line-1/filler-1/temperature").empty());
    CHECK(names("nowhere").empty());
    std::string paged, after;
    for (bool more = true; more;) {
        const auto page = model->children("acme/munich/packaging/line-1/filler-1", after, 3);
        for (const ModelChild& child : page) paged += child.name + " ";
        more = !page.empty();
        if (more) after = page.back().name;
    }
    CHECK(paged == "alarm batch draft drive reset serial shift state target-rate temperature ");
    const auto top = model->children("acme/munich/packaging", "", 100);
    CHECK(top.back().pattern == "line-[0-9]{1,3}");
    CHECK(top.front().level_kind == "production_line");
    CHECK(top.front().has_children);
}

TEST_CASE("a walk meets every asset and member once", "[namespace][model]") {
    const auto model = line_model();
    std::map<std::string, MemberKind> seen;
    model->walk([&](const Model::Entry& entry) {
        CHECK(seen.emplace(std::string(entry.topic), entry.kind).second);
        return true;
    });
    CHECK(seen.at("acme/munich/packaging/line-1/filler-1/drive/speed") == MemberKind::metric);
    CHECK(seen.at("acme/munich/packaging/line-1/{cell}/gear/oil") == MemberKind::metric);
    CHECK(seen.at("acme/munich/packaging/{line}/#") == MemberKind::open);
    CHECK(seen.at("acme/munich/packaging/line-1/filler-1") == MemberKind::asset);
    CHECK(seen.at("acme/munich") == MemberKind::structure);
    std::size_t visited = 0;
    model->walk([&](const Model::Entry&) { return ++visited < 3; });
    CHECK(visited == 3);
}

TEST_CASE("a difference is told by meaning, and whether it may break publishers", "[namespace][model]") {
    const std::string before = head(R"(
defaults: {mode: observe}
types:
  filler:
    version: 1
    metrics:
      t: {type: number, unit: Cel, min: 0, max: 120}
      s: {type: string, enum: [idle, running]}
      gone: {type: boolean}
tree:
  a:
    f1: {$type: filler}
    f2: {$type: filler}
    old: {x: json}
exempt: ["x/#"]
)");
    const std::string after = head(R"(
defaults: {mode: enforce}
exempt: ["y/#"]
types:
  filler:
    metrics:
      s: {type: string, enum: [running, idle, held]}
      t: {type: number, max: 100, unit: Cel, min: -10}
      new: {type: boolean}
    version: 2
tree:
  a:
    f2: {$type: filler, $owner: anna}
    f1: {$type: filler}
    "{f}": {$match: "g[0-9]", $type: filler}
)");
    const auto changes = diff(*compiled(before), *compiled(after));
    const std::set<std::string> expected{
        "changed  defaults: mode observe -> enforce  (breaking)",
        "changed  defaults: unmodelled observe -> enforce  (breaking)",
        "changed  type filler@2: version 1 -> 2  (2 places)",
        "changed  type filler@2: metric t: max 120 -> 100  (breaking, 2 places)",
        "changed  type filler@2: metric t: min 0 -> -10  (2 places)",
        "changed  type filler@2: metric s: enum idle, running -> held, idle, running  (2 places)",
        "removed  type filler@2: metric gone  (breaking, 2 places)",
        "added    type filler@2: metric new  (2 places)",
        "changed  a/f2: owner (none) -> anna",
        "removed  a/old  (breaking, 2 places)",
        "added    a/{f}  (1 place)",
        "removed  exempt: x/#  (breaking)",
        "added    exempt: y/#",
    };
    CHECK(lines_of(changes) == expected);
    CHECK(diff(*compiled(before), *compiled(before)).empty());
    // Backwards, what was added is removed.
    CHECK(lines_of(diff(*compiled(after), *compiled(before))).contains("removed  a/{f}  (breaking, 1 place)"));
}

TEST_CASE("a schema that changes under its name is a change", "[namespace][model]") {
    const std::string schema =
        "types: {t: {version: 1, events: {e: {payload: p}}}}\ntree: {a: {$type: t}}\npayloads: {p: {schema: ";
    const auto a = compiled(head(schema + "{type: object}}}\n")), b = compiled(head(schema + "{type: array}}}\n"));
    const auto changes = diff(*a, *b);
    REQUIRE(changes.size() == 1);
    CHECK(changes.front().what == "event e: schema");
    CHECK(changes.front().breaking);
}

TEST_CASE("Sparkplug names are placed in the tree", "[namespace][model]") {
    const auto model = example("discrete");
    CHECK(model->place_sparkplug({"munich-packaging", "edge-line-1", "filler-2"}) ==
          "acme/munich/packaging/line-1/filler-2");
    CHECK_FALSE(model->place_sparkplug({"munich-packaging", "edge-line-1", ""}));
    CHECK_FALSE(model->place_sparkplug({"munich", "edge-line-1", "filler-2"}));
    CHECK_FALSE(model->place_sparkplug({"munich-packaging", "node-1", "filler-2"}));
    const auto other =
        compiled(head("tree: {a: {'{x}': {'#': any}}}\nsparkplug:\n"
                      "  - {group: '{x}', node: '{x}', to: 'a/{x}'}\n  - {group: '{g}', to: a}\n"));
    CHECK(other->place_sparkplug({"k", "k", ""}) == "a/k");
    CHECK_FALSE(other->place_sparkplug({"k", "l", ""}));
    CHECK(other->place_sparkplug({"k", "", ""}) == "a");
}

TEST_CASE("the example plants compile, and the schema for editors takes them", "[namespace][model]") {
    for (const char* name : {"discrete", "pharma", "utilities"}) {
        INFO(name);
        CHECK(schema_takes(Json::parse(example(name)->json())));
    }
    for (const char* name : {"line", "modes", "layout"}) {
        INFO(name);
        CHECK(
            schema_takes(Json::parse(compiled(read_source("tests/namespace/" + std::string(name) + ".yaml"))->json())));
    }
}

TEST_CASE("the schema for editors refuses what the language does not know", "[namespace][model]") {
    const Json good = Json::parse(example("discrete")->json());
    const auto with = [&](const std::string& pointer, const Json& value) {
        Json changed = good;
        changed[Json::json_pointer(pointer)] = value;
        return changed;
    };
    CHECK_FALSE(schema_takes(with("/colour", "red")));
    CHECK_FALSE(schema_takes(with("/trunkline", 2)));
    CHECK_FALSE(schema_takes(with("/defaults/mode", "off")));
    CHECK_FALSE(schema_takes(with("/types/filler/metrics/temperature/type", "float")));
    CHECK_FALSE(schema_takes(with("/types/filler/metrics/temperature/tpye", "number")));
    CHECK_FALSE(schema_takes(with("/tree/acme/munich/$mod", "observe")));
    CHECK_FALSE(schema_takes(with("/tree/acme/munich/packaging/{line}/$writers", Json::array({"anna"}))));
    CHECK_FALSE(schema_takes(with("/exempt", "x")));
    CHECK(schema_takes(with("/tree/acme/munich/$quota", {{"topics", 5}, {"rate", "100/s"}, {"bytes", "1 MiB/s"}})));
    CHECK_FALSE(schema_takes(with("/tree/acme/munich/$quota", {{"rate", "fast"}})));
}

TEST_CASE("the traffic of the simulated plant keeps the discrete example", "[namespace][model]") {
    const auto model = example("discrete");
    const std::string line = "acme/lyon/processing/line-12", edge = "edge-lyon-processing-line-12";
    const auto accepted = [&](const std::string& topic, const std::string& payload, const std::string& client) {
        INFO(topic << " " << payload);
        CHECK(outcome(*model, topic, payload, client) == Outcome::accept);
    };
    accepted(line + "/edge-status", R"({"value":"online","timestamp":1700000000000})", edge);
    accepted(line + "/mixer-1/temperature", R"({"value":41.3,"timestamp":1700000000000,"quality":"good"})", edge);
    accepted(line + "/pasteurizer-1/pump/speed", R"({"value":0.0,"timestamp":1700000000000})", edge);
    accepted(line + "/washer-1/counter", R"({"value":17,"timestamp":1700000000000})", edge);
    accepted(line + "/mixer-1/batch", R"({"batch":"B000017","state":"started","timestamp":1700000000000})", edge);
    accepted(line + "/mixer-1/target-rate", R"({"value":8,"timestamp":1700000000000})", "scada-1");
    CHECK(outcome(*model, line + "/mixer-1/target-rate", R"({"value":8,"timestamp":1})", edge) == Outcome::reject);
    CHECK(outcome(*model, line + "/mixer-1/batch", R"({"batch":"B000017","state":"started","timestamp":1})", edge,
                  true) == Outcome::reject);
    CHECK(outcome(*model, line + "/mixer-1/temperature", R"({"value":41.3,"timestamp":1})", "edge-porto-x") ==
          Outcome::reject);
    CHECK(outcome(*model, line + "/mixer-1/viscosity", R"({"value":41.3,"timestamp":1})", edge) == Outcome::reject);
    CHECK(outcome(*model, line + "/filler-1/viscosity", R"({"value":41.3,"timestamp":1})", edge) ==
          Outcome::quarantine);
}

namespace {

// The keys that the program names as known where an unknown one stands: of the problem that is about `zzzzzzzzzzzz`.
std::set<std::string> known_keys(const std::string& yaml) {
    std::set<std::string> out;
    for (const Problem& problem : Model::compile(yaml, "m.yaml").problems) {
        const std::string lead = "known are ";
        const std::size_t at = problem.fix.find(lead);
        if (problem.message.find("zzzzzzzzzzzz") == std::string::npos || at == std::string::npos) continue;
        std::istringstream list(problem.fix.substr(at + lead.size()));
        for (std::string key; std::getline(list >> std::ws, key, ',');) out.insert(key);
    }
    return out;
}

std::set<std::string> schema_keys(const Json& properties) {
    std::set<std::string> out;
    for (const auto& [key, value] : properties.items()) out.insert(key);
    return out;
}

}  // namespace

TEST_CASE("the schema for editors has the keys of the program, no more and no less", "[namespace][model]") {
    const Json schema = Json::parse(read_source("deploy/trunkline-model.schema.json"));
    const auto at = [&](const char* pointer) { return schema_keys(schema.at(Json::json_pointer(pointer))); };
    CHECK(known_keys("zzzzzzzzzzzz: 1\n") == at("/properties"));
    CHECK(known_keys(head("defaults: {zzzzzzzzzzzz: 1}\n")) == at("/properties/defaults/properties"));
    CHECK(known_keys(head("layout: {zzzzzzzzzzzz: 1}\n")) == at("/properties/layout/properties"));
    CHECK(known_keys(head("payloads: {p: {zzzzzzzzzzzz: 1}}\n")) ==
          at("/properties/payloads/additionalProperties/properties"));
    CHECK(known_keys(head("sparkplug: [{zzzzzzzzzzzz: 1}]\n")) == at("/properties/sparkplug/items/properties"));
    CHECK(known_keys(head("types: {t: {zzzzzzzzzzzz: 1}}\n")) == at("/definitions/type/properties"));
    CHECK(known_keys(head("types: {t: {version: 1, metrics: {m: {zzzzzzzzzzzz: 1}}}}\n")) ==
          at("/definitions/metric/properties"));
    CHECK(known_keys(head("types: {t: {version: 1, events: {m: {zzzzzzzzzzzz: 1}}}}\n")) ==
          at("/definitions/member/properties"));
    auto node = at("/definitions/node/anyOf/2/properties");
    CHECK(node.erase("#") == 1);
    CHECK(known_keys(head("tree: {a: {$zzzzzzzzzzzz: 1}}\n")) == node);
    CHECK(known_keys(head("tree: {a: {$quota: {zzzzzzzzzzzz: 1}}}\n")) ==
          at("/definitions/node/anyOf/2/properties/$quota/properties"));
}

TEST_CASE("the model of the documentation compiles", "[namespace][model]") {
    const std::string page = read_source("docs/model.md");
    const std::string open = "```yaml\n";
    const std::size_t begin = page.find(open) + open.size();
    const auto model = compiled(page.substr(begin, page.find("```", begin) - begin));
    CHECK(model->resolve("acme/munich/line-1/filler-1/target-rate").kind == MemberKind::command);
}
