// How near the process is to the end of its memory, and what follows from it (Limits::memory_pause_percent and
// memory_refuse_percent).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "broker/core/limits.h"

namespace trunkline::broker {

enum class Pressure : std::uint8_t {
    none,
    pause,    // clients that publish are not read from
    refuse,   // also: CONNECT 0x97, QoS 0 for slow clients is shed
};

struct MemoryUse {
    std::uint64_t used = 0;
    std::uint64_t limit = 0;   // 0: not known
};

/// Contents of memory.max, memory.limit_in_bytes and the like; nothing for "max" and what is no number.
[[nodiscard]] std::optional<std::uint64_t> parse_byte_count(std::string_view text);
/// The number behind `key` at the start of a line, as in memory.stat ("file 4096") and meminfo ("MemTotal: 8 kB").
[[nodiscard]] std::optional<std::uint64_t> parse_field(std::string_view text, std::string_view key);

/// The level that `use` calls for. From a level the way back leads only two percent below its limit, so that a broker
/// at the limit does not swing.
[[nodiscard]] Pressure judge_memory(MemoryUse use, const Limits& limits, Pressure now);

/// The tightest of: the cgroup of this process and those above it (version 2 or 1; the page cache, which the kernel
/// takes back by itself, does not count), and the host's memory against what the process holds of it. `root` is
/// prepended to all paths; for tests.
[[nodiscard]] MemoryUse read_memory_use(const std::string& root = {});

}  // namespace trunkline::broker
