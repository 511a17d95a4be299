// The durable record format, version 1: operations, batches of them, and chunks of queued messages. This is what the
// log orders, what the store keeps and what a cluster will replicate; persistence/README.md documents the bytes.
// All integers little-endian. Reading is bounds-checked and never throws: a damaged record is a value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trunkline::store {

using SessionId = std::uint64_t;   ///< of a durable session, given by the state machine; 0: none
using Position = std::uint64_t;    ///< of a batch in the log; the first is 1
using Token = std::uint64_t;       ///< numbers the submissions of one shard, ascending

inline constexpr std::uint8_t record_version = 1;

enum class OpKind : std::uint8_t {
    publish = 1, claim = 2, detach = 3, drop = 4, subscribe = 5, unsubscribe = 6, acknowledge = 7,
    release_inbound = 8, will_sent = 9, restart = 10, drop_retained = 11, quarantine = 12, drop_quarantined = 13,
    model = 14, regulated = 15, leaves_kept = 16,
};

/// A message that something durable is owed: a session, a retained value, a QoS 2 id.
struct PublishOp {
    std::uint8_t qos = 0;
    bool retain = false;
    bool no_queue = false;             ///< only the retained value is owed (QoS 0, already delivered)
    std::uint16_t inbound_id = 0;      ///< QoS 2 packet id to remember for `publisher`, 0: none
    SessionId publisher = 0;           ///< durable session of the publisher, 0: none. For No Local and inbound ids
    std::int64_t expires_at_ms = 0;    ///< since 1970; 0: never
    std::string_view topic;
    std::string_view properties;       ///< forwarded property bytes, MQTT 5 encoding
    std::string_view payload;
};

/// A will as it is stored with a durable session.
struct WillRecord {
    std::uint8_t qos = 0;
    bool retain = false;
    std::uint32_t delay_s = 0;
    std::uint32_t message_expiry_s = 0;  ///< 0: never
    std::string topic, properties, payload;
    std::string principal = {};          ///< whose it is, as the broker encodes it; empty: nobody asked
    bool operator==(const WillRecord&) const = default;
};

/// CONNECT of a client whose session outlives the connection (or outlived an earlier one).
struct ClaimOp {
    std::uint64_t owner = 0;           ///< unique number of the connection; later operations of an older one are void
    std::uint32_t shard = 0;           ///< where effects for the session go
    bool clean_start = false;
    std::uint32_t expiry_s = 0;        ///< 0xFFFFFFFF: never
    std::string_view client_id;
    std::optional<WillRecord> will;
    std::string_view user = {};        ///< who claims it; empty: nobody in particular
};

/// The connection ended; the session lives on for `expiry_s`.
struct DetachOp {
    SessionId session = 0;
    std::uint64_t owner = 0;
    std::uint64_t sent_below = 0;      ///< delivery numbers below this may have been sent: DUP when sent again
    std::uint32_t expiry_s = 0;
    bool drop_will = false;            ///< DISCONNECT 0x00
};

/// The session ends now. With session 0, by client id (Clean Start of a client that keeps nothing).
struct DropOp {
    SessionId session = 0;
    std::uint64_t owner = 0;           ///< 0: whoever owns it (administration, Clean Start)
    std::string_view client_id;
    std::string_view user = {};        ///< without a session: who asks; another user's stays
};

struct SubscribeOp {
    SessionId session = 0;
    std::uint64_t owner = 0;
    std::uint8_t qos = 0;              ///< granted
    bool no_local = false;
    bool retain_as_published = false;
    std::uint8_t retain_handling = 0;
    std::uint32_t subscription_identifier = 0;  ///< 0: none
    std::string_view filter;           ///< as sent, `$share/...` included
};

struct UnsubscribeOp {
    SessionId session = 0;
    std::uint64_t owner = 0;
    std::string_view filter;
};

struct Range { std::uint64_t from = 0, to = 0; };  ///< [from, to) of delivery numbers

/// What a subscriber acknowledged in one turn.
struct AcknowledgeOp {
    SessionId session = 0;
    std::uint64_t owner = 0;
    std::vector<Range> complete;       ///< PUBACK, PUBCOMP, or never to be sent (expired, too large)
    std::vector<Range> received;       ///< PUBREC: from now on only PUBREL is owed
};

/// PUBREL of a durable publisher: the id is free again.
struct ReleaseInboundOp {
    SessionId session = 0;
    std::uint64_t owner = 0;
    std::uint16_t packet_id = 0;
};

/// The will of a durable session has been published (in the same batch) or refused: forget it.
struct WillSentOp { SessionId session = 0; };

/// A new life of the node: whoever was connected no longer is.
struct RestartOp { std::uint64_t epoch = 0; };

/// Administration: remove the retained value of one topic.
struct DropRetainedOp { std::string_view topic; };

/// A message that broke the namespace's model and is kept out of it. The same fields make its record in the store.
struct QuarantineOp {
    std::uint8_t qos = 0;
    bool retain = false;
    std::uint16_t inbound_id = 0;      ///< QoS 2 packet id to remember for `publisher`, 0: none
    SessionId publisher = 0;           ///< durable session of the publisher, 0: none
    std::int64_t at_ms = 0;            ///< since 1970; when it came
    std::int64_t expires_at_ms = 0;    ///< since 1970; 0: never
    std::string_view topic, properties, payload;
    std::string_view client_id, user;
    std::string_view rule, text, at, expected, fix;  ///< why, as the publisher was told
};

/// Takes a message out of the quarantine.
struct DropQuarantinedOp {
    std::uint64_t id = 0;
    bool if_published = false;         ///< only when the operation before it in the batch, its publish, was taken
};

/// A version of the namespace's model comes into force. The same fields make its record in the store.
struct ModelOp {
    std::int64_t applied_ms = 0;          ///< since 1970
    std::uint64_t rolled_back_from = 0;   ///< sequence of the version it takes the place of by a rollback; 0: by none
    std::string_view name, version, hash, file;
    std::string_view who, why;
    std::string_view source;              ///< the YAML, byte for byte
};

/// Says that the PUBLISH or QUARANTINE before it in the batch is on a topic whose every publish leaves a proof. Without
/// effect when that one was refused or repeats an earlier one.
struct RegulatedOp {
    static constexpr std::size_t leaf_bytes = 32;
    std::int64_t utc_ns = 0;              ///< since 1970; as the leaf says
    std::uint64_t monotonic_ns = 0;
    std::string_view leaf;                ///< leaf_bytes of the audit tree; empty: nobody is sent an acknowledgement
    std::string_view principal, client_id, source;   ///< only where it may overwrite a retained value
};

/// The audit trail has all leaves of batches up to `through` on its own disk, and `trail_size` leaves in all then.
struct LeavesKeptOp {
    Position through = 0;
    std::uint64_t trail_size = 0;
};

/// Operations of one shard's turn, appended as bytes in the order they happened.
class OpBatch {
public:
    /// Each appends one operation and returns its offset in bytes().
    std::uint32_t add(const PublishOp& op);
    std::uint32_t add(const ClaimOp& op);
    std::uint32_t add(const DetachOp& op);
    std::uint32_t add(const DropOp& op);
    std::uint32_t add(const SubscribeOp& op);
    std::uint32_t add(const UnsubscribeOp& op);
    std::uint32_t add(const AcknowledgeOp& op);
    std::uint32_t add(const ReleaseInboundOp& op);
    std::uint32_t add(const WillSentOp& op);
    std::uint32_t add(const RestartOp& op);
    std::uint32_t add(const DropRetainedOp& op);
    std::uint32_t add(const QuarantineOp& op);
    std::uint32_t add(const DropQuarantinedOp& op);
    std::uint32_t add(const ModelOp& op);
    std::uint32_t add(const RegulatedOp& op);
    std::uint32_t add(const LeavesKeptOp& op);
    /// The leaf of the RegulatedOp that was added at `offset`, in the place of another.
    void set_leaf(std::uint32_t offset, std::string_view leaf);
    /// One whole operation, encoded before.
    std::uint32_t add_encoded(std::string_view op) {
        const auto offset = static_cast<std::uint32_t>(bytes_.size());
        bytes_.append(op);
        ++count_;
        return offset;
    }

    [[nodiscard]] std::string_view bytes() const { return bytes_; }
    [[nodiscard]] std::uint32_t count() const { return count_; }
    [[nodiscard]] bool empty() const { return count_ == 0; }
    void clear() { bytes_.clear(); count_ = 0; }
    void reserve(std::size_t bytes) { bytes_.reserve(bytes); }

private:
    std::string bytes_;
    std::uint32_t count_ = 0;
};

/// Kind and total length of the operation at the front of `bytes`; nullopt when damaged.
struct OpHeader { OpKind kind; std::uint32_t size; };
[[nodiscard]] std::optional<OpHeader> peek_op(std::string_view bytes);

/// Views into `bytes`, which start at the operation. nullopt when damaged or of another kind.
[[nodiscard]] std::optional<PublishOp> read_publish(std::string_view bytes);
[[nodiscard]] std::optional<ClaimOp> read_claim(std::string_view bytes);
[[nodiscard]] std::optional<DetachOp> read_detach(std::string_view bytes);
[[nodiscard]] std::optional<DropOp> read_drop(std::string_view bytes);
[[nodiscard]] std::optional<SubscribeOp> read_subscribe(std::string_view bytes);
[[nodiscard]] std::optional<UnsubscribeOp> read_unsubscribe(std::string_view bytes);
[[nodiscard]] std::optional<AcknowledgeOp> read_acknowledge(std::string_view bytes);
[[nodiscard]] std::optional<ReleaseInboundOp> read_release_inbound(std::string_view bytes);
[[nodiscard]] std::optional<WillSentOp> read_will_sent(std::string_view bytes);
[[nodiscard]] std::optional<RestartOp> read_restart(std::string_view bytes);
[[nodiscard]] std::optional<DropRetainedOp> read_drop_retained(std::string_view bytes);
[[nodiscard]] std::optional<QuarantineOp> read_quarantine(std::string_view bytes);
[[nodiscard]] std::optional<DropQuarantinedOp> read_drop_quarantined(std::string_view bytes);
[[nodiscard]] std::optional<ModelOp> read_model(std::string_view bytes);
[[nodiscard]] std::optional<RegulatedOp> read_regulated(std::string_view bytes);
[[nodiscard]] std::optional<LeavesKeptOp> read_leaves_kept(std::string_view bytes);

/// A chunk holds publish operations and, per session, which of them it is owed and under which delivery numbers.
/// The same layout serves a young batch in `log` (many sessions) and a piece of one session's queue in `queues`.
struct OwedEntry {
    std::uint32_t op_offset = 0;             ///< of the publish operation in the chunk
    std::uint8_t qos = 0;                    ///< to deliver at: 1 or 2
    bool retain = false;                     ///< RETAIN flag to deliver with
    bool shared = false;                     ///< through a shared subscription
    std::uint32_t subscription_identifier_count = 0;
    std::string_view subscription_identifiers;  ///< that many u32
};

/// One session's part of a chunk: entries number first_n, first_n + 1, ...
class OwedReader {
public:
    /// `section_offset` points at the section inside `chunk`. Invalid input gives a reader that is at its end.
    OwedReader(std::string_view chunk, std::uint32_t section_offset);
    [[nodiscard]] SessionId session() const { return session_; }
    [[nodiscard]] std::uint64_t first_n() const { return first_n_; }
    [[nodiscard]] std::uint32_t count() const { return count_; }
    /// The next entry, or nullopt after the last.
    std::optional<OwedEntry> next();
    /// The message of an entry.
    [[nodiscard]] std::optional<PublishOp> message(const OwedEntry& entry) const;

private:
    std::string_view chunk_;
    std::string_view rest_;
    SessionId session_ = 0;
    std::uint64_t first_n_ = 0;
    std::uint32_t count_ = 0;
    std::uint32_t read_ = 0;
};

}  // namespace trunkline::store
