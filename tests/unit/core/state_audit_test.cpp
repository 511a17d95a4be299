// State: leaves of regulated publishes, one statement a test.
#include <catch2/catch.hpp>

#include "tests/unit/core/state_fixture.h"

namespace trunkline::broker::test {
namespace {

store::RegulatedOp leaf(std::string_view bytes) {
    store::RegulatedOp op;
    op.leaf = bytes;
    return op;
}

const std::string one(32, '1'), two(32, '2'), three(32, '3');

/// What the listener is told; records of the store stay in the fixture.
struct LeafLog final : StateListener {
    std::vector<std::pair<Position, std::string>> leaves;
    std::vector<std::string> overwrites;
    void session_added(std::string_view, std::string_view) override {}
    void session_removed(std::string_view) override {}
    void filter_added(std::string_view, std::uint8_t) override {}
    void filter_removed(std::string_view, std::uint8_t) override {}
    void leaves_added(Position position, std::string_view bytes) override { leaves.emplace_back(position, bytes); }
    void regulated_overwritten(const store::RegulatedOp& by, std::string_view topic, std::string_view old,
                               std::string_view fresh) override {
        overwrites.push_back(std::string(by.principal) + " " + std::string(topic) + " " + std::string(old) + ">" +
                             std::string(fresh));
    }
};

struct AuditFixture : StateFixture {
    LeafLog log;
    AuditFixture() { again(); }
    void again() {
        state.reset();
        log = LeafLog();
        retained = std::make_unique<uns::RetainedTree>();
        state = std::make_unique<State>(StateLimits{}, *retained, &log);
        REQUIRE(state->load(store).ok());
    }
    std::size_t kept() { return store.snapshot()[static_cast<std::size_t>(store::Table::audit)].size(); }
};

store::PublishOp retained_publish(std::string_view payload) {
    store::PublishOp op = StateFixture::publish("r", payload);
    op.retain = true;
    return op;
}

store::RegulatedOp named(std::string_view bytes) {
    store::RegulatedOp op = leaf(bytes);
    op.principal = "anna";
    return op;
}

}  // namespace

TEST_CASE("the leaves of a batch are stored with it, in order, and told when it is safe", "[core][state][audit]") {
    AuditFixture f;
    f.run(f.publish("a", "x"), leaf(one), f.publish("b", "y"), f.publish("c", "z"), leaf(two));
    CHECK(f.kept() == 1);
    REQUIRE(f.log.leaves.size() == 1);
    CHECK(f.log.leaves[0] == std::pair(f.state->stamp().position, one + two));
    f.run(f.publish("a", "x"));
    CHECK(f.kept() == 1);
    f.again();
    REQUIRE(f.log.leaves.size() == 1);
    CHECK(f.log.leaves[0].second == one + two);
}

TEST_CASE("leaves go when the trail has them, and are not told again", "[core][state][audit]") {
    AuditFixture f;
    f.run(f.publish("a", "x"), leaf(one));
    const Position first = f.state->stamp().position;
    f.run(f.publish("a", "x"), leaf(two));
    f.run(f.publish("a", "x"), leaf(three), store::LeavesKeptOp{first, 41});
    CHECK(f.kept() == 2);
    const std::uint64_t hash = f.state->state_hash();
    f.again();
    CHECK(f.state->state_hash() == hash);
    CHECK(f.state->leaves_kept().through == first);
    CHECK(f.state->leaves_kept().trail_size == 41);
    REQUIRE(f.log.leaves.size() == 2);
    CHECK(f.log.leaves[0].second == two);
    f.run(store::LeavesKeptOp{first + 2, 43});
    CHECK(f.kept() == 0);
    f.run(store::LeavesKeptOp{first, 41});  // of before
    CHECK(f.state->leaves_kept().trail_size == 43);
}

TEST_CASE("a repeated or refused publish leaves no leaf", "[core][state][audit]") {
    AuditFixture f;
    f.connect("p");
    store::PublishOp again = f.publish("a", "x", 2);
    again.publisher = f.session("p").id;
    again.inbound_id = 7;
    f.run(again, leaf(one));
    f.run(again, leaf(two));
    REQUIRE(f.log.leaves.size() == 1);
    f.growth = false;
    const auto effects = f.run(f.publish("a", "x"), leaf(three));
    REQUIRE(effects.at(0).refused.size() == 1);
    CHECK(effects.at(0).refused[0].why == Refusal::no_space);
    CHECK(f.log.leaves.size() == 1);
    CHECK(f.run(f.publish("a", "x")).at(0).refused.empty());  // not regulated, nobody is owed it
}

TEST_CASE("one leaf a publish, and none without one before it", "[core][state][audit]") {
    AuditFixture f;
    f.run(leaf(one));
    CHECK(f.log.leaves.empty());
    f.run(f.publish("a", "x"), leaf(one), leaf(two));
    REQUIRE(f.log.leaves.size() == 1);
    CHECK(f.log.leaves[0].second == one);
}

TEST_CASE("a regulated retained value that is replaced by another is told with both", "[core][state][audit]") {
    AuditFixture f;
    f.run(retained_publish("1"), named(one));
    f.run(retained_publish("2"), named(two), retained_publish("3"), named({}));
    f.run(retained_publish("3"), named(one));
    f.run(retained_publish("4"));  // by somebody who is not regulated: no model is in force
    f.run(retained_publish(""), named({}));
    CHECK(f.log.overwrites == std::vector<std::string>{"anna r 1>2", "anna r 2>3", "anna r 4>"});
    CHECK(f.log.leaves.size() == 3);
}

TEST_CASE("a batch that was not written leaves no leaf", "[core][state][audit]") {
    AuditFixture f;
    auto ops = std::make_shared<store::OpBatch>();
    ops->add(f.publish("a", "x"));
    ops->add(leaf(one));
    const Submission submission{0, 1, ops};
    store::WriteSet writes;
    f.state->apply({f.state->stamp().epoch, f.state->stamp().position + 1, f.time_ms, true}, {&submission, 1}, writes);
    REQUIRE(f.state->rollback().ok());
    f.state->release();
    CHECK(f.log.leaves.empty());
    f.run(f.publish("a", "x"));
    CHECK(f.log.leaves.empty());
}

}  // namespace trunkline::broker::test
