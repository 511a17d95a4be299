#include "bench/plan.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <set>
#include <stdexcept>

namespace trunkline::bench {

namespace {

std::string number(std::uint64_t value) { return std::to_string(value); }

/// `each` topics for every one of `publishers` publishers, under `branch`.
void add_topics(TrafficPlan& plan, const std::string& branch, std::uint32_t first, std::uint32_t publishers,
                std::uint32_t each, std::uint16_t receivers) {
    for (std::uint32_t i = 0; i < publishers; ++i) {
        auto& own = plan.publisher_topics.emplace_back();
        for (std::uint32_t t = 0; t < each; ++t) {
            own.push_back(static_cast<std::uint32_t>(plan.topics.size()));
            plan.topics.push_back({branch + "/" + number(first + i) + "/" + number(t), receivers});
        }
    }
}

TrafficPlan make_pairs_plan(const Options& options, std::uint32_t part, std::uint32_t parts) {
    TrafficPlan plan;
    plan.paired = true;
    const std::uint32_t pairs = std::max(1U, options.clients / 2);
    const std::uint32_t first = pairs * part / parts;
    const std::uint32_t end = pairs * (part + 1) / parts;
    const std::string branch = options.topic_prefix + "/pairs";
    add_topics(plan, branch, first, end - first, std::max(1U, options.topics / pairs), 1);
    for (std::uint32_t i = first; i < end; ++i) plan.subscriber_filters.push_back({branch + "/" + number(i) + "/#"});
    return plan;
}

TrafficPlan make_fan_in_plan(const Options& options, const std::string& name, std::uint32_t subscribers) {
    TrafficPlan plan;
    const std::string branch = options.topic_prefix + "/" + name;
    add_topics(plan, branch, 0, options.clients, std::max(1U, options.topics / options.clients),
               static_cast<std::uint16_t>(subscribers));
    plan.subscriber_filters.assign(subscribers, {branch + "/#"});
    return plan;
}

/// The topics of a file, dealt out to the publishers one by one, and a subscriber to all that begins as they do.
TrafficPlan make_file_plan(const Options& options) {
    TrafficPlan plan;
    plan.publisher_topics.resize(options.clients);
    std::set<std::string> roots;
    std::ifstream file(options.topics_file);
    for (std::string line; std::getline(file, line);) {
        if (line.empty()) continue;
        roots.insert(line.substr(0, line.find('/')) + "/#");
        plan.publisher_topics[plan.topics.size() % options.clients].push_back(
            static_cast<std::uint32_t>(plan.topics.size()));
        plan.topics.push_back({std::move(line), 1});
    }
    if (plan.topics.size() < options.clients) throw std::runtime_error("fewer topics in the file than --clients");
    plan.subscriber_filters.emplace_back(roots.begin(), roots.end());
    return plan;
}

TrafficPlan make_fan_out_plan(const Options& options) {
    TrafficPlan plan;
    const std::string branch = options.topic_prefix + "/fan-out";
    add_topics(plan, branch, 0, 1, std::max(1U, options.topics), static_cast<std::uint16_t>(options.clients));
    plan.subscriber_filters.assign(options.clients, {branch + "/#"});
    return plan;
}

constexpr std::array site_names{"munich", "hamburg", "lyon", "porto", "gdansk", "turin", "ghent", "malmo"};
constexpr std::array area_names{"packaging", "processing", "utilities", "warehouse", "bottling", "brewing"};
constexpr std::array cell_names{"filler-",     "packer-", "capper-", "labeler-",
                                "palletizer-", "washer-", "mixer-",  "oven-"};
constexpr std::array metric_names{"temperature", "state",   "speed",  "pressure", "counter",
                                  "running",     "torque",  "level",  "vibration", "power"};

template <std::size_t N>
std::string name_of(const std::array<const char*, N>& names, std::uint32_t index) {
    const std::string name = names[index % N];
    if (name.back() == '-') return name + number(index / N + 1);
    return index < N ? name : name + "_" + number(index / N + 1);
}

/// The levels of one topic below "acme".
using Levels = std::array<std::string, 5>;

/// The filters, one of each kind, that match a topic.
constexpr std::uint32_t filter_kinds = 6;
std::string filter_of_kind(std::uint32_t kind, const Levels& levels) {
    const auto& [site, area, line, cell, metric] = levels;
    switch (kind) {
        case 0: return "acme/" + site + "/" + area + "/" + line + "/+/" + metric;
        case 1: return "acme/" + site + "/" + area + "/" + line + "/" + cell + "/#";
        case 2: return "acme/+/" + area + "/" + line + "/" + cell + "/" + metric;
        case 3: return "acme/" + site + "/+/" + line + "/" + cell + "/" + metric;
        case 4: return "acme/" + site + "/" + area + "/+/" + cell + "/" + metric;
        default: return "+/" + site + "/" + area + "/" + line + "/" + cell + "/#";
    }
}

}  // namespace

TrafficPlan make_filters_plan(const FilterTree& tree, std::uint32_t publishers, std::uint32_t subscribers,
                              std::uint32_t filters) {
    TrafficPlan plan;
    plan.sparse = true;
    plan.subscriber_filters.resize(subscribers);
    plan.publisher_topics.resize(publishers);

    // For each kind its distinct filters, and for each topic which of them matches it.
    std::array<std::vector<std::string>, filter_kinds> distinct;
    std::vector<std::array<std::uint32_t, filter_kinds>> matching;
    std::array<std::map<std::string, std::uint32_t>, filter_kinds> known;
    for (std::uint32_t i = 0; i < tree.topic_count(); ++i) {
        // Neighbouring numbers differ in every level, so that publishers do not walk one machine at a time.
        const Levels levels{name_of(site_names, i % tree.sites), name_of(area_names, i / tree.sites % tree.areas),
                            "line-" + number(i / tree.sites / tree.areas % tree.lines + 1),
                            name_of(cell_names, i / tree.sites / tree.areas / tree.lines % tree.cells),
                            name_of(metric_names, i / tree.sites / tree.areas / tree.lines / tree.cells)};
        std::string name = "acme";
        for (const std::string& level : levels) name += "/" + level;
        plan.topics.push_back({std::move(name)});
        plan.publisher_topics[i % publishers].push_back(i);
        auto& matches = matching.emplace_back();
        for (std::uint32_t kind = 0; kind < filter_kinds; ++kind) {
            auto [entry, fresh] = known[kind].try_emplace(filter_of_kind(kind, levels), distinct[kind].size());
            if (fresh) distinct[kind].push_back(entry->first);
            matches[kind] = entry->second;
        }
    }

    // Deal them out: each subscriber takes the next filters of its kind.
    std::array<std::vector<std::uint16_t>, filter_kinds> takers;
    for (std::uint32_t kind = 0; kind < filter_kinds; ++kind) takers[kind].resize(distinct[kind].size());
    std::array<std::size_t, filter_kinds> next{};
    for (std::uint32_t s = 0; s < subscribers; ++s) {
        const std::uint32_t kind = s % filter_kinds;
        const std::uint64_t all = filters;
        const std::size_t share = all * (s + 1) / subscribers - all * s / subscribers;
        for (std::size_t n = 0; n < std::min(share, distinct[kind].size()); ++n) {
            const std::size_t pick = next[kind]++ % distinct[kind].size();
            plan.subscriber_filters[s].push_back(distinct[kind][pick]);
            ++takers[kind][pick];
        }
    }
    for (std::size_t i = 0; i < plan.topics.size(); ++i) {
        std::uint16_t& receivers = plan.topics[i].receivers;
        for (std::uint32_t kind = 0; kind < filter_kinds; ++kind) {
            receivers = static_cast<std::uint16_t>(receivers + takers[kind][matching[i][kind]]);
        }
    }
    return plan;
}

TrafficPlan make_plan(const Options& options, std::uint32_t part, std::uint32_t parts) {
    switch (options.mode) {
        case Mode::fan_in:
            return options.topics_file.empty() ? make_fan_in_plan(options, "fan-in", 1) : make_file_plan(options);
        case Mode::fan_out: return make_fan_out_plan(options);
        case Mode::durable: return make_fan_in_plan(options, "durable", options.subscribers);
        case Mode::filters: {
            const std::uint32_t publishers = std::max(1U, options.clients / 2);
            return make_filters_plan({}, publishers, publishers, options.filters);
        }
        default: return make_pairs_plan(options, part, parts);
    }
}

}  // namespace trunkline::bench
