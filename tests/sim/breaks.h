// Brokers that are broken on purpose: each break changes one thing at the seam between the shards and the log, and the
// simulator must find it. What is right of the seam stays consistent, so only a client's view gives the break away.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string_view>

#include "broker/core/commit_log.h"

namespace trunkline::sim {

enum class Broken {
    nothing,
    ack_before_commit,    ///< effects leave before the batch is written
    lose_inbound_id,      ///< the id of a QoS 2 PUBLISH is not stored with it
    forget_cursor,        ///< what a subscriber acknowledged is not stored
    skip_requeue,         ///< a session resumes behind what it has not acknowledged
    keep_subscription,    ///< UNSUBSCRIBE is answered and not stored
    stale_retained,       ///< a new retained value is not stored
    swap_submissions,     ///< two submissions of one shard change places
    ignore_window,        ///< the client's Receive Maximum does not reach the broker
};

struct BreakName {
    Broken broken;
    const char* name;
};
inline constexpr std::array break_names = {
    BreakName{Broken::ack_before_commit, "ack-before-commit"}, BreakName{Broken::lose_inbound_id, "lose-inbound-id"},
    BreakName{Broken::forget_cursor, "forget-cursor"},         BreakName{Broken::skip_requeue, "skip-requeue"},
    BreakName{Broken::keep_subscription, "keep-subscription"}, BreakName{Broken::stale_retained, "stale-retained"},
    BreakName{Broken::swap_submissions, "swap-submissions"},   BreakName{Broken::ignore_window, "ignore-window"},
};
[[nodiscard]] std::optional<Broken> break_named(std::string_view name);
[[nodiscard]] const char* name_of(Broken broken);

/// The operations as the log gets them. Offsets stay what they were.
[[nodiscard]] std::shared_ptr<const store::OpBatch> sabotage(Broken broken,
                                                             std::shared_ptr<const store::OpBatch> batch);
/// The effects as the shards get them.
void sabotage(Broken broken, broker::Effects& effects);

}  // namespace trunkline::sim
