#include "bench/sequence.h"

namespace trunkline::bench {

Arrival SequenceTracker::observe_out_of_order(std::uint64_t sequence) {
    if (sequence > next_) {
        if (!sparse_) missing_.emplace(next_, sequence);
        next_ = sequence + 1;
        ++received_;
        return sparse_ ? Arrival::in_order : Arrival::gap;
    }
    const bool late = sparse_ ? sequence + 1 != next_ : take_missing(sequence);
    if (late) {
        ++reordered_;
        ++received_;
        return Arrival::late;
    }
    ++duplicates_;
    return Arrival::duplicate;
}

bool SequenceTracker::is_missing(std::uint64_t sequence) const {
    auto range = missing_.upper_bound(sequence);
    if (range == missing_.begin()) return false;
    --range;
    return sequence < range->second;
}

bool SequenceTracker::take_missing(std::uint64_t sequence) {
    if (!is_missing(sequence)) return false;
    const auto range = std::prev(missing_.upper_bound(sequence));
    const auto [first, end] = *range;
    missing_.erase(range);
    if (first < sequence) missing_.emplace(first, sequence);
    if (sequence + 1 < end) missing_.emplace(sequence + 1, end);
    return true;
}

std::uint64_t SequenceTracker::lost(std::uint64_t sent, const std::vector<std::uint64_t>& refused) const {
    std::uint64_t count = sent > next_ ? sent - next_ : 0;
    for (const auto& [first, end] : missing_) count += end - first;
    for (const std::uint64_t sequence : refused) {
        if (sequence < sent && (sequence >= next_ || is_missing(sequence))) --count;
    }
    return count;
}

}  // namespace trunkline::bench
