// The simulator's only source of chance: everything follows from the seed.
#pragma once

#include <cstdint>

namespace trunkline::sim {

class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ull + 1) {}
    /// splitmix64, public domain algorithm of S. Vigna.
    std::uint64_t next() {
        std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ z >> 27) * 0x94D049BB133111EBull;
        return z ^ z >> 31;
    }
    /// 0 up to but not including `bound`, which is not 0.
    std::uint64_t below(std::uint64_t bound) { return next() % bound; }
    bool chance(std::uint32_t percent) { return below(100) < percent; }

private:
    std::uint64_t state_;
};

}  // namespace trunkline::sim
