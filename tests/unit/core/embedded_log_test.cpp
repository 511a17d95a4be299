// The embedded log: batching, effects, refusals and failures, over a store that fails when told to.
#include <condition_variable>
#include <mutex>
#include <thread>

#include <catch2/catch.hpp>

#include "broker/core/embedded_log.h"
#include "persistence/memory_store.h"
#include "tests/unit/core/state_fixture.h"

namespace trunkline::broker::test {
namespace {

using namespace std::chrono_literals;

/// Collects effects and lets a test wait for them.
class Collector final : public EffectSink {
public:
    void post(std::uint32_t shard, Effects&& effects) override {
        const std::lock_guard lock(mutex_);
        through_[shard] = std::max(through_[shard], effects.committed_through);
        for (auto& one : effects.refused) refused_.push_back(one);
        for (auto& one : effects.claims) claims_.push_back(std::move(one));
        for (auto& one : effects.deliveries) deliveries_.push_back(std::move(one));
        for (auto& one : effects.fetches) fetches_.push_back(std::move(one));
        spooled_ += effects.spooled.size();
        wake_.notify_all();
    }
    template <class Condition>
    bool wait(Condition&& condition, std::chrono::milliseconds limit = 5s) {
        std::unique_lock lock(mutex_);
        return wake_.wait_for(lock, limit, [&] { return condition(*this); });
    }
    bool wait_through(std::uint32_t shard, Token token, std::chrono::milliseconds limit = 5s) {
        return wait([=](Collector& c) { return c.through_[shard] >= token; }, limit);
    }
    std::mutex mutex_;
    std::condition_variable wake_;
    std::map<std::uint32_t, Token> through_;
    std::vector<RefusedOp> refused_;
    std::vector<ClaimResult> claims_;
    std::vector<Delivery> deliveries_;
    std::vector<FetchResult> fetches_;
    std::size_t spooled_ = 0;
};

struct LogFixture {
    explicit LogFixture(EmbeddedLog::Options options = {}) {
        options.on_fatal = [this](const std::string& what) {
            const std::lock_guard lock(sink.mutex_);
            fatal = what;
            sink.wake_.notify_all();
        };
        REQUIRE(state.load(store).ok());
        log = std::make_unique<EmbeddedLog>(std::move(options), state, store, sink);
        REQUIRE(log->start().ok());
    }
    template <class... Ops>
    void submit(std::uint32_t shard, Token token, const Ops&... ops) {
        auto batch = std::make_shared<store::OpBatch>();
        (batch->add(ops), ...);
        log->submit(shard, std::move(batch), token);
    }
    void connect(const char* client, const char* filter) {
        store::ClaimOp claim;
        claim.owner = 7;
        claim.client_id = client;
        claim.expiry_s = 100;
        submit(0, 1, claim);
        REQUIRE(sink.wait([](Collector& c) { return !c.claims_.empty(); }));
        store::SubscribeOp subscribe;
        subscribe.session = sink.claims_[0].session;
        subscribe.owner = 7;
        subscribe.qos = 1;
        subscribe.filter = filter;
        submit(0, 2, subscribe);
        REQUIRE(sink.wait_through(0, 2));
    }
    store::MemoryStore store;
    uns::RetainedTree retained;
    State state{StateLimits{}, retained, nullptr};
    Collector sink;
    std::string fatal;
    std::unique_ptr<EmbeddedLog> log;
};

}  // namespace

TEST_CASE("submissions of several threads are all committed, in order per shard", "[core][log]") {
    LogFixture f;
    f.connect("a", "#");
    std::vector<std::thread> threads;
    constexpr int count = 2000;
    for (std::uint32_t shard = 1; shard <= 3; ++shard) {
        threads.emplace_back([&f, shard] {
            for (Token token = 1; token <= count; ++token) {
                const std::string payload = std::to_string(token);
                f.submit(shard, token, StateFixture::publish("t" + std::to_string(shard), payload));
            }
        });
    }
    for (auto& thread : threads) thread.join();
    for (std::uint32_t shard = 1; shard <= 3; ++shard) REQUIRE(f.sink.wait_through(shard, count));
    f.log->stop();
    std::map<std::string, int> last;
    std::uint64_t next = 1;
    for (const Delivery& delivery : f.sink.deliveries_) {
        for (const Got& got : read_delivery(delivery)) {
            REQUIRE(got.n == next++);
            REQUIRE(++last[got.topic] == std::stoi(got.payload));
        }
    }
    // the session falls behind (nothing is acknowledged) and the rest waits in its queue
    FetchResult rest;
    REQUIRE(f.state.fetch(f.sink.claims_[0].session, 7, next, 1 << 30, rest).ok());
    for (const Delivery& delivery : rest.chunks) {
        for (const Got& got : read_delivery(delivery, next)) {
            REQUIRE(got.n == next++);
            REQUIRE(++last[got.topic] == std::stoi(got.payload));
        }
    }
    CHECK(next == 3 * count + 1);
    CHECK(f.log->stats().operations >= 3 * count);
    CHECK(f.log->health().backlog_bytes == 0);
}

TEST_CASE("a fetch is answered on the log's thread", "[core][log]") {
    LogFixture f;
    f.connect("a", "#");
    f.log->fetch(0, f.sink.claims_[0].session, 7, 1, 1000);
    REQUIRE(f.sink.wait([](Collector& c) { return !c.fetches_.empty(); }));
    CHECK(f.sink.fetches_[0].live);
}

TEST_CASE("no space: the batch waits, is refused in time, and the log recovers by itself", "[core][log]") {
    EmbeddedLog::Options options;
    options.no_space_wait_ms = 200;
    options.probe_ms = 100;
    LogFixture f(options);
    f.connect("a", "#");
    f.store.fail_writes(store::StoreError::no_space);
    const auto begin = std::chrono::steady_clock::now();
    f.submit(0, 3, StateFixture::publish("t", "refused"), StateFixture::publish("t", "refused too"));
    REQUIRE(f.sink.wait_through(0, 3));
    CHECK(std::chrono::steady_clock::now() - begin < 1s);
    CHECK(std::chrono::steady_clock::now() - begin >= 190ms);
    REQUIRE(f.sink.refused_.size() == 2);
    CHECK(f.sink.refused_[1].why == Refusal::no_space);
    CHECK(f.sink.refused_[1].op_offset > 0);
    CHECK(!f.log->health().accepting);
    const auto again = std::chrono::steady_clock::now();
    f.submit(0, 4, StateFixture::publish("t", "refused at once"));
    REQUIRE(f.sink.wait_through(0, 4));
    CHECK(std::chrono::steady_clock::now() - again < 150ms);
    f.store.fail_writes(store::StoreError::none);
    for (int i = 0; i < 100 && !f.log->health().accepting; ++i) std::this_thread::sleep_for(20ms);
    REQUIRE(f.log->health().accepting);
    f.submit(0, 5, StateFixture::publish("t", "taken"));
    REQUIRE(f.sink.wait_through(0, 5));
    CHECK(f.sink.refused_.size() == 3);
    REQUIRE(f.sink.spooled_ >= 1);  // going back forgot who was live
    f.log->fetch(0, f.sink.claims_[0].session, 7, 1, 1000);
    REQUIRE(f.sink.wait([](Collector& c) { return !c.fetches_.empty(); }));
    REQUIRE(f.sink.fetches_[0].chunks.size() == 1);
    CHECK(f.sink.fetches_[0].live);
    CHECK(read_delivery(f.sink.fetches_[0].chunks[0]).at(0) == Got{1, "t", "taken", 1, false, {}});
}

TEST_CASE("space that comes back within the wait refuses nothing", "[core][log]") {
    LogFixture f;
    f.store.fail_writes(store::StoreError::no_space);
    f.submit(0, 3, StateFixture::publish("t", "x"));
    std::this_thread::sleep_for(150ms);
    f.store.fail_writes(store::StoreError::none);
    REQUIRE(f.sink.wait_through(0, 3));
    CHECK(f.sink.refused_.empty());
}

TEST_CASE("a disk without its reserve refuses what would grow and takes the rest", "[core][log]") {
    EmbeddedLog::Options options;
    options.disk_reserve_bytes = std::uint64_t{1} << 50;  // more than the memory store says it has
    LogFixture f(options);
    CHECK(!f.log->health().accepting);
    auto set = StateFixture::publish("t", "x");
    set.retain = true;
    f.submit(0, 3, set, StateFixture::publish("t", "for nobody"));
    REQUIRE(f.sink.wait_through(0, 3));
    REQUIRE(f.sink.refused_.size() == 1);
    CHECK(f.sink.refused_[0].op_offset == 0);
    CHECK(f.sink.refused_[0].why == Refusal::no_space);
}

TEST_CASE("a failed sync acknowledges nothing more and is told at once", "[core][log]") {
    LogFixture f;
    f.store.fail_writes(store::StoreError::sync_failed);
    f.submit(0, 3, StateFixture::publish("t", "x"));
    REQUIRE(f.sink.wait([&](Collector&) { return !f.fatal.empty(); }));
    f.store.fail_writes(store::StoreError::none);  // it must not be tried again
    f.submit(0, 4, StateFixture::publish("t", "y"));
    CHECK(!f.sink.wait_through(0, 3, 200ms));
    CHECK(f.log->health().why == Refusal::store_failed);
}

TEST_CASE("timers run without anyone submitting", "[core][log]") {
    std::atomic<std::int64_t> now{1'000'000};
    EmbeddedLog::Options options;
    options.probe_ms = 20;
    options.now_ms = [&now] { return now.load(); };
    LogFixture f(options);
    f.connect("a", "#");
    store::DetachOp detach;
    detach.session = f.sink.claims_[0].session;
    detach.owner = 7;
    detach.expiry_s = 60;
    f.submit(0, 3, detach);
    REQUIRE(f.sink.wait_through(0, 3));
    now += 60'000;
    for (int i = 0; i < 200 && f.log->stats().sessions.load() > 0; ++i) std::this_thread::sleep_for(10ms);
    CHECK(f.log->stats().sessions.load() == 0);
}

}  // namespace trunkline::broker::test
