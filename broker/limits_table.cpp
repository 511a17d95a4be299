#include "broker/limits_table.h"

#include <array>
#include <type_traits>

namespace trunkline::broker {
namespace {

constexpr std::uint64_t kib = 1ULL << 10, mib = 1ULL << 20, gib = 1ULL << 30, tib = 1ULL << 40;
constexpr std::uint64_t u32_max = 0xFFFF'FFFF, trillion = 1'000'000'000'000;
constexpr std::uint64_t largest_packet = 268'435'455 + 5;   // remaining length and header, section 1.5.5
constexpr auto count = LimitUnit::count;
constexpr auto bytes = LimitUnit::bytes;
constexpr auto percent = LimitUnit::percent;

constexpr std::array fields = {
    LimitField{"max_connections", &Limits::max_connections, count, 1, 10'000'000},
    LimitField{"connect_rate", &Limits::connect_rate, count, 1, 10'000'000},
    LimitField{"connect_failures_per_address", &Limits::connect_failures_per_address, count, 1, 10'000'000},
    LimitField{"connect_timeout_ms", &Limits::connect_timeout_ms, LimitUnit::milliseconds, 100, 600'000},
    LimitField{"max_keep_alive_s", &Limits::max_keep_alive_s, LimitUnit::seconds, 5, 65'535},
    LimitField{"max_packet_bytes", &Limits::max_packet_bytes, bytes, kib, largest_packet},
    LimitField{"max_connect_packet_bytes", &Limits::max_connect_packet_bytes, bytes, 128, largest_packet},
    LimitField{"max_client_id_bytes", &Limits::max_client_id_bytes, bytes, 23, 65'535},
    LimitField{"max_session_expiry_s", &Limits::max_session_expiry_s, LimitUnit::seconds, 0, u32_max},
    LimitField{"max_topic_levels", &Limits::max_topic_levels, count, 1, 1'024},
    LimitField{"max_topic_bytes", &Limits::max_topic_bytes, bytes, 1, 65'535},
    LimitField{"max_user_properties", &Limits::max_user_properties, count, 0, 100'000},
    LimitField{"max_user_property_bytes", &Limits::max_user_property_bytes, bytes, 0, 16 * mib},
    LimitField{"topic_alias_maximum", &Limits::topic_alias_maximum, count, 0, 65'535},
    LimitField{"max_subscriptions_per_client", &Limits::max_subscriptions_per_client, count, 1, 10'000'000},
    LimitField{"receive_maximum", &Limits::receive_maximum, count, 1, 65'535},
    LimitField{"max_inflight_out", &Limits::max_inflight_out, count, 1, 65'535},
    LimitField{"write_buffer_bytes", &Limits::write_buffer_bytes, bytes, 16 * kib, gib},
    LimitField{"write_stall_s", &Limits::write_stall_s, LimitUnit::seconds, 1, 86'400},
    LimitField{"transient_queue_messages", &Limits::transient_queue_messages, count, 1, 100'000'000},
    LimitField{"transient_queue_bytes", &Limits::transient_queue_bytes, bytes, 64 * kib, tib},
    LimitField{"queue_messages", &Limits::queue_messages, count, 1, trillion},
    LimitField{"queue_bytes", &Limits::queue_bytes, bytes, 64 * kib, 1'024 * tib},
    LimitField{"retained_messages", &Limits::retained_messages, count, 0, trillion},
    LimitField{"retained_bytes", &Limits::retained_bytes, bytes, 0, 1'024 * tib},
    LimitField{"live_topics", &Limits::live_topics, count, 0, 100'000'000},
    LimitField{"live_bytes", &Limits::live_bytes, bytes, 0, 1'024 * gib},
    LimitField{"live_sample_bytes", &Limits::live_sample_bytes, bytes, 0, 64 * gib},
    LimitField{"quarantine_messages", &Limits::quarantine_messages, count, 0, 10'000'000},
    LimitField{"quarantine_bytes", &Limits::quarantine_bytes, bytes, 0, tib},
    LimitField{"log_backlog_bytes", &Limits::log_backlog_bytes, bytes, mib, 64 * gib},
    LimitField{"disk_warn_percent", &Limits::disk_warn_percent, percent, 0, 100},
    LimitField{"disk_refuse_percent", &Limits::disk_refuse_percent, percent, 0, 100},
    LimitField{"disk_refuse_bytes", &Limits::disk_refuse_bytes, bytes, 0, 1'024 * tib},
    LimitField{"memory_pause_percent", &Limits::memory_pause_percent, percent, 1, 100},
    LimitField{"memory_refuse_percent", &Limits::memory_refuse_percent, percent, 1, 100},
};

}  // namespace

std::uint64_t LimitField::get(const Limits& limits) const {
    return std::visit([&](auto field) -> std::uint64_t { return limits.*field; }, member);
}

void LimitField::set(Limits& limits, std::uint64_t value) const {
    std::visit([&](auto field) {
        using Field = std::remove_reference_t<decltype(limits.*field)>;
        limits.*field = static_cast<Field>(value);
    }, member);
}

std::span<const LimitField> limit_fields() { return fields; }

}  // namespace trunkline::broker
