#include "bench/sequence.h"

#include <random>
#include <set>
#include <vector>

#include <catch2/catch.hpp>

using trunkline::bench::Arrival;
using trunkline::bench::SequenceTracker;

TEST_CASE("numbers in order are neither lost nor repeated", "[bench]") {
    SequenceTracker tracker;
    for (std::uint64_t i = 0; i < 100; ++i) CHECK(tracker.observe(i) == Arrival::in_order);
    CHECK(tracker.received() == 100);
    CHECK(tracker.lost(100, {}) == 0);
    CHECK(tracker.lost(105, {}) == 5);
}

TEST_CASE("a gap is lost until it arrives late, and late is reordered", "[bench]") {
    SequenceTracker tracker;
    tracker.observe(0);
    CHECK(tracker.observe(5) == Arrival::gap);
    CHECK(tracker.lost(6, {}) == 4);
    CHECK(tracker.observe(3) == Arrival::late);
    CHECK(tracker.observe(3) == Arrival::duplicate);
    CHECK(tracker.lost(6, {}) == 3);
    for (const std::uint64_t late : {1U, 2U, 4U}) CHECK(tracker.observe(late) == Arrival::late);
    CHECK(tracker.lost(6, {}) == 0);
    CHECK(tracker.reordered() == 4);
    CHECK(tracker.duplicates() == 1);
    CHECK(tracker.received() == 6);
}

TEST_CASE("what the broker refused is not lost", "[bench]") {
    SequenceTracker tracker;
    tracker.observe(0);
    tracker.observe(3);
    CHECK(tracker.lost(6, {1, 5}) == 2);            // 2 and 4
    CHECK(tracker.lost(6, {0, 1, 2, 4, 5}) == 0);   // 0 was refused and came all the same
}

TEST_CASE("a sparse tracker takes any rise as order and any fall as reordering", "[bench]") {
    SequenceTracker tracker(true);
    CHECK(tracker.observe(4) == Arrival::in_order);
    CHECK(tracker.observe(9) == Arrival::in_order);
    CHECK(tracker.observe(9) == Arrival::duplicate);
    CHECK(tracker.observe(7) == Arrival::late);
    CHECK(tracker.received() == 3);
}

TEST_CASE("a tracker counts what a set would for any arrival order", "[bench]") {
    std::mt19937 random(3);
    for (int round = 0; round < 50; ++round) {
        std::vector<std::uint64_t> arrivals(200);
        for (auto& number : arrivals) number = random() % 150;
        SequenceTracker tracker;
        std::set<std::uint64_t> seen;
        std::uint64_t duplicates = 0;
        for (const auto number : arrivals) {
            const bool fresh = seen.insert(number).second;
            duplicates += !fresh;
            CHECK((tracker.observe(number) == Arrival::duplicate) == !fresh);
        }
        CHECK(tracker.duplicates() == duplicates);
        CHECK(tracker.received() == seen.size());
        CHECK(tracker.lost(150, {}) == 150 - seen.size());
    }
}
