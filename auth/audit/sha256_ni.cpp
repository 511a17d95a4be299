// The only file that is compiled for processors with SHA extensions (CMakeLists.txt): it includes nothing whose inline
// functions another file could be given.
#include "auth/audit/sha256_ni.h"

#if defined(__x86_64__) && defined(__SHA__) && defined(__SSE4_1__)
#include <cpuid.h>
#include <immintrin.h>

namespace trunkline::auth::audit::ni {
namespace {

/// FIPS 180-4, section 4.2.2.
alignas(64) constexpr std::uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/// The working variables of one message as the instructions want them, and sixteen words of its schedule.
struct Lane {
    __m128i abef, cdgh, words[4];
};

inline void load(Lane& lane, const std::uint32_t* state) {
    const __m128i dcba = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state));
    const __m128i hgfe = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state + 4));
    const __m128i cdab = _mm_shuffle_epi32(dcba, 0xB1);
    const __m128i efgh = _mm_shuffle_epi32(hgfe, 0x1B);
    lane.abef = _mm_alignr_epi8(cdab, efgh, 8);
    lane.cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
}

inline void store(const Lane& lane, std::uint32_t* state) {
    const __m128i feba = _mm_shuffle_epi32(lane.abef, 0x1B);
    const __m128i dchg = _mm_shuffle_epi32(lane.cdgh, 0xB1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(state), _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/// Four rounds of each lane, the `step`th of sixteen.
template <int lanes>
inline void four_rounds(Lane* lane, const unsigned char* const* data, int step) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const __m128i constants = _mm_load_si128(reinterpret_cast<const __m128i*>(round_constants + 4 * step));
    __m128i words[lanes];
#pragma GCC unroll 2
    for (int i = 0; i < lanes; ++i) {
        __m128i* const w = lane[i].words;
        if (step < 4) {
            words[i] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(data[i] + 16 * step)),
                                        big_endian);
        } else {
            const __m128i early = _mm_sha256msg1_epu32(w[step % 4], w[(step + 1) % 4]);
            const __m128i middle = _mm_alignr_epi8(w[(step + 3) % 4], w[(step + 2) % 4], 4);
            words[i] = _mm_sha256msg2_epu32(_mm_add_epi32(early, middle), w[(step + 3) % 4]);
        }
        w[step % 4] = words[i];
        words[i] = _mm_add_epi32(words[i], constants);
    }
#pragma GCC unroll 2
    for (int i = 0; i < lanes; ++i) lane[i].cdgh = _mm_sha256rnds2_epu32(lane[i].cdgh, lane[i].abef, words[i]);
#pragma GCC unroll 2
    for (int i = 0; i < lanes; ++i) {
        lane[i].abef = _mm_sha256rnds2_epu32(lane[i].abef, lane[i].cdgh, _mm_shuffle_epi32(words[i], 0x0E));
    }
}

template <int lanes>
inline void compress_all(std::uint32_t* const* states, const unsigned char** data, std::size_t blocks) {
    Lane lane[lanes];
    for (int i = 0; i < lanes; ++i) load(lane[i], states[i]);
    for (; blocks > 0; --blocks) {
        __m128i before[lanes][2];
        for (int i = 0; i < lanes; ++i) {
            before[i][0] = lane[i].abef;
            before[i][1] = lane[i].cdgh;
        }
#pragma GCC unroll 16
        for (int step = 0; step < 16; ++step) four_rounds<lanes>(lane, data, step);
        for (int i = 0; i < lanes; ++i) {
            lane[i].abef = _mm_add_epi32(lane[i].abef, before[i][0]);
            lane[i].cdgh = _mm_add_epi32(lane[i].cdgh, before[i][1]);
            data[i] += 64;
        }
    }
    for (int i = 0; i < lanes; ++i) store(lane[i], states[i]);
}

}  // namespace

bool available() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_SSSE3) == 0 || (c & bit_SSE4_1) == 0) return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_SHA) != 0;
}

void compress(std::uint32_t* state, const unsigned char* data, std::size_t blocks) {
    compress_all<1>(&state, &data, blocks);
}

void compress_two(std::uint32_t* state_a, const unsigned char* data_a, std::uint32_t* state_b,
                  const unsigned char* data_b, std::size_t blocks) {
    std::uint32_t* const states[] = {state_a, state_b};
    const unsigned char* data[] = {data_a, data_b};
    compress_all<2>(states, data, blocks);
}

}  // namespace trunkline::auth::audit::ni

#else

namespace trunkline::auth::audit::ni {

bool available() { return false; }
void compress(std::uint32_t*, const unsigned char*, std::size_t) {}
void compress_two(std::uint32_t*, const unsigned char*, std::uint32_t*, const unsigned char*, std::size_t) {}

}  // namespace trunkline::auth::audit::ni

#endif
