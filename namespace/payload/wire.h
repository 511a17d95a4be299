// The wire format of Protocol Buffers: tags, varints, lengths. Views only; every length is checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace trunkline::uns {

enum class WireType : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct WireField {
    std::uint32_t number = 0;
    WireType type = WireType::varint;
    std::uint64_t value = 0;        // of varint and fixed
    std::string_view bytes;         // of bytes
};

/// Takes one field after the other off a message.
class WireReader {
public:
    explicit WireReader(std::string_view message) : rest_(message), size_(message.size()) {}

    [[nodiscard]] bool done() const { return rest_.empty(); }
    [[nodiscard]] std::size_t offset() const { return size_ - rest_.size(); }

    /// Nothing when the message is cut short, a varint is longer than 10 bytes, or the wire type is not one of the
    /// four in use (groups are not).
    std::optional<WireField> next() {
        const auto tag = varint();
        if (!tag || *tag >> 3 == 0 || *tag >> 3 >= 1u << 29) return std::nullopt;
        WireField field;
        field.number = static_cast<std::uint32_t>(*tag >> 3);
        field.type = static_cast<WireType>(*tag & 7);
        switch (field.type) {
        case WireType::varint: return with_value(field, varint());
        case WireType::fixed64: return with_value(field, fixed(8));
        case WireType::fixed32: return with_value(field, fixed(4));
        case WireType::bytes: {
            const auto length = varint();
            if (!length || *length > rest_.size()) return std::nullopt;
            field.bytes = rest_.substr(0, static_cast<std::size_t>(*length));
            rest_.remove_prefix(static_cast<std::size_t>(*length));
            return field;
        }
        }
        return std::nullopt;
    }

private:
    static std::optional<WireField> with_value(WireField& field, std::optional<std::uint64_t> value) {
        if (!value) return std::nullopt;
        field.value = *value;
        return field;
    }

    std::optional<std::uint64_t> varint() {
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < rest_.size() && i < 10; ++i) {
            const auto byte = static_cast<unsigned char>(rest_[i]);
            if (i == 9 && byte > 1) return std::nullopt;
            value |= std::uint64_t{byte & 0x7Fu} << (7 * i);
            if (byte < 0x80) {
                rest_.remove_prefix(i + 1);
                return value;
            }
        }
        return std::nullopt;
    }

    std::optional<std::uint64_t> fixed(std::size_t bytes) {
        if (rest_.size() < bytes) return std::nullopt;
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < bytes; ++i) {
            value |= std::uint64_t{static_cast<unsigned char>(rest_[i])} << (8 * i);
        }
        rest_.remove_prefix(bytes);
        return value;
    }

    std::string_view rest_;
    std::size_t size_;
};

}  // namespace trunkline::uns
