#include "bench/frames.h"

#include <algorithm>
#include <cstdio>

#include <unistd.h>

#include "broker/mqtt/encode.h"

namespace trunkline::bench {

std::uint32_t stamp_magic() {
    static const std::uint32_t magic = stamp_magic_family | (static_cast<std::uint32_t>(getpid()) & 0xFFFFU);
    return magic;
}

namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

std::string filler_payload(std::uint32_t bytes) {
    std::string payload(std::max(bytes, stamp_bytes), '.');
    for (std::size_t i = stamp_bytes; i < payload.size(); ++i) payload[i] = static_cast<char>('a' + i % 26);
    return payload;
}

std::string reading_payload(std::uint32_t bytes, std::uint32_t value) {
    char head[112];
    constexpr const char* form =
        "{\"value\":%u.%03u,\"timestamp\":1700000000000,\"quality\":\"good\",\"unit\":\"Cel\",";
    std::snprintf(head, sizeof head, form, value / 1000, value % 1000);
    const std::string end = "\"id\":\"" + std::string(std::size_t{2} * stamp_bytes, '0') + std::string(reading_end);
    std::string payload = head;
    if (payload.size() + end.size() < bytes) payload.append(bytes - payload.size() - end.size(), ' ');
    return payload + end;
}

int nibble(char digit) {
    const auto at = hex_digits.find(digit);
    return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

}  // namespace

void write_hex(char* to, const Stamp& stamp) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(&stamp);
    for (std::size_t i = 0; i < stamp_bytes; ++i) {
        to[2 * i] = hex_digits[bytes[i] >> 4];
        to[2 * i + 1] = hex_digits[bytes[i] & 15];
    }
}

bool read_stamp(std::string_view payload, Stamp& stamp) {
    if (payload.size() < stamp_bytes) return false;
    if (payload.size() < reading_bytes_min || payload.front() != '{' || !payload.ends_with(reading_end)) {
        std::memcpy(&stamp, payload.data(), stamp_bytes);
        return true;
    }
    const char* digits = payload.data() + payload.size() - reading_end.size() - std::size_t{2} * stamp_bytes;
    auto* bytes = reinterpret_cast<unsigned char*>(&stamp);
    for (std::size_t i = 0; i < stamp_bytes; ++i) {
        const int high = nibble(digits[2 * i]), low = nibble(digits[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        bytes[i] = static_cast<unsigned char>(high << 4 | low);
    }
    return true;
}

PublishFrame::PublishFrame(mqtt::Version version, std::string_view topic, std::uint8_t qos, bool retain,
                           std::uint32_t payload_bytes, PayloadForm form, std::uint32_t value)
    : form_(form) {
    const bool reading = form == PayloadForm::reading;
    const std::string payload = reading ? reading_payload(payload_bytes, value) : filler_payload(payload_bytes);
    mqtt::PublishOut packet;
    packet.qos = qos;
    packet.retain = retain;
    packet.packet_id = qos ? 1 : 0;
    packet.topic = topic;
    packet.payload = payload;
    mqtt::Buffer encoded;
    packet_id_at_ = mqtt::encode(encoded, version, packet);
    bytes_.assign(encoded.view());
    const std::size_t from_end = reading ? reading_end.size() + std::size_t{2} * stamp_bytes : payload.size();
    stamp_at_ = static_cast<std::uint32_t>(bytes_.size() - from_end);
}

}  // namespace trunkline::bench
