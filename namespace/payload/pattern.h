// Regular expressions in linear time, by RE2.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>

namespace re2 {
class RE2;
}

namespace trunkline::uns {

/// A compiled regular expression. Immutable; matches() is thread safe and takes time linear in the text.
class Pattern {
public:
    enum class Reach { whole, anywhere };    ///< must match all of the text, or a part
    enum class Dialect { re2, ecma };        ///< as RE2 reads it, or ECMA 262, which JSON Schema uses

    struct Error {
        std::string message, mend;
    };
    /// Compiles `source`, UTF-8. Refuses what needs backtracking (references, look-around), what is longer than 4 KiB
    /// or needs more than 256 KiB, and of ECMA 262 also what RE2 would read otherwise.
    [[nodiscard]] static std::variant<Pattern, Error> compile(std::string_view source, Reach reach, Dialect dialect);

    Pattern(Pattern&&) noexcept;
    Pattern& operator=(Pattern&&) noexcept;
    ~Pattern();

    [[nodiscard]] bool matches(std::string_view text) const;
    [[nodiscard]] const std::string& source() const { return source_; }

private:
    Pattern(std::string source, Reach reach, std::unique_ptr<const re2::RE2> compiled);

    std::string source_;    // as written
    Reach reach_;
    std::unique_ptr<const re2::RE2> compiled_;
};

}  // namespace trunkline::uns
