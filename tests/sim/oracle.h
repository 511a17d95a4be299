// What must hold, known from outside the broker: what clients sent, what was acknowledged to them and what they got.
// Every function that learns something throws Violation when it contradicts a promise; README.md lists the promises.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "broker/mqtt/packets.h"
#include "namespace/retained_tree.h"
#include "persistence/record.h"
#include "tests/sim/story.h"

namespace trunkline::sim {

/// A message as its publisher made it; its payload begins with the uid.
struct Sent {
    std::uint64_t uid = 0;
    std::string topic;
    std::size_t publisher = 0;
    std::uint64_t publisher_session = 0;
    std::uint64_t sequence = 0;        // ascends per publisher and topic
    std::uint8_t qos = 0;
    bool retain = false;
    bool removes = false;              // an empty payload: the retained value goes
    bool will = false;
    bool may_expire = false;
    std::uint64_t first_sent = 0;      // when, in the oracle's own count of events
    std::uint32_t times_sent = 0;
    bool acknowledged = false, refused = false;
    bool submitted = false, committed = false;
    bool bypassed = false;             // an earlier sending may have gone past the log
};

/// A filter of one client. QoS and options of a filter never change, so that what is owed is never in doubt.
struct Subscribed {
    std::string as_sent, filter, group;   // group: of a shared subscription
    mqtt::SubscriptionOptions options;
    std::uint32_t identifier = 0;
    bool possible = false;             // SUBSCRIBE sent, UNSUBACK not received
    bool confirmed = false;            // SUBACK received, UNSUBSCRIBE not sent
    bool anchored = false;             // never given up, in a session that never ends
    std::uint64_t ended = 0;           // when UNSUBACK was received or the session ended
    std::map<std::string, std::uint64_t> retained_needed;   // topic -> sequence
    std::map<std::string, std::uint64_t> retained_seen;
    bool retained_owed = false;        // the SUBACK came: what is needed must be seen
};

class Oracle {
public:
    Oracle(const std::int64_t& now_ms, bool refuses) : now_ms_(now_ms), refuses_(refuses) { sent_.emplace_back(); }

    std::size_t add_client(std::string name, bool durable, std::vector<Subscribed> filters);
    [[nodiscard]] std::vector<Subscribed>& filters(std::size_t client) { return clients_[client].filters; }

    // From the publishers
    Sent& make(std::size_t publisher, std::string topic, std::uint8_t qos, bool retain, bool removes);
    void sending(std::uint64_t uid);
    void acknowledged(std::uint64_t uid);
    void refused(std::uint64_t uid) { sent_[uid].refused = true; }
    [[nodiscard]] const Sent& sent(std::uint64_t uid) const { return sent_.at(uid); }

    // From the subscribers
    void subscribing(std::size_t client, Subscribed& filter);
    void subscribed(std::size_t client, Subscribed& filter, bool granted);
    void unsubscribing(std::size_t client, Subscribed& filter);
    void unsubscribed(Subscribed& filter);
    /// A PUBLISH that is not a repetition which the client itself must discard.
    void received(std::size_t client, const mqtt::Publish& packet);
    /// The session of a client is gone, with all that it was owed; for a clean one with each connection.
    void session_ended(std::size_t client);
    /// The client asked the broker to end its session and does not know yet whether it has.
    void session_may_end(std::size_t client);

    // Wills, see the README for what is promised
    Sent& arm_will(std::size_t client, std::string topic, std::uint8_t qos, bool retain, std::uint32_t delay_s,
                   std::optional<std::uint32_t> expiry_s);
    /// Its connection was accepted.
    void will_accepted(std::uint64_t uid);
    /// The broker let go of the connection; `cancelled`: it read a DISCONNECT with reason 0.
    void will_released(std::uint64_t uid, bool cancelled);
    /// The client sends another CONNECT, which may cancel a will that still waits, or end the session and release it.
    void returning(std::size_t client, bool clean);
    /// That CONNECT found its session: a will of an earlier connection that was not due yet never will be.
    /// `before`: messages() when the CONNECT was sent.
    void resumed(std::size_t client, std::uint64_t before);

    // From the log
    void submitted(const store::OpBatch& ops);
    void committed(const store::OpBatch& ops);
    void crashed();
    /// Everything submitted so far is stored and told.
    void log_idle();

    /// Nothing older than what was acknowledged is retained.
    void check_retained(const uns::RetainedTree& tree) const;
    /// With nothing under way and all durable clients on line: nothing is missing.
    void check_end() const;
    /// Counts of what was checked, for the summary.
    [[nodiscard]] std::uint64_t deliveries() const { return deliveries_; }
    [[nodiscard]] std::size_t messages() const { return sent_.size() - 1; }

private:
    // publisher, its session, topic, QoS of the delivery: what comes at QoS 0 waits for no window
    using OrderKey = std::tuple<std::size_t, std::uint64_t, std::string, std::uint8_t>;
    struct Got {
        std::uint32_t live = 0, retained = 0;         // by RETAIN of the packet
        std::uint32_t exactly_once = 0;               // of the live ones, at QoS 2
    };
    struct Client {
        std::string name;
        bool durable = false;
        bool may_have_ended = false;                  // its session
        std::uint64_t session = 1;
        std::vector<Subscribed> filters;
        std::map<std::uint64_t, Got> got;             // by uid, in this session
        std::set<std::uint64_t> owed;                 // uids that must come once they are acknowledged
        std::map<OrderKey, std::uint64_t> last;       // highest sequence
        std::map<std::string, std::uint64_t> sequences;   // by topic, as publisher
    };
    struct Group {
        std::set<std::uint64_t> owed;
        std::uint64_t member_ended = 0;           // when a member's session did last
        std::map<std::uint64_t, std::pair<std::size_t, std::uint64_t>> first;   // uid -> client and its session
    };
    struct Will {
        std::size_t client = 0;
        std::uint32_t delay_s = 0;
        std::optional<std::uint32_t> expiry_s;    // of the session; none: it ends with its connection
        bool watched = false;                     // somebody who can't miss it is there
        bool accepted = false, released = false, cancelled = false, resumed = false, back = false, ended = false;
        std::uint32_t crashes = 0;                // when it was cancelled
        std::int64_t released_ms = 0;
        std::int64_t stored_ms = 0;               // when the log had that, whose clock counts the delay; 0: not yet
        [[nodiscard]] std::int64_t due_ms() const;
    };
    struct Retained {
        std::uint64_t acknowledged = 0;           // sequence
        std::vector<std::uint64_t> removals;      // uids sent
    };

    void check_allowed(const Client& client, std::size_t index, const Sent& sent, const mqtt::Publish& packet) const;
    void check_order(Client& client, const Sent& sent, std::uint8_t qos, bool first);
    void check_group(std::size_t index, const Sent& sent, const mqtt::Publish& packet, const std::string& group);
    void check_will(const Sent& sent) const;
    void owe(const Sent& sent);
    /// A subscription by which a message must come to a client, at QoS 1 or 2.
    [[nodiscard]] static bool asks_for(const Subscribed& one, const Sent& sent, std::size_t client);
    void member_ends(const Client& client);
    void forgive(std::size_t client);
    /// May the value with that sequence be gone?
    [[nodiscard]] bool removed_since(const std::string& topic, std::uint64_t sequence) const;
    void check_missing(const Client& client) const;
    void check_wills() const;
    [[noreturn]] void violated(const std::string& what) const { throw Violation(what); }
    [[nodiscard]] std::string describe(const Sent& sent) const;

    const std::int64_t& now_ms_;
    const bool refuses_;
    std::uint64_t event_ = 1;
    std::vector<Sent> sent_;                      // by uid
    std::vector<Client> clients_;
    std::map<std::string, Group> groups_;
    std::map<std::uint64_t, Will> wills_;
    std::vector<std::uint64_t> wills_not_stored_;
    std::map<std::string, Retained> retained_;
    std::uint32_t crashes_ = 0;
    std::uint64_t deliveries_ = 0;
};

}  // namespace trunkline::sim
