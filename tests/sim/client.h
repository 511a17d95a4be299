// A client at the far end of a Link: it speaks MQTT in bytes, keeps the session state that the specification gives a
// client, behaves, and tells the oracle what it sent and got. What it does when is the seed's.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/packets/any_packet.h"
#include "tests/sim/breaks.h"
#include "tests/sim/faults.h"
#include "tests/sim/link.h"
#include "tests/sim/oracle.h"
#include "tests/sim/random.h"
#include "tests/sim/story.h"

namespace trunkline::sim {

struct Traits {
    std::string id;
    mqtt::Version version = mqtt::Version::v5;
    bool durable = false;
    bool anchored = false;             ///< never ends its session, never unsubscribes
    std::uint32_t expiry_s = 0;        ///< of a durable one, v5
    std::uint16_t receive_maximum = 65535;
    std::uint16_t alias_maximum = 0;
    bool publishes = true;
    bool wills = false;
};

/// What a client needs of its world.
struct Surroundings {
    Random& random;
    Story& story;
    Oracle& oracle;
    const Faults& faults;
    const std::int64_t& now_ms;
    Broken broken;
    std::function<Link&()> open;       ///< a fresh connection to some shard
};

class SimClient {
public:
    SimClient(Surroundings& around, Traits traits, std::vector<Subscribed> filters);

    /// Reads, answers, or does something else.
    void turn();
    /// The same without trouble and without anything new, until all is done.
    void calm_turn();
    [[nodiscard]] bool quiet() const;
    [[nodiscard]] const Traits& traits() const { return traits_; }
    /// Connects and subscribes to what it has filters for.
    void connect();
    /// The broker has promised to keep its session.
    [[nodiscard]] bool keeps_session() const { return must_be_present_; }
    [[nodiscard]] bool connected() const { return link_ && connected_; }
    void subscribe_all();

private:
    struct Out {                       // a QoS 1 or 2 message on its way to the broker
        std::uint64_t uid;
        std::uint16_t packet_id;
        bool received = false;         // PUBREC came: PUBREL is what is repeated
    };
    void act();
    void publish();
    void send_publish(const Out& out, bool dup);
    void subscribe(const std::vector<std::size_t>& which);
    void unsubscribe(std::size_t which);
    void disconnect();
    void leave(std::size_t arrives);   // the connection is over for this client
    void forget_session();

    void read(std::size_t bytes);
    void handle(const mqtt::Frame& frame);
    void on(const mqtt::Connack& packet);
    void on(const mqtt::Publish& packet);
    void on(const mqtt::Ack& packet);
    void on(const mqtt::Suback& packet);
    void on(const mqtt::Unsuback& packet);
    void on(const mqtt::Disconnect& packet);
    template <class Packet>
    void on(const Packet&) {}          // AUTH, PINGRESP and what only clients send: not used here
    void check_identifiers(const mqtt::Publish& packet, std::string_view topic);
    void answer(std::size_t most);
    template <class Packet>
    void write(const Packet& packet);
    void tell(std::string_view what, std::initializer_list<std::uint64_t> numbers, std::string_view text = {});
    [[noreturn]] void violated(const std::string& what) const { throw Violation(traits_.id + ": " + what); }
    [[nodiscard]] std::vector<Subscribed>& filters() { return around_.oracle.filters(index_); }
    [[nodiscard]] bool v5() const { return traits_.version == mqtt::Version::v5; }

    Surroundings& around_;
    Random& random_;
    const Traits traits_;
    const std::size_t index_;

    // kept over connections while the session lasts
    std::deque<Out> out_;
    std::map<std::uint16_t, std::string> pending_in_;   // QoS 2 ids between PUBLISH and PUBREL, and their payloads
    std::uint16_t next_packet_id_ = 0;
    bool must_be_present_ = false;     // the broker said that it keeps the session
    bool clean_next_ = true;           // until a CONNACK confirms it

    // of the connection
    Link* link_ = nullptr;
    bool connected_ = false;
    bool connecting_clean_ = false;
    std::uint64_t messages_at_connect_ = 0;
    std::string inbox_;
    std::set<std::uint16_t> in_use_;   // of messages from the broker
    struct Answer {
        mqtt::PacketType type;
        std::uint16_t packet_id;
        bool ends = false;             // the exchange: the identifier is free again
        mqtt::Reason reason = mqtt::Reason::success;
    };
    std::deque<Answer> answers_;
    std::map<std::uint16_t, std::vector<std::size_t>> subscribing_;
    std::map<std::uint16_t, std::size_t> unsubscribing_;
    std::uint16_t next_request_id_ = 1'000;
    std::size_t window_ = 4;
    std::uint16_t broker_aliases_ = 0;
    std::map<std::uint16_t, std::string> aliases_in_;
    std::string alias_out_;            // what alias 1 stands for
};

}  // namespace trunkline::sim
