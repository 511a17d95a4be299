#include <cstdlib>
#include <fstream>
#include <random>

#include "namespace/life/learn.h"
#include "namespace/life/replay.h"
#include "namespace/live/sample_store.h"
#include "tests/unit/life/plant_traffic.h"
#include "tests/unit/namespace/model_fixture.h"

using namespace trunkline::uns;
using namespace trunkline::uns::test;

namespace {

std::string with_mode(std::string yaml, std::string_view mode) {
    const std::size_t at = yaml.find("mode: observe");
    REQUIRE(at != std::string::npos);
    return yaml.replace(at, 13, "mode: " + std::string(mode));
}

/// The proposal in enforce, which all of the traffic must keep.
std::shared_ptr<const Model> learned(const Traffic& traffic, LearnOptions options = {}) {
    const LearnResult result = learn(traffic, options);
    INFO(result.yaml);
    auto model =
        compiled(options.mode == Mode::observe ? with_mode(result.yaml, "enforce") : result.yaml, "learned.yaml");
    const PlanReport report = replay(traffic, *Model::empty(), *model);
    for (const auto& finding : report.findings)
        UNSCOPED_INFO(finding.topic << " " << finding.rule << " " << finding.text);
    REQUIRE(report.findings_total == 0);
    REQUIRE(report.after[static_cast<std::size_t>(Outcome::reject)] == 0);
    return model;
}

const Member* member(const Model& model, const std::string& topic) { return model.resolve(topic).member; }

std::vector<Sent> readings(const std::string& topic, std::initializer_list<const char*> values,
                           const std::string& more = "", const std::string& client = "edge-1") {
    std::vector<Sent> out;
    std::int64_t at_ms = plant_begin_ms;
    for (const char* value : values) {
        out.push_back({topic,
                       "{\"value\":" + std::string(value) + ",\"timestamp\":" + std::to_string(at_ms) + more + "}",
                       client, at_ms, true});
        at_ms += 5'000;
    }
    return out;
}

std::vector<Sent> joined(std::initializer_list<std::vector<Sent>> lists) {
    std::vector<Sent> out;
    for (const auto& list : lists) out.insert(out.end(), list.begin(), list.end());
    return out;
}

}  // namespace

TEST_CASE("the simulated plant is learned, and its own traffic keeps the proposal in enforce", "[life][learn]") {
    const Traffic traffic = traffic_of(plant_messages(120));
    const LearnResult result = learn(traffic);
    if (const char* file = std::getenv("TRUNKLINE_LEARNED")) std::ofstream(file) << result.yaml;
    const auto model = learned(traffic);
    CHECK(result.loosened == 0);
    CHECK(result.yaml.find("levels: isa95") != std::string::npos);
    CHECK(result.types == 10);  // nine kinds of cells, and the line itself
    const Member* speed = member(*model, "acme/munich/packaging/line-1/filler-1/drive/speed");
    REQUIRE(speed);
    CHECK(speed->kind == MemberKind::metric);
    CHECK(speed->path == "drive/speed");
    CHECK(speed->value.kind == ValueType::Kind::number);
    CHECK(speed->value.max);
    CHECK(speed->every_ms == 5'000);
    const Member* state = member(*model, "acme/munich/packaging/line-1/filler-1/state");
    REQUIRE(state);
    CHECK(state->value.enumeration.size() >= 3);
    const Member* batch = member(*model, "acme/munich/packaging/line-1/filler-1/batch");
    REQUIRE(batch);
    CHECK(batch->kind == MemberKind::event);
    const Member* command = member(*model, "acme/munich/packaging/line-1/filler-1/target-rate");
    REQUIRE(command);
    CHECK(command->kind == MemberKind::command);
    const Member* counter = member(*model, "acme/munich/packaging/line-1/capper-1/counter");
    REQUIRE(counter);
    CHECK(counter->value.kind == ValueType::Kind::integer);
    CHECK(counter->value.min == 0);
    CHECK_FALSE(counter->value.max);
}

TEST_CASE("learning the same traffic gives the same text, whatever its order in time", "[life][learn]") {
    std::vector<Sent> messages = plant_messages(40);
    const std::string first = learn(traffic_of(messages)).yaml;
    CHECK(first == learn(traffic_of(messages)).yaml);
    CHECK(first.find("2023-11-14") != std::string::npos);  // the times of the traffic, not of today
}

TEST_CASE("instances become a pattern only when asked", "[life][learn]") {
    const auto messages = [] {
        std::vector<Sent> out;
        for (int i = 1; i <= 12; ++i) {
            const std::string asset = "acme/hall/packer-" + std::to_string(i);
            for (auto& sent : readings(asset + "/pressure", {"1.5", "2.5", "3.5", "2.25", "1.75"})) out.push_back(sent);
            for (auto& sent : readings(asset + "/running", {"true", "false"})) out.push_back(sent);
        }
        return out;
    }();
    CHECK(learn(traffic_of(messages)).yaml.find("$match") == std::string::npos);
    LearnOptions options;
    options.patterns_from = 5;
    const std::string yaml = learn(traffic_of(messages), options).yaml;
    CHECK(yaml.find("\"{packer}\": {$match: \"packer-[0-9]{1,2}\", $type: packer}") != std::string::npos);
    const auto model = learned(traffic_of(messages), options);
    CHECK(model->resolve("acme/hall/packer-77/pressure").status == Resolution::Status::member);
}

TEST_CASE("units, ranges, payload forms and kinds are taken from what is seen", "[life][learn]") {
    const auto model = learned(traffic_of(joined({
        readings("s/a/pump-1/flow", {"10.5", "20.5", "30.5", "25", "11"}, ",\"unit\":\"m3/h\""),
        readings("s/a/pump-1/level", {"10", "60", "90", "20", "30"}, ",\"unit\":\"%\""),
        readings("s/a/pump-1/mixed", {"1", "\"two\"", "3"}),
        readings("s/a/pump-1/two-units", {"1", "2"}, ",\"unit\":\"bar\""),
        readings("s/a/pump-1/two-units", {"100"}, ",\"unit\":\"kPa\""),
        readings("s/a/pump-1/bad-unit", {"1.5", "2"}, ",\"unit\":\"°C\""),
        {{"s/a/pump-1/plain", "23.5"},
         {"s/a/pump-1/plain", "24"},
         {"s/a/pump-1/text", "hello"},
         {"s/a/pump-1/raw", std::string("\x01\x02\xFF", 3)},
         {"s/a/pump-1/umh", R"({"timestamp_ms":1700000000000,"value":4})"},
         {"s/a/pump-1/cmd/start", R"({"value":true,"timestamp":1700000000000})"},
         {"s/a/pump-1/_event/alarm", R"({"code":17})"}},
    })));
    const auto value = [&](const char* path) {
        const Member* found = member(*model, std::string("s/a/pump-1/") + path);
        REQUIRE(found);
        return *found;
    };
    CHECK(value("flow").value.unit == "m3/h");
    CHECK(value("flow").value.min == 0);
    CHECK(*value("flow").value.max >= 40);
    CHECK(*value("flow").value.max <= 50);
    CHECK(value("level").value.min == 0);
    CHECK(value("level").value.max == 100);
    CHECK(value("mixed").format == PayloadSpec::Format::json);
    CHECK(value("two-units").value.unit.empty());
    CHECK(value("bad-unit").value.unit.empty());
    CHECK(value("plain").format == PayloadSpec::Format::plain);
    CHECK(value("plain").value.kind == ValueType::Kind::number);
    CHECK(value("text").value.kind == ValueType::Kind::string);
    CHECK(value("raw").format == PayloadSpec::Format::any);
    CHECK(value("umh").format == PayloadSpec::Format::umh);
    CHECK(value("cmd/start").kind == MemberKind::command);
    CHECK(value("_event/alarm").kind == MemberKind::event);
}

TEST_CASE("an asset that was heard little is of the type of its family", "[life][learn]") {
    const Traffic traffic = traffic_of(joined({
        readings("s/pump-1/flow", {"1.5"}),
        readings("s/pump-1/level", {"1.5"}),
        readings("s/pump-1/state", {"true"}),
        readings("s/pump-2/flow", {"1.5"}),
        readings("s/pump-3/flow", {"1.5"}),
        readings("s/pump-3/level", {"1.5"}),
    }));
    const LearnResult result = learn(traffic);
    CHECK(result.types == 1);
    CHECK(result.yaml.find("only 2 of 3 assets send it") != std::string::npos);
    const auto model = learned(traffic);
    CHECK(member(*model, "s/pump-2/state"));
}

TEST_CASE("whatever the topics are, the proposal compiles and its traffic keeps it", "[life][learn]") {
    const char* odd[] = {
        "top",       "top/x",         "a//b",      "/lead",      "trail/",     "a/b/c/d/e/f/g/h", "a/b",
        "a/b/c",     "a/B/c",         "A/b",       "x/y-1/true", "x/y-1/null", "x/y-1/1",         "x/y-1/a b",
        "x/y-1/ö",   "x/y-1/\"q\"",   "x/y-1/{z}", "x/{y}/z",    "x/$y/z",     "$mine/z",         "spBv1.0/g/DDATA/n/d",
        "x/y-1/a:b", "x/y-1/#",       "l/1/2/3",   "l/1/2",      "l/1",        "l/1/2/3/4",       "p/q-1/r",
        "p/q-1/r/s", "p/q-1/r/s-1/t", "p/q-2/r",   "p/q-2/r-1",  "p/q-2/u/v"};
    std::vector<Sent> messages;
    const char* payloads[] = {R"({"value":1,"timestamp":1700000000000})",
                              "7",
                              "text",
                              "[1,2]",
                              R"({"a":1})",
                              "null",
                              "{bad",
                              R"({"value":null,"timestamp":1700000000000})",
                              R"({"value":1,"timestamp":"yesterday"})",
                              R"({"Value":1,"timestamp":1700000000000})",
                              ""};
    std::size_t at = 0;
    for (const char* topic : odd) {
        for (int i = 0; i < 3; ++i, ++at) messages.push_back({topic, payloads[at % std::size(payloads)]});
        messages.push_back({topic, payloads[at % 3], "other", 0, true});
    }
    std::erase_if(messages, [](const Sent& sent) { return sent.topic.find('#') != std::string::npos; });
    learned(traffic_of(messages));
}

TEST_CASE("random traffic is learned so that it keeps the proposal", "[life][learn]") {
    const char* rounds_text = std::getenv("TRUNKLINE_ROUNDS");
    const int rounds = rounds_text ? std::atoi(rounds_text) : 60;
    const char* names[] = {"a", "b", "A", "line-1", "line-2", "drive", "_data", "speed", "temp", "x1", "x2", "cmd"};
    const char* payloads[] = {"1",
                              "1.5",
                              "true",
                              "on",
                              R"({"value":1,"timestamp":1700000000000})",
                              R"({"value":"run","timestamp":1700000000000})",
                              R"({"a":1})",
                              R"({"value":2.5,"timestamp":1700000000000,"unit":"bar"})",
                              "{",
                              ""};
    for (int seed = 1; seed <= rounds; ++seed) {
        std::mt19937 random(static_cast<unsigned>(seed));
        std::vector<Sent> messages;
        for (int i = 0; i < 60; ++i) {
            std::string topic;
            for (std::size_t level = 0, depth = 1 + random() % 5; level < depth; ++level) {
                topic += (level > 0 ? "/" : "") + std::string(names[random() % std::size(names)]);
            }
            const std::size_t first = random() % std::size(payloads);
            for (std::size_t n = 0; n < 1 + random() % 4; ++n) {
                messages.push_back({topic, payloads[random() % 3 == 0 ? random() % std::size(payloads) : first],
                                    "c" + std::to_string(random() % 3), static_cast<std::int64_t>(random() % 100'000),
                                    random() % 4 == 0});
            }
        }
        INFO("seed " << seed);
        learned(traffic_of(messages));
    }
}

TEST_CASE("what is learned from the samples that a broker keeps, all of the traffic keeps", "[life][learn]") {
    const std::vector<Sent> messages = plant_messages(60);
    SampleStore store(64 << 20);
    for (const Sent& sent : messages) {
        Observation seen;
        seen.topic = sent.topic;
        seen.payload = sent.payload;
        seen.client_id = sent.client;
        seen.at_ms = sent.at_ms;
        seen.retain = sent.retain;
        store.add(seen);
    }
    const LearnResult result = learn(store.traffic());
    CHECK(result.messages == messages.size());
    CHECK(result.loosened == 0);
    INFO(result.yaml);
    const auto model = compiled(with_mode(result.yaml, "enforce"), "learned.yaml");
    const PlanReport report = replay(traffic_of(messages), *Model::empty(), *model);
    for (const auto& finding : report.findings) {
        UNSCOPED_INFO(finding.topic << " " << finding.rule << " " << finding.text);
    }
    CHECK(report.findings_total == 0);
    const Member* speed = member(*model, "acme/munich/packaging/line-1/filler-1/drive/speed");
    REQUIRE(speed);
    CHECK(speed->value.max);
    CHECK(speed->every_ms == 10'000);  // twice the mean: how evenly they come, samples do not tell
    const Member* counter = member(*model, "acme/munich/packaging/line-1/capper-1/counter");
    REQUIRE(counter);
    CHECK_FALSE(counter->value.max);
    const Member* command = member(*model, "acme/munich/packaging/line-1/filler-1/target-rate");
    REQUIRE(command);
    CHECK(command->kind == MemberKind::command);
}

TEST_CASE("nothing published gives no proposal, and says so", "[life][learn]") {
    const LearnResult result = learn(traffic_of({}));
    CHECK(result.yaml.empty());
    REQUIRE(result.notes.size() == 1);
    CHECK(result.notes.front().find("nothing was published") != std::string::npos);
}
