// Little-endian integers and counted strings in byte strings: the one place where the store's formats touch memory.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace trunkline::store {

static_assert(std::endian::native == std::endian::little, "the stored formats are little-endian, written by memcpy");

template <std::integral T>
inline void put_le(std::string& out, T value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// A string after its length as u32.
inline void put_text(std::string& out, std::string_view text) {
    put_le(out, static_cast<std::uint32_t>(text.size()));
    out.append(text);
}

template <std::integral T>
inline T load_le(const char* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

/// Keys are big-endian so that their order is the order of the numbers.
inline void put_be64(std::string& out, std::uint64_t value) {
    value = __builtin_bswap64(value);
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
[[nodiscard]] inline std::uint64_t load_be64(const char* from) {
    return __builtin_bswap64(load_le<std::uint64_t>(from));
}

/// Reads from the front. What is not there reads as zero or empty and ok() turns false, for good.
class ByteReader {
public:
    explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

    template <std::integral T>
    T take() {
        if (rest_.size() < sizeof(T)) return fail(), T{};
        const T value = load_le<T>(rest_.data());
        rest_.remove_prefix(sizeof(T));
        return value;
    }
    std::string_view take_bytes(std::size_t size) {
        if (rest_.size() < size) return fail(), std::string_view();
        const std::string_view bytes = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return bytes;
    }
    std::string_view take_text() { return take_bytes(take<std::uint32_t>()); }

    [[nodiscard]] bool ok() const { return ok_; }
    [[nodiscard]] std::string_view rest() const { return rest_; }
    /// Everything was there and nothing is left over.
    [[nodiscard]] bool done() const { return ok_ && rest_.empty(); }

private:
    void fail() {
        ok_ = false;
        rest_ = {};
    }
    std::string_view rest_;
    bool ok_ = true;
};

}  // namespace trunkline::store
