#include "namespace/life/learn.h"

#include <set>

#include "namespace/life/learn_shape.h"

namespace trunkline::uns {
namespace {

using learning::Loosened;
using learning::Shape;
using learning::Tuning;

constexpr int rounds_max = 8;  // of loosening; each takes what breaks at least one step down

struct Proposal {
    Shape shape;
    std::string yaml;
    std::vector<std::string> notes;
    std::shared_ptr<const Model> model;
};

Proposal propose(const Traffic& traffic, const LearnOptions& options, const Tuning& tuning) {
    Proposal out;
    out.shape = learning::observe(traffic, options, tuning);
    out.yaml = learning::write_model(out.shape, options, tuning, out.notes);
    out.model = Model::compile(out.yaml, "learned").model;
    return out;
}

/// What to loosen so that the proposal takes this message. False: nothing more can be done.
bool loosen(const Finding& finding, const Resolution& resolution, const Shape& shape, std::string_view topic,
            Tuning& tuning) {
    const auto key = learning::member_of(shape, topic);
    if (finding.rule.starts_with("TL-4") && !key.first.empty()) return tuning.state.insert(key).second;
    if (!finding.rule.starts_with("TL-3") || resolution.status != Resolution::Status::member) {
        return tuning.exempt.insert(std::string(topic)).second;
    }
    if (key.first.empty()) return tuning.loosened.emplace(std::pair("", std::string(topic)), Loosened::any).second;
    Loosened& now = tuning.loosened[key];
    if (now == Loosened::any) return tuning.exempt.insert(std::string(topic)).second;
    now = static_cast<Loosened>(static_cast<int>(now) + 1);
    return true;
}

/// Judges the traffic that was learned from; true when nothing had to be loosened.
bool keeps(const Traffic& traffic, const Proposal& proposal, const LearnOptions& options, Tuning& tuning) {
    Tuning next = tuning;
    std::string topic;
    Resolution resolution;
    std::uint64_t topics = 0;
    bool kept = true;
    std::set<std::pair<std::string, std::string>> touched;  // one step a member and round
    traffic([&](const TrafficSample& sample) {
        if (sample.topic != topic || topics == 0) {
            topic = sample.topic;
            if (++topics > options.topics_max) return false;
            resolution = proposal.model->resolve(topic);
        }
        if (resolution.status == Resolution::Status::exempt || topic.empty() || topic.front() == '$') return true;
        Resolution as_seen = resolution;
        if (sample.truncated) as_seen.payload = nullptr;
        PublishFacts facts;
        facts.topic = sample.topic;
        facts.payload = sample.payload;
        facts.retain = sample.retain;
        facts.client_id = sample.client_id;
        facts.user = sample.user;
        facts.now_ms = sample.at_ms;
        const Verdict verdict = proposal.model->judge(as_seen, facts);
        if (!verdict.finding) return true;
        const auto key = learning::member_of(proposal.shape, topic);
        const auto mark = key.first.empty() ? std::pair(std::string(), topic) : key;
        if (!touched.insert(mark).second) return true;
        if (loosen(*verdict.finding, resolution, proposal.shape, topic, next)) kept = false;
        return true;
    });
    tuning = std::move(next);
    return kept;
}

}  // namespace

LearnResult learn(const Traffic& traffic, const LearnOptions& options) {
    Tuning tuning;
    Proposal proposal = propose(traffic, options, tuning);
    for (int round = 0; round < rounds_max; ++round) {
        if (!proposal.model) {  // what was joined too boldly is taken apart, step by step
            if (tuning.unique_names)
                tuning.unique_names = false;
            else if (!tuning.exact_types)
                tuning.exact_types = true;
            else
                tuning.open = true;
        } else if (keeps(traffic, proposal, options, tuning)) {
            break;
        }
        proposal = propose(traffic, options, tuning);
    }
    LearnResult result;
    const Shape& shape = proposal.shape;
    if (shape.topics == 0 && shape.exempt.empty()) {
        result.notes.push_back("nothing was published yet: there is nothing to learn from");
        return result;
    }
    result.yaml = std::move(proposal.yaml);
    result.notes = std::move(proposal.notes);
    result.messages = shape.messages;
    result.topics = shape.topics;
    result.assets = shape.assets;
    result.types = shape.types.size();
    for (const auto& type : shape.types) result.members += type.members.size();
    result.loosened = tuning.loosened.size();
    if (shape.topics_left_out) {
        result.notes.push_back("there are more than " + std::to_string(options.topics_max) +
                               " topics; the rest was left out");
    }
    if (!shape.exempt.empty()) {
        result.notes.push_back(std::to_string(shape.exempt.size()) +
                               " filters are exempt: what could not be modelled, see the end of the file");
    }
    return result;
}

}  // namespace trunkline::uns
