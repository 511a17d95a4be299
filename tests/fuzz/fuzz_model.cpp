// The model's language: any text is either refused with places and mends, or becomes a model that judges any topic and
// agrees with itself. Input: the YAML; after a line "%%" topics to judge, one a line.
#include <cstdlib>
#include <string>
#include <string_view>

#include "namespace/model/diff.h"
#include "namespace/model/model.h"
#include "namespace/topic.h"

namespace {

using namespace trunkline;

void require(bool condition) {
    if (!condition) std::abort();
}

void judge(const uns::Model& model, const std::string& topic) {
    const uns::Resolution resolution = model.resolve(topic);
    require((resolution.status == uns::Resolution::Status::member) == (resolution.member != nullptr));
    require((resolution.status == uns::Resolution::Status::unknown) == (resolution.failure != nullptr));
    uns::PublishFacts facts;
    facts.topic = topic;
    facts.payload = "{\"value\":1,\"timestamp\":1}";
    const uns::Verdict verdict = model.judge(resolution, facts);
    const uns::Report report = model.explain(facts);
    require(report.verdict.outcome == verdict.outcome && report.verdict.reason == verdict.reason);
    require((verdict.finding == nullptr) == (verdict.outcome == uns::Outcome::accept));
    require((verdict.reason == uns::VerdictReason::success) == (verdict.outcome != uns::Outcome::reject));
    if (resolution.failure && !resolution.failure->fix.empty() && !resolution.moved) {
        const uns::Resolution meant = model.resolve(resolution.failure->fix);
        require(meant.status != uns::Resolution::Status::unknown || meant.moved);
    }
    (void)model.describe(topic);
    (void)model.children(topic, "", 10);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const std::size_t mark = input.find("\n%%\n");
    const std::string_view text = input.substr(0, mark);
    std::string_view topics = mark == std::string_view::npos ? std::string_view() : input.substr(mark + 4);
    const uns::Model::Result result = uns::Model::compile(text, "fuzz.yaml");
    require((result.model == nullptr) == !result.problems.empty());
    for (const Problem& problem : result.problems) {
        require(problem.rule.starts_with("TL-9") && !problem.message.empty() && !problem.fix.empty());
        require(problem.place.starts_with("fuzz.yaml"));
    }
    if (!result.model) return 0;
    const uns::Model& model = *result.model;
    require(uns::diff(model, model).empty());
    std::size_t walked = 0;
    model.walk([&](const uns::Model::Entry& entry) {
        require(!entry.topic.empty());
        return ++walked < 1000;
    });
    (void)model.json();
    while (!topics.empty()) {
        const std::size_t end = topics.find('\n');
        const std::string topic(topics.substr(0, end));
        topics.remove_prefix(end == std::string_view::npos ? topics.size() : end + 1);
        if (uns::is_valid_topic_name(topic)) judge(model, topic);
    }
    return 0;
}
