// What applying a model would do: recent traffic judged by the model in force and by the one to be applied.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "namespace/model/diff.h"
#include "namespace/model/model.h"
#include "namespace/traffic.h"

namespace trunkline::uns {

struct ReplayOptions {
    std::size_t findings_max = 1'000;  ///< that are told; all are counted
    std::size_t silent_max = 200;      ///< assets, and subscribers, that are told
    std::int64_t now_ms = 0;           ///< since 1970, for what ends on a date; 0: the time of each message
    /// Roles of a client, sorted or not; absent: not known, and writers that are roles are not judged.
    std::function<std::vector<std::string>(std::string_view client_id, std::string_view user)> roles_of;
    /// Who subscribes to what: client id and filter. Shared subscriptions as `$share/GROUP/FILTER`.
    std::vector<std::pair<std::string, std::string>> subscriptions;
};

/// Messages by what becomes of them, in the order of uns::Outcome.
using OutcomeCounts = std::array<std::uint64_t, 4>;

/// What one publisher does on one topic that breaks the model.
struct ReplayFinding {
    std::string topic, client_id, user;
    std::string rule, text, at, expected, fix;
    std::string place;    ///< "plant.yaml:61"; empty: nowhere
    std::string payload;  ///< of the first such message, at most 200 bytes of UTF-8
    Outcome before = Outcome::accept, after = Outcome::accept;
    std::uint64_t messages = 0;  ///< that break the rule
    std::uint64_t of = 0;        ///< that the publisher sent on the topic
    bool is_new = false;         ///< the model in force does not find it
};

struct ReplayPublisher {
    std::string client_id, user;
    std::uint64_t messages = 0, breaking = 0, newly_breaking = 0;
    std::uint64_t topics = 0;  ///< on which something breaks
};

/// A subscription that got something and would get nothing any more.
struct SilencedSubscriber {
    std::string client_id, filter;
    std::uint64_t messages = 0;  ///< that it got
};

/// An asset of the model that nothing was heard from.
struct SilentAsset {
    std::string topic, type, owner, place;
};

struct PlanReport {
    std::vector<ModelChange> changes;
    OutcomeCounts before{}, after{};
    std::uint64_t messages = 0, samples = 0, topics = 0;
    std::int64_t first_ms = 0, last_ms = 0;
    std::uint64_t mended = 0;             ///< messages that break the model in force and not the other
    std::vector<ReplayFinding> findings;  ///< by publisher, topic, rule
    std::uint64_t findings_total = 0, messages_breaking = 0, messages_newly_breaking = 0;
    std::vector<ReplayPublisher> publishers;  ///< of the findings, who breaks most first
    std::vector<SilencedSubscriber> silenced;
    std::uint64_t silenced_total = 0;
    std::vector<SilentAsset> silent;
    std::uint64_t silent_total = 0;
    std::vector<std::string> notes;  ///< what could not be judged
    /// Nothing that is accepted today would break, and nobody would lose what he gets.
    [[nodiscard]] bool breaks_nothing() const { return messages_newly_breaking == 0 && silenced_total == 0; }
};

/// Judges each sample by both models with Model::judge(), the function of live publishes. RBAC and quotas are not
/// asked.
[[nodiscard]] PlanReport replay(const Traffic& traffic, const Model& before, const Model& after,
                                const ReplayOptions& options = {});

}  // namespace trunkline::uns
