// Who publishes which topics to whom: the shape of a run, as plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/options.h"

namespace trunkline::bench {

struct TrafficPlan {
    struct Topic {
        std::string name;
        std::uint16_t receivers = 0;  // subscribers whose filters match
    };
    std::vector<Topic> topics;
    std::vector<std::vector<std::uint32_t>> publisher_topics;     // indexes into topics, used in turn
    std::vector<std::vector<std::string>> subscriber_filters;
    bool paired = false;   // subscriber i hears publisher i alone; otherwise any subscriber may hear any publisher
    bool sparse = false;   // a subscriber gets only a part of a publisher's messages
};

/// The plan of pairs, fan-in, fan-out, latency, filters or durable. With several generator threads each has a plan of
/// its own: `part` of `parts`.
TrafficPlan make_plan(const Options& options, std::uint32_t part = 0, std::uint32_t parts = 1);

/// The tree that the filters mode publishes over: acme/<site>/<area>/line-N/<cell>/<metric>.
struct FilterTree {
    std::uint32_t sites = 4, areas = 4, lines = 8, cells = 8, metrics = 10;
    [[nodiscard]] std::uint32_t topic_count() const { return sites * areas * lines * cells * metrics; }
};

/// Filters of one kind are disjoint: no topic matches two of them. Subscriber i gets filters of one kind only (the
/// kinds go round), so that overlapping subscriptions of one client, which brokers treat differently, do not occur.
TrafficPlan make_filters_plan(const FilterTree& tree, std::uint32_t publishers, std::uint32_t subscribers,
                              std::uint32_t filters);

}  // namespace trunkline::bench
