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
        const std::uint64_t both = (std::uint64_t{load<std::uint32_t>(text)} << 32) | load<std::uint32_t>(text + size - 4);
        return {both, both};
    }
    const auto at = [&](std::size_t i) { return std::uint64_t{static_cast<unsigned char>(text[i])}; };
    std::uint64_t bytes = at(0) | at(size / 2) << 8 | at(size - 1) << 16 | at(0) << 24;
    bytes |= bytes << 32;
    return {bytes, bytes};
}

#if defined(__SSE2__)

using Block = __m128i;
inline Block load_block(const char* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
inline Block to_block(TwoWords words) {
    return _mm_set_epi64x(static_cast<long long>(words.second), static_cast<long long>(words.first));
}
/// High bit of each byte set where the byte is not ASCII or equals one of `bytes`.
template <char... bytes>
inline Block suspects(Block block) {
    Block found = block;
    ((found = _mm_or_si128(found, _mm_cmpeq_epi8(block, _mm_set1_epi8(bytes)))), ...);
    return found;
}
inline Block either(Block a, Block b) { return _mm_or_si128(a, b); }
inline bool any(Block found) { return _mm_movemask_epi8(found) != 0; }

#else

using Block = TwoWords;
inline Block load_block(const char* from) { return {load<std::uint64_t>(from), load<std::uint64_t>(from + 8)}; }
inline Block to_block(TwoWords words) { return words; }
template <char... bytes>
inline std::uint64_t suspects(std::uint64_t word) {
    constexpr std::uint64_t ones = 0x0101010101010101U;
    std::uint64_t found = word;
    // (x - 1) & ~x has its high bit set in a zero byte; a borrow can only add a finding above a true one.
    const auto zero_bytes = [](std::uint64_t x) { return (x - ones) & ~x; };
    ((found |= zero_bytes(word ^ (ones * static_cast<unsigned char>(bytes)))), ...);
    return found & (ones << 7);
}
template <char... bytes>
inline Block suspects(Block block) {
    return {suspects<bytes...>(block.first), suspects<bytes...>(block.second)};
}
inline Block either(Block a, Block b) { return {a.first | b.first, a.second | b.second}; }
inline bool any(Block found) { return (found.first | found.second) != 0; }

#endif

/// True when all of `text` is ASCII and holds none of `bytes`. One pass, sixteen bytes a step, no read outside.
template <char... bytes>
inline bool is_plain(const char* text, std::size_t size) {
    if (size < 16) return size == 0 || !any(suspects<bytes...>(to_block(load_short(text, size))));
    Block found = suspects<bytes...>(load_block(text + size - 16));
    for (std::size_t at = 0; at + 16 < size; at += 16) found = either(found, suspects<bytes...>(load_block(text + at)));
    return !any(found);
}

}  // namespace trunkline::mqtt::detail
