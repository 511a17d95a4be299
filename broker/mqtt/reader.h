// Reads the data types of section 1.5 off the front of a byte range. Internal to broker/mqtt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "broker/mqtt/decode.h"

namespace trunkline::mqtt::detail {

inline DecodeError malformed(const char* what) { return {Reason::malformed_packet, what}; }
inline DecodeError violation(const char* what) { return {Reason::protocol_error, what}; }

/// A cursor over a packet's bytes. Each function gives false, and leaves its argument alone, when the bytes end first.
class Reader {
public:
    explicit Reader(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

    [[nodiscard]] std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
    [[nodiscard]] bool done() const { return at_ == end_; }
    [[nodiscard]] std::string_view rest() const { return {at_, left()}; }

    [[nodiscard]] bool u8(std::uint8_t& value) {
        if (left() < 1) return false;
        value = byte(0);
        at_ += 1;
        return true;
    }
    [[nodiscard]] bool u16(std::uint16_t& value) {
        if (left() < 2) return false;
        value = static_cast<std::uint16_t>(byte(0) << 8 | byte(1));
        at_ += 2;
        return true;
    }
    [[nodiscard]] bool u32(std::uint32_t& value) {
        if (left() < 4) return false;
        value = std::uint32_t{byte(0)} << 24 | std::uint32_t{byte(1)} << 16 | std::uint32_t{byte(2)} << 8 | byte(3);
        at_ += 4;
        return true;
    }
    /// Variable Byte Integer; false also when it is over four bytes or not in its shortest form [MQTT-1.5.5-1].
    [[nodiscard]] bool varint(std::uint32_t& value) {
        std::uint32_t sum = 0;
        for (unsigned i = 0; i < 4 && i < left(); ++i) {
            const std::uint32_t next = byte(i);
            sum |= (next & 0x7FU) << (7 * i);
            if (next & 0x80U) continue;
            if (i > 0 && next == 0) return false;
            value = sum;
            at_ += i + 1;
            return true;
        }
        return false;
    }
    /// Binary Data, or a UTF-8 string whose content the caller checks.
    [[nodiscard]] bool binary(std::string_view& value) {
        if (left() < 2) return false;
        const std::size_t size = static_cast<std::size_t>(byte(0) << 8 | byte(1));
        if (left() < 2 + size) return false;
        value = {at_ + 2, size};
        at_ += 2 + size;
        return true;
    }
    [[nodiscard]] bool bytes(std::size_t size, std::string_view& value) {
        if (left() < size) return false;
        value = {at_, size};
        at_ += size;
        return true;
    }

private:
    [[nodiscard]] std::uint8_t byte(std::size_t i) const { return static_cast<std::uint8_t>(at_[i]); }

    const char* at_;
    const char* end_;
};

}  // namespace trunkline::mqtt::detail
