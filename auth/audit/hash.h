// SHA-256 as the Merkle tree of RFC 6962 and RFC 9162 uses it, and the texts of digests.
#pragma once

#include <array>
#include <cstddef>
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

/// SHA-256 of the parts one after the other. Where the processor has SHA extensions, messages of one part go to
/// sha256_ni, since OpenSSL takes 150 ns to begin and end a hash. All else is OpenSSL's, and everything is if the two
/// disagree on the samples that are compared at the first hash of the process.
[[nodiscard]] Digest sha256(std::initializer_list<std::string_view> parts);
[[nodiscard]] Digest sha256(std::string_view bytes);
/// Of two messages, which takes little longer than one of them where the processor has SHA extensions.
void sha256_two(std::string_view a, std::string_view b, Digest& hash_a, Digest& hash_b);
/// Hash of a leaf: SHA-256 of 0x00 and the data (RFC 9162, section 2.1.1).
[[nodiscard]] Digest hash_leaf(std::string_view data);
/// Hash of an inner node: SHA-256 of 0x01 and both children (RFC 9162, section 2.1.1).
[[nodiscard]] Digest hash_node(const Digest& left, const Digest& right);
/// parents[i] = hash_node(children[2i], children[2i + 1]) for i < `pairs`, two at a time. `parents` may be
/// `children` or `children` + 1.
void hash_nodes(const Digest* children, std::size_t pairs, Digest* parents);

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
