// Denials come by the million when something is misconfigured or hostile. The first ones of each kind become records of
// their own, the others are counted, and the sum of `count` over all records is the number of denials, exactly.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "auth/audit/record.h"

namespace trunkline::auth::audit {

struct SamplerPolicy {
    std::uint32_t full_per_window = 10;  ///< records of their own, for each kind and window
    std::uint64_t window_ns = 60'000'000'000;
    std::size_t kinds_max = 4096;  ///< beyond it all other denials are one kind
};

/// Pure: time comes with the calls. One thread's (a shard's).
class DenialSampler {
public:
    explicit DenialSampler(const SamplerPolicy& policy = {}) : policy_(policy) {}

    /// A denial of this kind: actor, source, action, and the rule that denied (`reason`). True: write its record, with
    /// count 1. False: it is counted, and will be in a summary.
    [[nodiscard]] bool should_record(std::string_view actor, std::string_view source, std::string_view action,
                                     std::string_view reason, const Moment& now);
    /// Summaries of the windows that are over, in the order of their first denials. Call it about once a second.
    [[nodiscard]] std::vector<Record> summaries(const Moment& now);
    /// Summaries of everything that is counted and not yet told; for the end of the process.
    [[nodiscard]] std::vector<Record> drain(const Moment& now);

    [[nodiscard]] std::uint64_t total() const { return total_; }

private:
    struct Kind {
        std::string actor, source, action, reason;
        std::uint64_t window_start_ns = 0;
        std::uint64_t in_full = 0, counted = 0;
        std::uint64_t order = 0;
    };
    std::vector<Record> collect(const Moment& now, bool all);

    SamplerPolicy policy_;
    std::unordered_map<std::string, Kind> kinds_;
    std::uint64_t total_ = 0, next_order_ = 0;
};

}  // namespace trunkline::auth::audit
