// State: sessions, queues, retained values and wills, one statement a test.
#include <set>

#include <catch2/catch.hpp>

#include "tests/unit/core/state_fixture.h"

namespace trunkline::broker::test {
namespace {

using Strings = std::vector<std::string>;

store::WillRecord will(std::uint32_t delay_s = 0) {
    store::WillRecord record;
    record.topic = "will/topic";
    record.payload = "gone";
    record.qos = 1;
    record.delay_s = delay_s;
    return record;
}

}  // namespace

TEST_CASE("a connected, caught up session is delivered to with the commit", "[core][state]") {
    StateFixture f;
    const ClaimResult claim = f.connect("a");
    CHECK(!claim.present);
    CHECK(claim.live);
    f.subscribe("a", "x/+");
    auto effects = f.run(f.publish("x/1", "p1"), f.publish("y", "no"), f.publish("x/2", "p2"));
    CHECK(effects[0].committed_through == f.token);
    REQUIRE(effects[0].deliveries.size() == 1);
    const auto got = read_delivery(effects[0].deliveries[0]);
    REQUIRE(got.size() == 2);
    CHECK(got[0] == Got{1, "x/1", "p1", 1, false, {}});
    CHECK(got[1].n == 2);
    f.run(f.ack("a", 1, 3));
    CHECK(f.session("a").cursor == 3);
    CHECK(f.session("a").queued_bytes == 0);
    CHECK(f.state->young_bytes() == 0);
    CHECK(f.store.snapshot()[static_cast<std::size_t>(store::Table::log)].empty());
}

TEST_CASE("an away session's messages wait in its queue and come in order after it returns", "[core][state]") {
    StateFixture f;
    f.connect("a");
    f.subscribe("a", "#", 2);
    f.run(f.publish("t", "1"));
    f.run(f.detach("a"));
    for (int i = 2; i < 10; ++i) f.run(f.publish("t", std::to_string(i), 2));
    CHECK(f.store.snapshot()[static_cast<std::size_t>(store::Table::queues)].size() == 8);
    REQUIRE(f.reload().ok());
    const ClaimResult claim = f.connect("a");
    CHECK(claim.present);
    CHECK(!claim.live);
    CHECK(claim.cursor == 1);
    CHECK(claim.next_n == 10);
    CHECK(claim.subscriptions == std::vector<DurableSubscription>{{"#", 2, false, false, 0, 0}});
    CHECK(f.payloads(f.queued("a")) == Strings{"1", "2", "3", "4", "5", "6", "7", "8", "9"});
    CHECK(f.fetched_live);
    auto effects = f.run(f.publish("t", "10"));
    REQUIRE(effects[0].deliveries.size() == 1);
    CHECK(read_delivery(effects[0].deliveries[0])[0].n == 10);
    f.run(f.ack("a", 1, 6));
    CHECK(f.store.snapshot()[static_cast<std::size_t>(store::Table::queues)].size() == 4);
    f.run(f.ack("a", 6, 11));
    CHECK(f.store.snapshot()[static_cast<std::size_t>(store::Table::queues)].empty());
    CHECK(f.session("a").queued_bytes == 0);
}

TEST_CASE("overlapping subscriptions give one message with all identifiers and the highest QoS", "[core][state]") {
    StateFixture f;  // [MQTT-3.3.4-2], [MQTT-3.3.4-3]
    f.connect("a");
    f.subscribe("a", "x/#", 1, 7);
    f.subscribe("a", "x/y", 2, 9);
    auto effects = f.run(f.publish("x/y", "p", 2));
    const auto got = read_delivery(effects[0].deliveries.at(0));
    REQUIRE(got.size() == 1);
    CHECK(got[0].qos == 2);
    CHECK(std::multiset<std::uint32_t>(got[0].identifiers.begin(), got[0].identifiers.end()) ==
          std::multiset<std::uint32_t>{7, 9});
}

TEST_CASE("a subscription that is replaced is known to the shards at every moment", "[core][state]") {
    StateFixture f;  // [MQTT-3.8.4-4]: a publish routed in between would miss the session
    f.connect("a");
    f.subscribe("a", "x/#", 1);
    f.subscribe("a", "x/#", 2);
    CHECK(f.listener.fewest_filters == 1);
    CHECK(f.listener.filters == std::multiset<std::string>{"x/# 2"});
}

TEST_CASE("No Local keeps a session's own messages from it", "[core][state]") {
    StateFixture f;  // [MQTT-3.8.3-3]
    f.connect("a");
    f.connect("b");
    f.subscribe("a", "x", 1, 3, true);
    f.subscribe("a", "+", 1, 4);
    f.subscribe("b", "x", 1, 0, true);
    auto publish = f.publish("x", "p");
    publish.publisher = f.session("b").id;
    auto effects = f.run(publish);
    REQUIRE(effects[0].deliveries.size() == 1);
    CHECK(effects[0].deliveries[0].session == f.session("a").id);
    publish.publisher = f.session("a").id;
    effects = f.run(publish);
    REQUIRE(effects[0].deliveries.size() == 2);
    // only the subscription without No Local counts
    CHECK(read_delivery(effects[0].deliveries[0])[0].identifiers == std::vector<std::uint32_t>{4});
}

TEST_CASE("the RETAIN flag is forwarded only to Retain As Published", "[core][state]") {
    StateFixture f;  // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
    f.connect("a");
    f.connect("b");
    f.subscribe("a", "x", 1, 0, false, true);
    f.subscribe("b", "x");
    auto publish = f.publish("x", "p");
    publish.retain = true;
    auto effects = f.run(publish);
    REQUIRE(effects[0].deliveries.size() == 2);
    CHECK(read_delivery(effects[0].deliveries[0])[0].retain);
    CHECK(!read_delivery(effects[0].deliveries[1])[0].retain);
}

TEST_CASE("QoS 0 subscriptions and messages for nobody queue nothing", "[core][state]") {
    StateFixture f;
    f.connect("a");
    f.subscribe("a", "x", 0);
    f.run(f.detach("a"));
    f.run(f.publish("x", "p"), f.publish("other", "p"));
    CHECK(f.session("a").next_n == 1);
    CHECK(f.session("a").subscriptions.size() == 1);
}

TEST_CASE("a QoS 2 message with an id that is in use is the same message", "[core][state]") {
    StateFixture f;  // [MQTT-4.3.3-10]
    f.connect("sub");
    f.subscribe("sub", "x", 2);
    f.connect("pub");
    auto publish = f.publish("x", "p", 2);
    publish.publisher = f.session("pub").id;
    publish.inbound_id = 17;
    f.run(publish, publish);
    CHECK(f.session("sub").next_n == 2);
    REQUIRE(f.reload().ok());
    auto effects = f.run(publish);
    CHECK(effects[0].refused.empty());
    CHECK(effects[0].committed_through == f.token);
    CHECK(f.session("sub").next_n == 2);
    CHECK(f.connect("pub").inbound_ids == std::vector<std::uint16_t>{17});
    store::ReleaseInboundOp release{f.session("pub").id, f.owners["pub"], 17};
    f.run(release, publish);
    CHECK(f.session("sub").next_n == 3);
}

TEST_CASE("a full queue refuses the whole publish and leaves no trace of it", "[core][state]") {
    StateLimits limits;
    limits.queue_messages = 2;
    StateFixture f(limits);
    f.connect("slow");
    f.connect("fast");
    f.connect("pub");
    f.subscribe("slow", "#", 2);
    f.subscribe("fast", "#", 2);
    f.run(f.publish("x", "1"), f.publish("x", "2"));
    f.run(f.ack("fast", 1, 3));
    auto publish = f.publish("x", "3", 2);
    publish.retain = true;
    publish.publisher = f.session("pub").id;
    publish.inbound_id = 5;
    auto effects = f.run(publish);
    REQUIRE(effects[0].refused.size() == 1);
    CHECK(effects[0].refused[0].why == Refusal::queue_full);
    CHECK(effects[0].refused[0].token == f.token);
    CHECK(f.session("fast").next_n == 3);
    CHECK(f.session("pub").inbound.empty());
    CHECK(f.retained->count() == 0);
    f.run(f.ack("slow", 1, 2));
    CHECK(f.run(publish)[0].refused.empty());
    CHECK(f.retained->count() == 1);
}

TEST_CASE("retained values: the newest of a batch is kept, an empty one removes, limits refuse", "[core][state]") {
    StateLimits limits;
    limits.retained_messages = 2;
    StateFixture f(limits);
    auto set = [&](std::string_view topic, std::string_view payload) {
        auto op = f.publish(topic, payload);
        op.retain = true;
        op.properties = "props";
        return op;
    };
    f.run(set("a", "1"), set("b", "1"), set("a", "2"));
    CHECK(f.retained->get("a")->fields().payload == "2");
    CHECK(f.run(set("c", "1"))[0].refused.at(0).why == Refusal::retained_full);
    f.run(set("a", ""), set("c", "3"));
    CHECK(!f.retained->get("a"));
    REQUIRE(f.reload().ok());
    CHECK(f.retained->count() == 2);
    CHECK(f.retained->get("c")->fields().payload == "3");
    CHECK(f.retained->get("c")->fields().properties == "props");
    f.run(store::DropRetainedOp{"c"});
    CHECK(f.retained->count() == 1);
    CHECK(f.run(set("d", "1"))[0].refused.empty());
}

TEST_CASE("a retained value goes when its time is over, unless it was replaced", "[core][state]") {
    StateFixture f;
    auto set = f.publish("a", "1");
    set.retain = true;
    set.expires_at_ms = f.time_ms + 1000;
    auto other = set;
    other.topic = "b";
    f.run(set, other);
    other.expires_at_ms = 0;
    f.run(other);
    REQUIRE(f.reload().ok());
    CHECK(f.state->next_due_ms() == f.time_ms + 1000);
    f.tick(1000);
    CHECK(!f.retained->get("a"));
    CHECK(f.retained->get("b"));
    REQUIRE(f.reload().ok());
    CHECK(f.retained->count() == 1);
}

TEST_CASE("operations of an older owner are void", "[core][state]") {
    StateFixture f;
    f.connect("a");
    f.subscribe("a", "x");
    const store::DetachOp old_detach = f.detach("a");
    f.run(f.publish("x", "1"));
    const auto old_ack = f.ack("a", 1, 2);
    const ClaimResult claim = f.connect("a");
    CHECK(claim.present);
    f.run(old_ack, old_detach);
    CHECK(f.session("a").cursor == 1);
    CHECK(f.session("a").connected);
    CHECK(claim.sent_below == 2);  // the old connection may have sent it
}

TEST_CASE("Clean Start ends the old session, with its will, and begins an empty one", "[core][state]") {
    StateFixture f;  // [MQTT-3.1.2-4]
    f.connect("a", false, 3600, will(100));
    f.subscribe("a", "x");
    const SessionId old = f.session("a").id;
    f.run(f.detach("a"), f.publish("x", "1"));
    const ClaimResult claim = f.connect("a", true);
    CHECK(!claim.present);
    CHECK(claim.subscriptions.empty());
    CHECK(claim.session != old);
    REQUIRE(f.effects[0].wills.size() == 1);
    CHECK(f.effects[0].wills[0].session == 0);
    CHECK(f.effects[0].ended.at(0).first == old);
    CHECK(f.listener.filters.empty());
    CHECK(f.listener.sessions == std::multiset<std::string>{"a"});
    const auto disk = f.store.snapshot();
    CHECK(disk[static_cast<std::size_t>(store::Table::queues)].empty());
    CHECK(disk[static_cast<std::size_t>(store::Table::subscriptions)].empty());
    CHECK(disk[static_cast<std::size_t>(store::Table::cursors)].size() == 1);
}

TEST_CASE("a will waits for its delay, is cancelled by a return and repeated until it was sent", "[core][state]") {
    StateFixture f;  // [MQTT-3.1.3-9]
    f.connect("a", false, 3600, will(10));
    f.run(f.detach("a"));
    CHECK(f.tick(9'000).empty());
    f.connect("a", false, 3600, will(10));
    f.run(f.detach("a"));
    CHECK(f.state->next_due_ms() == f.time_ms + 10'000);
    REQUIRE(f.reload().ok());
    auto effects = f.tick(10'000);
    REQUIRE(effects[0].wills.size() == 1);
    CHECK(effects[0].wills[0].session == f.session("a").id);
    CHECK(effects[0].wills[0].will == will(10));
    REQUIRE(f.reload().ok());
    effects = f.run(store::RestartOp{2});
    CHECK(effects[0].wills.size() == 1);  // it was never confirmed
    f.run(store::WillSentOp{f.session("a").id});
    REQUIRE(f.reload().ok());
    CHECK(f.run(store::RestartOp{3})[0].wills.empty());
}

TEST_CASE("a will that is due when the node comes back is handed out once", "[core][state]") {
    StateFixture f;
    f.connect("a", false, 3600, will(10));
    f.run(f.detach("a"));
    REQUIRE(f.reload().ok());
    f.time_ms += 20'000;
    CHECK(f.run(store::RestartOp{2})[0].wills.size() == 1);
}

TEST_CASE("wills of one session are handed out one after the other", "[core][state]") {
    StateFixture f;
    f.connect("a", false, 3600, will(0));
    CHECK(f.run(f.detach("a"))[0].wills.size() == 1);
    f.connect("a", false, 3600, will(0));
    CHECK(f.run(f.detach("a"))[0].wills.empty());   // which of two was sent could not be told
    CHECK(f.run(store::WillSentOp{f.session("a").id})[0].wills.size() == 1);
    CHECK(f.run(store::WillSentOp{f.session("a").id})[0].wills.empty());
}

TEST_CASE("a clean disconnect drops the will", "[core][state]") {
    StateFixture f;  // [MQTT-3.14.4-3]
    f.connect("a", false, 3600, will());
    auto detach = f.detach("a");
    detach.drop_will = true;
    CHECK(f.run(detach)[0].wills.empty());
}

TEST_CASE("a session ends with its expiry and everything of it goes", "[core][state]") {
    StateFixture f;
    f.connect("a", false, 60, will(120));
    f.subscribe("a", "x");
    f.run(f.detach("a", 60), f.publish("x", "1"));
    f.tick(59'999);
    CHECK(f.state->session_count() == 1);
    auto effects = f.tick(1);
    CHECK(f.state->session_count() == 0);
    CHECK(effects[0].wills.size() == 1);  // at the end of the session at the latest [MQTT-3.1.2-8]
    CHECK(effects[0].ended.size() == 1);
    CHECK(f.listener.sessions.empty());
    CHECK(f.listener.filters.empty());
    const auto disk = f.store.snapshot();
    for (std::size_t i = 1; i < disk.size(); ++i) CHECK(disk[i].empty());
}

TEST_CASE("a restart detaches everyone and starts their timers", "[core][state]") {
    StateFixture f;
    f.connect("a", false, 60);
    f.subscribe("a", "x");
    f.run(f.publish("x", "1"));
    REQUIRE(f.reload().ok());
    f.run(store::RestartOp{9});
    CHECK(!f.session("a").connected);
    CHECK(f.session("a").sent_below == 2);
    CHECK(f.state->stamp().epoch == 9);
    f.tick(60'000);
    CHECK(f.state->session_count() == 0);
}

TEST_CASE("a slow live session is spooled and catches up by fetching, nothing skipped or doubled", "[core][state]") {
    StateLimits limits;
    limits.live_messages = 4;
    StateFixture f(limits);
    f.connect("a");
    f.subscribe("a", "x");
    Strings expected, got;
    bool live = true;
    std::uint64_t next = 1;
    for (int i = 0; i < 40; ++i) {
        expected.push_back(std::to_string(i));
        auto effects = f.run(f.publish("x", expected.back()));
        for (const Delivery& delivery : effects[0].deliveries) {
            for (const Got& one : read_delivery(delivery)) {
                CHECK(one.n == next++);
                got.push_back(one.payload);
            }
        }
        if (!effects[0].spooled.empty()) live = false;
        if (!live && i % 7 == 0) {
            for (const Got& one : f.queued("a", next)) {
                CHECK(one.n == next++);
                got.push_back(one.payload);
            }
            live = f.fetched_live;
            f.run(f.ack("a", 1, next));
        }
    }
    for (const Got& one : f.queued("a", next)) got.push_back(one.payload);
    CHECK(got == expected);
}

TEST_CASE("old log records move to their sessions' queues and survive a restart", "[core][state]") {
    StateFixture f;
    f.connect("a");
    f.connect("b");
    f.subscribe("a", "x");
    f.subscribe("b", "x");
    f.run(f.publish("x", "1"), f.publish("x", "2"));
    f.run(f.publish("x", "3"));
    f.run(f.ack("a", 1, 2), f.ack("b", 1, 3));
    REQUIRE(f.reload().ok());
    f.tick(3'000);
    const auto disk = f.store.snapshot();
    CHECK(disk[static_cast<std::size_t>(store::Table::log)].empty());
    CHECK(disk[static_cast<std::size_t>(store::Table::queues)].size() == 3);
    CHECK(f.state->young_bytes() == 0);
    CHECK(f.payloads(f.queued("a")) == Strings{"2", "3"});
    CHECK(f.payloads(f.queued("b")) == Strings{"3"});
    f.run(f.ack("a", 2, 4), f.ack("b", 3, 4));
    CHECK(f.store.snapshot()[static_cast<std::size_t>(store::Table::queues)].empty());
    CHECK(f.session("a").queued_bytes == 0);
}

TEST_CASE("acknowledgements out of order and PUBRECs are kept", "[core][state]") {
    StateFixture f;
    f.connect("a");
    f.subscribe("a", "x", 2);
    for (int i = 0; i < 6; ++i) f.run(f.publish("x", "p", 2));
    auto ack = f.ack("a", 3, 5);
    ack.received = {{1, 3}};
    f.run(ack);
    REQUIRE(f.reload().ok());
    ClaimResult claim = f.connect("a");
    REQUIRE(claim.complete.size() == 1);
    CHECK(claim.complete[0].from == 3);
    CHECK(claim.complete[0].to == 5);
    REQUIRE(claim.received.size() == 1);
    CHECK(claim.received[0].to == 3);
    f.run(f.ack("a", 1, 3));
    CHECK(f.session("a").cursor == 5);
    CHECK(f.session("a").complete.empty());
    CHECK(f.session("a").received.empty());
}

TEST_CASE("a shared group takes turns over its members, connected ones first", "[core][state]") {
    StateFixture f;
    for (const char* name : {"a", "b", "c"}) {
        f.connect(name);
        f.subscribe(name, "$share/g/x");
    }
    for (int i = 0; i < 6; ++i) f.run(f.publish("x", "p"));
    CHECK(f.session("a").next_n == 3);
    CHECK(f.session("b").next_n == 3);
    CHECK(f.session("c").next_n == 3);
    REQUIRE(f.reload().ok());
    f.run(f.publish("x", "p"));
    CHECK(f.session("a").next_n == 4);  // the turn survives a restart
    f.run(f.detach("b"), f.detach("c"));
    for (int i = 0; i < 4; ++i) f.run(f.publish("x", "p"));
    CHECK(f.session("a").next_n == 8);
}

TEST_CASE("what a dead member of a shared group had not taken goes to another member", "[core][state]") {
    StateFixture f;
    f.connect("a");
    f.connect("b");
    f.subscribe("a", "$share/g/#", 2);
    f.subscribe("a", "own", 1);
    f.subscribe("b", "$share/g/#", 2);
    f.run(f.detach("a"), f.detach("b"));
    for (int i = 0; i < 6; ++i) f.run(f.publish("x", std::to_string(i), i < 2 ? 2 : 1));
    const auto before = f.session("b").next_n;
    CHECK(before == 4);
    f.run(store::DropOp{f.session("a").id, 0, {}});
    CHECK(f.session("b").next_n == 7);
    f.connect("b");
    auto all = f.payloads(f.queued("b"));
    std::sort(all.begin(), all.end());
    CHECK(all == Strings{"0", "1", "2", "3", "4", "5"});
}

TEST_CASE("messages of the very batch that drops a shared member are passed on too", "[core][state]") {
    StateFixture f;
    f.connect("a");
    f.subscribe("a", "$share/g/#");
    f.connect("b");
    f.subscribe("b", "$share/g/#");
    auto effects = f.run(f.publish("x", "0"), f.publish("x", "1"), store::DropOp{f.session("a").id, 0, {}});
    auto all = f.payloads(f.queued("b"));
    std::sort(all.begin(), all.end());
    CHECK(all == Strings{"0", "1"});
}

TEST_CASE("without room to grow, publishes that need space are refused and the rest goes on", "[core][state]") {
    StateFixture f;
    f.connect("a");
    f.subscribe("a", "x");
    f.run(f.publish("x", "1"));
    f.growth = false;
    CHECK(f.run(f.publish("x", "2"))[0].refused.at(0).why == Refusal::no_space);
    CHECK(f.run(f.publish("unheard", "2"))[0].refused.empty());
    CHECK(f.run(f.ack("a", 1, 2))[0].refused.empty());
    CHECK(f.session("a").cursor == 2);
}

TEST_CASE("repeated, older and missing batches change nothing", "[core][state]") {
    StateFixture f;
    f.run(store::RestartOp{5});
    f.connect("a");
    const auto hash = f.state->state_hash();
    store::WriteSet writes;
    auto ops = std::make_shared<store::OpBatch>();
    ops->add(store::RestartOp{6});
    const Submission submission{0, 99, ops};
    const Position at = f.state->stamp().position;
    CHECK(f.state->apply({5, at, 1, true}, {&submission, 1}, writes) == Applied::repeated);
    CHECK(f.state->apply({4, at + 1, 1, true}, {&submission, 1}, writes) == Applied::fenced);
    CHECK(f.state->apply({5, at + 2, 1, true}, {&submission, 1}, writes) == Applied::gap);
    CHECK(writes.empty());
    CHECK(f.state->state_hash() == hash);
}

TEST_CASE("a batch that can't be written is rolled back without a trace", "[core][state]") {
    StateFixture f;
    f.connect("a");
    f.subscribe("a", "x");
    f.run(f.publish("x", "1"));
    const auto hash = f.state->state_hash();
    const auto filters = f.listener.filters;
    f.store.fail_writes(store::StoreError::no_space);
    auto set = f.publish("x", "2");
    set.retain = true;
    store::UnsubscribeOp unsubscribe{f.session("a").id, f.owners["a"], "x"};
    f.run(set, unsubscribe, f.detach("a", 0));
    REQUIRE(f.state->rollback().ok());
    const auto effects = f.state->release();
    CHECK(effects.at(0).spooled.at(0) == std::pair(f.session("a").id, f.owners["a"]));
    CHECK(effects.at(0).committed_through == 0);
    f.store.fail_writes(store::StoreError::none);
    CHECK(f.state->state_hash() == hash);
    CHECK(f.listener.filters == filters);
    CHECK(f.retained->count() == 0);
    CHECK(f.run(f.publish("x", "3"))[0].committed_through == f.token);
    CHECK(f.payloads(f.queued("a")) == Strings{"1", "3"});
}

}  // namespace trunkline::broker::test
