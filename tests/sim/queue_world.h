// The log alone: clients, shards and connections are small models around a SimNode with the rules of the real ones, and
// the oracle is what was acknowledged to whom. It meets the corners of the state machine far more often than whole
// brokers do (session_world.h).
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/node.h"
#include "tests/sim/visitors.h"

namespace trunkline::sim {

struct SimMessage {
    std::uint64_t uid = 0;
    std::string topic;
    std::uint64_t sequence = 0;          // ascends per topic in the order of publishing
    std::uint8_t qos = 1;
    bool retain = false;
    std::uint16_t packet_id = 0;         // QoS 2
    enum class At { to_send, sent, received, done } at = At::to_send;
    bool acknowledged = false, refused = false;
    int times_sent = 0;
};

/// A publisher with a durable session.
struct Publisher {
    std::string client;
    std::uint64_t owner = 0;
    SessionId session = 0;
    bool connected = false;
    std::vector<std::uint64_t> open;     // uids not done, in order of publishing
    std::uint64_t sequence = 0;
    std::uint16_t next_packet_id = 1;
};

/// A message on its way through a connection.
struct Packet {
    enum class Kind { publish, pubrel, puback, pubrec, pubcomp } kind;
    std::uint64_t n;
    std::uint64_t uid = 0;
    std::uint8_t qos = 0;
};

struct Connection {
    std::uint64_t owner = 0;
    std::uint32_t shard = 0;
    SessionId session = 0;
    bool live = false, fetching = false, claimed = false;
    std::uint64_t expect = 0;            // the delivery number that must come next
    std::uint64_t sent_below = 0;
    std::set<std::uint64_t> skip;        // acknowledged or received in an earlier connection
    std::deque<Packet> buffer;           // delivered by the log, not yet sent
    std::set<std::uint64_t> inflight;
    std::deque<Packet> to_client, to_shard;
};

struct Subscriber {
    std::string client, filter;
    std::uint8_t qos = 1;
    std::string group;                   // of a shared subscription
    bool subscribed = false;             // acknowledged
    std::optional<Connection> connection;
    std::map<SessionId, std::set<std::uint64_t>> pending;   // QoS 2 numbers between PUBLISH and PUBREL, at the client
    std::map<std::pair<SessionId, std::uint64_t>, std::uint64_t> numbers;   // what each delivery number stood for
    std::map<std::uint64_t, int> got;    // uid -> times handed to the application
    std::map<std::string, std::uint64_t> last;              // topic -> highest sequence seen
    std::set<std::uint64_t> owed;        // uids that must arrive once they are acknowledged
};

class QueueWorld {
public:
    QueueWorld(std::uint64_t seed, Broken broken);
    /// Throws Violation.
    void run();

private:
    using Done = std::function<void(broker::Refusal why)>;
    struct Shard {
        std::shared_ptr<store::OpBatch> ops = std::make_shared<store::OpBatch>();
        std::vector<std::pair<std::uint32_t, Done>> done;   // of ops under construction, by offset
        Token token = 0;
        std::map<Token, std::vector<std::pair<std::uint32_t, Done>>> waiting;
    };

    void step();
    void settle();
    void check_end();
    void start();
    void crash();
    template <class Op>
    void submit(std::uint32_t shard, const Op& op, Done done);
    void flush(std::uint32_t shard);
    void on_effects(std::uint32_t shard, Effects&& effects);
    void publish_will(std::uint32_t shard, const broker::WillDue& due);
    [[nodiscard]] Visitors::Hooks visitor_hooks();
    void on_claim(const broker::ClaimResult& claim);
    void on_messages(const broker::Delivery& delivery, std::uint64_t from_n);
    Subscriber* subscriber_of(std::uint64_t owner);

    void connect(Publisher& publisher);
    void publish(Publisher& publisher);
    void send(Publisher& publisher, SimMessage& message);
    void finish_message(Publisher& publisher, std::uint64_t uid);

    void connect(Subscriber& subscriber);
    void disconnect(Subscriber& subscriber, bool detach);
    void drop(Subscriber& subscriber);
    void pump(Subscriber& subscriber);
    void client_turn(Subscriber& subscriber);
    void shard_turn(Subscriber& subscriber);
    void hand_over(Subscriber& subscriber, std::uint64_t uid);
    [[noreturn]] void violated(const std::string& what) const { throw Violation(what); }

    Random random_;
    const broker::StateLimits limits_;
    std::int64_t now_ms_ = 1'000'000;
    std::vector<Shard> shards_;
    std::vector<SimMessage> messages_;   // by uid
    std::vector<Publisher> publishers_;
    std::vector<Subscriber> subscribers_;
    std::map<std::string, std::uint64_t> retained_acknowledged_;   // topic -> sequence
    std::uint64_t next_owner_ = 0;
    bool calm_ = false;                  // no more chaos: everything must arrive
    std::unique_ptr<uns::RetainedTree> retained_;   // of this life of the node
    SimNode node_;
    Visitors visitors_;
};

}  // namespace trunkline::sim
