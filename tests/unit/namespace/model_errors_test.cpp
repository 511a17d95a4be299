// What is wrong with a model file: all of it at once, each with its place, rule and mend (tests/namespace/errors.txt).
#include <set>
#include <vector>

#include "namespace/model/rules.h"
#include "namespace/payload/rules.h"
#include "tests/unit/namespace/model_fixture.h"

using namespace trunkline;
using namespace trunkline::uns;
using namespace trunkline::uns::test;

namespace {

struct BadModel {
    std::string title, yaml;
    std::vector<std::string> expected;
};

std::vector<BadModel> bad_models() {
    std::vector<BadModel> out;
    std::istringstream in(read_source("tests/namespace/errors.txt"));
    bool in_yaml = false;
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with("== ")) {
            out.push_back({line.substr(3), "", {}});
            in_yaml = true;
        } else if (line == "----") {
            in_yaml = false;
        } else if (in_yaml && !out.empty()) {
            out.back().yaml += line + "\n";
        } else if (!line.empty() && !out.empty()) {
            out.back().expected.push_back(line);
        }
    }
    return out;
}

}  // namespace

TEST_CASE("every fault of a model is told with its place, rule and mend", "[namespace][model]") {
    std::set<std::string> seen;
    for (const BadModel& bad : bad_models()) {
        INFO(bad.title);
        const Model::Result result = Model::compile(bad.yaml, "m.yaml");
        CHECK(result.model == nullptr);
        std::string all;
        for (const Problem& problem : result.problems) all += to_string(problem) + "\n";
        INFO(all);
        CHECK(result.problems.size() == bad.expected.size());
        for (std::size_t i = 0; i < std::min(result.problems.size(), bad.expected.size()); ++i) {
            const Problem& problem = result.problems[i];
            const std::string& row = bad.expected[i];
            INFO(row);
            const std::size_t place = row.find(' '), rule = row.find(' ', place + 1);
            CHECK(problem.place == "m.yaml:" + row.substr(0, place));
            CHECK(problem.rule == row.substr(place + 1, rule - place - 1));
            CHECK((problem.message + " | " + problem.fix).find(row.substr(rule + 1)) != std::string::npos);
            CHECK_FALSE(problem.fix.empty());
            seen.insert(problem.rule);
        }
    }
    // TL-9102 is in "a hostile model is refused in ...", TL-9190 in tests/unit/life; all other rules have a row.
    for (const ModelRule& rule : model_rules()) {
        const bool elsewhere = rule.id == "TL-9102" || rule.id == "TL-9190";
        if (rule.id.starts_with("TL-91") && !elsewhere) CHECK(seen.contains(std::string(rule.id)));
    }
}

TEST_CASE("the rules are listed once, in order, and documented as they are", "[namespace][model]") {
    const std::string page = read_source("docs/reference/rules.md");
    std::set<std::string> documented;
    std::istringstream in(page);
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with("| TL-")) documented.insert(line.substr(2, 7));
    }
    std::set<std::string> known;
    std::string_view last;
    const auto check = [&](std::string_view id, std::string_view name, std::string_view meaning,
                           std::string_view mend) {
        INFO(id);
        CHECK(id > last);
        last = id;
        known.insert(std::string(id));
        std::string row = "| " + std::string(id) + " | " + std::string(name) + " | " + std::string(meaning) + " | " +
                          std::string(mend) + " |";
        CHECK(page.find(row) != std::string::npos);
    };
    for (const ModelRule& rule : model_rules()) check(rule.id, rule.name, rule.meaning, rule.mend);
    last = "";
    for (const PayloadRule& rule : payload_rules) check(rule.id, rule.name, rule.meaning, rule.mend);
    for (const std::string& id : documented) {
        INFO(id);
        const bool elsewhere = id.starts_with("TL-90") || id.starts_with("TL-10");  // configuration, access
        CHECK((known.contains(id) || elsewhere));
    }
    CHECK(find_model_rule("TL-2103")->name == "case collision");
    CHECK(find_model_rule("TL-0000") == nullptr);
}
