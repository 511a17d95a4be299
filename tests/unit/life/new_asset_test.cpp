#include <algorithm>
#include <map>
#include <sstream>

#include "namespace/life/new_asset.h"
#include "namespace/life/sheet.h"
#include "tests/unit/namespace/model_fixture.h"

using namespace trunkline::uns;
using namespace trunkline::uns::test;

namespace {

const std::string pumps = R"(# the plant
trunkline: 1
namespace: acme
version: 1.2.9   # keep in step with the drawing

types:
  pump:
    version: 1
    metrics:
      flow: {type: number, unit: m3/h, min: 0, max: 40, every: 5s, description: Outlet}
      state: {type: string, enum: [idle, running]}
      id: {type: string, pattern: "P[0-9]{3}"}
    events:
      alarm: {}
    commands:
      rate: {type: number, writers: ["role:operator"]}
    parts: {drive: motor}
  motor:
    version: 1
    metrics: {speed: {type: integer, payload: umh, min: 1, max: 4}, on: {type: boolean, payload: plain}}

tree:
  acme:
    # the first hall
    hall-1:
      pump-1: {$type: pump}   # by the door

      # the old one
      pump-2:
        $type: pump
        $description: old

    # the second hall
    hall-2: {pump-1: {$type: pump}}
    hall-3: {}
    hall-4:
    hall-5: &five
      "{pump}": {$match: "pump-[0-9]+", $type: pump}
    hall-6: *five
    note: json

# the end
)";

/// Lines that are in one text and not in the other, with - and +.
std::string line_diff(const std::string& before, const std::string& after) {
    std::istringstream a(before), b(after);
    std::vector<std::string> x, y;
    for (std::string line; std::getline(a, line);) x.push_back(line);
    for (std::string line; std::getline(b, line);) y.push_back(line);
    std::size_t i = 0, j = 0;
    std::string out;
    while (i < x.size() || j < y.size()) {
        if (i < x.size() && j < y.size() && x[i] == y[j]) {
            ++i;
            ++j;
            continue;
        }
        const bool inserted = j < y.size() && (i == x.size() || std::find(y.begin() + static_cast<std::ptrdiff_t>(j),
                                                                          y.end(), x[i]) != y.end());
        if (inserted)
            out += "+" + y[j++] + "\n";
        else
            out += "-" + x[i++] + "\n";
    }
    return out;
}

std::string added(const std::string& yaml, const std::string& path, const std::string& type = "pump") {
    const NewAsset result = new_asset(yaml, "plant.yaml", path, type);
    for (const auto& problem : result.problems) UNSCOPED_INFO(trunkline::to_string(problem));
    REQUIRE(result.problems.empty());
    CHECK_FALSE(result.was_there);
    const auto model = compiled(result.yaml, "plant.yaml");
    CHECK(model->resolve(path + (type == "pump" ? "/flow" : "/speed")).status == Resolution::Status::member);
    std::istringstream lines(result.yaml);
    std::string line;
    for (std::size_t i = 0; i < result.line; ++i) std::getline(lines, line);
    CHECK(line.find("$type: " + type) != std::string::npos);
    return line_diff(yaml, result.yaml);
}

std::string only(std::string diff) {  // without the version
    for (const char* line : {"+version: 1.2.10   # keep in step with the drawing\n",
                             "-version: 1.2.9   # keep in step with the drawing\n"}) {
        const std::size_t at = diff.find(line);
        REQUIRE(at != std::string::npos);
        diff.erase(at, std::string(line).size());
    }
    return diff;
}

}  // namespace

TEST_CASE("an asset is one more line, and comments, blank lines and layout stay", "[life][new-asset]") {
    CHECK(only(added(pumps, "acme/hall-1/pump-3")) == "+      pump-3: {$type: pump}\n");
    CHECK(only(added(pumps, "acme/hall-9/line-1/pump-3")) ==
          "+    hall-9:\n+      line-1:\n+        pump-3: {$type: pump}\n");
    CHECK(only(added(pumps, "other/pump-1")) == "+  other:\n+    pump-1: {$type: pump}\n");
    CHECK(only(added(pumps, "acme/hall-4/pump-1")) == "+      pump-1: {$type: pump}\n");
    CHECK(only(added(pumps, "acme/hall-4")) == "-    hall-4:\n+    hall-4: {$type: pump}\n");
    CHECK(only(added(pumps, "acme/hall-1")) == "+      $type: pump\n");
    CHECK(only(added(pumps, "acme/hall-1/pump-2/booster")) == "+        booster: {$type: pump}\n");
}

TEST_CASE("an asset goes into braces where its level is written in braces", "[life][new-asset]") {
    CHECK(only(added(pumps, "acme/hall-2/pump-2")) ==
          "-    hall-2: {pump-1: {$type: pump}}\n+    hall-2: {pump-1: {$type: pump}, pump-2: {$type: pump}}\n");
    CHECK(only(added(pumps, "acme/hall-2/sub/pump-2")) ==
          "-    hall-2: {pump-1: {$type: pump}}\n+    hall-2: {pump-1: {$type: pump}, sub: {pump-2: {$type: pump}}}\n");
    CHECK(only(added(pumps, "acme/hall-3/pump-2")) == "-    hall-3: {}\n+    hall-3: {pump-2: {$type: pump}}\n");
    CHECK(only(added(pumps, "acme/hall-1/pump-1/side")).find("{$type: pump, side: {$type: pump}}   # by the door") !=
          std::string::npos);
}

TEST_CASE("what is there, or let through by a pattern, needs no line", "[life][new-asset]") {
    for (const char* path : {"acme/hall-1/pump-1", "acme/hall-5/pump-77", "acme/hall-6/pump-1"}) {
        const NewAsset result = new_asset(pumps, "plant.yaml", path, "pump");
        INFO(path);
        CHECK(result.was_there);
        CHECK(result.yaml == pumps);
        CHECK(result.text.find("plant.yaml:") != std::string::npos);
    }
}

TEST_CASE("what can't be added without touching more is refused with what to do", "[life][new-asset]") {
    const auto refused = [](const std::string& path, const std::string& type = "pump") {
        const NewAsset result = new_asset(pumps, "plant.yaml", path, type);
        INFO(path);
        CHECK(result.yaml.empty());
        REQUIRE_FALSE(result.problems.empty());
        CHECK_FALSE(result.problems.front().fix.empty());
        return result.problems.front().message;
    };
    CHECK(refused("acme/hall-6/fan-1").find("alias *five") != std::string::npos);
    CHECK(refused("acme/hall-5/fan-1").find("anchor &five") != std::string::npos);
    CHECK(refused("acme/note/pump-1").find("topic with a payload") != std::string::npos);
    CHECK(refused("acme/hall-1/pump-1", "motor").find("is there already, of type pump@1") != std::string::npos);
    CHECK(refused("acme/hall-1/pump-9", "pmup").find("does not exist") != std::string::npos);
    CHECK(refused("acme//x").find("can't be the topic") != std::string::npos);
    CHECK(refused("acme/+/x").find("can't be the topic") != std::string::npos);
    CHECK_FALSE(new_asset("tree: [", "x", "a/b", "t").problems.empty());
}

TEST_CASE("the last number of the version is raised, unless one is given", "[life][new-asset]") {
    CHECK(next_version("1.2.9") == "1.2.10");
    CHECK(next_version("7") == "8");
    CHECK(next_version("1.0.0-rc").empty());
    NewAssetOptions options;
    options.version = "2.0.0";
    CHECK(new_asset(pumps, "p", "acme/hall-1/pump-9", "pump", options).yaml.find("version: 2.0.0   # keep") !=
          std::string::npos);
}

TEST_CASE("the shipped examples can be added to", "[life][new-asset]") {
    const std::string discrete = read_source("deploy/examples/discrete.yaml");
    const NewAsset alias = new_asset(discrete, "d.yaml", "acme/porto/packaging/line-1/robot-1", "filler");
    CHECK_FALSE(alias.problems.empty());  // porto is an alias of munich
    const NewAsset there = new_asset(discrete, "d.yaml", "acme/porto/packaging/line-1/filler-3", "filler@2");
    CHECK(there.was_there);
    const std::string pharma = read_source("deploy/examples/pharma.yaml");
    CHECK(compiled(pharma));
}

TEST_CASE("a publisher's sheet names every topic with a payload that keeps the contract", "[life][sheet]") {
    const auto model = compiled(pumps, "plant.yaml");
    const auto sheet = publisher_sheet(*model, "acme/hall-5/pump-12", 1'700'000'000'000);
    std::map<std::string, SheetLine> lines;
    for (const SheetLine& line : sheet) {
        lines[line.topic.substr(std::string("acme/hall-5/pump-12/").size())] = line;
        if (line.example.empty()) continue;
        PublishFacts facts;
        facts.topic = line.topic;
        facts.payload = line.example;
        const Resolution resolution = model->resolve(line.topic);
        INFO(line.topic << " " << line.example);
        const Verdict verdict = model->judge(resolution, facts);
        CHECK((!verdict.finding || verdict.finding->rule == "TL-1201"));
    }
    REQUIRE(lines.size() == 7);
    CHECK(lines["flow"].example == "{\"value\":20,\"timestamp\":1700000000000}");
    CHECK(lines["flow"].unit == "m3/h");
    CHECK(lines["flow"].range == "0 to 40");
    CHECK(lines["flow"].every_ms == 5'000);
    CHECK(lines["flow"].place == "plant.yaml:10");
    CHECK(lines["state"].range == "idle, running");
    CHECK(lines["id"].example.empty());  // no text that fits the pattern is known
    CHECK(lines["drive/speed"].example == "{\"timestamp_ms\":1700000000000,\"value\":2}");
    CHECK(lines["drive/on"].example == "true");
    CHECK(lines["alarm"].kind == MemberKind::event);
    CHECK_FALSE(lines["rate"].to_send);
    CHECK(publisher_sheet(*model, "acme/hall-1", 0).empty());
    CHECK(publisher_sheet(*model, "acme/hall-5/fan", 0).empty());
    CHECK(publisher_sheet(*model, "acme/hall-1/pump-1", 0).size() == 7);
}
