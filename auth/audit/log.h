// The audit trail as the broker writes it: records and leaf hashes go in, segments, tiles and signed checkpoints come
// out. What went in is safe when commit() has returned.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "auth/audit/segment.h"
#include "auth/audit/store.h"
#include "auth/audit/tiles.h"
#include "auth/audit/witness.h"

namespace trunkline::auth::audit {

struct LogOptions {
    CheckpointPolicy policy;
    std::uint64_t segment_bytes_max = 16 * 1024 * 1024;  ///< at least 64 KiB; a segment ends before it passes this
    std::uint64_t pending_bytes_max = 64 * 1024 * 1024;  ///< not yet committed; beyond it nothing is taken
    /// Leaves that the caller knows to be durable, from its own store: fewer on the disk is damage.
    std::uint64_t durable_at_least = 0;
};

/// What open() had to do. Each is also a record of the trail.
struct Recovery {
    struct Cut {
        std::string file;
        std::uint64_t offset = 0, bytes = 0, sequence = 0;
        Digest hash{};  ///< of what was cut off
    };
    std::optional<Cut> tail;
    bool created = false;
    bool tiles_rebuilt = false;
};

struct Committed {
    std::uint64_t size = 0;                ///< leaves that are durable
    std::optional<Checkpoint> checkpoint;  ///< signed by this commit
    std::string note;                      ///< of the checkpoint
};

/// Owned by one thread. A store that failed stays failed: every later call returns that error.
class AuditLog {
public:
    /// Opens or creates the trail named by the key. What lies after the last durable commit and is not whole is cut off
    /// and audited; anything else that is wrong is Failure::damaged and names file, offset and leaf. `now` stamps the
    /// records that this makes.
    [[nodiscard]] static Result<std::unique_ptr<AuditLog>> open(AuditStore& store, SigningKey key, const Moment& now,
                                                                const LogOptions& options = {});

    /// Returns the record's sequence number; `record.sequence` is not read.
    [[nodiscard]] Result<std::uint64_t> append(Record record);
    /// Leaf hashes of publishes in their order, see leaf_of(). Returns the sequence of the first.
    [[nodiscard]] Result<std::uint64_t> append_leaves(std::span<const Digest> leaves, const Moment& at);

    /// Makes everything appended durable: one fdatasync, and a second one when a checkpoint is due, which is signed
    /// over it in the same write. With `checkpoint` one is signed unless nothing is new. no_space: nothing is lost,
    /// call again.
    [[nodiscard]] Result<Committed> commit(const Moment& now, bool checkpoint = false);
    /// From here on `key` signs. Commits, with a last checkpoint by the old key and a record.
    [[nodiscard]] Status rotate_key(SigningKey key, const Moment& now, const std::string& actor,
                                    const std::string& reason);

    /// Witnesses get every checkpoint from now on, and the newest there is.
    void add_witness(std::unique_ptr<Witness> witness);
    void pump_witnesses(std::uint64_t monotonic_ns);
    [[nodiscard]] const std::deque<WitnessQueue>& witnesses() const { return witnesses_; }

    [[nodiscard]] std::uint64_t size() const { return tree_.size(); }
    [[nodiscard]] std::uint64_t durable_size() const { return mark_.size; }
    [[nodiscard]] Digest root() const { return tree_.root(); }
    [[nodiscard]] const Recovery& recovery() const { return recovery_; }
    [[nodiscard]] const VerifyKey& key() const { return key_.verify_key(); }
    [[nodiscard]] const std::string& last_note() const { return last_note_; }
    /// Of the newest checkpoint, none before the first.
    [[nodiscard]] const std::optional<Checkpoint>& last_checkpoint() const { return last_checkpoint_; }

private:
    /// Bytes of one segment that are not yet written.
    struct Pending {
        std::string name;
        std::uint64_t first = 0;
        std::string bytes;
        bool starts = false;  ///< with the segment's header
    };

    AuditLog(AuditStore& store, SigningKey key, const LogOptions& options);
    [[nodiscard]] Status recover(const Moment& now);
    [[nodiscard]] Status create();
    [[nodiscard]] Status read_mark(bool segments);
    [[nodiscard]] Status open_last_segment(std::vector<std::uint64_t> firsts);
    [[nodiscard]] Status replay(const std::string& bytes, std::size_t offset);
    [[nodiscard]] Status replay_frame(const FrameView& frame, std::size_t offset);
    [[nodiscard]] Status cut_tail(const std::string& bytes, std::size_t offset);
    [[nodiscard]] Status rebuild_tiles(const std::vector<std::uint64_t>& firsts);
    [[nodiscard]] Status audit_recovery(const Moment& now);

    void take_leaf(const Digest& leaf);
    void start_segment();
    [[nodiscard]] Status may_append() const;
    void put(FrameType type, std::string_view body);
    void put_here(FrameType type, std::string_view body);
    [[nodiscard]] Status flush();
    [[nodiscard]] Status write_mark(bool sync);
    [[nodiscard]] Status failed(Status status);
    void note_unsigned(const Moment& at, std::uint64_t leaves);
    void put_checkpoint(const Moment& now);
    void begin(const Moment& now);
    [[nodiscard]] Status ready_tiles(const CompactTree& before, const std::vector<std::uint64_t>& firsts);
    [[nodiscard]] Error damaged(std::uint64_t offset, const std::string& what) const;

    AuditStore& store_;
    SigningKey key_;
    LogOptions options_;
    CompactTree tree_;
    TileWriter tiles_;
    CompactTree::OnNode on_node_;
    CompactTree::OnNodes on_nodes_;
    std::optional<VerifyKey> signer_;  ///< in force in the trail
    std::deque<Pending> pending_;
    std::uint64_t pending_bytes_ = 0;
    std::string segment_;  ///< being appended to
    std::uint64_t segment_first_ = 0;
    std::uint64_t segment_bytes_ = 0;  ///< with what is pending
    std::uint64_t header_bytes_ = 0;
    Mark mark_;
    std::uint64_t unsigned_leaves_ = 0, oldest_unsigned_ns_ = 0;
    Moment last_at_;  ///< of what was appended last
    std::optional<Checkpoint> last_checkpoint_;
    std::string last_note_;
    Recovery recovery_;
    std::deque<WitnessQueue> witnesses_;
    std::vector<Committed> unpublished_;  ///< checkpoints that are pending
    std::optional<Error> failure_;
};

}  // namespace trunkline::auth::audit
