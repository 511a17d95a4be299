// Is this trail what was written? Reads the files and trusts nothing but a public key and what witnesses kept. Segments
// are verified side by side: each carries the tree before its first leaf, and ends where the next begins.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "auth/audit/segment.h"
#include "auth/audit/store.h"
#include "auth/audit/witness.h"

namespace trunkline::auth::audit {

struct WitnessFile {
    std::string name;  ///< for messages
    std::string text;
};

struct VerifyOptions {
    VerifyKey key;  ///< any key of the trail; others are reached by signed key changes
    std::vector<WitnessFile> witnesses;
    unsigned threads = 0;              ///< 0: one per core
    bool allow_missing_start = false;  ///< earlier segments are in an archive
};

struct Finding {
    enum class Kind : std::uint8_t {
        frame,       ///< a record's frame is damaged: length, type or checksum
        record,      ///< a record that is not encoded as records are, or has another number
        order,       ///< frames or segments out of order
        missing,     ///< records that should be there are not
        changed,     ///< what is there is not what was signed
        checkpoint,  ///< a checkpoint or key change that is not valid
        witness,     ///< a witness saw something else, or its file is damaged
        tiles,       ///< the kept hashes of the tree differ from the records
        mark,        ///< the mark of what is durable is damaged or missing
        header,      ///< a segment's header is damaged
    };
    Kind kind = Kind::frame;
    std::uint64_t sequence = 0;       ///< of the first bad record
    std::uint64_t last_sequence = 0;  ///< the bad one is among sequence..last_sequence, where it cannot be told closer
    std::string file;
    std::uint64_t offset = 0;
    std::string message;
};

[[nodiscard]] std::string_view to_text(Finding::Kind kind);
/// "record 17 (segment-….tla, offset 4711): changed: …"
[[nodiscard]] std::string to_text(const Finding& finding);

struct VerifyReport {
    std::vector<Finding> findings;      ///< by sequence; empty: the trail is good
    std::vector<std::string> warnings;  ///< what is no damage: an unfinished tail of a running broker, and the like
    std::uint64_t first = 0;            ///< of the first segment that is there
    std::uint64_t size = 0;             ///< leaves up to the end
    std::uint64_t records = 0, publishes = 0, checkpoints = 0, key_changes = 0, segments = 0;
    std::uint64_t witnessed = 0;        ///< checkpoints of witnesses that agree
    std::uint64_t unsigned_leaves = 0;  ///< after the newest checkpoint
    std::optional<Checkpoint> newest;

    [[nodiscard]] bool good() const { return findings.empty(); }
};

/// Error: the store cannot be read, or the folder holds no trail.
[[nodiscard]] Result<VerifyReport> verify(const AuditStore& store, const VerifyOptions& options);

}  // namespace trunkline::auth::audit
