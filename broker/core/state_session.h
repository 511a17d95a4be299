// What the state machine knows of one durable session and of one shared group.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/core/state_ranges.h"
#include "persistence/chunk.h"
#include "persistence/record.h"

namespace trunkline::broker {

struct Subscription {
    std::uint8_t qos = 0;
    bool no_local = false;
    bool retain_as_published = false;
    std::uint8_t retain_handling = 0;
    std::uint32_t identifier = 0;   ///< 0: none
    bool operator==(const Subscription&) const = default;
};

/// A session's messages of one young batch: they lie in the record of the log at `position`.
struct Piece {
    store::Position position = 0;
    std::uint32_t section = 0;      ///< offset in the chunk
    std::uint32_t count = 0;
    std::uint64_t first_n = 0;
    std::uint64_t bytes = 0;
    [[nodiscard]] std::uint64_t end_n() const { return first_n + count; }
};

/// Entries that the batch under way has gathered for a session.
struct Gathered {
    std::string entries;
    std::uint64_t first_n = 0;
    std::uint32_t count = 0;
    std::uint64_t bytes = 0;
    void reset() {
        entries.clear();
        count = 0;
        bytes = 0;
    }
};

/// A piece of a queue that is being gathered: chunk and entries.
struct SpoolBuffer {
    store::ChunkWriter chunk;
    Gathered gathered;
};

/// Owned by State. Memory is bounded by the live window, however long the queue is.
struct DurableSession {
    store::SessionId id = 0;
    std::string client_id;
    std::string user;                  ///< whose it is; empty: nobody's in particular
    std::uint64_t owner = 0;           ///< connection that may speak for it; 0: none since the last restart
    std::uint32_t shard = 0;
    bool connected = false;
    bool live = false;                 ///< connected and caught up: messages are delivered as they commit
    std::uint32_t expiry_s = 0;
    std::int64_t expires_at_ms = 0;    ///< 0: not running
    std::optional<store::WillRecord> will;
    std::int64_t will_at_ms = 0;       ///< 0: not running
    std::vector<store::WillRecord> due_wills;   ///< handed out, not yet confirmed by WillSentOp

    std::uint64_t cursor = 1;          ///< lowest number not acknowledged
    std::uint64_t next_n = 1;
    std::uint64_t sent_below = 1;
    RangeSet complete, received;
    std::uint64_t queued_bytes = 0;    ///< of pieces not wholly acknowledged
    std::uint64_t queue_keys = 0;      ///< chunks in `queues`
    std::uint64_t trim_at = 0;         ///< no chunk in `queues` ends below this
    std::deque<Piece> young;           ///< pieces in the log, ascending
    std::uint64_t young_bytes = 0;
    bool has_shared = false;           ///< something was queued through a shared subscription
    std::int64_t oldest_queued_ms = 0; ///< of the message at `oldest_of`, for metrics alone; 0: not looked up
    std::uint64_t oldest_of = 0;       ///< the cursor when that was looked up

    std::map<std::string, Subscription, std::less<>> subscriptions;   ///< by filter as sent
    std::vector<std::uint16_t> inbound;   ///< QoS 2 ids waiting for PUBREL, sorted

    // of the batch under way
    enum Touched : std::uint8_t { in_list = 1, record = 2, numbers = 4, ids = 8 };
    std::uint8_t touched = 0;
    Gathered fresh;                    ///< entries for the live chunk
    bool deliver_fresh = false;
    std::unique_ptr<SpoolBuffer> spool;

    [[nodiscard]] std::uint64_t queued_messages() const { return next_n - cursor - complete.total(); }
    /// Above all numbers that are in the store already: less those of the batch under way.
    [[nodiscard]] std::uint64_t stored_n() const {
        return next_n - fresh.count - (spool ? spool->gathered.count : 0);
    }
    [[nodiscard]] bool has_inbound(std::uint16_t packet_id) const {
        return std::binary_search(inbound.begin(), inbound.end(), packet_id);
    }
};

/// Durable members of one `$share/NAME/FILTER` with QoS above 0.
struct SharedGroup {
    struct Member {
        DurableSession* session;
        const Subscription* subscription;
    };
    std::string text;                  ///< `$share/NAME/FILTER`
    std::vector<Member> members;       ///< by session id
    store::SessionId last = 0;         ///< who got the last message
    bool touched = false;
};

}  // namespace trunkline::broker
