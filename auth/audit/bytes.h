// Little-endian integers and counted strings: the one place where the audit trail's formats touch memory.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "auth/audit/hash.h"

namespace trunkline::auth::audit {

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
/// Number `index` of the digests that `bytes` holds one after the other.
inline Digest digest_at(std::string_view bytes, std::size_t index) {
    Digest digest;
    std::memcpy(digest.data(), bytes.data() + index * sizeof digest, sizeof digest);
    return digest;
}
inline void put_digest(std::string& out, const Digest& digest) { out.append(view(digest)); }

template <std::integral T>
inline T load_le(const char* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
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
    Digest take_digest() {
        Digest digest{};
        const auto bytes = take_bytes(digest.size());
        if (!bytes.empty()) std::memcpy(digest.data(), bytes.data(), digest.size());
        return digest;
    }
    void fail() {
        ok_ = false;
        rest_ = {};
    }
    [[nodiscard]] bool ok() const { return ok_; }
    [[nodiscard]] std::string_view rest() const { return rest_; }
    /// Everything was there and nothing is left over.
    [[nodiscard]] bool done() const { return ok_ && rest_.empty(); }

private:
    std::string_view rest_;
    bool ok_ = true;
};

}  // namespace trunkline::auth::audit
