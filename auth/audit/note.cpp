#include "auth/audit/note.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <cstring>

namespace trunkline::auth::audit {
namespace {

constexpr std::string_view private_start = "PRIVATE+KEY+";
constexpr std::string_view signature_start = "\xE2\x80\x94 ";  // em dash and space
constexpr char algorithm_ed25519 = 1;
constexpr std::size_t note_bytes_max = 65536, signatures_max = 16;

using PKey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using MdContext = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

const unsigned char* raw(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

std::string hex_of(std::uint32_t id) {
    const char bytes[] = {static_cast<char>(id >> 24), static_cast<char>(id >> 16), static_cast<char>(id >> 8),
                          static_cast<char>(id)};
    return to_hex({bytes, sizeof bytes});
}

std::uint32_t id_of(std::string_view bytes) {
    std::uint32_t id = 0;
    for (int i = 0; i < 4; ++i) id = id << 8 | static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
    return id;
}

/// The three parts of NAME+ID+BASE64; Base64 may hold '+', names may not.
struct KeyText {
    std::string name;
    std::string id;
    std::string bytes;  ///< 32
};

Result<KeyText> split_key(std::string_view text, const char* what) {
    const auto wrong = [&](const char* why) { return invalid(std::string(what) + ": " + why); };
    const std::size_t first = text.find('+');
    const std::size_t second = first == std::string_view::npos ? first : text.find('+', first + 1);
    if (second == std::string_view::npos) return wrong("must look like NAME+ID+BASE64");
    KeyText parts;
    parts.name = text.substr(0, first);
    parts.id = text.substr(first + 1, second - first - 1);
    const auto bytes = from_base64(text.substr(second + 1));
    if (!is_key_name(parts.name))
        return wrong("its name is empty, too long or has characters that a name may not have");
    if (!bytes || bytes->size() != 33 || bytes->front() != algorithm_ed25519)
        return wrong("its last part is not the Base64 of an Ed25519 key");
    parts.bytes = bytes->substr(1);
    return parts;
}

}  // namespace

bool is_key_name(std::string_view name) {
    if (name.empty() || name.size() > 128) return false;
    for (const char c : name)
        if (c <= ' ' || c > '~' || c == '+') return false;
    return true;
}

std::uint32_t VerifyKey::id() const {
    const Digest digest = sha256({name, "\n\x01", {reinterpret_cast<const char*>(bytes.data()), bytes.size()}});
    return id_of(view(digest));
}

std::string VerifyKey::to_text() const {
    std::string key(1, algorithm_ed25519);
    key.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return name + "+" + hex_of(id()) + "+" + to_base64(key);
}

Result<VerifyKey> VerifyKey::parse(std::string_view text) {
    while (text.ends_with('\n')) text.remove_suffix(1);
    const auto parts = split_key(text, "public key");
    if (!parts) return parts.error();
    VerifyKey key;
    key.name = parts->name;
    std::memcpy(key.bytes.data(), parts->bytes.data(), key.bytes.size());
    if (hex_of(key.id()) != parts->id) return invalid("public key: its id does not belong to it; a character is wrong");
    return key;
}

bool VerifyKey::verify(std::string_view text, std::string_view signature) const {
    if (signature.size() != 64) return false;
    const PKey key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes.data(), bytes.size()), EVP_PKEY_free);
    const MdContext context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    return key && context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
           EVP_DigestVerify(context.get(), raw(signature), signature.size(), raw(text), text.size()) == 1;
}

Result<SigningKey> SigningKey::from_seed(std::string name, std::string_view seed) {
    SigningKey made;
    made.key_ = {EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, raw(seed), seed.size()), EVP_PKEY_free};
    std::size_t size = made.public_.bytes.size();
    if (!made.key_ || EVP_PKEY_get_raw_public_key(made.key_.get(), made.public_.bytes.data(), &size) != 1)
        return invalid("OpenSSL takes no Ed25519 key");
    made.public_.name = std::move(name);
    return made;
}

Result<SigningKey> SigningKey::generate(std::string name) {
    if (!is_key_name(name)) return invalid("\"" + name + "\" cannot name a key: 1 to 128 characters, no space, no '+'");
    unsigned char seed[32];
    if (RAND_bytes(seed, sizeof seed) != 1) return Error{Failure::failed, "OpenSSL has no random bytes"};
    return from_seed(std::move(name), {reinterpret_cast<const char*>(seed), sizeof seed});
}

Result<SigningKey> SigningKey::parse(std::string_view text) {
    while (text.ends_with('\n')) text.remove_suffix(1);
    if (!text.starts_with(private_start)) return invalid("private key: must start with PRIVATE+KEY+");
    const auto parts = split_key(text.substr(private_start.size()), "private key");
    if (!parts) return parts.error();
    auto key = from_seed(parts->name, parts->bytes);
    if (key && hex_of(key->verify_key().id()) != parts->id) return invalid("private key: its id does not belong to it");
    return key;
}

std::string SigningKey::to_secret_text() const {
    unsigned char seed[32];
    std::size_t size = sizeof seed;
    if (EVP_PKEY_get_raw_private_key(key_.get(), seed, &size) != 1) return {};
    std::string bytes(1, algorithm_ed25519);
    bytes.append(reinterpret_cast<const char*>(seed), size);
    return std::string(private_start) + public_.name + "+" + hex_of(public_.id()) + "+" + to_base64(bytes);
}

std::string SigningKey::sign(std::string_view text) const {
    std::string signature(64, '\0');
    std::size_t size = signature.size();
    const MdContext context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    if (!context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) != 1 ||
        EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, raw(text),
                       text.size()) != 1)
        return {};
    return signature;
}

bool Note::is_signed_by(const VerifyKey& key) const {
    const std::uint32_t id = key.id();
    bool found = false;
    for (const auto& line : signatures) {
        if (line.name != key.name || line.id != id) continue;
        if (!key.verify(text, line.signature)) return false;
        found = true;
    }
    return found;
}

std::string sign_note(std::string_view text, const std::vector<const SigningKey*>& keys) {
    std::string note(text);
    note += '\n';
    for (const SigningKey* key : keys) {
        const std::uint32_t id = key->verify_key().id();
        const char id_bytes[] = {static_cast<char>(id >> 24), static_cast<char>(id >> 16), static_cast<char>(id >> 8),
                                 static_cast<char>(id)};
        note += signature_start;
        note += key->verify_key().name + " " + to_base64(std::string(id_bytes, 4) + key->sign(text)) + "\n";
    }
    return note;
}

Result<Note> parse_note(std::string_view bytes) {
    if (bytes.size() > note_bytes_max) return invalid("a note of more than 64 KiB");
    const std::size_t blank = bytes.rfind("\n\n");
    if (blank == std::string_view::npos || blank == 0 || !bytes.ends_with('\n'))
        return invalid("not a signed note: a text, an empty line and signature lines");
    Note note;
    note.text = bytes.substr(0, blank + 1);
    for (const char c : note.text)
        if (static_cast<unsigned char>(c) < 0x20 && c != '\n') return invalid("a note with a control character");
    std::string_view rest = bytes.substr(blank + 2);
    while (!rest.empty()) {
        const std::size_t end = rest.find('\n');
        std::string_view line = rest.substr(0, end);
        rest.remove_prefix(end + 1);
        if (!line.starts_with(signature_start)) return invalid("a signature line that does not start with a dash");
        line.remove_prefix(signature_start.size());
        const std::size_t space = line.find(' ');
        if (space == std::string_view::npos || !is_key_name(line.substr(0, space)))
            return invalid("a signature line without a key's name");
        const auto signature = from_base64(line.substr(space + 1));
        if (!signature || signature->size() < 5) return invalid("a signature line that is not Base64");
        if (note.signatures.size() == signatures_max) return invalid("a note with more than 16 signatures");
        note.signatures.push_back({std::string(line.substr(0, space)), id_of(*signature), signature->substr(4)});
    }
    if (note.signatures.empty()) return invalid("a note without a signature");
    return note;
}

}  // namespace trunkline::auth::audit
