// What shards and other threads send to a shard: collected per sender and turn, handed over in one piece.
#pragma once

#include <functional>
#include <mutex>
#include <utility>
#include <variant>
#include <vector>

#include "broker/core/commit_log.h"
#include "broker/core/message.h"
#include "broker/core/shard_api.h"

namespace trunkline::broker {

/// A message for the subscribers of another shard, or for one member of a shared subscription there.
struct Forward {
    MessagePtr message;
    std::uint64_t member = 0;            // connection number; 0: everyone the topic is routed to
    std::string shared_filter;           // with member
    std::vector<std::uint64_t> declined = {};   // members of the shared subscription that may not have it
};
struct Forwards {
    std::vector<Forward> messages;
    std::uint64_t bytes = 0;             // of the messages
};

/// Let go of a client identifier: a newer connection has claimed it.
struct TakeOver {
    std::uint64_t number = 0;            // the connection that must go
    std::uint32_t from_shard = 0;
    std::uint64_t for_number = 0;        // the connection that waits
};
/// The answer: everything of the old connection has been submitted.
struct Released { std::uint64_t for_number = 0; };
/// Work from another thread.
struct Work { std::function<void(ShardApi&)> run; };

using Mail = std::variant<Forwards, Effects, TakeOver, Released, Work>;
/// A name for Mail that headers can declare.
struct MailBody { Mail mail; };

/// Many writers, one reader.
class Mailbox {
public:
    /// True when the box was empty: its owner must be woken.
    [[nodiscard]] bool put(Mail&& mail) {
        const std::lock_guard lock(mutex_);
        box_.push_back(std::move(mail));
        return box_.size() == 1;
    }
    /// Everything so far, in order; `into` gives its memory in exchange.
    void take(std::vector<Mail>& into) {
        into.clear();
        const std::lock_guard lock(mutex_);
        box_.swap(into);
    }

private:
    std::mutex mutex_;
    std::vector<Mail> box_;
};

}  // namespace trunkline::broker
