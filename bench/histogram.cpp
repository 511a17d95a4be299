#include "bench/histogram.h"

#include <algorithm>
#include <cmath>

namespace trunkline::bench {

Histogram::Histogram() : buckets_((value_bits - sub_bits) * sub_count + sub_count) {}

void Histogram::merge(const Histogram& other) {
    for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    sum_ += other.sum_;
    maximum_ = std::max(maximum_, other.maximum_);
    minimum_ = std::min(minimum_, other.minimum_);
}

void Histogram::clear() { *this = Histogram(); }

double Histogram::mean() const { return count_ ? static_cast<double>(sum_) / static_cast<double>(count_) : 0; }

std::uint64_t Histogram::quantile(double quantile) const {
    if (count_ == 0) return 0;
    const auto wanted = static_cast<std::uint64_t>(std::ceil(std::clamp(quantile, 0.0, 1.0) * double(count_)));
    const std::uint64_t rank = std::max<std::uint64_t>(wanted, 1);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        seen += buckets_[i];
        if (seen >= rank) return std::clamp(upper_end(i), minimum_, maximum_);
    }
    return maximum_;
}

std::uint64_t Histogram::upper_end(std::size_t index) {
    if (index < 2 * sub_count) return index;
    const unsigned shift = static_cast<unsigned>(index / sub_count) - 1;
    const std::uint64_t top = sub_count + index % sub_count;
    return ((top + 1) << shift) - 1;
}

}  // namespace trunkline::bench
