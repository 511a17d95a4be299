// Signed notes as C2SP's signed-note describes them (the format of Go's checksum database): a text, a blank line, and
// signature lines. Ed25519 alone. Other programs for such notes can check ours.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "auth/audit/error.h"
#include "auth/audit/hash.h"

struct evp_pkey_st;

namespace trunkline::auth::audit {

/// Names of keys and origins of trails: 1 to 128 printable ASCII characters without space and '+'.
[[nodiscard]] bool is_key_name(std::string_view name);

struct VerifyKey {
    std::string name;
    std::array<unsigned char, 32> bytes{};

    /// NAME+ID+BASE64: what inspectors keep, and what `trunkaudit --key` takes.
    [[nodiscard]] static Result<VerifyKey> parse(std::string_view text);
    [[nodiscard]] std::string to_text() const;
    /// The first four bytes of SHA-256 of name, line feed, 0x01 and key.
    [[nodiscard]] std::uint32_t id() const;
    [[nodiscard]] bool verify(std::string_view text, std::string_view signature) const;
    bool operator==(const VerifyKey&) const = default;
};

class SigningKey {
public:
    [[nodiscard]] static Result<SigningKey> generate(std::string name);
    /// PRIVATE+KEY+NAME+ID+BASE64, with or without a line feed at the end.
    [[nodiscard]] static Result<SigningKey> parse(std::string_view text);
    /// The secret, for a file of mode 0600.
    [[nodiscard]] std::string to_secret_text() const;
    [[nodiscard]] const VerifyKey& verify_key() const { return public_; }
    /// 64 bytes.
    [[nodiscard]] std::string sign(std::string_view text) const;

private:
    SigningKey() = default;
    static Result<SigningKey> from_seed(std::string name, std::string_view seed);
    VerifyKey public_;
    std::shared_ptr<evp_pkey_st> key_;
};

struct NoteSignature {
    std::string name;
    std::uint32_t id = 0;
    std::string signature;
};

struct Note {
    std::string text;  ///< with its last line feed
    std::vector<NoteSignature> signatures;

    /// Signed by this key, and validly. A signature line of that key which is wrong makes the answer no.
    [[nodiscard]] bool is_signed_by(const VerifyKey& key) const;
};

/// `text` ends in a line feed and holds no empty line.
[[nodiscard]] std::string sign_note(std::string_view text, const std::vector<const SigningKey*>& keys);
[[nodiscard]] Result<Note> parse_note(std::string_view note);

}  // namespace trunkline::auth::audit
