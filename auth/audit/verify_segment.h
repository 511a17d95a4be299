// Verification of one segment on its own, for verify(): internal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "auth/audit/verify.h"

namespace trunkline::auth::audit {

/// A root that somebody outside keeps, to be compared where a segment passes its size.
struct ExpectedRoot {
    std::uint64_t size = 0;
    Digest root{};
    std::size_t witness = 0;  ///< whose: index of the caller's
};

/// A root that a segment does not lead to.
struct Disagreement {
    ExpectedRoot expected;
    std::uint64_t last_agreed = 0;  ///< the first bad record is not before this one
    std::uint64_t offset = 0;       ///< of that
};

struct SegmentResult {
    std::uint64_t first = 0;
    std::string name;
    bool readable = false;  ///< its header is whole
    bool complete = false;  ///< all frames were read and what was signed is there
    CompactTree start, end;
    std::optional<VerifyKey> start_key, end_key;
    std::uint64_t end_offset = 0;
    std::vector<Finding> findings;
    std::vector<Disagreement> disagreed;
    std::vector<KeyChange> key_changes;
    std::vector<std::uint64_t> key_change_offsets;
    std::optional<Checkpoint> newest;  ///< the last checkpoint that is valid
    std::uint64_t records = 0, publishes = 0, checkpoints = 0, witnessed = 0;
    bool torn = false;  ///< ends within a frame, at end_offset
    std::string torn_what;
    std::optional<Error> error;  ///< of the store
};

/// `expected` holds the roots with size > first, sorted; those beyond the segment's end are not looked at. With `last`
/// an unfinished frame is `torn` and no finding: what the mark says of it is the caller's to judge.
[[nodiscard]] SegmentResult verify_segment(const AuditStore& store, std::uint64_t first, bool last,
                                           const std::string& origin, const std::vector<ExpectedRoot>& expected);

}  // namespace trunkline::auth::audit
