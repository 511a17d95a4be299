// What the operating system says of this process.
#pragma once

#include <cstdint>

namespace trunkline::admin {

struct ProcessStats {
    double cpu_seconds = 0;
    std::uint64_t resident_bytes = 0, virtual_bytes = 0, peak_resident_bytes = 0;
    std::uint64_t open_descriptors = 0, max_descriptors = 0, threads = 0;
};
[[nodiscard]] ProcessStats process_stats();

}  // namespace trunkline::admin
