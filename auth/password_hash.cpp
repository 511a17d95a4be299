#include "auth/password_hash.h"

#include <array>
#include <charconv>
#include <new>
#include <vector>

#include <openssl/evp.h>
#include <sodium.h>

#include "auth/encoding.h"

namespace trunkline::auth {
namespace {

constexpr std::uint32_t argon2_memory_kib = 19 * 1024;
constexpr std::uint32_t argon2_passes = 2;
constexpr std::uint32_t memory_kib_max = 1024 * 1024;
constexpr std::uint32_t passes_max = 16;
constexpr std::uint32_t hash_iterations_max = 10'000'000;
constexpr std::size_t digest_bytes = 64;   // SHA-512

bool take_prefix(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
}

bool take_number(std::string_view& text, std::uint32_t& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc()) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

std::optional<PasswordHash> read_argon2(std::string_view text) {
    PasswordHash hash;
    hash.text = text;
    std::uint32_t lanes = 0;
    if (!take_prefix(text, "$argon2id$v=19$m=") && !take_prefix(text, "$argon2i$v=19$m=")) return std::nullopt;
    if (!take_number(text, hash.memory_kib) || !take_prefix(text, ",t=") || !take_number(text, hash.iterations) ||
        !take_prefix(text, ",p=") || !take_number(text, lanes) || !take_prefix(text, "$")) {
        return std::nullopt;
    }
    if (hash.memory_kib < 8 || hash.memory_kib > memory_kib_max || hash.iterations == 0 ||
        hash.iterations > passes_max || lanes != 1 || hash.text.size() >= crypto_pwhash_STRBYTES) {
        return std::nullopt;
    }
    const std::size_t dollar = text.find('$');
    if (dollar == std::string_view::npos) return std::nullopt;
    const auto salt = decode_base64(text.substr(0, dollar), Base64::standard);
    const auto digest = decode_base64(text.substr(dollar + 1), Base64::standard);
    if (!salt || salt->size() != crypto_pwhash_SALTBYTES || !digest || digest->size() != 32) return std::nullopt;
    return hash;
}

std::optional<PasswordHash> read_mosquitto(std::string_view text, PasswordHash::Kind kind) {
    PasswordHash hash;
    hash.kind = kind;
    if (kind == PasswordHash::Kind::mosquitto_pbkdf2) {
        if (!take_number(text, hash.iterations) || !take_prefix(text, "$")) return std::nullopt;
        if (hash.iterations == 0 || hash.iterations > hash_iterations_max) return std::nullopt;
    }
    const std::size_t dollar = text.find('$');
    if (dollar == std::string_view::npos) return std::nullopt;
    auto salt = decode_base64(text.substr(0, dollar), Base64::standard);
    auto digest = decode_base64(text.substr(dollar + 1), Base64::standard);
    if (!salt || salt->empty() || salt->size() > 128 || !digest || digest->size() != digest_bytes) return std::nullopt;
    hash.salt = std::move(*salt);
    hash.digest = std::move(*digest);
    return hash;
}

// An Argon2 string is checked by libsodium; whether it fits is one bit, in constant time.
bool verify_argon2(const std::string& stored, std::string_view password) {
    return crypto_pwhash_str_verify(stored.c_str(), password.data(), password.size()) == 0;
}

bool digest_of(const PasswordHash& hash, std::string_view password, std::array<unsigned char, digest_bytes>& out) {
    const auto* salt = reinterpret_cast<const unsigned char*>(hash.salt.data());
    if (hash.kind == PasswordHash::Kind::mosquitto_pbkdf2) {
        return PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), salt,
                                 static_cast<int>(hash.salt.size()), static_cast<int>(hash.iterations), EVP_sha512(),
                                 static_cast<int>(out.size()), out.data()) == 1;
    }
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    const bool done = context && EVP_DigestInit_ex(context, EVP_sha512(), nullptr) == 1 &&
                      EVP_DigestUpdate(context, password.data(), password.size()) == 1 &&
                      EVP_DigestUpdate(context, salt, hash.salt.size()) == 1 &&
                      EVP_DigestFinal_ex(context, out.data(), nullptr) == 1;
    EVP_MD_CTX_free(context);
    return done;
}

}  // namespace

std::optional<PasswordHash> read_password_hash(std::string_view text) {
    if (text.starts_with("$argon2i")) return read_argon2(text);
    if (take_prefix(text, "$7$")) return read_mosquitto(text, PasswordHash::Kind::mosquitto_pbkdf2);
    if (take_prefix(text, "$6$")) return read_mosquitto(text, PasswordHash::Kind::mosquitto_sha512);
    return std::nullopt;
}

PasswordHash PasswordHash::decoy() const {
    PasswordHash made = *this;
    if (kind == Kind::argon2) {
        // The digest is replaced by random bytes of the same length; the salt and the parameters stay as they are.
        std::array<unsigned char, 32> random{};
        randombytes_buf(random.data(), random.size());
        std::string digest = encode_base64(std::string_view(reinterpret_cast<const char*>(random.data()), 32));
        while (digest.ends_with('=')) digest.pop_back();
        made.text = made.text.substr(0, made.text.rfind('$') + 1) + digest;
    } else {
        randombytes_buf(made.digest.data(), made.digest.size());
    }
    return made;
}

bool PasswordHash::same_cost(const PasswordHash& other) const {
    return kind == other.kind && iterations == other.iterations && memory_kib == other.memory_kib &&
           salt.size() == other.salt.size();
}

bool verify_password(const PasswordHash& hash, std::string_view password) {
    if (hash.kind == PasswordHash::Kind::argon2) return verify_argon2(hash.text, password);
    std::array<unsigned char, digest_bytes> found{};
    const bool done = digest_of(hash, password, found);
    const bool same = sodium_memcmp(found.data(), hash.digest.data(), digest_bytes) == 0;
    sodium_memzero(found.data(), found.size());
    return done && same;
}

std::string hash_password(std::string_view password) {
    if (sodium_init() < 0) throw std::bad_alloc();
    std::array<char, crypto_pwhash_STRBYTES> text{};
    if (crypto_pwhash_str_alg(text.data(), password.data(), password.size(), argon2_passes,
                              std::size_t{argon2_memory_kib} * 1024, crypto_pwhash_ALG_ARGON2ID13) != 0) {
        throw std::bad_alloc();
    }
    return text.data();
}

}  // namespace trunkline::auth
