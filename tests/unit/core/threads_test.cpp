// Three shards on three threads over an EmbeddedLog: random clients that publish, take each other over and go away.
// What it proves, it proves under ThreadSanitizer and AddressSanitizer.
#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "broker/core/embedded_log.h"
#include "tests/unit/core/script.h"

using namespace trunkline;
using namespace trunkline::broker;
using namespace trunkline::broker::test;

namespace {

struct Waker {
    std::mutex mutex;
    std::condition_variable wake;
    bool woken = false;
};

/// One shard's loop, and a handful of clients that live on it.
class Loop {
public:
    Loop(Broker& broker, std::uint32_t shard, Waker& waker)
        : shard_(broker.shard(shard)), waker_(waker), random_(shard) {}

    void run(const std::atomic<bool>& stop, const std::atomic<bool>& finished) {
        while (!finished.load()) {
            shard_.set_time(now());
            if (take_wake()) shard_.on_mail();
            if (!stop.load()) {
                for (int i = 0; i < 8; ++i) step();
            } else {
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
            shard_.on_tick();
            shard_.end_turn();
            for (auto& one : open_) answer(*one);
            shard_.end_turn();
            std::erase_if(open_, [](const auto& one) { return one->transport.closed; });
        }
    }
    std::uint64_t received = 0, connected = 0;

private:
    struct One {
        FakeTransport transport;
        Client* client = nullptr;
        std::uint16_t id = 0;
    };
    static Now now() {
        using namespace std::chrono;
        return {duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count(),
                duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()};
    }
    bool take_wake() {
        const std::lock_guard lock(waker_.mutex);
        return std::exchange(waker_.woken, false);
    }
    std::uint32_t any(std::uint32_t below) { return static_cast<std::uint32_t>(random_() % below); }
    void send(One& one, const mqtt::Buffer& bytes) {
        if (!one.transport.closed) shard_.on_bytes(*one.client, bytes.view());
    }
    void connect() {
        One& one = *open_.emplace_back(std::make_unique<One>());
        ConnectionInfo info;
        info.local = true;
        one.client = shard_.on_open(one.transport, info);
        const std::string id = "c" + std::to_string(any(6));  // shared by all shards
        mqtt::Connect connect;
        connect.client_id = id;
        connect.clean_start = any(4) == 0;
        connect.session_expiry_s = any(2) ? 100 : 0;
        connect.has_session_expiry = connect.session_expiry_s != 0;
        mqtt::Will will;
        will.topic = "t/will";
        will.payload = "w";
        will.qos = 1;
        if (any(3) == 0) connect.will = will;
        mqtt::Buffer out;
        mqtt::encode(out, connect);
        mqtt::Subscribe subscribe;
        subscribe.packet_id = 1;
        subscribe.requests.push_back({any(2) ? "t/+" : "$share/g/t/#", {.qos = static_cast<std::uint8_t>(any(3))}});
        mqtt::encode(out, mqtt::Version::v5, subscribe);  // before the CONNACK
        send(one, out);
    }
    void step() {
        if (open_.size() < 6) return connect();
        One& one = *open_[any(static_cast<std::uint32_t>(open_.size()))];
        if (one.transport.closed || !one.transport.reading) return;
        const std::uint32_t what = any(100);
        mqtt::Buffer out;
        if (what == 0) {
            shard_.on_closed(*one.client);
            one.transport.closed = true;
        } else if (what == 1) {
            mqtt::encode(out, mqtt::Version::v5, mqtt::Disconnect{});
            send(one, out);
        } else {
            const std::string topic = "t/" + std::to_string(any(5));
            mqtt::PublishOut packet;
            packet.topic = topic;
            packet.payload = "payload";
            packet.qos = static_cast<std::uint8_t>(any(3));
            packet.retain = any(10) == 0;
            packet.packet_id = packet.qos ? one.id = static_cast<std::uint16_t>(one.id % 60'000 + 1) : 0;
            mqtt::encode(out, mqtt::Version::v5, packet);
            send(one, out);
        }
    }
    /// Acknowledges what came, as a client would.
    void answer(One& one) {
        std::string bytes;
        bytes.swap(one.transport.received);
        mqtt::Buffer out;
        for (std::string_view rest = bytes; !rest.empty();) {
            const auto frame = mqtt::next_frame(rest, UINT32_MAX);
            if (!frame || frame->size == 0) std::abort();  // only whole packets are written
            const auto packet = tests::decode_any(*frame, mqtt::Version::v5);
            if (!packet) std::abort();
            rest.remove_prefix(frame->size);
            if (std::holds_alternative<mqtt::Connack>(*packet)) ++connected;
            if (const auto* publish = std::get_if<mqtt::Publish>(&*packet)) {
                ++received;
                if (publish->qos == 1) mqtt::encode_ack(out, mqtt::PacketType::puback, publish->packet_id);
                if (publish->qos == 2) mqtt::encode_ack(out, mqtt::PacketType::pubrec, publish->packet_id);
            } else if (const auto* ack = std::get_if<mqtt::Ack>(&*packet)) {
                using enum mqtt::PacketType;
                if (ack->type == pubrec && ack->reason < mqtt::Reason::unspecified_error) {
                    mqtt::encode_ack(out, pubrel, ack->packet_id);
                }
                if (ack->type == pubrel) mqtt::encode_ack(out, pubcomp, ack->packet_id);
            }
        }
        if (!out.empty()) send(one, out);
    }

    ShardApi& shard_;
    Waker& waker_;
    std::mt19937 random_;
    std::vector<std::unique_ptr<One>> open_;
};

}  // namespace

TEST_CASE("three shards on three threads with takeovers", "[core][threads]") {
    constexpr std::uint32_t shards = 3;
    std::array<Waker, shards> wakers;
    Config config;
    config.limits.transient_queue_messages = 8;  // queues fill and publishers wait all the time
    config.limits.max_inflight_out = 2;
    Broker broker(config, shards, [&](std::uint32_t shard) {
        const std::lock_guard lock(wakers[shard].mutex);
        wakers[shard].woken = true;
    });
    StateLimits limits;
    limits.young_ms = 50;
    limits.live_messages = 64;
    limits.queue_messages = 2'000;
    State state(limits, broker.retained(), &broker);
    store::MemoryStore store;
    REQUIRE(state.load(store).ok());
    EmbeddedLog::Options options;
    options.disk_reserve_bytes = 0;
    options.disk_reserve_share = 0;
    EmbeddedLog log(options, state, store, broker);
    broker.attach(log);
    REQUIRE(log.start().ok());

    std::vector<std::unique_ptr<Loop>> loops;
    for (std::uint32_t i = 0; i < shards; ++i) loops.push_back(std::make_unique<Loop>(broker, i, wakers[i]));
    std::atomic<bool> stop{false}, finished{false};
    std::vector<std::thread> threads;
    for (auto& loop : loops) threads.emplace_back([&] { loop->run(stop, finished); });
    const auto full_queues = [&broker] {
        std::uint64_t refused = 0;
        constexpr auto quota = static_cast<std::size_t>(mqtt::Reason::quota_exceeded);
        for (std::uint32_t i = 0; i < shards; ++i) refused += broker.counters(i).refused_by_reason[quota].get();
        return refused;
    };
    for (int i = 0; i < 15 || (i < 150 && full_queues() == 0); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        broker.visit_clients([](const ClientInfo&) {}, [] {});
        broker.kick("c" + std::to_string(i % 6), [](bool) {});
        broker.publish("t/0", "from the broker", i % 2 == 0, 1);
    }
    stop.store(true);
    std::atomic<bool> safe{false};
    broker.shut_down({}, [&] { safe.store(true); });
    for (int i = 0; i < 2'000 && !safe.load(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    finished.store(true);
    for (std::thread& thread : threads) thread.join();
    log.stop();
    CHECK(safe.load());
    std::uint64_t received = 0, connected = 0;
    for (const auto& loop : loops) {
        received += loop->received;
        connected += loop->connected;
    }
    std::uint64_t dropped = 0;
    for (std::uint32_t i = 0; i < shards; ++i) {
        dropped += broker.counters(i).dropped[static_cast<std::size_t>(Drop::queue_full)].get();
    }
    CHECK(dropped == 0);
    CHECK(full_queues() > 0);
    CHECK(connected > 20);
    CHECK(received > 200);
}
