// Two sinks for the data types of section 1.5: one counts, one writes. A packet's layout is one function over either,
// so a length can never disagree with the bytes behind it. Internal to broker/mqtt.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "broker/mqtt/types.h"

namespace trunkline::mqtt::detail {

inline constexpr std::uint32_t largest_body = 268'435'455;  // what four bytes of remaining length can say

inline std::size_t varint_size(std::size_t value) {
    return value < 128 ? 1 : value < 16'384 ? 2 : value < 2'097'152 ? 3 : 4;
}

class CountingSink {
public:
    [[nodiscard]] std::size_t size() const { return size_; }
    void u8(std::uint8_t) { size_ += 1; }
    void u16(std::uint16_t) { size_ += 2; }
    void u32(std::uint32_t) { size_ += 4; }
    void varint(std::uint32_t value) { size_ += varint_size(value); }
    void raw(std::string_view bytes) { size_ += bytes.size(); }
    void text(std::string_view bytes) { size_ += 2 + bytes.size(); }
    void id(Property) { size_ += 1; }

private:
    std::size_t size_ = 0;
};

/// Writes to memory that the caller has made large enough.
class RawSink {
public:
    explicit RawSink(char* to) : to_(to) {}

    [[nodiscard]] char* at() const { return to_; }
    void u8(std::uint8_t value) { *to_++ = static_cast<char>(value); }
    void u16(std::uint16_t value) {
        to_[0] = static_cast<char>(value >> 8);
        to_[1] = static_cast<char>(value);
        to_ += 2;
    }
    void u32(std::uint32_t value) {
        u16(static_cast<std::uint16_t>(value >> 16));
        u16(static_cast<std::uint16_t>(value));
    }
    void varint(std::uint32_t value) {  // [MQTT-1.5.5-1]
        assert(value <= largest_body);
        for (; value >= 128; value >>= 7) u8(static_cast<std::uint8_t>(value | 128U));
        u8(static_cast<std::uint8_t>(value));
    }
    void raw(std::string_view bytes) {
        if (bytes.empty()) return;
        std::memcpy(to_, bytes.data(), bytes.size());
        to_ += bytes.size();
    }
    void text(std::string_view bytes) {
        assert(bytes.size() <= 0xFFFF);
        u16(static_cast<std::uint16_t>(bytes.size()));
        raw(bytes);
    }
    void id(Property property) { u8(static_cast<std::uint8_t>(property)); }

private:
    char* to_;
};

}  // namespace trunkline::mqtt::detail
