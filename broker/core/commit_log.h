// The seam between the shards and everything durable: shards submit operations, the log orders and stores them, and
// effects come back to the shards once they are safe. One virtual call per batch, none per message.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "namespace/commit_time.h"
#include "persistence/record.h"
#include "persistence/store.h"

namespace trunkline::broker {

using store::Position;
using store::SessionId;
using store::Token;

/// Messages that a connected durable session is to be sent, in delivery-number order. Several deliveries of one batch
/// share the chunk. Delivery numbers map to packet identifiers, see broker/core/out_window.h.
struct Delivery {
    SessionId session = 0;
    std::uint64_t owner = 0;
    std::shared_ptr<const std::string> chunk;
    std::uint32_t section_offset = 0;   ///< for store::OwedReader
};

/// The answer to a fetch: `chunks` from the queue, in order. The first may begin below the number asked for and may
/// hold entries that are already acknowledged: skip both. Numbers are missing only where they are acknowledged.
struct FetchResult {
    SessionId session = 0;
    std::uint64_t owner = 0;
    std::vector<Delivery> chunks;
    bool live = false;                  ///< caught up: from here on messages come by themselves
};

struct DurableSubscription {
    std::string filter;
    std::uint8_t qos = 0;
    bool no_local = false;
    bool retain_as_published = false;
    std::uint8_t retain_handling = 0;
    std::uint32_t subscription_identifier = 0;
    bool operator==(const DurableSubscription&) const = default;
};

/// What a claim gave: all that the protocol layer needs to go on where the session stood.
struct ClaimResult {
    std::uint64_t owner = 0;
    SessionId session = 0;
    bool present = false;                         ///< Session Present
    bool live = false;                            ///< nothing queued: messages come by themselves
    std::uint32_t expiry_s = 0;                   ///< as claimed
    std::uint64_t cursor = 0;                     ///< lowest delivery number not acknowledged
    std::uint64_t next_n = 0;                     ///< the number the next message will get
    std::uint64_t sent_below = 0;                 ///< numbers below may have been sent before
    std::vector<store::Range> complete;           ///< acknowledged above the cursor
    std::vector<store::Range> received;           ///< PUBREC seen, PUBREL owed
    std::vector<DurableSubscription> subscriptions;
    std::vector<std::uint16_t> inbound_ids;       ///< QoS 2 ids waiting for their PUBREL
};

/// A will that is due; the shard judges it, publishes it and submits WillSentOp in the same batch.
struct WillDue {
    SessionId session = 0;                        ///< 0: nothing to clear (the session is gone)
    std::string client_id;
    store::WillRecord will;
};

/// Why a submission was not taken.
enum class Refusal : std::uint8_t {
    none, queue_full, retained_full, no_space, store_failed, quarantine_full, version_taken, other_user,
};

/// For people; empty for none.
[[nodiscard]] const char* explain(Refusal refusal);

struct RefusedOp {
    Token token = 0;
    std::uint32_t op_offset = 0;   ///< as OpBatch::add() returned it
    Refusal why = Refusal::none;
};

/// What one commit means for one shard. Effects of one shard arrive in log order.
struct Effects {
    uns::CommitTime commit_time = 0;   ///< of the batch
    Token committed_through = 0;   ///< submissions up to this token are safe (less those refused); 0: none new
    std::vector<RefusedOp> refused;
    std::vector<ClaimResult> claims;
    std::vector<Delivery> deliveries;
    std::vector<FetchResult> fetches;
    /// (session, owner): the session fell behind; messages after the deliveries so far wait on disk and must be
    /// fetched.
    std::vector<std::pair<SessionId, std::uint64_t>> spooled;
    std::vector<WillDue> wills;
    std::vector<std::pair<SessionId, std::string>> ended;  ///< sessions (id, client id) that expired or were dropped
};

/// Where effects go; called on the log's thread.
struct EffectSink {
    virtual ~EffectSink() = default;
    virtual void post(std::uint32_t shard, Effects&& effects) = 0;
};

struct Health {
    bool accepting = true;             ///< durable operations are taken
    Refusal why = Refusal::none;
    std::string detail;                ///< what, where and the mend
    std::uint64_t backlog_bytes = 0;   ///< submitted and not yet safe
};

/// What the rest of the broker must know of durable state as it changes. Called on the log's thread, also while the
/// store is loaded at start. Implementations are thread safe.
struct StateListener {
    virtual ~StateListener() = default;
    /// `user` is whose it is, empty: nobody's in particular.
    virtual void session_added(std::string_view client_id, std::string_view user) = 0;
    virtual void session_removed(std::string_view client_id) = 0;
    /// `filter` as sent; messages of QoS 1 and 2 that it matches must go through the log when `qos` is above 0.
    virtual void filter_added(std::string_view filter, std::uint8_t qos) = 0;
    virtual void filter_removed(std::string_view filter, std::uint8_t qos) = 0;
    /// Views last as long as the call.
    virtual void quarantine_added(std::uint64_t /*id*/, const store::QuarantineOp& /*message*/) {}
    virtual void quarantine_removed(std::uint64_t /*id*/) {}
    virtual void model_applied(std::uint64_t /*sequence*/, const store::ModelOp& /*model*/) {}
    /// Leaves of acknowledged publishes on regulated topics, 32 bytes each, of the batch at `position`: they are on
    /// disk, and stay there until a LEAVES KEPT says that the audit trail has them.
    virtual void leaves_added(Position /*position*/, std::string_view /*leaves*/) {}
    /// A retained value of a regulated topic was replaced, or removed by an empty payload.
    virtual void regulated_overwritten(const store::RegulatedOp& /*by*/, std::string_view /*topic*/,
                                       std::string_view /*old_payload*/, std::string_view /*new_payload*/) {}
};

/// Thread safe. Implementations: EmbeddedLog (RocksDB or memory behind store::Store), the simulator's.
class CommitLog {
public:
    virtual ~CommitLog() = default;
    /// Never blocks and never fails; a log that can't store answers with Effects::refused for every operation.
    /// Tokens of one shard ascend. A token is answered once, by committed_through.
    /// A shard that gives up a client to another one submits what the old connection sent before it does so: a QoS 2
    /// PUBLISH that comes after the new connection's PUBREL of the same id would be a new message.
    /// The batch stays shared with the shard, which delivers from it to transient subscribers once it is safe.
    virtual void submit(std::uint32_t shard, std::shared_ptr<const store::OpBatch> batch, Token token) = 0;
    /// Asks for queued messages of a session from delivery number `from_n`, about `bytes` of them.
    virtual void fetch(std::uint32_t shard, SessionId session, std::uint64_t owner, std::uint64_t from_n,
                       std::uint32_t bytes) = 0;
    /// Calls `look` on the log's thread, between batches, with the store as of the last one; null when there is none to
    /// look into. For administration: everybody waits meanwhile.
    virtual void inspect(std::function<void(const store::Store* store)> look) { look(nullptr); }
    [[nodiscard]] virtual Health health() const = 0;
};

}  // namespace trunkline::broker
