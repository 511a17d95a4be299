// Topic, payload and model to verdict: the rows of tests/namespace/verdicts.tsv.
#include <map>
#include <vector>

#include "namespace/model/text.h"
#include "tests/unit/namespace/model_fixture.h"

using namespace trunkline::uns;
using namespace trunkline::uns::test;

namespace {

std::vector<std::string> split(const std::string& line, char separator) {
    std::vector<std::string> out;
    std::istringstream in(line);
    for (std::string part; std::getline(in, part, separator);) out.push_back(part == "-" ? "" : part);
    return out;
}

// A counter that answers what the row says, and whether it was asked with the right scope.
class FixedQuota : public QuotaCounter {
public:
    Finding answer = Finding::within;
    std::string scope;
    Finding take(std::string_view asked, const Quota&, std::string_view, std::size_t) override {
        scope = asked;
        return answer;
    }
};

// What a row's fourth column says about the publish: "retain,client=edge-1,role=operator".
struct Sender {
    PublishFacts facts;
    std::vector<std::string> options, roles;
    FixedQuota quota;

    explicit Sender(const std::string& text) : options(split(text, ',')) {
        for (const std::string& option : options) {
            const std::string_view whole = option;
            const std::size_t equals = whole.find('=');
            const std::string_view key = whole.substr(0, equals);
            const std::string_view value = equals == std::string_view::npos ? "" : whole.substr(equals + 1);
            if (key == "retain") facts.retain = true;
            if (key == "client") facts.client_id = value;
            if (key == "user") facts.user = value;
            if (key == "role") roles.emplace_back(value);
            if (key == "now") facts.now_ms = parse_date_ms(std::string(value) + "T12:00:00Z").value();
            if (key == "exists") facts.same_but_case = value;
            if (key == "quota") {
                facts.quota = &quota;
                if (value == "topics") quota.answer = QuotaCounter::Finding::topics;
                if (value == "messages") quota.answer = QuotaCounter::Finding::messages;
                if (value == "bytes") quota.answer = QuotaCounter::Finding::bytes;
            }
        }
        facts.roles = roles;
    }
};

}  // namespace

TEST_CASE("every row of verdicts.tsv gets its verdict", "[namespace][model]") {
    std::map<std::string, std::shared_ptr<const Model>> models;
    std::istringstream table(read_source("tests/namespace/verdicts.tsv"));
    std::size_t rows = 0;
    for (std::string line; std::getline(table, line);) {
        if (line.empty() || line.starts_with("#")) continue;
        INFO(line);
        const auto columns = split(line, '\t');
        REQUIRE(columns.size() == 10);
        ++rows;
        auto& model = models[columns[0]];
        if (!model) model = compiled(read_source("tests/namespace/" + columns[0] + ".yaml"), columns[0] + ".yaml");
        Sender sender(columns[3]);
        sender.facts.topic = columns[1];
        sender.facts.payload = columns[2];
        const Resolution resolution = model->resolve(columns[1]);
        const Verdict verdict = model->judge(resolution, sender.facts);
        const Finding none{};
        const Finding& finding = verdict.finding ? *verdict.finding : none;
        CHECK(to_string(verdict.outcome) == columns[4]);
        CHECK(static_cast<int>(verdict.reason) == std::stoi(columns[5], nullptr, 16));
        CHECK(finding.rule == columns[6]);
        CHECK(finding.at == columns[7]);
        if (columns[8] != "*") CHECK(finding.fix == columns[8]);
        CHECK((finding.place.line == 0 ? "" : std::to_string(finding.place.line)) == columns[9]);
        CHECK((verdict.finding != nullptr) == (verdict.outcome != Outcome::accept));
        // A publisher that does as it is told has a topic that is in the namespace.
        if (resolution.failure && !resolution.failure->fix.empty()) {
            CHECK(model->resolve(resolution.failure->fix).status == Resolution::Status::member);
        }
        const Report report = model->explain(sender.facts);
        CHECK(report.verdict.outcome == verdict.outcome);
        CHECK(report.verdict.reason == verdict.reason);
        CHECK((report.verdict.finding ? report.verdict.finding->rule : "") == finding.rule);
    }
    CHECK(rows >= 120);
}

TEST_CASE("a quota is counted for the branch that has it", "[namespace][model]") {
    const auto model = compiled(head("tree:\n  a:\n    '{b}':\n      $quota: {topics: 2}\n      '#': any\n"));
    const Resolution resolution = model->resolve("a/one/x/y");
    REQUIRE(resolution.quota);
    CHECK(resolution.quota->topics == 2);
    CHECK(resolution.quota_levels == 2);
    Sender sender("quota=topics");
    sender.facts.topic = "a/one/x/y";
    CHECK(model->judge(resolution, sender.facts).reason == VerdictReason::quota_exceeded);
    CHECK(sender.quota.scope == "a/one");
}
