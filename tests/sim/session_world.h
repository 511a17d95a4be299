// A whole broker without sockets, threads and clocks: real shards, router, registry, mailboxes and state over a
// simulated log and disk, with clients that speak MQTT in bytes. The seed decides who moves next, how many bytes pass,
// and what breaks.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "broker/core/broker.h"
#include "tests/sim/client.h"
#include "tests/sim/faults.h"
#include "tests/sim/link.h"
#include "tests/sim/node.h"
#include "tests/sim/oracle.h"

namespace trunkline::sim {

class SessionWorld {
public:
    SessionWorld(std::uint64_t seed, Broken broken, Story& story);
    ~SessionWorld();
    /// Throws Violation.
    void run();
    [[nodiscard]] const Oracle& oracle() const { return oracle_; }

private:
    static constexpr std::uint32_t shard_count = 2;

    void make_clients();
    void add_client(Traits traits, std::vector<Subscribed> filters);
    Link& open();

    void step();
    void pass_time(std::int64_t ms);
    void shard_turn(std::uint32_t shard);
    void serve(Link& link);
    void log_step();
    void trouble();
    void start();
    void crash();
    void release_will(Link& link);
    void release_wills();
    void prune_links();

    void settle();
    void connect_anchors();
    [[nodiscard]] bool quiet() const;
    void calm_round();
    void check_end();
    void check_subscriptions() const;

    Random random_;
    Story& story_;
    const Broken broken_;
    Faults faults_;
    const broker::StateLimits limits_;
    const broker::Config config_;
    std::int64_t now_ms_ = 1'700'000'000'000;
    std::int64_t stalled_until_ms_ = 0, no_growth_until_ms_ = 0;
    Oracle oracle_;
    Surroundings around_;
    std::vector<std::unique_ptr<Link>> links_;
    std::vector<std::unique_ptr<SimClient>> clients_;
    std::vector<bool> woken_;
    std::size_t read_history_ = 0;
    std::uint64_t lives_ = 0;
    bool calm_ = false;
    SimNode node_;
    std::unique_ptr<broker::Broker> broker_;   // ends before the log that it submits to
};

/// From here on a line of level error that the broker logs is a broken invariant, on whatever thread it runs.
void watch_error_lines();

}  // namespace trunkline::sim
