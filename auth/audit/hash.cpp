#include "auth/audit/hash.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include <boost/endian/conversion.hpp>

#include "auth/audit/error.h"
#include "auth/audit/sha256_ni.h"

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

Digest openssl_sha256(std::string_view bytes) {
    Context& hash = context();
    hash.start();
    hash.add(bytes);
    return hash.finish();
}

/// One message on its way through sha256_ni: its whole blocks where they lie, then its end with the padding. A short
/// one is all end, so that there is one run over it and not two.
class Message {
public:
    explicit Message(std::string_view bytes) : data_(reinterpret_cast<const unsigned char*>(bytes.data())) {
        constexpr std::size_t padding = 1 + sizeof(std::uint64_t);
        if (bytes.size() + padding > sizeof end_) blocks_ = bytes.size() / block;
        const std::size_t rest = bytes.size() - blocks_ * block;
        end_blocks_ = (rest + padding + block - 1) / block;
        if (rest > 0) std::memcpy(end_, data_ + blocks_ * block, rest);
        std::memset(end_ + rest, 0, end_blocks_ * block - rest);
        end_[rest] = 0x80;
        boost::endian::store_big_u64(end_ + end_blocks_ * block - sizeof(std::uint64_t), bytes.size() * 8);
    }
    Message(const Message&) = delete;
    Message& operator=(const Message&) = delete;

    void run() {
        add(data_, blocks_);
        add(end_, end_blocks_);
    }
    static void run(Message& a, Message& b) {
        const std::size_t both = std::min(a.blocks_, b.blocks_);
        if (both > 0) ni::compress_two(a.state_, a.data_, b.state_, b.data_, both);
        for (Message* one : {&a, &b}) one->add(one->data_ + both * block, one->blocks_ - both);
        const std::size_t ends = std::min(a.end_blocks_, b.end_blocks_);
        ni::compress_two(a.state_, a.end_, b.state_, b.end_, ends);
        for (Message* one : {&a, &b}) one->add(one->end_ + ends * block, one->end_blocks_ - ends);
    }
    void put(Digest& digest) const {
        for (std::size_t i = 0; i < std::size(state_); ++i)
            boost::endian::store_big_u32(digest.data() + 4 * i, state_[i]);
    }

private:
    void add(const unsigned char* data, std::size_t blocks) {
        if (blocks > 0) ni::compress(state_, data, blocks);
    }
    static constexpr std::size_t block = 64;
    std::uint32_t state_[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,   // FIPS 180-4, section 5.3.3
                               0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    const unsigned char* data_;
    std::size_t blocks_ = 0, end_blocks_;
    unsigned char end_[4 * block];
};

bool ni_agrees_with_openssl() {
    std::string a, b;
    for (int i = 0; i < 300; ++i) a += static_cast<char>(i * 7), b += static_cast<char>(i * 11 + 1);
    for (std::size_t size = 0; size < a.size(); size += 13) {
        Message first(std::string_view(a).substr(size)), second(std::string_view(b).substr(0, size)), alone(b);
        Message::run(first, second);
        alone.run();
        Digest hashes[3];
        first.put(hashes[0]), second.put(hashes[1]), alone.put(hashes[2]);
        if (hashes[0] != openssl_sha256(std::string_view(a).substr(size)) ||
            hashes[1] != openssl_sha256(std::string_view(b).substr(0, size)) || hashes[2] != openssl_sha256(b))
            return false;
    }
    return true;
}

bool use_ni() {
    static const bool use = ni::available() && ni_agrees_with_openssl();
    return use;
}

struct NodeBytes {
    char bytes[1 + 2 * sizeof(Digest)];
    NodeBytes(const Digest& left, const Digest& right) {
        bytes[0] = 0x01;
        std::memcpy(bytes + 1, left.data(), left.size());
        std::memcpy(bytes + 1 + left.size(), right.data(), right.size());
    }
    [[nodiscard]] std::string_view view() const { return {bytes, sizeof bytes}; }
};

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

Digest sha256(std::string_view bytes) {
    if (!use_ni()) return openssl_sha256(bytes);
    Message message(bytes);
    message.run();
    Digest digest;
    message.put(digest);
    return digest;
}

void sha256_two(std::string_view a, std::string_view b, Digest& hash_a, Digest& hash_b) {
    if (!use_ni()) {
        hash_a = openssl_sha256(a);
        hash_b = openssl_sha256(b);
        return;
    }
    Message first(a), second(b);
    Message::run(first, second);
    first.put(hash_a);
    second.put(hash_b);
}

Digest hash_node(const Digest& left, const Digest& right) { return sha256(NodeBytes(left, right).view()); }

void hash_nodes(const Digest* children, std::size_t pairs, Digest* parents) {
    std::size_t i = 0;
    for (; i + 2 <= pairs; i += 2) {
        const NodeBytes first(children[2 * i], children[2 * i + 1]), second(children[2 * i + 2], children[2 * i + 3]);
        sha256_two(first.view(), second.view(), parents[i], parents[i + 1]);
    }
    if (i < pairs) parents[i] = hash_node(children[2 * i], children[2 * i + 1]);
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
