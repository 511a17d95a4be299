// Reading a trail's records, checkpoints and key changes, offline or beside the broker that writes it. Damage ends the
// reading with an error that names it; whether what is whole is also what was signed is verify()'s to say.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "auth/audit/segment.h"
#include "auth/audit/store.h"

namespace trunkline::auth::audit {

/// What a search is for. Texts are compared whole, or with '*' at their end as a beginning; empty ones fit all.
struct RecordFilter {
    std::string actor, action, object;
    std::int64_t from_utc_ns = std::numeric_limits<std::int64_t>::min();  ///< inclusive
    std::int64_t to_utc_ns = std::numeric_limits<std::int64_t>::max();    ///< exclusive
    std::uint64_t from_sequence = 0;
    std::optional<Outcome> outcome;

    [[nodiscard]] bool fits(const Record& record) const;
};

class TrailReader {
public:
    [[nodiscard]] static Result<TrailReader> open(const AuditStore& store);

    /// Calls `on_record` for each record that fits, in order, until it returns false. An unfinished frame at the end of
    /// the last segment ends it: the broker may be writing.
    [[nodiscard]] Status for_each(const RecordFilter& filter,
                                  const std::function<bool(const Record&)>& on_record) const;
    /// Calls `on_leaf` for each leaf of a publish from number `from` on, in order, until it returns false.
    [[nodiscard]] Status for_each_publish(std::uint64_t from, const std::function<bool(const Digest&)>& on_leaf) const;
    /// Calls `on_checkpoint` for each checkpoint, in order, until it returns false. Signatures are not looked at.
    [[nodiscard]] Status for_each_checkpoint(const std::function<bool(const Checkpoint&)>& on_checkpoint) const;
    /// The encoded record of this number. absent: there is no such leaf, or it is a publish's.
    [[nodiscard]] Result<std::string> record_bytes(std::uint64_t sequence) const;
    /// The note of the newest checkpoint.
    [[nodiscard]] Result<std::string> newest_checkpoint() const;
    /// The notes of all key changes, in order.
    [[nodiscard]] Result<std::vector<std::string>> key_changes() const;

private:
    explicit TrailReader(const AuditStore& store, std::vector<std::uint64_t> firsts)
        : store_(store), firsts_(std::move(firsts)) {}
    using OnFrame = std::function<bool(const FrameView&)>;
    /// Returns whether `on_frame` wants more.
    [[nodiscard]] Result<bool> walk(std::size_t segment, const OnFrame& on_frame) const;

    const AuditStore& store_;
    std::vector<std::uint64_t> firsts_;
};

}  // namespace trunkline::auth::audit
