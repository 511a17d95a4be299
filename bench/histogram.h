// A log-linear histogram of durations: 128 buckets for each power of two, so that a quantile is off by under 1 %.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace trunkline::bench {

/// Records values of 0 to 2^42 (an hour and more in nanoseconds; larger ones count as that) in constant time and space.
class Histogram {
public:
    Histogram();

    void record(std::int64_t value) {
        const std::uint64_t clamped = value < 0 ? 0 : static_cast<std::uint64_t>(value);
        ++buckets_[index_of(clamped)];
        ++count_;
        sum_ += clamped;
        if (clamped > maximum_) maximum_ = clamped;
        if (clamped < minimum_) minimum_ = clamped;
    }
    void merge(const Histogram& other);
    void clear();

    [[nodiscard]] std::uint64_t count() const { return count_; }
    [[nodiscard]] std::uint64_t maximum() const { return maximum_; }
    [[nodiscard]] std::uint64_t minimum() const { return count_ ? minimum_ : 0; }
    [[nodiscard]] double mean() const;

    /// The smallest recorded value that at least `quantile` (0 to 1) of all values do not exceed, to within a bucket:
    /// the bucket's upper end, never over maximum(). 0 when nothing was recorded.
    [[nodiscard]] std::uint64_t quantile(double quantile) const;

private:
    static constexpr unsigned sub_bits = 7;
    static constexpr std::uint64_t sub_count = 1U << sub_bits;
    static constexpr unsigned value_bits = 42;

    static std::size_t index_of(std::uint64_t value) {
        if (value >= (std::uint64_t{1} << value_bits)) value = (std::uint64_t{1} << value_bits) - 1;
        if (value < 2 * sub_count) return value;
        const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - (sub_bits + 1);
        return shift * sub_count + (value >> shift);
    }
    static std::uint64_t upper_end(std::size_t index);

    std::vector<std::uint64_t> buckets_;
    std::uint64_t count_ = 0;
    std::uint64_t sum_ = 0;
    std::uint64_t maximum_ = 0;
    std::uint64_t minimum_ = UINT64_MAX;
};

}  // namespace trunkline::bench
