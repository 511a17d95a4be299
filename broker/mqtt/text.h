// Checks of strings on the hot path, inlined into the decoders. Internal to broker/mqtt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace trunkline::mqtt::detail {

template <class Word>
inline Word load(const char* from) {
    Word word;
    std::memcpy(&word, from, sizeof(word));
    return word;
}

/// One to fifteen bytes as two words, every byte at least once and no other byte among them.
struct TwoWords {
    std::uint64_t first, second;
};
inline TwoWords load_short(const char* text, std::size_t size) {
    if (size >= 8) return {load<std::uint64_t>(text), load<std::uint64_t>(text + size - 8)};
    if (size >= 4) {
        const std::uint64_t both =
            (std::uint64_t{load<std::uint32_t>(text)} << 32) | load<std::uint32_t>(text + size - 4);
        return {both, both};
    }
    const auto at = [&](std::size_t i) { return std::uint64_t{static_cast<unsigned char>(text[i])}; };
    std::uint64_t bytes = at(0) | at(size / 2) << 8 | at(size - 1) << 16 | at(0) << 24;
    bytes |= bytes << 32;
    return {bytes, bytes};
}

/// Sixteen bytes as two words, for any machine. suspects() has the high bit of a byte set where the byte is not ASCII
/// or equals one of `bytes`.
struct WordBlock {
    TwoWords words;

    static WordBlock load(const char* from) {
        return {{detail::load<std::uint64_t>(from), detail::load<std::uint64_t>(from + 8)}};
    }
    static WordBlock of(TwoWords words) { return {words}; }
    template <char... bytes>
    [[nodiscard]] WordBlock suspects() const {
        return {{suspects_in<bytes...>(words.first), suspects_in<bytes...>(words.second)}};
    }
    [[nodiscard]] WordBlock operator|(WordBlock other) const {
        return {{words.first | other.words.first, words.second | other.words.second}};
    }
    [[nodiscard]] bool any() const { return (words.first | words.second) != 0; }

private:
    template <char... bytes>
    static std::uint64_t suspects_in(std::uint64_t word) {
        constexpr std::uint64_t ones = 0x0101010101010101U;
        std::uint64_t found = word;
        // (x - 1) & ~x has its high bit set in a zero byte; a borrow can only add a finding above a true one.
        [[maybe_unused]] const auto zero_bytes = [](std::uint64_t x) { return (x - ones) & ~x; };
        ((found |= zero_bytes(word ^ (ones * static_cast<unsigned char>(bytes)))), ...);
        return found & (ones << 7);
    }
};

#if defined(__SSE2__)
/// The same in one register.
struct VectorBlock {
    __m128i vector;

    static VectorBlock load(const char* from) { return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))}; }
    static VectorBlock of(TwoWords words) {
        return {_mm_set_epi64x(static_cast<long long>(words.second), static_cast<long long>(words.first))};
    }
    template <char... bytes>
    [[nodiscard]] VectorBlock suspects() const {
        __m128i found = vector;
        ((found = _mm_or_si128(found, _mm_cmpeq_epi8(vector, _mm_set1_epi8(bytes)))), ...);
        return {found};
    }
    [[nodiscard]] VectorBlock operator|(VectorBlock other) const { return {_mm_or_si128(vector, other.vector)}; }
    [[nodiscard]] bool any() const { return _mm_movemask_epi8(vector) != 0; }
};
using Block = VectorBlock;
#else
using Block = WordBlock;
#endif

/// True when all of `text` is ASCII and holds none of `bytes`. One pass, sixteen bytes a step, no read outside.
template <class SomeBlock, char... bytes>
inline bool is_plain_in(const char* text, std::size_t size) {
    if (size < 16) return size == 0 || !SomeBlock::of(load_short(text, size)).template suspects<bytes...>().any();
    SomeBlock found = SomeBlock::load(text + size - 16).template suspects<bytes...>();
    for (std::size_t at = 0; at + 16 < size; at += 16)
        found = found | SomeBlock::load(text + at).template suspects<bytes...>();
    return !found.any();
}
template <char... bytes>
inline bool is_plain(const char* text, std::size_t size) {
    return is_plain_in<Block, bytes...>(text, size);
}

}  // namespace trunkline::mqtt::detail
