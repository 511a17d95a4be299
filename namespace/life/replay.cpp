#include "namespace/life/replay.h"

#include <algorithm>
#include <map>
#include <memory>
#include <tuple>

#include "namespace/life/evidence.h"
#include "namespace/life/judged_traffic.h"
#include "namespace/topic.h"

namespace trunkline::uns {
namespace {

/// Which subscriptions still get something. Filters are kept in a tree of levels, so that a topic costs what matches
/// it.
class Subscribers {
public:
    explicit Subscribers(const std::vector<std::pair<std::string, std::string>>& list) {
        for (const auto& [client, filter] : list) {
            const SharedFilter shared = parse_shared(filter);
            if (!shared.valid || !is_valid_topic_filter(shared.filter)) continue;
            Node* at = &root_;
            for (LevelCursor cursor(shared.filter); !cursor.done(); cursor.next()) {
                auto& child = at->children[std::string(cursor.level())];
                if (!child) child = std::make_unique<Node>();
                at = child.get();
            }
            at->subscriptions.push_back(all_.size());
            all_.push_back({client, filter, 0, false});
        }
    }

    void deliver(std::string_view topic, std::uint64_t messages, bool before, bool after) {
        if (all_.empty()) return;
        std::vector<std::string_view> levels;
        split_levels(topic, levels);
        messages_ = messages;
        before_ = before;
        after_ = after;
        visit(root_, levels, 0, topic.starts_with('$'));
    }

    void report(PlanReport& out, std::size_t most) const {
        for (const Entry& entry : all_) {
            if (entry.got == 0 || entry.gets) continue;
            ++out.silenced_total;
            if (out.silenced.size() < most) out.silenced.push_back({entry.client, entry.filter, entry.got});
        }
    }

private:
    struct Entry {
        std::string client, filter;
        std::uint64_t got = 0;
        bool gets = false;
    };
    struct Node {
        std::map<std::string, std::unique_ptr<Node>, std::less<>> children;
        std::vector<std::size_t> subscriptions;
    };

    void note(const Node& node) {
        for (const std::size_t index : node.subscriptions) {
            if (before_) all_[index].got += messages_;
            if (after_) all_[index].gets = true;
        }
    }

    void visit(const Node& node, const std::vector<std::string_view>& levels, std::size_t at, bool hidden) {
        const bool wild = at > 0 || !hidden;  // [MQTT-4.7.2-1]
        if (const auto all = node.children.find("#"); wild && all != node.children.end()) note(*all->second);
        if (at == levels.size()) return note(node);
        if (const auto one = node.children.find("+"); wild && one != node.children.end()) {
            visit(*one->second, levels, at + 1, hidden);
        }
        if (const auto named = node.children.find(levels[at]); named != node.children.end()) {
            visit(*named->second, levels, at + 1, hidden);
        }
    }

    Node root_;
    std::vector<Entry> all_;
    std::uint64_t messages_ = 0;
    bool before_ = false, after_ = false;
};

bool is_delivered(Outcome outcome) { return outcome == Outcome::accept || outcome == Outcome::observe; }

class Replay {
public:
    Replay(const Model& before, const Model& after, const ReplayOptions& options, const CaseTwins& twins)
        : after_model_(after),
          options_(options),
          before_(before, options, twins),
          after_(after, options, twins),
          subscribers_(options.subscriptions) {}

    void take(const TrafficSample& sample) {
        if (report_.samples == 0 || sample.topic != topic_) {
            end_topic();
            topic_ = sample.topic;
            ++report_.topics;
        }
        report_.first_ms = report_.samples == 0 ? sample.at_ms : std::min(report_.first_ms, sample.at_ms);
        report_.last_ms = std::max(report_.last_ms, sample.at_ms);
        ++report_.samples;
        report_.messages += sample.messages;
        const Verdict before = before_.judge(sample);
        const Verdict after = after_.judge(sample);
        report_.before[static_cast<std::size_t>(before.outcome)] += sample.messages;
        report_.after[static_cast<std::size_t>(after.outcome)] += sample.messages;
        const std::string client(sample.client_id);
        Sender& sender = senders_[client];
        sender.user = sample.user;
        sender.messages += sample.messages;
        sent_here_[client] += sample.messages;
        if (before.finding && !after.finding) report_.mended += sample.messages;
        if (after.finding) note(sample, before, after);
        const auto where = [&](const Resolution& resolution) {
            return resolution.moved ? std::string_view(resolution.moved->topic) : sample.topic;
        };
        const std::string_view old_topic = where(before_.resolution()), new_topic = where(after_.resolution());
        const std::uint64_t weight = std::max<std::uint64_t>(sample.messages, 1);
        if (old_topic == new_topic) {
            subscribers_.deliver(old_topic, weight, is_delivered(before.outcome), is_delivered(after.outcome));
        } else {
            subscribers_.deliver(old_topic, weight, is_delivered(before.outcome), false);
            subscribers_.deliver(new_topic, weight, false, is_delivered(after.outcome));
        }
    }

    PlanReport finish() {
        end_topic();
        std::sort(report_.findings.begin(), report_.findings.end(), [](const auto& a, const auto& b) {
            return std::tie(a.client_id, a.topic, a.rule) < std::tie(b.client_id, b.topic, b.rule);
        });
        for (const auto& [client, sender] : senders_) {
            if (sender.breaking == 0) continue;
            report_.publishers.push_back(
                {client, sender.user, sender.messages, sender.breaking, sender.newly, sender.topics});
        }
        std::stable_sort(report_.publishers.begin(), report_.publishers.end(),
                         [](const auto& a, const auto& b) { return a.breaking > b.breaking; });
        if (report_.publishers.size() > options_.findings_max) report_.publishers.resize(options_.findings_max);
        subscribers_.report(report_, options_.silent_max);
        find_silent(after_model_, after_.assets(), options_.silent_max, report_.silent, report_.silent_total);
        if (const std::uint64_t count = after_.unjudged_writers()) {
            report_.notes.push_back(counted(count, "message") +
                                    " on branches whose writers are roles: who may write was "
                                    "not judged, as roles of publishers are not known here");
        }
        if (const std::uint64_t count = after_.unjudged_payloads()) {
            report_.notes.push_back(counted(count, "message") +
                                    " with large payloads, of which only the beginning is kept: not judged by content");
        }
        if (report_.findings_total > report_.findings.size()) {
            report_.notes.push_back("only the first " + count_text(report_.findings.size()) + " of " +
                                    counted(report_.findings_total, "finding") + " are listed");
        }
        return std::move(report_);
    }

private:
    struct Sender {
        std::string user;
        std::uint64_t messages = 0, breaking = 0, newly = 0, topics = 0;
    };

    void note(const TrafficSample& sample, const Verdict& before, const Verdict& after) {
        const Finding& found = *after.finding;
        const bool is_new = !before.finding || before.outcome < after.outcome;
        const std::uint64_t weight = std::max<std::uint64_t>(sample.messages, 1);
        report_.messages_breaking += weight;
        if (is_new) report_.messages_newly_breaking += weight;
        Sender& sender = senders_[std::string(sample.client_id)];
        sender.breaking += weight;
        if (is_new) sender.newly += weight;
        const auto [at, fresh] = here_.try_emplace({std::string(sample.client_id), found.rule});
        ReplayFinding& entry = at->second;
        entry.messages += weight;
        if (!fresh) return;
        entry.topic = topic_;
        entry.client_id = sample.client_id;
        entry.user = sample.user;
        entry.rule = found.rule;
        entry.text = found.text;
        entry.at = found.at;
        entry.expected = found.expected;
        entry.fix = found.fix;
        entry.place = after_model_.place_text(found.place);
        entry.payload = shown_payload(sample.payload);
        entry.before = before.outcome;
        entry.after = after.outcome;
        entry.is_new = is_new;
    }

    void end_topic() {
        std::string last;
        for (auto& [key, entry] : here_) {
            entry.of = std::max(sent_here_[key.first], entry.messages);
            ++report_.findings_total;
            if (last != key.first || &entry == &here_.begin()->second) ++senders_[key.first].topics;
            last = key.first;
            if (report_.findings.size() < options_.findings_max) report_.findings.push_back(std::move(entry));
        }
        here_.clear();
        sent_here_.clear();
    }

    const Model& after_model_;
    const ReplayOptions& options_;
    SampleJudge before_, after_;
    Subscribers subscribers_;
    PlanReport report_;
    std::string topic_;
    std::map<std::string, Sender> senders_;
    std::map<std::pair<std::string, std::string>, ReplayFinding> here_;  // of this topic, by client and rule
    std::map<std::string, std::uint64_t> sent_here_;
};

}  // namespace

PlanReport replay(const Traffic& traffic, const Model& before, const Model& after, const ReplayOptions& options) {
    CaseTwins twins;
    if (before.unique_ignoring_case() || after.unique_ignoring_case()) twins = find_case_twins(traffic);
    Replay replay(before, after, options, twins);
    traffic([&](const TrafficSample& sample) {
        if (!sample.topic.empty() && !sample.topic.starts_with("$SYS/")) replay.take(sample);
        return true;
    });
    PlanReport report = replay.finish();
    report.changes = diff(before, after);
    return report;
}

}  // namespace trunkline::uns
