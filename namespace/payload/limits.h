// What bounds payloads and the contracts on them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace trunkline::uns::payload_limits {

inline constexpr std::size_t payload_bytes_max = 16u << 20;      // larger ones keep no contract but `any`
inline constexpr std::size_t depth_max = 64;                     // arrays and objects within each other
inline constexpr std::size_t kept_bytes = 64u << 10;             // what a thread's buffers keep between payloads
inline constexpr std::int64_t timestamp_ms_max = 253'402'300'799'999;    // the end of the year 9999

inline constexpr std::size_t metrics_max = 10'000;               // in one Sparkplug payload
inline constexpr std::size_t sparkplug_depth_max = 8;            // templates and property sets within each other

inline constexpr std::size_t pattern_bytes_max = 4'096;
inline constexpr std::int64_t pattern_memory = 256 << 10;        // of one compiled pattern, with its cache

inline constexpr std::size_t schema_bytes_max = 1u << 20;
inline constexpr std::size_t schema_nodes_max = 20'000;          // subschemas of one schema
inline constexpr std::size_t schema_chain_max = 32;              // subschemas that apply to one place, one in another
// Steps that one check may take: so many, and so many more for each byte of the payload.
inline constexpr std::uint64_t steps_base = 100'000, steps_per_byte = 64;

}  // namespace trunkline::uns::payload_limits
