// The store and the log on hardware that fails: nothing that was acknowledged may be lost without being told.
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>

#include <catch2/catch.hpp>

#include "broker/core/embedded_log.h"
#include "persistence/rocksdb_store.h"
#include "tests/fault/fault_files.h"

namespace trunkline::fault {
namespace {

using namespace std::chrono_literals;
using namespace broker;
using store::RocksDbStore;
using store::StoreError;
namespace fs = std::filesystem;

struct TemporaryDirectory {
    TemporaryDirectory() {
        std::string pattern = (fs::temp_directory_path() / "trunkline-fault-XXXXXX").string();
        path = ::mkdtemp(pattern.data());
    }
    ~TemporaryDirectory() { fs::remove_all(path); }
    std::string path;
};

struct Sink final : EffectSink {
    void post(std::uint32_t, Effects&& effects) override {
        const std::lock_guard lock(mutex);
        through = std::max(through, effects.committed_through);
        refused += effects.refused.size();
        for (const ClaimResult& claim : effects.claims) session = claim.session;
        wake.notify_all();
    }
    bool wait(Token token, std::chrono::milliseconds limit = 10s) {
        std::unique_lock lock(mutex);
        return wake.wait_for(lock, limit, [&] { return through >= token; });
    }
    std::mutex mutex;
    std::condition_variable wake;
    Token through = 0;
    std::size_t refused = 0;
    SessionId session = 0;
};

/// A log on a disk that may fail, with one away session subscribed to everything.
struct Node {
    Node(const std::string& directory, std::shared_ptr<Faults> faults, std::uint64_t memory_bytes = 4 << 20,
         EmbeddedLog::Options options = {}) {
        RocksDbStore::Options store_options;
        store_options.directory = directory;
        store_options.memory_bytes = memory_bytes;
        if (faults) store_options.wrap_files = [faults](auto base) { return wrap_files(std::move(base), faults); };
        auto opened = RocksDbStore::open(store_options);
        status = opened.status;
        disk = std::move(opened.store);
        if (!disk) return;
        status = state.load(*disk);
        if (!status.ok()) return;
        options.disk_reserve_bytes = 0;
        options.disk_reserve_share = 0;
        options.on_fatal = [this](const std::string& what) {
            const std::lock_guard lock(sink.mutex);
            fatal = what;
            fatal_at = std::chrono::steady_clock::now();
            sink.wake.notify_all();
        };
        log = std::make_unique<EmbeddedLog>(std::move(options), state, *disk, sink);
    }
    void start() {
        REQUIRE(status.ok());
        REQUIRE(log->start().ok());
    }
    void subscribe() {
        store::ClaimOp claim;
        claim.owner = 1;
        claim.client_id = "away";
        claim.expiry_s = 0xFFFFFFFF;
        submit(claim);
        REQUIRE(sink.wait(token));
        store::SubscribeOp op;
        op.session = sink.session;
        op.owner = 1;
        op.qos = 1;
        op.filter = "#";
        submit(op, store::DetachOp{sink.session, 1, 0, 0xFFFFFFFF, true});
        REQUIRE(sink.wait(token));
    }
    template <class... Ops>
    void submit(const Ops&... ops) {
        auto batch = std::make_shared<store::OpBatch>();
        (batch->add(ops), ...);
        log->submit(0, std::move(batch), ++token);
    }
    void publish(const std::string& payload, bool retain = false) {
        store::PublishOp op;
        op.qos = 1;
        op.topic = "t";
        op.payload = payload;
        op.retain = retain;
        submit(op);
    }
    std::string fatal;
    std::chrono::steady_clock::time_point fatal_at;
    store::StoreStatus status;
    std::unique_ptr<RocksDbStore> disk;
    uns::RetainedTree retained;
    State state{StateLimits{}, retained, nullptr};
    Sink sink;
    Token token = 0;
    std::unique_ptr<EmbeddedLog> log;   // last: it stops first
};

/// Publishes `count` acknowledged messages and cuts the power: what the disk holds at that moment is copied.
void publish_and_cut(const std::string& from, const std::string& to, const std::shared_ptr<Faults>& faults, int count,
                     bool lie) {
    Node node(from, faults);
    node.start();
    node.subscribe();
    faults->ignore_sync = lie;
    for (int i = 0; i < count; ++i) {
        node.publish(std::to_string(i));
        REQUIRE(node.sink.wait(node.token));
    }
    fs::copy(from, to, fs::copy_options::recursive);
    faults->ignore_sync = false;
}

}  // namespace

TEST_CASE("a power cut loses nothing that was acknowledged", "[fault]") {
    TemporaryDirectory directory;
    auto faults = std::make_shared<Faults>();
    faults->hold_unsynced = true;
    publish_and_cut(directory.path + "/live", directory.path + "/cut", faults, 200, false);
    CHECK(faults->syncs > 200);
    Node after(directory.path + "/cut", nullptr);
    REQUIRE(after.status.ok());
    CHECK(after.state.find_session("away")->queued_messages() == 200);
}

TEST_CASE("control: with syncs that do nothing the same power cut loses messages", "[fault]") {
    TemporaryDirectory directory;
    auto faults = std::make_shared<Faults>();
    faults->hold_unsynced = true;
    publish_and_cut(directory.path + "/live", directory.path + "/cut", faults, 200, true);
    Node after(directory.path + "/cut", nullptr);
    const auto* session = after.status.ok() ? after.state.find_session("away") : nullptr;
    CHECK((!session || session->queued_messages() < 200));
}

TEST_CASE("durability relaxed really does not wait for the disk", "[fault]") {
    TemporaryDirectory directory;
    auto faults = std::make_shared<Faults>();
    faults->hold_unsynced = true;
    {
        EmbeddedLog::Options options;
        options.sync = false;
        Node node(directory.path + "/live", faults, 4 << 20, options);
        node.start();
        node.subscribe();
        const auto before = faults->syncs.load();
        for (int i = 0; i < 100; ++i) node.publish(std::to_string(i));
        REQUIRE(node.sink.wait(node.token));
        CHECK(faults->syncs - before < 5);
        fs::copy(directory.path + "/live", directory.path + "/cut", fs::copy_options::recursive);
    }
    {
        Node cut(directory.path + "/cut", nullptr);
        REQUIRE(cut.status.ok());   // nothing was promised, so nothing is refused
        const auto* session = cut.state.find_session("away");
        CHECK((!session || session->queued_messages() < 100));
    }
    Node stopped(directory.path + "/live", nullptr);   // a clean stop syncs
    REQUIRE(stopped.status.ok());
    CHECK(stopped.state.find_session("away")->queued_messages() == 100);
}

TEST_CASE("a failed sync ends the log within a second and is never repeated", "[fault]") {
    TemporaryDirectory directory;
    auto faults = std::make_shared<Faults>();
    faults->hold_unsynced = true;
    Node node(directory.path, faults);
    node.start();
    node.subscribe();
    std::this_thread::sleep_for(200ms);   // the idle mark has its own sync
    faults->fail_sync_after = 0;
    const auto begin = std::chrono::steady_clock::now();
    node.publish("lost");
    CHECK(!node.sink.wait(node.token, 500ms));
    const std::lock_guard lock(node.sink.mutex);
    REQUIRE(!node.fatal.empty());
    CHECK(node.fatal_at - begin < 1s);
    CHECK(node.log->health().why == Refusal::store_failed);
}

TEST_CASE("a full disk refuses within the wait and takes messages again by itself", "[fault]") {
    TemporaryDirectory directory;
    auto faults = std::make_shared<Faults>();
    EmbeddedLog::Options options;
    options.no_space_wait_ms = 300;
    options.probe_ms = 200;
    {
        Node node(directory.path, faults, 4 << 20, options);
        node.start();
        node.subscribe();
        node.publish("before");
        REQUIRE(node.sink.wait(node.token));
        faults->no_space = true;
        const auto begin = std::chrono::steady_clock::now();
        node.publish("refused");
        REQUIRE(node.sink.wait(node.token));
        CHECK(std::chrono::steady_clock::now() - begin < 1s);
        CHECK(node.sink.refused == 1);
        CHECK(!node.log->health().accepting);
        CHECK(node.fatal.empty());
        faults->no_space = false;
        const auto back = std::chrono::steady_clock::now();
        while (!node.log->health().accepting && std::chrono::steady_clock::now() - back < 10s) {
            std::this_thread::sleep_for(20ms);
        }
        INFO(node.log->health().detail);
        REQUIRE(node.log->health().accepting);
        node.publish("after");
        REQUIRE(node.sink.wait(node.token));
        CHECK(node.sink.refused == 1);
    }
    Node again(directory.path, nullptr);
    REQUIRE(again.status.ok());
    CHECK(again.state.find_session("away")->queued_messages() == 2);
}

TEST_CASE("slow syncs make batches larger, not the wait longer for each", "[fault]") {
    TemporaryDirectory directory;
    auto faults = std::make_shared<Faults>();
    Node node(directory.path, faults);
    node.start();
    node.subscribe();
    faults->sync_delay_ms = 200;
    const auto commits = node.log->stats().commits.load();
    for (int i = 0; i < 1000; ++i) node.publish(std::to_string(i));
    REQUIRE(node.sink.wait(node.token));
    CHECK(node.log->stats().commits - commits <= 4);
    faults->sync_delay_ms = 0;
}

TEST_CASE("200 flips, cuts and deletions: the store opens complete or refuses by name", "[fault]") {
    TemporaryDirectory directory;
    const std::string live = directory.path + "/live", crashed = directory.path + "/crashed";
    std::uint64_t hash = 0;
    for (int life = 0; life < 3; ++life) {   // several lives, so that there are tables as well as logs
        Node node(live, nullptr, 1 << 20);
        node.start();
        if (life == 0) node.subscribe();
        for (int i = 0; i < 60; ++i) {
            store::PublishOp op;
            op.qos = 1;
            const std::string topic = "t/" + std::to_string(i), payload(static_cast<std::size_t>(50 + i * 150), 'p');
            op.topic = topic;
            op.payload = payload;
            op.retain = i % 3 == 0;
            node.submit(op);
            if (i % 5 == 0) REQUIRE(node.sink.wait(node.token));
        }
        REQUIRE(node.sink.wait(node.token));
        if (life < 2) continue;
        std::this_thread::sleep_for(300ms);   // idle: the mark names the last batch
        fs::copy(live, crashed, fs::copy_options::recursive);
        node.log->stop();
        hash = node.state.state_hash();
    }
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(crashed)) {
        const std::string name = entry.path().filename();
        if (entry.is_regular_file() && entry.file_size() > 0 && !name.starts_with("LOG")) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    REQUIRE(files.size() >= 5);
    std::mt19937_64 random(20'261'122);
    int complete = 0, refused = 0;
    for (int round = 0; round < 200; ++round) {
        const std::string work = directory.path + "/work";
        fs::remove_all(work);
        fs::copy(crashed, work, fs::copy_options::recursive);
        const fs::path hit = work / fs::relative(files[random() % files.size()], crashed);
        const auto size = fs::file_size(hit);
        const auto kind = random() % 10;
        if (kind == 0) {
            fs::remove(hit);
        } else if (kind == 1) {
            fs::resize_file(hit, random() % size);
        } else {
            const auto at = static_cast<std::streamoff>(random() % size);
            std::fstream file(hit, std::ios::in | std::ios::out | std::ios::binary);
            file.seekg(at);
            const char byte = static_cast<char>(file.get() ^ (1 << random() % 8));
            file.seekp(at);
            file.put(byte);
        }
        INFO("round " << round << ", kind " << kind << ", file " << hit);
        Node node(work, nullptr, 1 << 20);
        if (!node.status.ok()) {
            ++refused;
            CHECK(!node.status.detail.empty());
            continue;
        }
        const auto now = node.state.state_hash();
        if (now == 0) {
            ++refused;   // told when the queue is read
            continue;
        }
        ++complete;
        REQUIRE(now == hash);
    }
    WARN(complete << " opened complete, " << refused << " refused");
    CHECK(complete > 10);
    CHECK(refused > 10);
}

}  // namespace trunkline::fault
