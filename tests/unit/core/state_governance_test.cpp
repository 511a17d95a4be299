// State: the quarantine and the versions of the model, one statement a test.
#include <catch2/catch.hpp>

#include "tests/unit/core/state_fixture.h"

namespace trunkline::broker::test {
namespace {

store::QuarantineOp kept(std::string_view topic, std::string_view payload = "200") {
    store::QuarantineOp op;
    op.qos = 1;
    op.topic = topic;
    op.payload = payload;
    op.client_id = "edge";
    op.rule = "TL-3102";
    return op;
}

store::ModelOp model(std::string_view version, std::string_view hash, std::string_view source = "trunkline: 1\n") {
    store::ModelOp op;
    op.name = "acme";
    op.version = version;
    op.hash = hash;
    op.source = source;
    return op;
}

std::size_t records(StateFixture& f, store::Table table) {
    return f.store.snapshot()[static_cast<std::size_t>(table)].size();
}

Refusal refused(const ShardEffects& effects) {
    const auto at = effects.find(0);
    return at == effects.end() || at->second.refused.empty() ? Refusal::none : at->second.refused[0].why;
}

}  // namespace

TEST_CASE("a quarantined message is stored and owed to nobody", "[core][state]") {
    StateFixture f;
    f.connect("s");
    f.subscribe("s", "#");
    const auto effects = f.run(kept("a/b"));
    CHECK(effects.at(0).deliveries.empty());
    CHECK(effects.at(0).committed_through == f.token);
    CHECK(records(f, store::Table::quarantine) == 1);
    CHECK(f.retained->count() == 0);
}

TEST_CASE("the quarantine is the same after it was loaded, and its ids are not used again", "[core][state]") {
    StateFixture f;
    f.run(kept("a/1"), kept("a/2"));
    f.run(store::DropQuarantinedOp{2});
    const std::uint64_t hash = f.state->state_hash();
    REQUIRE(f.reload().ok());
    CHECK(f.state->state_hash() == hash);
    f.run(kept("a/3"));
    CHECK(records(f, store::Table::quarantine) == 2);
    f.run(store::DropQuarantinedOp{3});   // 2 was given before and is gone: the new one has 3
    CHECK(records(f, store::Table::quarantine) == 1);
}

TEST_CASE("a full quarantine refuses and keeps what it has", "[core][state]") {
    StateLimits limits;
    limits.quarantine_messages = 2;
    StateFixture f(limits);
    f.run(kept("a/1"), kept("a/2"));
    CHECK(refused(f.run(kept("a/3"))) == Refusal::quarantine_full);
    f.run(store::DropQuarantinedOp{1});
    CHECK(refused(f.run(kept("a/3"))) == Refusal::none);
    CHECK(records(f, store::Table::quarantine) == 2);
}

TEST_CASE("bytes bound the quarantine, also after it was loaded", "[core][state]") {
    StateLimits limits;
    limits.quarantine_bytes = 3'000;
    StateFixture f(limits);
    const std::string large(1'000, 'x');
    f.run(kept("a", large), kept("b", large));
    REQUIRE(f.reload().ok());
    CHECK(refused(f.run(kept("c", large))) == Refusal::quarantine_full);
}

TEST_CASE("without room on the disk nothing is quarantined and no model is taken", "[core][state]") {
    StateFixture f;
    f.growth = false;
    CHECK(refused(f.run(kept("a"))) == Refusal::no_space);
    CHECK(refused(f.run(model("1.0.0", "h"))) == Refusal::no_space);
    CHECK(records(f, store::Table::models) == 0);
}

TEST_CASE("a repeated QoS 2 message is quarantined once", "[core][state]") {
    StateFixture f;
    const ClaimResult claim = f.connect("edge");
    auto op = kept("a");
    op.qos = 2;
    op.publisher = claim.session;
    op.inbound_id = 7;
    f.run(op);
    REQUIRE(f.reload().ok());
    f.run(op);
    CHECK(records(f, store::Table::quarantine) == 1);
    f.run(store::ReleaseInboundOp{claim.session, f.owners["edge"], 7});
    f.run(op);
    CHECK(records(f, store::Table::quarantine) == 2);
}

TEST_CASE("a message leaves the quarantine only with a publish that was taken", "[core][state]") {
    StateLimits limits;
    limits.queue_messages = 1;
    StateFixture f(limits);
    f.connect("s");
    f.subscribe("s", "a");
    f.run(kept("a"));
    f.run(f.publish("a", "fills the queue"));
    CHECK(refused(f.run(f.publish("a", "200"), store::DropQuarantinedOp{1, true})) == Refusal::queue_full);
    CHECK(records(f, store::Table::quarantine) == 1);
    f.run(f.ack("s", 1, 2));
    CHECK(refused(f.run(f.publish("a", "200"), store::DropQuarantinedOp{1, true})) == Refusal::none);
    CHECK(records(f, store::Table::quarantine) == 0);
}

TEST_CASE("a version of a model never changes", "[core][state]") {
    StateFixture f;
    CHECK(refused(f.run(model("1.0.0", "h1"))) == Refusal::none);
    CHECK(refused(f.run(model("1.0.0", "h2"))) == Refusal::version_taken);
    REQUIRE(f.reload().ok());
    CHECK(refused(f.run(model("1.0.0", "h2"))) == Refusal::version_taken);
    CHECK(refused(f.run(model("1.0.0", "h1"))) == Refusal::none);   // a rollback
    CHECK(refused(f.run(model("1.1.0", "h2"))) == Refusal::none);
    CHECK(records(f, store::Table::models) == 3);
}

TEST_CASE("what the store did not take is neither quarantined nor applied", "[core][state]") {
    StateFixture f;
    f.run(kept("a/1"), model("1.0.0", "h1"));
    auto batch = std::make_shared<store::OpBatch>();
    batch->add(kept("a/2"));
    batch->add(model("2.0.0", "h2"));
    const Submission submission{0, ++f.token, batch};
    f.writes.clear();
    REQUIRE(f.state->apply({0, f.state->stamp().position + 1, f.time_ms, true}, {&submission, 1}, f.writes) ==
            Applied::yes);
    REQUIRE(f.state->rollback().ok());
    (void)f.state->release();
    CHECK(refused(f.run(model("2.0.0", "other"))) == Refusal::none);
    f.run(kept("a/3"));
    CHECK(records(f, store::Table::quarantine) == 2);
    const std::uint64_t hash = f.state->state_hash();
    REQUIRE(f.reload().ok());
    CHECK(f.state->state_hash() == hash);
}

}  // namespace trunkline::broker::test
