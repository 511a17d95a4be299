// One judgement for live publishes, explain, plan and tests: the checks in order, told to whoever asks.
#include <algorithm>

#include "namespace/model/model_data.h"
#include "namespace/model/text.h"

namespace trunkline::uns {
namespace {

bool is_writer(const std::vector<Writer>& writers, const PublishFacts& facts) {
    return std::any_of(writers.begin(), writers.end(), [&](const Writer& writer) {
        switch (writer.kind) {
            case Writer::Kind::user:
                return !facts.user.empty() && writer.name == facts.user;
            case Writer::Kind::client:
                return glob_matches(writer.name, facts.client_id);
            case Writer::Kind::role:
                return std::find(facts.roles.begin(), facts.roles.end(), writer.name) != facts.roles.end();
        }
        return false;
    });
}

std::string names_of(const std::vector<Writer>& writers) {
    std::string out;
    for (const Writer& writer : writers) {
        out += out.empty() ? "" : ", ";
        out += writer.kind == Writer::Kind::role ? "role:" : writer.kind == Writer::Kind::user ? "user:" : "client:";
        out += writer.name;
    }
    return out.empty() ? "nobody" : out;
}

VerdictReason reason_of(std::string_view rule) {
    switch (rule.size() > 3 ? rule[3] : '\0') {
        case '1':
            return VerdictReason::not_authorized;
        case '2':
            return VerdictReason::topic_name_invalid;
        case '3':
            return VerdictReason::payload_format_invalid;
        case '5':
            return VerdictReason::quota_exceeded;
        default:
            return VerdictReason::implementation_specific;
    }
}

Finding finding(std::string_view rule, std::string text, std::string at, std::string expected, std::string fix,
                Place place) {
    return {std::string(rule), std::move(text), std::move(at), std::move(expected), std::move(fix), place};
}

// Each check returns what is wrong, or nothing. `mode` is what becomes of the message then.
struct Checks {
    const Model& model;
    const Resolution& resolution;
    const PublishFacts& facts;

    [[nodiscard]] std::optional<Finding> alias() const {
        const auto& moved = resolution.moved;
        if (!moved || !moved->until_ms || facts.now_ms <= *moved->until_ms) return std::nullopt;
        return finding("TL-2107", "this path has moved, and the old one ended on " + date_text(*moved->until_ms), "",
                       moved->topic, moved->topic, moved->place);
    }

    // Who may write is never only observed: a command from the wrong hands stays refused while a branch is tightened.
    [[nodiscard]] std::optional<Finding> writers() const {
        if (!resolution.writers || is_writer(*resolution.writers, facts)) return std::nullopt;
        const bool command = resolution.kind == MemberKind::command;
        return finding("TL-1201",
                       std::string("the model does not name this client among the writers of this ") +
                           (command ? "command" : "branch"),
                       "", names_of(*resolution.writers),
                       "publish as one of the writers, or add the client to $writers",
                       resolution.place);
    }

    [[nodiscard]] std::optional<Finding> name() const {
        if (resolution.failure) {
            const NameFailure& failure = *resolution.failure;
            return finding(failure.rule, failure.text,
                           failure.level == 0 ? "" : "level " + std::to_string(failure.level), failure.expected,
                           failure.fix, failure.place);
        }
        if (facts.same_but_case.empty() || !resolution.has_free_level || !model.unique_ignoring_case())
            return std::nullopt;
        return finding("TL-2103",
                       "the topic differs only in case from " + quote(facts.same_but_case) + ", which exists", "",
                       std::string(facts.same_but_case), std::string(facts.same_but_case), resolution.place);
    }

    // An empty retained message takes a retained value away and is no value itself.
    [[nodiscard]] bool clears() const {
        return facts.retain && facts.payload.empty() &&
               (resolution.kind == MemberKind::metric || resolution.kind == MemberKind::open);
    }

    [[nodiscard]] std::optional<Finding> payload() const {
        if (!resolution.payload || clears()) return std::nullopt;
        auto violation = resolution.payload->check(facts.payload);
        if (!violation) return std::nullopt;
        return finding(violation->rule, std::move(violation->text), std::move(violation->at),
                       std::move(violation->expected), std::move(violation->fix), resolution.place);
    }

    [[nodiscard]] std::optional<Finding> retain() const {
        if (!facts.retain) return std::nullopt;
        if (resolution.kind == MemberKind::event) {
            return finding("TL-4101", "RETAIN on an event: an event is no state", "", "RETAIN 0",
                           "publish without RETAIN", resolution.place);
        }
        if (resolution.kind == MemberKind::command) {
            return finding("TL-4102", "RETAIN on a command: who connects later would be commanded again", "",
                           "RETAIN 0", "publish without RETAIN", resolution.place);
        }
        return std::nullopt;
    }

    [[nodiscard]] std::optional<Finding> quota() const {
        if (!resolution.quota || !facts.quota) return std::nullopt;
        const Quota& limit = *resolution.quota;
        const std::string_view topic = resolution.moved ? std::string_view(resolution.moved->topic) : facts.topic;
        std::size_t end = 0, levels = resolution.quota_levels;
        for (LevelCursor at(topic); !at.done() && levels > 0; at.next(), --levels) {
            end = static_cast<std::size_t>(at.level().data() - topic.data()) + at.level().size();
        }
        const std::string_view scope = topic.substr(0, end);
        switch (facts.quota->take(scope, limit, topic, facts.payload.size())) {
            case QuotaCounter::Finding::within:
                return std::nullopt;
            case QuotaCounter::Finding::topics:
                return finding(
                    "TL-5101",
                    quote(scope) + " has its " + std::to_string(limit.topics.value_or(0)) + " topics already", "",
                    "at most " + std::to_string(limit.topics.value_or(0)) + " topics",
                    "publish on topics that exist, or raise $quota topics", resolution.place);
            case QuotaCounter::Finding::messages:
                return finding(
                    "TL-5102",
                    quote(scope) + " takes " + number_text(limit.messages_per_s.value_or(0)) + " messages a second", "",
                    "at most " + number_text(limit.messages_per_s.value_or(0)) + "/s",
                    "publish less often, or raise $quota rate", resolution.place);
            case QuotaCounter::Finding::bytes:
                return finding(
                    "TL-5103",
                    quote(scope) + " takes " + std::to_string(limit.bytes_per_s.value_or(0)) + " bytes a second", "",
                    "at most " + std::to_string(limit.bytes_per_s.value_or(0)) + " bytes/s",
                    "publish less, or raise $quota bytes", resolution.place);
        }
        return std::nullopt;
    }
};

enum class Stage : std::uint8_t { writers, alias, name, payload, retain, quota };

Outcome outcome_of(Stage stage, const Checks& checks) {
    const Mode mode = checks.resolution.mode;
    // A writer that is none, a path that ended and a quota are refused even where the rest is quarantined.
    if (stage == Stage::writers || stage == Stage::alias) return Outcome::reject;
    if (mode == Mode::observe) return Outcome::observe;
    return mode == Mode::enforce || stage == Stage::quota ? Outcome::reject : Outcome::quarantine;
}

// Runs the checks in order. `tell(stage, finding, place)` hears of each and returns false to stop; a stage that can't
// be judged is left out.
template <class Tell>
void run_checks(const Checks& checks, Tell tell) {
    const bool exempt = checks.resolution.status == Resolution::Status::exempt;
    const bool known = checks.resolution.status == Resolution::Status::member;
    if (exempt) return;
    if (!tell(Stage::writers, checks.writers())) return;
    if (checks.resolution.moved && !tell(Stage::alias, checks.alias())) return;
    if (!tell(Stage::name, checks.name())) return;
    if (!known) return;
    if (!tell(Stage::payload, checks.payload())) return;
    if (!tell(Stage::retain, checks.retain())) return;
    tell(Stage::quota, checks.quota());
}

Verdict verdict_of(Stage stage, const Checks& checks, Finding&& found) {
    Verdict verdict;
    verdict.outcome = outcome_of(stage, checks);
    if (verdict.outcome == Outcome::reject) verdict.reason = reason_of(found.rule);
    verdict.finding = std::make_shared<const Finding>(std::move(found));
    return verdict;
}

std::string_view name_of(Stage stage) {
    constexpr std::string_view names[]{"writers", "alias", "name", "payload", "retain", "quota"};
    return names[static_cast<std::size_t>(stage)];
}

}  // namespace

std::string_view to_string(Outcome outcome) {
    constexpr std::string_view names[]{"accept", "observe", "quarantine", "reject"};
    return names[static_cast<std::size_t>(outcome)];
}

Verdict Model::judge(const Resolution& resolution, const PublishFacts& facts) const {
    const Checks checks{*this, resolution, facts};
    Verdict verdict;
    run_checks(checks, [&](Stage stage, std::optional<Finding> found) {
        if (!found) return true;
        verdict = verdict_of(stage, checks, std::move(*found));
        return false;
    });
    return verdict;
}

Report Model::explain(const PublishFacts& facts) const {
    const Resolution resolution = resolve(facts.topic);
    const Checks checks{*this, resolution, facts};
    Report report;
    bool decided = false;
    if (resolution.status == Resolution::Status::exempt) {
        report.checks.push_back(
            {"name", Check::Result::skipped, "an exempt filter of the model lets it through", nullptr, {}});
        return report;
    }
    const auto note = [&](Stage stage, std::optional<Finding> found, const Checks& of) {
        Check check;
        check.stage = name_of(stage);
        check.place = of.resolution.place;
        if (found) {
            const bool first = !decided;
            Verdict verdict = verdict_of(stage, of, std::move(*found));
            check.result = Check::Result::fail;
            check.finding = verdict.finding;
            check.text = verdict.finding->rule + " " + verdict.finding->text;
            check.place = verdict.finding->place;
            if (first) report.verdict = std::move(verdict);
            decided = true;
        } else if (stage == Stage::writers) {
            check.text = of.resolution.writers ? "among " + names_of(*of.resolution.writers)
                                               : "no writers are named: RBAC alone decides";
        } else if (stage == Stage::alias) {
            check.text = "moved to " + of.resolution.moved->topic;
            check.place = of.resolution.moved->place;
        } else if (stage == Stage::name) {
            check.text =
                std::string(to_string(of.resolution.kind)) +
                (of.resolution.member && !of.resolution.member->path.empty() ? " " + of.resolution.member->path : "");
        } else if (stage == Stage::payload) {
            check.text = of.resolution.payload ? of.resolution.member->payload_name : "not looked at";
        } else if (stage == Stage::quota && !of.resolution.quota) {
            check.text = "none";
        }
        report.checks.push_back(std::move(check));
        return true;
    };
    run_checks(checks,
               [&](Stage stage, std::optional<Finding> found) { return note(stage, std::move(found), checks); });
    if (resolution.failure && !resolution.failure->fix.empty()) {
        // What else would be wrong once the name is right.
        const Resolution meant = resolve(resolution.failure->fix);
        PublishFacts as_meant = facts;
        as_meant.topic = resolution.failure->fix;
        as_meant.quota = nullptr;
        const Checks more{*this, meant, as_meant};
        note(Stage::payload, more.payload(), more);
        note(Stage::retain, more.retain(), more);
    }
    return report;
}

}  // namespace trunkline::uns
