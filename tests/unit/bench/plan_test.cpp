#include "bench/plan.h"

#include <set>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

using namespace trunkline::bench;

namespace {

std::string_view take_level(std::string_view& rest) {
    const auto slash = rest.find('/');
    const auto level = rest.substr(0, slash);
    rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
    return level;
}

/// The matching rule of MQTT 5.0 section 4.7, for topics without empty levels.
bool matches(std::string_view filter, std::string_view topic) {
    while (!filter.empty()) {
        const auto wanted = take_level(filter);
        if (wanted == "#") return true;
        if (topic.empty()) return false;
        const auto level = take_level(topic);
        if (wanted != "+" && wanted != level) return false;
    }
    return topic.empty();
}

}  // namespace

TEST_CASE("the filters plan knows how many subscribers each topic has", "[bench]") {
    const FilterTree tree{2, 2, 3, 3, 4};
    const auto plan = make_filters_plan(tree, 5, 13, 300);
    REQUIRE(plan.topics.size() == tree.topic_count());
    std::set<std::string> names;
    std::size_t deliveries = 0;
    for (const auto& topic : plan.topics) {
        names.insert(topic.name);
        unsigned receivers = 0;
        for (const auto& filters : plan.subscriber_filters) {
            unsigned matching = 0;
            for (const auto& filter : filters) matching += matches(filter, topic.name);
            CAPTURE(topic.name);
            REQUIRE(matching <= 1);  // a client's own filters do not overlap
            receivers += matching;
        }
        CHECK(topic.receivers == receivers);
        deliveries += receivers;
    }
    CHECK(names.size() == plan.topics.size());
    CHECK(deliveries > plan.topics.size());
}

TEST_CASE("the full filters plan has 10,000 filters with + and # and no topic without a publisher", "[bench]") {
    const auto plan = make_filters_plan({}, 25, 25, 10'000);
    std::size_t filters = 0, plus = 0, hash = 0;
    for (const auto& own : plan.subscriber_filters) {
        for (const auto& filter : own) {
            ++filters;
            plus += filter.find('+') != std::string::npos;
            hash += filter.ends_with('#');
        }
    }
    CHECK(filters == 10'000);
    CHECK(plus > 6'000);
    CHECK(hash > 2'000);
    std::set<std::uint32_t> published;
    for (const auto& own : plan.publisher_topics) published.insert(own.begin(), own.end());
    CHECK(published.size() == plan.topics.size());
}

TEST_CASE("the parts of a pairs plan are the whole", "[bench]") {
    Options options;
    options.mode = Mode::pairs;
    options.clients = 50;
    std::set<std::string> whole, parts;
    for (const auto& topic : make_plan(options).topics) whole.insert(topic.name);
    for (std::uint32_t part = 0; part < 3; ++part) {
        const auto plan = make_plan(options, part, 3);
        REQUIRE(plan.publisher_topics.size() == plan.subscriber_filters.size());
        for (std::size_t i = 0; i < plan.publisher_topics.size(); ++i) {
            for (const auto topic : plan.publisher_topics[i]) {
                CHECK(matches(plan.subscriber_filters[i].front(), plan.topics[topic].name));
                CHECK(parts.insert(plan.topics[topic].name).second);
            }
        }
    }
    CHECK(whole.size() == 25);
    CHECK(parts == whole);
}

TEST_CASE("fan-in and fan-out plans deliver to everybody", "[bench]") {
    Options options;
    options.clients = 10;
    options.mode = Mode::fan_in;
    const auto in = make_plan(options);
    CHECK(in.publisher_topics.size() == 10);
    CHECK(in.subscriber_filters.size() == 1);
    for (const auto& topic : in.topics) CHECK(matches(in.subscriber_filters[0][0], topic.name));
    options.mode = Mode::fan_out;
    const auto out = make_plan(options);
    CHECK(out.publisher_topics.size() == 1);
    CHECK(out.subscriber_filters.size() == 10);
    CHECK(out.topics.at(0).receivers == 10);
}
