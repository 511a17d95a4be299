// Texts of rules with placeholders such as %c and %u, which stand for a value of the principal and are compared
// literally: no character of a value has a meaning of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/principal.h"

namespace trunkline::auth {

/// What a placeholder stands for. docs/access.md lists them.
enum class Field : std::uint8_t {
    client_id, user, common_name, organization, organizational_unit, serial, dns, email, san
};

/// Its name without the percent sign: "c", "u", "cn", "o", "ou", "serial", "dns", "email", "san".
[[nodiscard]] std::string_view name_of(Field field);

/// How a template compares with a text for one principal.
enum class TextMatch : std::uint8_t {
    no,
    yes,
    absent,     ///< a value that it needs does not exist, such as %u of an anonymous client
    unusable    ///< every value that could stand here breaks its place: a slash or a wildcard within a topic level
};

/// A text with placeholders: `line-%c`, `%{c}n` (braces where letters follow), `%%` for a percent sign.
class Template {
public:
    /// nullopt when a placeholder is unknown or not closed; `error` says why and names the nearest.
    [[nodiscard]] static std::optional<Template> parse(std::string_view text, std::string& error);

    [[nodiscard]] bool literal() const { return literal_; }
    [[nodiscard]] bool uses(Field field) const;
    /// The text as it was written.
    [[nodiscard]] const std::string& source() const { return source_; }
    /// The text without placeholders, `%%` resolved. Only where literal().
    [[nodiscard]] const std::string& text() const { return plain_; }

    /// Whether `level`, one level of a topic, is what this template is for `principal`. `first`: it is the first
    /// level, where a value must not begin with `$`. A field with several values matches with any of them.
    [[nodiscard]] TextMatch match_level(std::string_view level, bool first, const Principal& principal) const;
    /// The same for a text that is no topic level, so no value is unusable. With `glob`, `*` that is written in the
    /// template stands for any characters; a `*` of a value does not.
    [[nodiscard]] TextMatch match_text(std::string_view text, bool glob, const Principal& principal) const;

private:
    struct Part {
        std::string text;             // when no field
        std::optional<Field> field;
    };
    std::string source_, plain_;
    std::vector<Part> parts_;
    bool literal_ = true;

    struct Match;
};

}  // namespace trunkline::auth
