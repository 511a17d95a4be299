// Planning and drift: a model learned from clean traffic, and traffic with mistakes.
#include <map>
#include <set>

#include "namespace/life/drift.h"
#include "namespace/life/learn.h"
#include "namespace/life/replay.h"
#include "tests/unit/life/plant_traffic.h"
#include "tests/unit/namespace/model_fixture.h"

using namespace trunkline::uns;
using namespace trunkline::uns::test;

namespace {

std::string reading(const std::string& value, const std::string& more = "") {
    return "{\"value\":" + value + ",\"timestamp\":1700000000000" + more + "}";
}

const std::string line_1 = "acme/munich/packaging/line-1/";

struct Mistake {
    const char* what;
    Sent sent;
    const char* rule;
    std::string fix;  // in the finding's fix or expected
};

std::vector<Mistake> mistakes() {
    const std::int64_t at_ms = plant_begin_ms + 590'000;
    return {
        {"wrong case",
         {"acme/munich/Packaging/line-1/filler-1/temperature", reading("50"), "m1", at_ms},
         "TL-2103",
         line_1 + "filler-1/temperature"},
        {"unknown area",
         {"acme/munich/boiling/line-1/filler-1/temperature", reading("50"), "m2", at_ms},
         "TL-2101",
         ""},
        {"wrong id format", {line_1 + "filler_01/temperature", reading("50"), "m3", at_ms}, "TL-2101", ""},
        {"string in a number", {line_1 + "filler-1/temperature", reading("\"hot\""), "m4", at_ms}, "TL-3101", ""},
        {"out of range", {line_1 + "filler-1/temperature", reading("9999"), "m5", at_ms}, "TL-3102", ""},
        {"wrong unit",
         {line_1 + "filler-1/temperature", reading("50", ",\"unit\":\"[degF]\""), "m6", at_ms},
         "TL-3303",
         ""},
        {"unknown metric",
         {line_1 + "filler-1/temprature", reading("50"), "m7", at_ms},
         "TL-2106",
         line_1 + "filler-1/temperature"},
    };
}

/// Clean traffic whose temperatures name their unit, as the wrong unit is only wrong beside a right one.
std::vector<Sent> clean() {
    std::vector<Sent> out = plant_messages(40);
    for (Sent& sent : out) {
        if (sent.topic.ends_with("/temperature")) sent.payload.insert(sent.payload.size() - 1, ",\"unit\":\"Cel\"");
    }
    return out;
}

std::shared_ptr<const Model> learned_in_enforce(const Traffic& traffic) {
    LearnOptions options;
    options.mode = Mode::enforce;
    return compiled(learn(traffic, options).yaml, "plant.yaml");
}

}  // namespace

TEST_CASE("a model learned from clean traffic finds each of the mistakes, and nothing else", "[life][plan]") {
    const auto model = learned_in_enforce(traffic_of(clean()));
    std::vector<Sent> messages = clean();
    const std::string silent = line_1 + "capper-1";
    std::erase_if(messages, [&](const Sent& sent) { return sent.topic.starts_with(silent + "/"); });
    for (const Mistake& mistake : mistakes()) messages.push_back(mistake.sent);
    const PlanReport report = replay(traffic_of(messages), *Model::empty(), *model);
    for (const auto& finding : report.findings)
        UNSCOPED_INFO(finding.client_id << " " << finding.topic << " " << finding.rule << " " << finding.text << " fix "
                                        << finding.fix);
    REQUIRE(report.findings.size() == mistakes().size());
    CHECK(report.messages_newly_breaking == mistakes().size());
    CHECK(report.after[static_cast<std::size_t>(Outcome::reject)] == mistakes().size());
    for (const Mistake& mistake : mistakes()) {
        INFO(mistake.what);
        const auto found = std::find_if(report.findings.begin(), report.findings.end(),
                                        [&](const auto& finding) { return finding.client_id == mistake.sent.client; });
        REQUIRE(found != report.findings.end());
        CHECK(found->rule == mistake.rule);
        CHECK(found->topic == mistake.sent.topic);
        CHECK(found->messages == 1);
        CHECK(found->of == 1);
        CHECK_FALSE(found->place.empty());
        CHECK((mistake.fix.empty() || found->fix == mistake.fix));
    }
    REQUIRE(report.silent.size() == 1);
    CHECK(report.silent.front().topic == silent);
    CHECK(report.silent.front().type == "capper@1");
    CHECK(report.silent.front().place.starts_with("plant.yaml:"));
    CHECK(report.publishers.size() == mistakes().size());
}

TEST_CASE("drift names the mistakes too, with the line of the model", "[life][drift]") {
    const auto model = learned_in_enforce(traffic_of(clean()));
    std::vector<Sent> messages = clean();
    const std::string silent = line_1 + "capper-1";
    std::erase_if(messages, [&](const Sent& sent) { return sent.topic.starts_with(silent + "/"); });
    // One metric stops in the middle.
    const std::string stops = line_1 + "packer-1/pressure";
    std::erase_if(messages,
                  [&](const Sent& sent) { return sent.topic == stops && sent.at_ms > plant_begin_ms + 300'000; });
    for (const Mistake& mistake : mistakes()) messages.push_back(mistake.sent);
    const DriftReport report = drift(traffic_of(messages), *model);
    std::multiset<std::string> seen;
    for (const DriftItem& item : report.items) {
        UNSCOPED_INFO(to_string(item.kind)
                      << " | " << item.subject << " | " << item.text << " | " << item.place << " | " << item.change);
        seen.insert(std::string(to_string(item.kind)) + " " + item.rule);
        CHECK_FALSE(item.text.empty());
        CHECK_FALSE(item.change.empty());
    }
    CHECK(seen.count("unknown topic TL-2103") == 1);
    CHECK(seen.count("unknown topic TL-2101") == 2);
    CHECK(seen.count("unknown topic TL-2106") == 1);
    CHECK(seen.count("breaks contract TL-3101") == 1);
    CHECK(seen.count("breaks contract TL-3102") == 1);
    CHECK(seen.count("unit TL-3303") == 1);
    CHECK(seen.count("silent asset ") == 1);
    CHECK(seen.count("silent member ") == 1);
    const auto stopped = std::find_if(report.items.begin(), report.items.end(),
                                      [](const auto& item) { return item.kind == DriftItem::Kind::silent_member; });
    REQUIRE(stopped != report.items.end());
    CHECK(stopped->topics == std::vector<std::string>{stops});
    CHECK(stopped->subject == "type packer@1, metric pressure");
    CHECK(stopped->place.starts_with("plant.yaml:"));
}

TEST_CASE("drift of clean traffic against its own model has nothing that breaks", "[life][drift]") {
    const auto model = learned_in_enforce(traffic_of(clean()));
    const DriftReport report = drift(traffic_of(clean()), *model);
    for (const DriftItem& item : report.items) {
        INFO(to_string(item.kind) << " " << item.subject << " " << item.text);
        CHECK(item.rule.empty());
        CHECK(item.kind != DriftItem::Kind::silent_asset);
        CHECK(item.kind != DriftItem::Kind::silent_member);
        CHECK(item.kind != DriftItem::Kind::late);
    }
}

TEST_CASE("drift tells ranges and values that are hardly used, units that nobody wrote, and late values",
          "[life][drift]") {
    const auto model = compiled(head(R"(types:
  t:
    version: 1
    metrics:
      wide:  {type: number, min: -1000, max: 1000}
      state: {type: string, enum: [on, off, odd]}
      late:  {type: number, every: 1s}
      bare:  {type: number}
      never: {type: number}
tree: {a: {$type: t}}
)"));
    std::vector<Sent> messages;
    for (int i = 0; i < 60; ++i) {
        const std::int64_t at_ms = plant_begin_ms + i * 1'000;
        messages.push_back({"a/wide", reading(std::to_string(20 + i % 5)), "c", at_ms});
        messages.push_back({"a/state", reading(i % 2 ? "\"on\"" : "\"off\""), "c", at_ms});
        if (i % 30 < 20) messages.push_back({"a/late", reading("1"), "c", at_ms});
        messages.push_back({"a/bare", reading("1", ",\"unit\":\"bar\""), "c", at_ms});
    }
    const DriftReport report = drift(traffic_of(messages), *model);
    std::map<std::string, std::string> places;
    for (const DriftItem& item : report.items)
        places[std::string(to_string(item.kind)) + " " + item.subject] += item.place;
    CHECK(places["loose range type t@1, metric wide"] == "m.yaml:8");
    CHECK(places["unused value type t@1, metric state"] == "m.yaml:9");
    CHECK(places["late type t@1, metric late"] == "m.yaml:10");
    CHECK(places["unit type t@1, metric bare"] == "m.yaml:11");
    CHECK(places["silent member type t@1, metric never"] == "m.yaml:12");
}

TEST_CASE("replay tells how many of how many, before and after, and who would get nothing any more", "[life][plan]") {
    const auto before = compiled(head("tree: {a: {x: json, y: json}}\n"));
    const auto after = compiled(head(R"(types:
  t: {version: 1, metrics: {x: {type: number, max: 10}}}
tree: {a: {$type: t}}
)"));
    ReplayOptions options;
    options.subscriptions = {
        {"dashboard", "a/y"}, {"all", "#"}, {"group", "$share/g/a/+"}, {"ys", "+/y"}, {"none", "b/#"}};
    std::vector<Sent> messages;
    for (int i = 0; i < 10; ++i) messages.push_back({"a/x", reading(std::to_string(i * 2)), "edge", 0, false, 3});
    messages.push_back({"a/y", reading("1"), "other"});
    messages.push_back({"a/z", reading("1"), "third"});
    const PlanReport report = replay(traffic_of(messages), *before, *after, options);
    CHECK(report.messages == 32);
    CHECK(report.before == OutcomeCounts{31, 0, 0, 1});
    CHECK(report.after == OutcomeCounts{18, 0, 0, 14});
    REQUIRE(report.findings.size() == 3);
    CHECK(report.findings[0].client_id == "edge");
    CHECK(report.findings[0].messages == 12);
    CHECK(report.findings[0].of == 30);
    CHECK(report.findings[0].is_new);
    CHECK(report.findings[0].place == "m.yaml:5");
    CHECK_FALSE(report.findings[2].is_new);  // nobody may publish a/z today either
    CHECK(report.messages_newly_breaking == 13);
    REQUIRE(report.silenced.size() == 2);
    CHECK(report.silenced[0].client_id == "dashboard");
    CHECK(report.silenced[1].client_id == "ys");
    CHECK(report.silenced[0].messages == 1);
    CHECK_FALSE(report.breaks_nothing());
    CHECK(replay(traffic_of(messages), *before, *before).breaks_nothing());
}

TEST_CASE("what is not known is not judged, and said", "[life][plan]") {
    const auto model = compiled(head(R"(tree: {a: {$writers: ["role:edge"], x: json}, b: {x: json}}
)"));
    std::vector<Sent> messages = {{"a/x", "1", "c"}};
    const Traffic cut = [](const TrafficVisit& visit) {
        TrafficSample sample;
        sample.topic = "b/x";
        sample.payload = "{\"va";
        sample.client_id = "c";
        sample.truncated = true;
        visit(sample);
    };
    const PlanReport roles = replay(traffic_of(messages), *Model::empty(), *model);
    CHECK(roles.findings.empty());
    REQUIRE(roles.notes.size() == 1);
    CHECK(roles.notes.front().find("roles") != std::string::npos);
    ReplayOptions options;
    options.roles_of = [](std::string_view, std::string_view) { return std::vector<std::string>{"viewer"}; };
    const PlanReport known = replay(traffic_of(messages), *Model::empty(), *model, options);
    REQUIRE(known.findings.size() == 1);
    CHECK(known.findings.front().rule == "TL-1201");
    const PlanReport large = replay(cut, *Model::empty(), *model);
    CHECK(large.findings.empty());
    REQUIRE(large.notes.size() == 1);
}

TEST_CASE("a name that a pattern lets through twice in different case is found", "[life][plan]") {
    const auto model = compiled(
        head("naming: {unique_ignoring_case: true}\ntree: {a: {\"{x}\": {$match: \"[A-Za-z0-9-]+\", v: any}}}\n"));
    std::vector<Sent> messages = {
        {"a/Line-1/v", "1", "wrong"}, {"a/line-1/v", "1", "right"}, {"a/line-1/v", "2", "right"}};
    const PlanReport report = replay(traffic_of(messages), *Model::empty(), *model);
    REQUIRE(report.findings.size() == 1);
    CHECK(report.findings.front().client_id == "wrong");
    CHECK(report.findings.front().rule == "TL-2103");
    CHECK(report.findings.front().fix == "a/line-1/v");
}

TEST_CASE("findings are bounded and their totals are kept", "[life][plan]") {
    const auto model = compiled(head("tree: {a: {x: json}}\n"));
    std::vector<Sent> messages;
    for (int i = 0; i < 300; ++i) messages.push_back({"b/" + std::to_string(i), "1", "c"});
    ReplayOptions options;
    options.findings_max = 20;
    const PlanReport report = replay(traffic_of(messages), *Model::empty(), *model, options);
    CHECK(report.findings.size() == 20);
    CHECK(report.findings_total == 300);
    CHECK(report.messages_breaking == 300);
    CHECK(report.publishers.front().topics == 300);
}
