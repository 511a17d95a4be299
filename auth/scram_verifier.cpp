#include "auth/scram_verifier.h"

#include <charconv>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "auth/encoding.h"

namespace trunkline::auth {
namespace {

constexpr std::string_view prefix = "SCRAM-SHA-256$";
constexpr std::uint32_t scram_iterations_min = 4096;
constexpr std::uint32_t scram_iterations_max = 10'000'000;

}  // namespace

std::string hmac_sha256(std::string_view key, std::string_view data) {
    std::string out(SHA256_DIGEST_LENGTH, '\0');
    unsigned int length = 0;
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), as_bytes(data), data.size(),
         reinterpret_cast<unsigned char*>(out.data()), &length);
    return out;
}

std::string sha256(std::string_view data) {
    std::string out(SHA256_DIGEST_LENGTH, '\0');
    SHA256(as_bytes(data), data.size(), reinterpret_cast<unsigned char*>(out.data()));
    return out;
}

std::string ScramVerifier::text() const {
    return std::string(prefix) + std::to_string(iterations) + ":" + encode_base64(salt) + "$" +
           encode_base64(stored_key) + ":" + encode_base64(server_key);
}

std::optional<ScramVerifier> read_scram_verifier(std::string_view text) {
    if (!text.starts_with(prefix)) return std::nullopt;
    text.remove_prefix(prefix.size());
    const std::size_t colon = text.find(':');
    const std::size_t dollar = text.find('$');
    const std::size_t second = text.find(':', dollar == std::string_view::npos ? 0 : dollar);
    if (colon == std::string_view::npos || dollar == std::string_view::npos || second == std::string_view::npos ||
        colon > dollar) {
        return std::nullopt;
    }
    ScramVerifier made;
    const auto [end, error] = std::from_chars(text.data(), text.data() + colon, made.iterations);
    if (error != std::errc() || end != text.data() + colon) return std::nullopt;
    if (made.iterations < scram_iterations_min || made.iterations > scram_iterations_max) return std::nullopt;
    auto salt = decode_base64(text.substr(colon + 1, dollar - colon - 1), Base64::standard);
    auto stored = decode_base64(text.substr(dollar + 1, second - dollar - 1), Base64::standard);
    auto server = decode_base64(text.substr(second + 1), Base64::standard);
    if (!salt || salt->empty() || salt->size() > 128 || !stored || stored->size() != SHA256_DIGEST_LENGTH || !server ||
        server->size() != SHA256_DIGEST_LENGTH) {
        return std::nullopt;
    }
    made.salt = std::move(*salt);
    made.stored_key = std::move(*stored);
    made.server_key = std::move(*server);
    return made;
}

ScramVerifier make_scram_verifier(std::string_view password, std::string_view salt, std::uint32_t iterations) {
    ScramVerifier made;
    made.iterations = iterations;
    made.salt = salt;
    std::string salted(SHA256_DIGEST_LENGTH, '\0');
    PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), as_bytes(salt), static_cast<int>(salt.size()),
                      static_cast<int>(iterations), EVP_sha256(), SHA256_DIGEST_LENGTH,
                      reinterpret_cast<unsigned char*>(salted.data()));
    std::string client_key = hmac_sha256(salted, "Client Key");
    made.stored_key = sha256(client_key);
    made.server_key = hmac_sha256(salted, "Server Key");
    OPENSSL_cleanse(salted.data(), salted.size());
    OPENSSL_cleanse(client_key.data(), client_key.size());
    return made;
}

}  // namespace trunkline::auth
