// The totals that State keeps for metrics are the sums over its sessions, whatever happens to these.
#include <catch2/catch.hpp>

#include "tests/unit/core/state_fixture.h"

namespace trunkline::broker::test {
namespace {

void check_totals(StateFixture& f, std::initializer_list<const char*> clients) {
    std::uint64_t queued = 0;
    std::size_t connected = 0;
    for (const char* client : clients) {
        const DurableSession* session = f.state->find_session(client);
        if (!session) continue;
        queued += session->queued_messages();
        connected += session->connected;
    }
    CHECK(f.state->queued_messages() == queued);
    CHECK(f.state->connected_count() == connected);
}

}  // namespace

TEST_CASE("queued messages and connected sessions are counted exactly, also after a load", "[core][state]") {
    StateFixture f;
    const auto check = [&](std::uint64_t queued, std::size_t connected) {
        check_totals(f, {"a", "b"});
        CHECK(f.state->queued_messages() == queued);
        CHECK(f.state->connected_count() == connected);
    };
    f.connect("a");
    f.connect("b");
    f.subscribe("a", "#");
    f.subscribe("b", "#");
    check(0, 2);
    for (int i = 0; i < 10; ++i) f.run(f.publish("t", std::to_string(i)));
    check(20, 2);
    f.run(f.ack("a", 3, 5));   // not in order: the cursor stays
    check(18, 2);
    f.run(f.ack("a", 1, 4));
    check(16, 2);
    f.run(f.ack("a", 1, 5), f.ack("a", 8, 500));   // what is acknowledged already, and what was never sent
    check(13, 2);
    f.run(f.detach("a"), f.publish("t", "to a queue"));
    check(15, 1);
    REQUIRE(f.reload().ok());
    check(15, 1);
    f.connect("a");
    f.connect("a");            // takes over itself
    check(15, 2);
    f.connect("a", true);      // starts anew
    check(11, 2);
    f.run(f.detach("b", 0));   // ends with its connection
    check(0, 1);
    f.run(store::RestartOp{f.state->stamp().epoch + 1});
    check(0, 0);
}

TEST_CASE("the age of the oldest queued message follows what is acknowledged, wherever messages lie",
          "[core][state]") {
    StateFixture f;
    f.connect("a");
    f.connect("b");
    f.subscribe("a", "#");
    f.subscribe("b", "#");
    CHECK(f.state->oldest_queued_ms() == 0);
    const std::int64_t first_ms = f.time_ms += 1'000;
    f.run(f.publish("t", "1"));
    const std::int64_t second_ms = f.time_ms += 1'000;
    f.run(f.publish("t", "2"));
    CHECK(f.state->oldest_queued_ms() == first_ms);   // young, in the log
    f.run(f.ack("a", 1, 2), f.ack("b", 1, 2));
    CHECK(f.state->oldest_queued_ms() == second_ms);
    f.run(f.detach("a"));
    f.time_ms += 60'000;
    f.run(f.publish("t", "3"));                       // what is old moves to the queues
    CHECK(f.state->oldest_queued_ms() == second_ms);
    f.run(f.ack("b", 2, 4));
    CHECK(f.state->oldest_queued_ms() == second_ms);  // that of a, which is away
    REQUIRE(f.reload().ok());
    CHECK(f.state->oldest_queued_ms() == second_ms);
    f.connect("a");
    f.run(f.ack("a", 2, 3));
    CHECK(f.state->oldest_queued_ms() == second_ms + 60'000);
    f.run(f.ack("a", 3, 4));
    CHECK(f.state->oldest_queued_ms() == 0);
}

TEST_CASE("of many sessions the oldest message is found in several calls, each of which reads little",
          "[core][state]") {
    StateFixture f;
    const std::int64_t began_ms = f.time_ms;
    for (int i = 0; i < 100; ++i) {
        const std::string client = "c" + std::to_string(i);
        f.connect(client.c_str());
        f.subscribe(client.c_str(), "t");
        f.run(f.detach(client.c_str()));
    }
    f.time_ms = began_ms + 10'000;
    f.run(f.publish("t", "x"));
    std::int64_t found_ms = 0;
    int calls = 0;
    for (; found_ms == 0 && calls < 20; ++calls) found_ms = f.state->oldest_queued_ms();
    CHECK(found_ms == began_ms + 10'000);
    CHECK(calls > 1);
}

TEST_CASE("sessions that expire are counted", "[core][state]") {
    StateFixture f;
    f.connect("a");
    f.run(f.detach("a", 10));
    CHECK(f.state->expired_count() == 0);
    f.time_ms += 11'000;
    f.run();
    CHECK(f.state->expired_count() == 1);
}

TEST_CASE("a set of ranges knows how many numbers it holds", "[core][state]") {
    RangeSet set;
    const auto check = [&](std::uint64_t total) {
        std::uint64_t sum = 0;
        for (const store::Range& range : set.ranges()) sum += range.to - range.from;
        CHECK(set.total() == sum);
        CHECK(set.total() == total);
    };
    set.add({5, 8});
    set.add({10, 12});
    set.add({20, 30});
    check(15);
    set.add({7, 11});      // joins two
    check(17);
    set.add({6, 7});       // inside
    check(17);
    set.remove_below(4);
    check(17);
    set.remove_below(7);   // cuts one
    check(15);
    set.remove_below(25);  // takes one, cuts the next
    check(5);
    set.clear();
    check(0);
}

}  // namespace trunkline::broker::test
