// Password hashes as they are stored: Argon2 as libsodium writes it, and what Mosquitto's mosquitto_passwd writes, so
// that its users keep their passwords.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace trunkline::auth {

/// A stored hash, read. Its parameters decide how long a check takes.
struct PasswordHash {
    enum class Kind : std::uint8_t {
        argon2,             ///< `$argon2id$v=19$m=...,t=...,p=1$SALT$HASH` (RFC 9106; also argon2i)
        mosquitto_pbkdf2,   ///< `$7$ITERATIONS$SALT$HASH`: PBKDF2-HMAC-SHA512, Mosquitto 2
        mosquitto_sha512    ///< `$6$SALT$HASH`: one SHA-512 over password and salt, Mosquitto 1; weak
    };
    Kind kind = Kind::argon2;
    std::string text;                 ///< argon2: the whole of it
    std::string salt, digest;         ///< else: bytes
    std::uint32_t iterations = 1;     ///< of PBKDF2, or Argon2's t
    std::uint32_t memory_kib = 0;     ///< Argon2's m

    /// A hash that is checked like this one, takes as long and fits no password: for users who do not exist.
    [[nodiscard]] PasswordHash decoy() const;
    /// Two hashes with the same take the same time.
    [[nodiscard]] bool same_cost(const PasswordHash& other) const;
    [[nodiscard]] bool weak() const { return kind != Kind::argon2; }
};

/// nullopt: no hash of a known form, or one whose parameters are out of bounds (Argon2: 1 GiB, 16 passes, one lane;
/// PBKDF2: 10 million iterations). The text is a secret and appears in no message.
[[nodiscard]] std::optional<PasswordHash> read_password_hash(std::string_view text);

/// True when `password` is the one that was hashed. Takes milliseconds to seconds and up to `memory_kib`: never call it
/// on a shard. Compares in constant time.
[[nodiscard]] bool verify_password(const PasswordHash& hash, std::string_view password);

/// Argon2id with 19 MiB and two passes, the least that OWASP recommends: about 15 ms, so that ten thousand devices that
/// come back at once are in within minutes. Throws std::bad_alloc without memory.
[[nodiscard]] std::string hash_password(std::string_view password);

}  // namespace trunkline::auth
