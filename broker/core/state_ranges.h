// A set of numbers kept as sorted ranges that neither overlap nor touch.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "persistence/record.h"

namespace trunkline::broker {

class RangeSet {
public:
    void add(store::Range range) {
        if (range.from >= range.to) return;
        const auto first = std::lower_bound(ranges_.begin(), ranges_.end(), range.from,
                                            [](const store::Range& r, std::uint64_t n) { return r.to < n; });
        auto last = first;
        for (; last != ranges_.end() && last->from <= range.to; ++last) {
            total_ -= last->to - last->from;
            range.from = std::min(range.from, last->from);
            range.to = std::max(range.to, last->to);
        }
        total_ += range.to - range.from;
        if (first == last) {
            ranges_.insert(first, range);
        } else {
            *first = range;
            ranges_.erase(first + 1, last);
        }
    }

    void remove_below(std::uint64_t n) {
        std::size_t gone = 0;
        for (; gone < ranges_.size() && ranges_[gone].to <= n; ++gone) total_ -= ranges_[gone].to - ranges_[gone].from;
        ranges_.erase(ranges_.begin(), ranges_.begin() + static_cast<std::ptrdiff_t>(gone));
        if (ranges_.empty() || ranges_.front().from >= n) return;
        total_ -= n - ranges_.front().from;
        ranges_.front().from = n;
    }

    [[nodiscard]] bool contains(std::uint64_t n) const {
        const auto at = std::upper_bound(ranges_.begin(), ranges_.end(), n,
                                         [](std::uint64_t v, const store::Range& r) { return v < r.to; });
        return at != ranges_.end() && at->from <= n;
    }

    /// How many numbers there are.
    [[nodiscard]] std::uint64_t total() const { return total_; }
    [[nodiscard]] const std::vector<store::Range>& ranges() const { return ranges_; }
    [[nodiscard]] bool empty() const { return ranges_.empty(); }
    void clear() {
        ranges_.clear();
        total_ = 0;
    }

private:
    std::vector<store::Range> ranges_;
    std::uint64_t total_ = 0;
};

}  // namespace trunkline::broker
