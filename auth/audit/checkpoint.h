// Checkpoints (signed roots of the tree, as C2SP's tlog-checkpoint), the notes that hand signing over to a new key, and
// when a checkpoint is due.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/audit/note.h"
#include "auth/audit/record.h"

namespace trunkline::auth::audit {

struct Checkpoint {
    std::string origin;      ///< names the trail; also the name of its keys
    std::uint64_t size = 0;  ///< leaves
    Digest root{};
    Moment at;
    bool operator==(const Checkpoint&) const = default;
};

/// The text that is signed: origin, size, root in Base64, "time UTC MONOTONIC_NS", each a line.
[[nodiscard]] std::string to_text(const Checkpoint& checkpoint);
/// Takes exactly what to_text() gives.
[[nodiscard]] Result<Checkpoint> parse_checkpoint(std::string_view text);

/// From leaf `size` on checkpoints are signed by `key`. Signed by both keys, so that who trusts either can reach the
/// other. The first note of a trail has no previous key.
struct KeyChange {
    std::string origin;
    std::uint64_t size = 0;
    Moment at;
    std::optional<VerifyKey> previous;
    VerifyKey key;
    bool operator==(const KeyChange&) const = default;
};

[[nodiscard]] std::string to_text(const KeyChange& change);
[[nodiscard]] Result<KeyChange> parse_key_change(std::string_view text);
/// The note of a key change, signed by both keys; signing.verify_key() is its `key`.
[[nodiscard]] std::string sign_key_change(const KeyChange& change, const SigningKey* previous, const SigningKey& key);
/// Parses and checks the signatures of both keys that the change names. Trusts neither: see trusted_keys().
[[nodiscard]] Result<KeyChange> open_key_change(std::string_view note);

/// Is `key` reached from `trusted` over the changes, forwards or backwards? `changes` in the order of the trail.
[[nodiscard]] bool is_trusted(const VerifyKey& key, const VerifyKey& trusted, const std::vector<KeyChange>& changes);

struct CheckpointPolicy {
    std::uint64_t leaves_max = 10'000;
    std::uint64_t interval_ns = 1'000'000'000;
};

/// Is a checkpoint due? `unsigned_leaves` since the last one, the first of them appended at `oldest_ns`. Without new
/// leaves never. A monotonic clock that went backwards makes it due.
[[nodiscard]] bool checkpoint_due(const CheckpointPolicy& policy, std::uint64_t unsigned_leaves,
                                  std::uint64_t oldest_ns, std::uint64_t now_ns);

}  // namespace trunkline::auth::audit
