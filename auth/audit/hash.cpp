#include "auth/audit/hash.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "auth/audit/error.h"

namespace trunkline::auth::audit {
namespace {

/// OpenSSL's algorithm and context of one thread. Without SHA-256 there is no audit trail and no broker.
class Context {
public:
    Context() : algorithm_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
        if (!algorithm_ || !context_) stop();
    }
    ~Context() {
        EVP_MD_CTX_free(context_);
        EVP_MD_free(algorithm_);
    }
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    void start() {
        if (EVP_DigestInit_ex2(context_, algorithm_, nullptr) != 1) stop();
    }
    void add(std::string_view bytes) {
        if (EVP_DigestUpdate(context_, bytes.data(), bytes.size()) != 1) stop();
    }
    Digest finish() {
        Digest digest;
        unsigned size = 0;
        if (EVP_DigestFinal_ex(context_, digest.data(), &size) != 1 || size != digest.size()) stop();
        return digest;
    }

private:
    [[noreturn]] static void stop() {
        std::fputs("trunkline: OpenSSL gives no SHA-256; its default provider must be loaded\n", stderr);
        std::abort();
    }
    EVP_MD* algorithm_;
    EVP_MD_CTX* context_;
};

Context& context() {
    thread_local Context instance;
    return instance;
}

constexpr std::string_view base64_alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> base64_values = [] {
    std::array<std::int8_t, 256> values{};
    values.fill(-1);
    for (std::size_t i = 0; i < base64_alphabet.size(); ++i)
        values[static_cast<unsigned char>(base64_alphabet[i])] = static_cast<std::int8_t>(i);
    return values;
}();

std::optional<Digest> to_digest(const std::optional<std::string>& bytes) {
    Digest digest;
    if (!bytes || bytes->size() != digest.size()) return std::nullopt;
    std::memcpy(digest.data(), bytes->data(), digest.size());
    return digest;
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

void throw_exception_from_error(const Error& error, const boost::source_location&) {
    std::fprintf(stderr, "trunkline: unexpected failure of the audit trail: %s\n", error.message.c_str());
    std::abort();
}

Digest sha256(std::initializer_list<std::string_view> parts) {
    Context& hash = context();
    hash.start();
    for (const auto part : parts) hash.add(part);
    return hash.finish();
}

Digest hash_leaf(std::string_view data) {
    Context& hash = context();
    hash.start();
    hash.add(std::string_view("\x00", 1));
    hash.add(data);
    return hash.finish();
}

Digest hash_node(const Digest& left, const Digest& right) {
    char bytes[1 + 2 * sizeof(Digest)] = {0x01};
    std::memcpy(bytes + 1, left.data(), left.size());
    std::memcpy(bytes + 1 + left.size(), right.data(), right.size());
    Context& hash = context();
    hash.start();
    hash.add({bytes, sizeof bytes});
    return hash.finish();
}

std::string to_hex(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const unsigned char byte : bytes) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

std::optional<std::string> from_hex(std::string_view text) {
    if (text.size() % 2) return std::nullopt;
    std::string bytes;
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const int high = hex_value(text[i]), low = hex_value(text[i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        bytes += static_cast<char>(high << 4 | low);
    }
    return bytes;
}

std::string to_base64(std::string_view bytes) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t group = 0;
        for (std::size_t k = 0; k < 3; ++k)
            group = group << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0U);
        for (std::size_t k = 0; k < 4; ++k) text += k <= count ? base64_alphabet[group >> (18 - 6 * k) & 63] : '=';
    }
    return text;
}

std::optional<std::string> from_base64(std::string_view text) {
    if (text.size() % 4) return std::nullopt;
    std::string bytes;
    bytes.reserve(text.size() / 4 * 3);
    for (std::size_t i = 0; i < text.size(); i += 4) {
        std::size_t count = 4;
        if (i + 4 == text.size()) count = text[i + 3] != '=' ? 4 : text[i + 2] != '=' ? 3 : 2;
        std::uint32_t group = 0;
        for (std::size_t k = 0; k < 4; ++k) {
            const int value = k < count ? base64_values[static_cast<unsigned char>(text[i + k])] : 0;
            if (value < 0) return std::nullopt;
            group = group << 6 | static_cast<std::uint32_t>(value);
        }
        if ((count == 3 && group & 0xFFU) || (count == 2 && group & 0xFFFFU)) return std::nullopt;
        for (std::size_t k = 0; k + 1 < count; ++k) bytes += static_cast<char>(group >> (16 - 8 * k) & 255);
    }
    return bytes;
}

std::optional<Digest> digest_from_base64(std::string_view text) { return to_digest(from_base64(text)); }
std::optional<Digest> digest_from_hex(std::string_view text) { return to_digest(from_hex(text)); }

}  // namespace trunkline::auth::audit
