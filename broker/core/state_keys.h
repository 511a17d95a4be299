// Keys of the state machine's records; persistence/README.md lists them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "persistence/bytes.h"
#include "persistence/record.h"

namespace trunkline::broker {

inline constexpr std::string_view meta_state_key = "state";
inline constexpr std::string_view meta_quarantine_key = "quarantine";
inline constexpr std::string_view meta_audit_key = "audit";
inline constexpr std::string_view group_prefix = "group/";

[[nodiscard]] inline std::string group_key(std::string_view text) { return std::string(group_prefix).append(text); }

/// Of a session, and of a record of the log.
[[nodiscard]] inline std::string number_key(std::uint64_t number) {
    std::string key;
    store::put_be64(key, number);
    return key;
}

[[nodiscard]] inline std::string subscription_key(store::SessionId session, std::string_view filter) {
    return number_key(session).append(filter);
}

/// Of a chunk in `queues`: its last delivery number, and the queued bytes it stands for so that it can be removed
/// without being read.
[[nodiscard]] inline std::string queue_key(store::SessionId session, std::uint64_t last_n, std::uint64_t bytes) {
    std::string key;
    key.reserve(24);
    store::put_be64(key, session);
    store::put_be64(key, last_n);
    store::put_be64(key, bytes);
    return key;
}
inline constexpr std::size_t queue_key_size = 24;
[[nodiscard]] inline std::uint64_t queue_key_last_n(std::string_view key) { return store::load_be64(key.data() + 8); }
[[nodiscard]] inline std::uint64_t queue_key_bytes(std::string_view key) { return store::load_be64(key.data() + 16); }

}  // namespace trunkline::broker
