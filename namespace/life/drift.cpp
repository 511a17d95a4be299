#include "namespace/life/drift.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include <nlohmann/json.hpp>

#include "namespace/life/evidence.h"
#include "namespace/life/judged_traffic.h"
#include "namespace/life/yaml_text.h"
#include "namespace/model/text.h"
#include "namespace/topic.h"

namespace trunkline::uns {
namespace {

using DriftKind = DriftItem::Kind;

constexpr std::size_t examples_max = 3;
constexpr std::uint64_t samples_for_loose = 50, samples_for_unused = 30;
constexpr double loose_share = 0.1;        // of the range that the values use
constexpr std::int64_t stale_periods = 3;  // as `every` has it

void add_example(std::vector<std::string>& list, std::string_view text) {
    if (list.size() < examples_max && !text.empty() && std::find(list.begin(), list.end(), text) == list.end()) {
        list.emplace_back(text);
    }
}

/// What was seen of one member of a type, over all assets.
struct MemberSeen {
    const Member* member = nullptr;
    std::string type;
    Evidence evidence;
    std::vector<std::string> topics, clients;
    std::uint64_t late_topics = 0, silent_topics = 0;
    std::int64_t gap_max_ms = 0, quiet_ms = 0;
    std::vector<std::string> late, silent;
};

class Drift {
public:
    Drift(const Model& model, const DriftOptions& options, const CaseTwins& twins)
        : model_(model), options_(options), judge_(model, replay_options_, twins) {}

    void take(const TrafficSample& sample) {
        if (report_.topics == 0 || sample.topic != topic_) {
            end_topic();
            topic_ = sample.topic;
            ++report_.topics;
        }
        if (report_.messages == 0) report_.first_ms = sample.at_ms;
        report_.first_ms = std::min(report_.first_ms, sample.at_ms);
        report_.last_ms = std::max(report_.last_ms, sample.at_ms);
        report_.messages += sample.messages;
        const Verdict verdict = judge_.judge(sample);
        gathering_.take(sample);
        if (verdict.finding) note(sample, *verdict.finding);
    }

    DriftReport finish() {
        end_topic();
        const std::int64_t now_ms = options_.now_ms != 0 ? options_.now_ms : report_.last_ms;
        for (const auto& [topic, seen] : last_heard_) judge_silence(topic, seen, now_ms);
        for (auto& [member, seen] : members_) member_items(seen);
        for (auto& [key, item] : findings_) add(std::move(item));
        silent();
        std::stable_sort(report_.items.begin(), report_.items.end(), [](const DriftItem& a, const DriftItem& b) {
            return std::tie(a.kind, a.place, a.subject) < std::tie(b.kind, b.place, b.subject);
        });
        report_.items_total = report_.items.size();
        if (report_.items.size() > options_.items_max) {
            report_.items.resize(options_.items_max);
            report_.notes.push_back("only the first " + count_text(options_.items_max) + " of " +
                                    count_text(report_.items_total) + " are listed");
        }
        return std::move(report_);
    }

private:
    void add(DriftItem item) { report_.items.push_back(std::move(item)); }

    static std::string subject_of(const Member& member, const std::string& type) {
        const std::string name = std::string(to_string(member.kind)) + (member.path.empty() ? "" : " " + member.path);
        return type.empty() ? name : "type " + type + ", " + name;
    }

    // One item for each rule and line of the model; an unknown topic for each level where it leaves the model.
    void note(const TrafficSample& sample, const Finding& finding) {
        const Resolution& resolution = judge_.resolution();
        const bool unknown = resolution.status == Resolution::Status::unknown;
        const std::string what = unknown ? unknown_subject(resolution) : finding.at;
        const auto [at, fresh] =
            findings_.try_emplace({finding.rule, model_.place_text(finding.place), unknown ? what : std::string()});
        DriftItem& item = at->second;
        if (fresh) {
            item.kind = unknown                     ? DriftKind::unknown_topic
                        : finding.rule == "TL-3103" ? DriftKind::new_value
                        : finding.rule == "TL-3303" ? DriftKind::unit
                                                    : DriftKind::breaks_contract;
            item.rule = finding.rule;
            item.text = finding.text;
            item.place = model_.place_text(finding.place);
            item.subject = unknown || !resolution.member ? what : subject_of(*resolution.member, type_of(topic_));
            item.change = change_for(finding, resolution);
        }
        item.messages += std::max<std::uint64_t>(sample.messages, 1);
        add_example(item.topics, topic_);
        add_example(item.clients, sample.client_id);
        if (counted_here_.insert(&item).second) ++item.topics_total;
    }

    // The topic up to the level that is not in the model.
    [[nodiscard]] std::string unknown_subject(const Resolution& resolution) const {
        const std::size_t level = resolution.failure ? resolution.failure->level : 0;
        std::size_t end = topic_.size(), levels = level;
        if (level > 0) {
            end = 0;
            for (LevelCursor at(topic_); !at.done() && levels > 0; at.next(), --levels) {
                end = static_cast<std::size_t>(at.level().data() - topic_.data()) + at.level().size();
            }
        }
        return topic_.substr(0, end) + (end < topic_.size() ? "/..." : "");
    }

    std::string change_for(const Finding& finding, const Resolution& resolution) const {
        const std::string publisher = finding.fix.empty() ? std::string() : " (the publisher: " + finding.fix + ")";
        if (finding.rule == "TL-2106") return "add the member to the type, or correct the publisher" + publisher;
        if (finding.rule == "TL-2103") return "a publisher writes it in another case: correct it" + publisher;
        if (finding.rule.starts_with("TL-2") && !finding.fix.empty()) {
            return "a misspelling, it seems: publish to " + finding.fix + "; else add the level to the tree";
        }
        if (finding.rule.starts_with("TL-2")) {
            return "add it to the tree (trunkctl model new-asset TYPE PATH), or to exempt";
        }
        if (finding.rule == "TL-3102" && gathering_.so_far().min && resolution.member) {
            const auto& value = resolution.member->value;
            if (value.max && *gathering_.so_far().max > *value.max) {
                return "if " + number_text(*gathering_.so_far().max) +
                       " is right, raise max; else check the sensor or its scaling";
            }
            return "if " + number_text(*gathering_.so_far().min) +
                   " is right, lower min; else check the sensor or its scaling";
        }
        if (finding.rule == "TL-3103") return "if the value is meant, add it to enum" + publisher;
        return finding.fix.empty() ? "correct the publisher, or the contract"
                                   : finding.fix + ", or change the contract";
    }

    [[nodiscard]] std::string type_of(const std::string& topic) const {
        const Resolution& resolution = judge_.resolution();
        if (resolution.asset_levels == 0) return {};
        std::size_t end = 0, levels = resolution.asset_levels;
        for (LevelCursor at(topic); !at.done() && levels > 0; at.next(), --levels) {
            end = static_cast<std::size_t>(at.level().data() - topic.data()) + at.level().size();
        }
        const auto known = types_.find(topic.substr(0, end));
        if (known != types_.end()) return known->second;
        const auto described = model_.describe(topic.substr(0, end)).value_or("{}");
        const std::string type = nlohmann::json::parse(described).value("asset_type", "");
        types_.emplace(topic.substr(0, end), type);
        return type;
    }

    void end_topic() {
        counted_here_.clear();
        const Evidence seen_here = gathering_.end();
        if (topic_.empty() || seen_here.samples == 0) return;
        const Resolution& resolution = judge_.resolution();
        if (resolution.status != Resolution::Status::member || !resolution.member) return;
        heard_.insert(resolution.moved ? resolution.moved->topic : topic_);
        MemberSeen& seen = members_[resolution.member];
        if (!seen.member) {
            seen.member = resolution.member;
            seen.type = type_of(topic_);
        }
        seen.evidence.merge(seen_here);
        add_example(seen.topics, topic_);
        for (const auto& [client, count] : seen_here.clients) add_example(seen.clients, client);
        if (resolution.member->every_ms == 0) return;
        const auto every = static_cast<std::int64_t>(resolution.member->every_ms);
        if (seen_here.gaps > 0 && seen_here.gap_max_ms > stale_periods * every) {
            ++seen.late_topics;
            seen.gap_max_ms = std::max(seen.gap_max_ms, seen_here.gap_max_ms);
            add_example(seen.late, topic_);
        }
        last_heard_.push_back({topic_, {resolution.member, seen_here.last_ms}});
    }

    struct Heard {
        const Member* member;
        std::int64_t at_ms;
    };

    void judge_silence(const std::string& topic, const Heard& heard, std::int64_t now_ms) {
        const auto every = static_cast<std::int64_t>(heard.member->every_ms);
        if (now_ms - heard.at_ms <= stale_periods * every) return;
        MemberSeen& seen = members_[heard.member];
        ++seen.silent_topics;
        seen.quiet_ms = std::max(seen.quiet_ms, now_ms - heard.at_ms);
        add_example(seen.silent, topic);
    }

    DriftItem item_of(const MemberSeen& seen, DriftKind kind) const {
        DriftItem item;
        item.kind = kind;
        item.subject = subject_of(*seen.member, seen.type);
        item.place = model_.place_text(seen.member->place);
        item.topics = seen.topics;
        item.clients = seen.clients;
        item.topics_total = seen.evidence.topics;
        return item;
    }

    void member_items(const MemberSeen& seen) {
        const ValueType& value = seen.member->value;
        const Evidence& evidence = seen.evidence;
        if (value.min && value.max && evidence.min && evidence.messages >= samples_for_loose) {
            const double used = *evidence.max - *evidence.min, range = *value.max - *value.min;
            if (range > 0 && used >= 0 && used < loose_share * range) {
                DriftItem item = item_of(seen, DriftKind::loose_range);
                item.text = "values from " + number_text(*evidence.min) + " to " + number_text(*evidence.max) +
                            " use a small part of min " + number_text(*value.min) + ", max " + number_text(*value.max);
                item.change = "narrow the range, so that a wrong value is noticed";
                add(std::move(item));
            }
        }
        if (!value.enumeration.empty() && evidence.messages >= samples_for_unused && !evidence.more_strings) {
            std::string unused;
            for (const std::string& text : value.enumeration) {
                if (!evidence.strings.contains(text)) unused += (unused.empty() ? "" : ", ") + text;
            }
            if (!unused.empty() && !evidence.strings.empty()) {
                DriftItem item = item_of(seen, DriftKind::unused_value);
                item.text = "never seen in " + counted(evidence.messages, "message") + ": " + unused;
                item.change = "nothing to do if they are rare; else take them out of enum";
                add(std::move(item));
            }
        }
        unit_item(seen);
        if (seen.late_topics > 0) {
            DriftItem item = item_of(seen, DriftKind::late);
            item.topics = seen.late;
            item.topics_total = seen.late_topics;
            item.text = "every " + nice_duration(static_cast<std::int64_t>(seen.member->every_ms)) +
                        " is not kept: up to " + duration(seen.gap_max_ms) + " without a value";
            item.change = "look at the publisher, or write every: " + nice_duration(seen.gap_max_ms);
            add(std::move(item));
        }
        if (seen.silent_topics > 0) {
            DriftItem item = item_of(seen, DriftKind::silent_member);
            item.topics = seen.silent;
            item.topics_total = seen.silent_topics;
            item.text = "silent for " + duration(seen.quiet_ms) + ", promised every " +
                        nice_duration(static_cast<std::int64_t>(seen.member->every_ms));
            item.change = "look at the publisher";
            add(std::move(item));
        }
    }

    void unit_item(const MemberSeen& seen) {
        const auto& units = seen.evidence.units;
        if (!seen.member->value.unit.empty() || units.empty()) return;  // what differs breaks the contract
        DriftItem item = item_of(seen, DriftKind::unit);
        item.text = "payloads name a unit that the model does not:";
        for (const auto& [unit, count] : units)
            item.text += " " + comment_text(unit, 24) + " (" + count_text(count) + ")";
        item.change = units.size() == 1 ? "write unit: " + comment_text(units.begin()->first, 24)
                                        : "decide for one unit, and write it";
        add(std::move(item));
    }

    static std::string duration(std::int64_t ms) {
        if (ms < 10'000) return number_text(static_cast<double>(ms / 100) / 10) + " s";
        if (ms < 7'200'000)
            return ms < 600'000 ? std::to_string(ms / 1000) + " s" : std::to_string(ms / 60'000) + " min";
        return std::to_string(ms / 3'600'000) + " h";
    }

    // Assets that said nothing at all, and members that assets which are heard have never sent.
    void silent() {
        std::vector<SilentAsset> assets;
        std::uint64_t total = 0;
        find_silent(model_, judge_.assets(), options_.items_max, assets, total);
        for (const SilentAsset& asset : assets) {
            DriftItem item;
            item.kind = DriftKind::silent_asset;
            item.subject = asset.topic;
            item.text = asset.type + ", nothing heard" + (asset.owner.empty() ? "" : "; owner " + asset.owner);
            item.place = asset.place;
            item.change = "look at its publisher, or take it out of the tree";
            add(std::move(item));
        }
        std::map<const Member*, DriftItem> missing;
        std::string_view type;
        std::string asset;
        bool is_heard = false;
        model_.walk([&](const Model::Entry& entry) {
            if (entry.kind == MemberKind::asset) {
                asset = entry.topic;
                type = entry.type;
                is_heard = judge_.assets().contains(asset);
            } else if (is_heard && entry.kind == MemberKind::metric && entry.member && !entry.member->path.empty() &&
                       !heard_.contains(entry.topic)) {
                DriftItem& item = missing[entry.member];
                ++item.topics_total;
                add_example(item.topics, entry.topic);
                if (item.subject.empty()) item.subject = subject_of(*entry.member, std::string(type));
            }
            return true;
        });
        for (auto& [member, item] : missing) {
            item.kind = DriftKind::silent_member;
            item.place = model_.place_text(member->place);
            item.text = "never sent by " + counted(item.topics_total, "asset") + " that " +
                        (item.topics_total == 1 ? "is" : "are") + " heard otherwise";
            item.change = "have it published, or take it out of the type";
            add(std::move(item));
        }
    }

    const Model& model_;
    const DriftOptions& options_;
    const ReplayOptions replay_options_;
    SampleJudge judge_;
    DriftReport report_;
    std::string topic_;
    TopicEvidence gathering_;
    std::map<const Member*, MemberSeen> members_;
    std::map<std::tuple<std::string, std::string, std::string>, DriftItem> findings_;
    std::set<const DriftItem*> counted_here_;
    std::set<std::string, std::less<>> heard_;
    std::vector<std::pair<std::string, Heard>> last_heard_;
    mutable std::map<std::string, std::string> types_;
};

}  // namespace

std::string_view to_string(DriftItem::Kind kind) {
    constexpr std::string_view names[]{"unknown topic",   "silent asset", "silent member",
                                       "breaks contract", "new value",    "unit",
                                       "unused value",    "loose range",  "late"};
    return names[static_cast<std::size_t>(kind)];
}

DriftReport drift(const Traffic& traffic, const Model& model, const DriftOptions& options) {
    CaseTwins twins;
    if (model.unique_ignoring_case()) twins = find_case_twins(traffic);
    Drift drift(model, options, twins);
    traffic([&](const TrafficSample& sample) {
        if (!sample.topic.empty() && !sample.topic.starts_with("$SYS/")) drift.take(sample);
        return true;
    });
    return drift.finish();
}

}  // namespace trunkline::uns
