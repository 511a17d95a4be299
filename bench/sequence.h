// What arrived from one publisher at one subscriber: in order, late, twice, or never.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

namespace trunkline::bench {

enum class Arrival : std::uint8_t {
    in_order,   // the one expected next
    gap,        // later than the one expected: those between are missing for now
    late,       // one that was missing: reordered
    duplicate,  // seen before
};

/// Follows sequence numbers 0, 1, 2, ... of which every one is expected ("dense"), or of which only a subset reaches
/// this subscriber ("sparse": any rise is in order, anything else is late or, when equal, a duplicate).
class SequenceTracker {
public:
    explicit SequenceTracker(bool sparse = false) : sparse_(sparse) {}

    Arrival observe(std::uint64_t sequence) {
        if (sequence == next_) {
            ++next_;
            ++received_;
            return Arrival::in_order;
        }
        return observe_out_of_order(sequence);
    }

    /// One above the highest number seen.
    [[nodiscard]] std::uint64_t next() const { return next_; }
    /// Distinct messages seen.
    [[nodiscard]] std::uint64_t received() const { return received_; }
    [[nodiscard]] std::uint64_t duplicates() const { return duplicates_; }
    [[nodiscard]] std::uint64_t reordered() const { return reordered_; }

    /// Of the numbers 0 to `sent`-1, how many never came, leaving out those in `refused` (ascending): the publisher was
    /// told that they were not taken. Dense trackers only.
    [[nodiscard]] std::uint64_t lost(std::uint64_t sent, const std::vector<std::uint64_t>& refused) const;

private:
    Arrival observe_out_of_order(std::uint64_t sequence);
    bool take_missing(std::uint64_t sequence);
    [[nodiscard]] bool is_missing(std::uint64_t sequence) const;

    bool sparse_;
    std::uint64_t next_ = 0;
    std::uint64_t received_ = 0;
    std::uint64_t duplicates_ = 0;
    std::uint64_t reordered_ = 0;
    std::map<std::uint64_t, std::uint64_t> missing_;  // first -> one past last, disjoint
};

}  // namespace trunkline::bench
