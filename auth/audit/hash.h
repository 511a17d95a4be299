// SHA-256 as the Merkle tree of RFC 6962 and RFC 9162 uses it, and the texts of digests.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace trunkline::auth::audit {

using Digest = std::array<unsigned char, 32>;

[[nodiscard]] inline std::string_view view(const Digest& digest) {
    return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

/// SHA-256 of the parts one after the other. Each thread keeps one OpenSSL context: creating one costs more than
/// hashing a record.
[[nodiscard]] Digest sha256(std::initializer_list<std::string_view> parts);
[[nodiscard]] inline Digest sha256(std::string_view bytes) { return sha256({bytes}); }
/// Hash of a leaf: SHA-256 of 0x00 and the data (RFC 9162, section 2.1.1).
[[nodiscard]] Digest hash_leaf(std::string_view data);
/// Hash of an inner node: SHA-256 of 0x01 and both children (RFC 9162, section 2.1.1).
[[nodiscard]] Digest hash_node(const Digest& left, const Digest& right);

/// Lower case.
[[nodiscard]] std::string to_hex(std::string_view bytes);
[[nodiscard]] inline std::string to_hex(const Digest& digest) { return to_hex(view(digest)); }
/// Null unless `text` is hexadecimal of an even length.
[[nodiscard]] std::optional<std::string> from_hex(std::string_view text);
/// Base64 of RFC 4648, section 4, with padding.
[[nodiscard]] std::string to_base64(std::string_view bytes);
/// Only the one canonical spelling is taken: padding, and zeroes in the unused bits, so that no edit goes unnoticed.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);
/// Null unless it is canonical Base64 of 32 bytes.
[[nodiscard]] std::optional<Digest> digest_from_base64(std::string_view text);
[[nodiscard]] std::optional<Digest> digest_from_hex(std::string_view text);

}  // namespace trunkline::auth::audit
