// What a server keeps of a password for SCRAM-SHA-256 (RFC 5803, RFC 7677): nothing that would let in by itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace trunkline::auth {

/// Written `SCRAM-SHA-256$ITERATIONS:SALT$STORED_KEY:SERVER_KEY`, base64, as PostgreSQL and RFC 5803 do.
struct ScramVerifier {
    std::uint32_t iterations = 4096;
    std::string salt;           ///< bytes
    std::string stored_key;     ///< 32 bytes
    std::string server_key;     ///< 32 bytes

    [[nodiscard]] std::string text() const;
};

/// nullopt: not of that form, or iterations below 4,096 (RFC 7677) or above 10 million.
[[nodiscard]] std::optional<ScramVerifier> read_scram_verifier(std::string_view text);

/// From a password (already normalised, RFC 4013) and a salt. Takes milliseconds.
[[nodiscard]] ScramVerifier make_scram_verifier(std::string_view password, std::string_view salt,
                                                std::uint32_t iterations);

/// HMAC-SHA-256 and SHA-256, 32 bytes.
[[nodiscard]] std::string hmac_sha256(std::string_view key, std::string_view data);
[[nodiscard]] std::string sha256(std::string_view data);

}  // namespace trunkline::auth
