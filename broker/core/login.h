// A question to authentication that is not answered yet, and the way of its answer back to the shard.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include "auth/authenticator.h"

namespace trunkline::broker {

class Broker;

/// Where answers come in that belong to no thread. It outlives the broker: whoever checks logins may answer whenever.
struct AnswerDesk {
    std::mutex mutex;           // guards `broker`, held over each delivery
    Broker* broker = nullptr;   // null: it has ended, answers go nowhere
};

/// One question. Shared by the client that waits, while it does, and by whoever has to answer.
struct Login {
    std::atomic<bool> answered{false};          // by the first answer; others are ignored
    std::atomic<bool> abandoned{false};         // nobody waits any more
    std::mutex mutex;                           // guards what is below
    bool asking = true;                         // the call that asks has not returned
    std::optional<auth::Answer> early;          // came before it returned
};

}  // namespace trunkline::broker
