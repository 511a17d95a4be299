// Base64 and hexadecimal, read strictly.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace trunkline::auth {

/// RFC 4648, sections 4 and 5.
enum class Base64 : std::uint8_t { standard, url };

/// Padding may be there or not, but must be right where it is. nullopt: a character that does not belong, a length that
/// cannot be, or bits left over that are not zero.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text, Base64 alphabet);
/// With padding (standard) or without (url).
[[nodiscard]] std::string encode_base64(std::string_view bytes, Base64 alphabet = Base64::standard);

/// Lower case.
[[nodiscard]] std::string encode_hex(std::string_view bytes);

/// As OpenSSL takes them.
[[nodiscard]] inline const unsigned char* as_bytes(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace trunkline::auth
