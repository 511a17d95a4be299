// SHA-256 with the SHA extensions of x86 processors, one or two messages at a time. Internal to hash.cpp, which asks
// OpenSSL where a processor has no such instructions.
#pragma once

#include <cstddef>
#include <cstdint>

namespace trunkline::auth::audit::ni {

/// Whether this processor has the instructions.
[[nodiscard]] bool available();

/// FIPS 180-4, section 6.2.2: `blocks` blocks of 64 bytes change `state`.
void compress(std::uint32_t* state, const unsigned char* data, std::size_t blocks);
/// The same for two messages that have nothing to do with each other. One round waits for the one before it, so two
/// messages side by side take little longer than one.
void compress_two(std::uint32_t* state_a, const unsigned char* data_a, std::uint32_t* state_b,
                  const unsigned char* data_b, std::size_t blocks);

}  // namespace trunkline::auth::audit::ni
