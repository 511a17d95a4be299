// Session scripts: a real broker with its shards and its durable state over a memory store, without sockets, threads
// and clocks. Clients send packets and expect packets; the commit log is stepped by hand, so that a script sees what
// leaves before a commit and what after. Written without Catch2: a fuzz target drives it, too.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "broker/core/broker.h"
#include "broker/core/commit_log.h"
#include "broker/core/state.h"
#include "broker/core/transport.h"
#include "broker/mqtt/encode.h"
#include "persistence/memory_store.h"
#include "tests/packets/any_packet.h"

namespace trunkline::broker::test {

/// A commit log that applies nothing until commit() is called.
class StepLog final : public CommitLog {
public:
    StepLog(State& state, store::Store& store, EffectSink& sink) : state_(state), store_(store), sink_(sink) {}

    /// Begins a life of the node, as EmbeddedLog::start() does.
    void start(std::int64_t time_ms);
    /// Everything submitted so far as one batch, then the fetches. True when there was something to do.
    bool commit(std::int64_t time_ms);
    /// Refuses everything submitted so far, as a log without space does.
    void refuse(Refusal why);
    /// Hands on what was held back while `hold_effects` was set.
    void deliver();
    [[nodiscard]] bool idle() const { return submissions_.empty() && fetches_.empty() && held_.empty(); }

    void submit(std::uint32_t shard, std::shared_ptr<const store::OpBatch> batch, Token token) override {
        submissions_.push_back({shard, token, std::move(batch)});
    }
    void fetch(std::uint32_t shard, SessionId session, std::uint64_t owner, std::uint64_t from_n,
               std::uint32_t bytes) override {
        fetches_.push_back({shard, session, owner, from_n, bytes});
    }
    void inspect(std::function<void(const store::Store* store)> look) override { look(&store_); }
    [[nodiscard]] Health health() const override { return {}; }

    bool growth_allowed = true;          ///< false: what needs space is refused with no_space
    bool hold_effects = false;           ///< effects wait until deliver()
    std::uint64_t commits = 0;
    /// Sees each operation that has been committed, before its effects leave.
    std::function<void(const Submission& submission, const std::vector<RefusedOp>& refused)> on_commit;

private:
    struct Fetch {
        std::uint32_t shard;
        SessionId session;
        std::uint64_t owner, from_n;
        std::uint32_t bytes;
    };
    void post(std::uint32_t shard, Effects&& effects);

    State& state_;
    store::Store& store_;
    EffectSink& sink_;
    store::WriteSet writes_;
    std::vector<Submission> submissions_;
    std::vector<Fetch> fetches_;
    std::vector<std::pair<std::uint32_t, Effects>> held_;
};

/// Collects what the broker writes and takes as much of it as the script allows.
class FakeTransport final : public Transport {
public:
    void flush(mqtt::Buffer& out) override;
    void close(mqtt::Buffer&& out) override;
    void set_reading(bool enabled) override { reading = enabled; }
    [[nodiscard]] bool peer_has_ended() const override { return peer_ended; }

    std::string received;                ///< not read by the script yet
    std::size_t takes = SIZE_MAX;        ///< bytes that it still takes; a socket buffer that is full takes none
    bool blocked = false;                ///< a flush() left something behind
    bool closed = false;                 ///< by the broker
    bool peer_ended = false;             ///< the end of its stream has come, behind bytes to be read
    bool reading = true;
    mqtt::Buffer* output = nullptr;      ///< what a flush() left behind
};

/// CONNECT as a script writes it.
struct Hello {
    std::string id = "a";
    bool clean = true;
    std::uint32_t expiry_s = 0;
    mqtt::Version version = mqtt::Version::v5;
    std::uint16_t receive_maximum = 65535;
    std::uint16_t alias_maximum = 0;
    std::optional<std::uint32_t> maximum_packet_size = std::nullopt;
    std::uint16_t keep_alive_s = 0;
    std::optional<mqtt::Will> will = std::nullopt;
};

struct Text {                            // PUBLISH as a script writes it
    std::string topic = "t";
    std::string payload = "p";
    std::uint8_t qos = 0;
    std::uint16_t id = 0;
    bool retain = false;
    bool dup = false;
    std::optional<std::uint32_t> expiry_s = std::nullopt;
    std::uint16_t alias = 0;
    std::string properties = {};         // forwarded ones, raw
};

/// With a packet identifier where there must be one.
inline Text text(std::string topic, std::string payload, std::uint8_t qos = 1, std::uint16_t id = 1,
                 bool retain = false) {
    Text out;
    out.topic = std::move(topic);
    out.payload = std::move(payload);
    out.qos = qos;
    out.id = qos ? id : std::uint16_t{0};
    out.retain = retain;
    return out;
}

class Script;

/// One connection of a script.
class Peer {
public:
    Peer(Script& script, std::uint32_t shard, mqtt::Version version)
        : script_(script), shard_(shard), version_(version) {}

    // Sending: bytes go to the shard at once, the shard's turn ends after each.
    void send_bytes(std::string_view bytes);
    void send(const Hello& hello);
    void send(const Text& message);
    void ack(mqtt::PacketType type, std::uint16_t id, mqtt::Reason reason = mqtt::Reason::success);
    void subscribe(std::uint16_t id, std::string_view filter, mqtt::SubscriptionOptions options = {},
                   std::uint32_t identifier = 0);
    void unsubscribe(std::uint16_t id, std::string_view filter);
    void disconnect(mqtt::Reason reason = mqtt::Reason::success, std::optional<std::uint32_t> expiry_s = std::nullopt);
    void auth(mqtt::Reason reason, std::string_view method, std::string_view data);
    void ping();
    template <class Packet>
    void send_packet(const Packet& packet) {
        mqtt::Buffer out;
        mqtt::encode(out, version_, packet);
        send_bytes(out.view());
    }
    /// The peer's end of the connection breaks.
    void drop();

    // What came: the next packet. Views are valid as long as the script.
    std::optional<tests::AnyPacket> next();
    /// The next packet as one of a type; a failure when it is another or none.
    template <class Packet>
    Packet expect() {
        auto packet = next();
        if (!packet) fail("expected a packet, but nothing came");
        if (!std::holds_alternative<Packet>(*packet)) fail("expected another packet than came");
        return std::get<Packet>(*packet);
    }
    [[nodiscard]] mqtt::Ack expect_ack(mqtt::PacketType type, std::uint16_t id);
    [[nodiscard]] bool quiet() const { return transport.received.empty(); }
    /// Everything that came, less what was read: PUBLISH packets alone, their payloads in order.
    std::vector<std::string> payloads();

    FakeTransport transport;
    Client* client = nullptr;            ///< null once the connection ended
    [[nodiscard]] std::uint32_t shard() const { return shard_; }
    [[nodiscard]] mqtt::Version version() const { return version_; }
    void set_version(mqtt::Version version) { version_ = version; }

private:
    friend class Script;
    [[noreturn]] void fail(const char* what);
    Script& script_;
    std::uint32_t shard_;
    mqtt::Version version_;
    std::string unread_;                 ///< an incomplete packet to the broker
    std::deque<std::string> frames_;     ///< received and handed out
};

class Script {
public:
    explicit Script(std::uint32_t shards = 1, Config config = {}, StateLimits limits = {});
    ~Script();
    Script(const Script&) = delete;
    Script& operator=(const Script&) = delete;

    /// A connection without a CONNECT yet.
    Peer& open(std::uint32_t shard = 0, mqtt::Version version = mqtt::Version::v5);
    /// CONNECT, commits as needed, CONNACK 0; what it said.
    Peer& connect(const Hello& hello, std::uint32_t shard = 0, mqtt::Connack* connack = nullptr);
    /// SUBSCRIBE with its SUBACK.
    void subscribe(Peer& peer, std::string_view filter, std::uint8_t qos, std::uint32_t identifier = 0);

    /// Ends the shards' turns and hands their mail around until nothing moves; the log is not stepped.
    void turn();
    /// turn() and one commit with what follows from it. False when there was nothing to commit.
    bool commit();
    /// Until nothing moves any more.
    void settle();
    void pass(std::int64_t ms);          ///< time goes by, with a tick
    void takes(Peer& peer, std::size_t bytes);   ///< the peer's socket takes so many more
    /// The process ends and starts again over the same store: all connections are gone.
    void restart();
    void attach(std::unique_ptr<auth::Authenticator> authenticator) { broker->attach(std::move(authenticator)); }
    [[nodiscard]] std::uint64_t dropped(Drop why) const;

    const std::uint32_t shards;
    const Config config;
    const StateLimits limits;
    store::MemoryStore store;
    std::unique_ptr<Broker> broker;
    std::unique_ptr<State> state;
    std::unique_ptr<StepLog> log;
    Now now{1'000'000, 1'700'000'000'000};
    std::vector<std::unique_ptr<Peer>> peers;

private:
    void start();
    void stop();
    std::vector<bool> woken_;
};

}  // namespace trunkline::broker::test
