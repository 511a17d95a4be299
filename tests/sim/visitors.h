// Clients that come and go with wills and sessions that expire, and an oracle that reads the log: a will is published
// at most once, not before it is due, never once it is cancelled, and always when its session lives on.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/node.h"

namespace trunkline::sim {

/// What the specification says of wills and session expiry, walked along the log as it was committed.
class VisitorOracle {
public:
    /// Reads what `history` has since the last call. Throws Violation.
    void follow(const std::vector<LoggedBatch>& history);
    /// With nothing under way: throws when a will that is due has not been published.
    void expect_all_published() const;
    /// A claim was answered; its batch may be read later.
    void claimed(std::uint64_t owner, bool present) { answers_[owner] = present; }
    [[nodiscard]] bool any_session() const;

private:
    struct Will {
        std::uint64_t uid;
        std::uint32_t delay_s;
    };
    struct Client {
        bool exists = false, connected = false;
        std::uint64_t owner = 0;
        std::optional<Will> will;
        std::uint32_t expiry_s = 0;
        std::int64_t expires_at_ms = 0, will_at_ms = 0;   // 0: no
        std::set<std::uint64_t> due;                      // released, to be published while the session exists
    };
    void read(const LoggedBatch& batch);
    void run_timers();
    void claim(const store::ClaimOp& op);
    void detach(const store::DetachOp& op);
    void publish(const store::PublishOp& op);
    void disconnect(Client& client);
    void end(Client& client);
    void release(Client& client);

    std::size_t next_ = 0;
    std::int64_t time_ms_ = 0;
    std::map<std::string, Client, std::less<>> clients_;
    std::set<std::uint64_t> released_, published_;
    std::map<std::uint64_t, bool> answers_;               // owner -> session present
};

/// The clients. Owned by the world, which hands in how to submit and the numbers to use.
class Visitors {
public:
    struct Hooks {
        std::function<std::uint64_t()> new_owner;
        std::function<std::uint64_t(const std::string& topic, std::uint8_t qos)> new_message;   // its uid
        std::function<void(std::uint32_t shard, const store::ClaimOp&)> claim;
        std::function<void(std::uint32_t shard, const store::DetachOp&)> detach;
        std::function<void(std::uint32_t shard, const store::SubscribeOp&)> subscribe;
    };
    Visitors(Random& random, std::uint32_t shards, Hooks hooks);

    /// One of them does something.
    void turn();
    /// From now on they only leave.
    void leave();
    void crash();
    void on_claim(const broker::ClaimResult& claim);
    VisitorOracle oracle;

private:
    struct Visitor {
        std::string client;
        std::uint64_t owner = 0;         // 0: away
        std::uint32_t shard = 0;
        SessionId session = 0;           // 0: the claim is under way
        std::uint64_t sent_below = 0;
    };
    void connect(Visitor& visitor);
    void disconnect(Visitor& visitor, std::uint32_t expiry_s, bool drop_will);

    Random& random_;
    const std::uint32_t shards_;
    const Hooks hooks_;
    std::vector<Visitor> visitors_;
    bool leaving_ = false;
};

}  // namespace trunkline::sim
