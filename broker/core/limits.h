// Every limit of the broker, its default and its unit, in one place (config key `limits.<name>`). What happens at each
// limit stands beside it; all are counted in trunkline_messages_dropped_total, trunkline_disconnects_total or
// trunkline_connects_total by the reason named in docs/reference/limits.md.
#pragma once

#include <cstdint>

namespace trunkline::broker {

struct Limits {
    // Connections
    std::uint32_t max_connections = 10'000;            // more: CONNACK 0x97, v3 0x03
    std::uint32_t connect_rate = 500;                  // per second, off loopback; more: closed at accept
    std::uint32_t connect_failures_per_address = 10;   // per second after failures; more: closed at accept
    std::uint32_t connect_timeout_ms = 10'000;         // from accept (TLS, PROXY, WebSocket included) to CONNECT
    std::uint32_t max_keep_alive_s = 3'600;            // v5: Server Keep Alive says so; v3.1.1 may still send 0
    std::uint32_t max_packet_bytes = 1 << 20;          // more: DISCONNECT 0x95
    std::uint32_t max_connect_packet_bytes = 4'096;    // before CONNECT is accepted; more: closed
    std::uint32_t max_client_id_bytes = 128;           // more: CONNACK 0x85
    std::uint32_t max_session_expiry_s = 7 * 86'400;   // v5: CONNACK says what was granted

    // Topics and properties
    std::uint32_t max_topic_levels = 64;               // more: PUBACK 0x90, SUBACK 0x8F
    std::uint32_t max_topic_bytes = 1'024;             // the same
    std::uint32_t max_user_properties = 32;            // more: PUBACK 0x97; in CONNECT CONNACK 0x97
    std::uint32_t max_user_property_bytes = 8'192;     // the same
    std::uint16_t topic_alias_maximum = 64;            // announced; more: DISCONNECT 0x94
    std::uint32_t max_subscriptions_per_client = 1'000;  // more: SUBACK 0x97

    // Flow
    std::uint16_t receive_maximum = 1'024;             // announced; more: DISCONNECT 0x93; v3: reading pauses
    std::uint16_t max_inflight_out = 32'767;           // to one client, or its Receive Maximum; more waits in its queue
    std::uint32_t write_buffer_bytes = 1 << 20;        // beyond: QoS 0 is dropped, queues wait
    std::uint32_t write_stall_s = 60;                  // nothing written for so long: closed
    std::uint32_t transient_queue_messages = 100'000;  // of a session that ends with its connection; more: PUBACK 0x97
    std::uint64_t transient_queue_bytes = 64ULL << 20;

    // Durable state. Queues of offline sessions cost disk, not memory.
    std::uint64_t queue_messages = 10'000'000;         // per session; more: PUBACK 0x97, v3 closed unacknowledged
    std::uint64_t queue_bytes = 4ULL << 30;
    std::uint64_t retained_messages = 2'000'000;       // more topics: PUBACK 0x97
    std::uint64_t retained_bytes = 4ULL << 30;
    std::uint64_t live_topics = 2'000'000;             // that browsing knows; more: counted, the oldest make room
    std::uint64_t live_bytes = 1ULL << 30;             // of last values that are not retained; the same
    std::uint64_t live_sample_bytes = 64ULL << 20;     // of messages kept for learning and planning; more: counted
    std::uint64_t quarantine_messages = 100'000;       // more: PUBACK 0x97, v3 closed unacknowledged
    std::uint64_t quarantine_bytes = 1ULL << 30;
    std::uint64_t log_backlog_bytes = 32ULL << 20;     // submitted, not yet safe, in all: reading of publishers pauses
    std::uint32_t disk_warn_percent = 15;              // alarm
    std::uint32_t disk_refuse_percent = 5;             // durable publishes 0x97
    std::uint64_t disk_refuse_bytes = 2ULL << 30;      // the same, whichever is smaller of the two free amounts

    // Memory, percent of the cgroup's or host's
    std::uint32_t memory_pause_percent = 70;           // publishers are paused
    std::uint32_t memory_refuse_percent = 85;          // CONNECT 0x97, QoS 0 is shed
};

}  // namespace trunkline::broker
