// One connection and the session behind it, as plain data: the shard that owns them (shard.h) holds the rules.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/container/flat_set.hpp>
#include <boost/intrusive/list.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include "auth/authenticator.h"
#include "broker/core/commit_log.h"
#include "broker/core/live_note.h"
#include "broker/core/message.h"
#include "broker/core/out_window.h"
#include "broker/core/permissions.h"
#include "broker/core/transport.h"
#include "broker/mqtt/buffer.h"
#include "broker/mqtt/packets.h"
#include "persistence/record.h"

namespace trunkline::broker {

class Client;
class Route;
struct Login;
struct QueueLevel;

/// A subscription as its session holds it.
struct ClientSubscription {
    std::string filter;                       // as sent, `$share/...` included
    mqtt::SubscriptionOptions options;        // qos is what was granted
    std::uint32_t identifier = 0;             // 0: none
    uns::CommitTime retained_through = 0;     // what was retained by then it was sent, or will be; 0: nothing
    bool allowed = true;                      // false: it delivers nothing, and is not routed, until it is again
};

/// How one message goes to one subscriber.
struct DeliveryOptions {
    std::uint8_t qos = 0;
    bool retain = false;
    bool dup = false;
    const std::uint32_t* identifiers = nullptr;
    std::uint32_t identifier_count = 0;
};

/// A message that waits in memory for a transient session's window.
struct QueuedMessage {
    MessagePtr message;
    std::uint8_t qos = 0;
    bool retain = false;
    std::vector<std::uint32_t> identifiers;
    std::string shared_filter;                // `$share/...` it came through, or empty
};

/// A shared message under way to a transient member: offered to another when this one leaves.
struct SharedInflight {
    std::uint64_t n = 0;
    MessagePtr message;
    std::string shared_filter;
};

/// Retained messages being sent for a new subscription, as far as the window and the write buffer let them.
struct RetainedStream {
    std::string filter;                       // without `$share/...`: those get none
    std::string after;                        // the last topic sent
    std::uint8_t qos = 0;                     // granted
    std::uint32_t identifier = 0;
    bool renewed = false;                     // the subscription was there before and misses nothing that is under way
    std::size_t largest_bytes = 1;            // of those sent
    uns::CommitTime through = 0;              // what was retained later comes live
};

/// The outgoing half of a durable session: its messages live in the log and on disk, only references are here.
struct DurableOut {
    OutWindow window{OutWindow::low_ids};
    struct Chunk {
        std::shared_ptr<const std::string> bytes;
        store::OwedReader reader;
        std::uint64_t next_n = 0;             // of the next entry the reader gives
    };
    std::deque<Chunk> chunks;
    std::uint64_t expected_n = 0;             // first delivery number not received from the log yet
    std::uint64_t sent_below = 0;             // numbers below may have been sent by an earlier connection: DUP
    std::uint64_t queued_below = 0;           // numbers below were there at the claim, perhaps of a filter that is gone
    bool live = false;                        // the log sends by itself
    bool fetching = false;
    bool acks_collected = false;              // is on the shard's list
    bool resumed = false;                     // the client may hold QoS 2 identifiers of an earlier connection
    std::vector<store::Range> resumed_done;   // acknowledged above the cursor at the claim
    std::vector<store::Range> resumed_received;
    std::vector<store::Range> complete;       // collected this turn
    std::vector<store::Range> received;
};

/// Session state of section 4.1. Owned by a shard; ends with the connection unless durable, in which case the log has
/// all that must outlive it.
struct Session {
    std::string client_id;
    Client* client = nullptr;
    std::uint64_t number = 0;                 // the connection's number: owner towards the log
    SessionId durable = 0;                    // 0: ends with its connection
    std::uint32_t expiry_s = 0;
    std::vector<ClientSubscription> subscriptions;
    OutWindow window{OutWindow::low_ids};     // messages that the log does not know; high ids in a durable session
    std::unique_ptr<DurableOut> out;          // durable sessions only
    std::deque<QueuedMessage>* queue = nullptr;  // made when first needed
    std::shared_ptr<QueueLevel> level;        // of the queue; made when first needed
    bool crowded = false;                     // the filter index knows: the queue is about half full or more
    std::vector<SharedInflight> shared_inflight;
    std::vector<RetainedStream> retained;
    uns::CommitTime retained_through = 0;     // the highest of its subscriptions
    /// Hashes of topics whose new value came at QoS 0, ahead of the log, while `retained` streams: what the tree has
    /// may be older.
    std::unique_ptr<boost::unordered_flat_set<std::uint64_t>> fresher;
    std::vector<std::string> retained_owed;   // durable: filters whose retained messages are not all acknowledged yet
    boost::container::flat_set<std::uint16_t> inbound;  // QoS 2 ids between PUBLISH and PUBREL
    std::unique_ptr<store::WillRecord> will;
    std::uint32_t filters_denied = 0;         // subscriptions that are not allowed now

    Session() = default;
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session() { delete queue; }

    [[nodiscard]] ClientSubscription* find(std::string_view filter) {
        for (ClientSubscription& s : subscriptions) {
            if (s.filter == filter) return &s;
        }
        return nullptr;
    }
    [[nodiscard]] std::uint32_t open_out() const { return window.open() + (out ? out->window.open() : 0); }
};

enum class ClientState : std::uint8_t {
    fresh,          // no CONNECT yet
    checking,       // authentication was asked who it is, and has not answered
    authenticating, // AUTH exchange before CONNACK
    claiming,       // waits for another connection's release or for the log
    connected,
    closed,         // transport gone or told to go; kept until its last submission is answered
};

/// Topic aliases, made only for clients that use them.
struct Aliases {
    struct Inbound {
        std::string topic;
        Route* route = nullptr;
        std::uint64_t route_epoch = 0;
    };
    std::vector<Inbound> inbound;             // index alias - 1
    boost::unordered_flat_map<std::string, std::uint16_t> outbound;
};

/// What only some connections have, so that an idle one stays small.
struct ClientExtra {
    std::shared_ptr<auth::Exchange> exchange;
    std::shared_ptr<Login> login;             // not answered yet
    std::string auth_method;
    std::string early;                        // bytes that came before the CONNACK
    std::string certificate;                  // of the client, verified, in DER; until its CONNECT
    std::string assigned_id;                  // client id given by us
    std::string auth_data;                    // for the CONNACK
    std::uint32_t waits_for_release = 0;      // takeovers not finished yet
    std::vector<std::pair<std::uint32_t, std::uint64_t>> release_to;  // (shard, client number) waiting for us
};

class Client : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
public:
    Transport* transport = nullptr;
    std::unique_ptr<Session> session;
    mqtt::Buffer out;
    std::uint64_t number = 0;                 // unique in this process and over restarts
    std::uint64_t identity = 0;               // hash of the client identifier: No Local holds over connections
    Route* last_route = nullptr;              // of the topic published last
    std::uint64_t last_route_epoch = 0;
    std::unique_ptr<Aliases> aliases;
    std::unique_ptr<ClientExtra> extra;
    LivePublisherPtr live_publisher;          // made with the first PUBLISH
    std::string user;
    std::shared_ptr<const auth::Principal> principal;  // null: nobody asked who it is; `user` is all there is
    PeerAddress peer;
    ClientState state = ClientState::fresh;
    mqtt::Reason ended_by = mqtt::Reason::unspecified_error;   // of DISCONNECT; without one, the network ended it
    mqtt::Version version = mqtt::Version::v5;
    std::uint16_t listener = 0;
    bool local = false;
    bool administration = false;              // the broker's own: reads everything, or as `principal`
    bool secure = false;
    bool clean_start = false;
    bool dirty = false;                       // on the shard's list of those with output; see Shard::mark_dirty()
    bool traced = false;                      // somebody watches its packets
    bool pump_queued = false;                 // on the shard's list of those with more to send
    bool blocked = false;                     // the transport could not write all
    bool reading_paused = false;
    bool problem_information = true;          // [MQTT-3.1.2-29]
    bool response_information = false;
    bool expiry_capped = false;               // the session expiry in force is not what the client asked for
    bool counted = false;                     // in Broker::connections_
    bool keep_alive_replaced = false;         // nor is the keep alive
    std::uint16_t keep_alive_s = 0;           // as in force; 0: none
    std::uint16_t receive_maximum = 65535;    // the client's
    std::uint16_t alias_maximum = 0;          // the client's
    std::uint32_t max_packet_bytes = 0xFFFFFFFF;  // the client's
    std::uint32_t pending_log = 0;            // acknowledgements that wait for a commit
    std::uint32_t publishes_unanswered = 0;   // QoS 1 and 2 received, not yet answered to the end
    std::int64_t opened_ms = 0;               // steady
    std::int64_t arrival_ns = 0;              // ConnectionInfo has it
    std::int64_t last_in_ms = 0;              // steady
    std::int64_t blocked_since_ms = 0;        // steady
    std::int64_t unanswered_since_ms = 0;     // steady; v3: a publish was refused and will not be answered; 0: none
    std::int64_t connected_wall_ms = 0;
    std::uint64_t messages_in = 0, messages_out = 0;
    ClientRights rights;                      // used where authorisation is on

    ClientExtra& more() {
        if (!extra) extra = std::make_unique<ClientExtra>();
        return *extra;
    }
    [[nodiscard]] bool v5() const { return version == mqtt::Version::v5; }
};

}  // namespace trunkline::broker
