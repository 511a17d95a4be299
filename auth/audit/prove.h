// Proofs that one record, or one publish, is in the trail: a JSON file that anybody checks with the public key alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "auth/audit/note.h"
#include "auth/audit/record.h"
#include "auth/audit/store.h"

namespace trunkline::auth::audit {

/// The proof of a record, against the newest checkpoint.
[[nodiscard]] Result<std::string> prove_record(const AuditStore& store, std::uint64_t sequence);

/// The facts of a publish as JSON: {"time": "2026-…Z", "monotonic_ns": N, "principal": "…", "client_id": "…",
/// "topic": "…", "payload_sha256": "hex"}. Returns the bytes whose leaf hash the trail holds.
[[nodiscard]] Result<std::string> publish_from_json(std::string_view json);
/// The proof of a publish given its encode()d facts; its leaf is looked for from `from` on.
[[nodiscard]] Result<std::string> prove_publish(const AuditStore& store, std::string_view facts,
                                                std::uint64_t from = 0);

/// The proof of a publish given as JSON: its facts as publish_from_json() takes them, or, where its publisher was not
/// told the times, `from` and `to` instead of `time` and `monotonic_ns`: each millisecond between the two is tried, so
/// that they may be ten minutes apart.
[[nodiscard]] Result<std::string> prove_publish_json(const AuditStore& store, std::string_view json,
                                                     std::uint64_t from = 0);

/// What a proof shows.
struct Proven {
    std::uint64_t sequence = 0;
    std::string checkpoint_time;  ///< it was in the trail then, at the latest
    std::uint64_t size = 0;       ///< leaves of that checkpoint
    std::string origin;
    std::string summary;  ///< the record or the publish as a line of JSON
};
/// Checks a proof: its leaf, its path, the checkpoint's signature, and that `key` is or leads to the key that signed.
[[nodiscard]] Result<Proven> check_proof(std::string_view json, const VerifyKey& key);

}  // namespace trunkline::auth::audit
