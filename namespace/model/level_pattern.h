// Regular expressions for one whole level of a topic. RE2: matching takes time linear in the name, whatever the
// expression; what RE2 rejects or what would grow too large is refused when the model is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace trunkline::uns {

class LevelPattern {
public:
    static constexpr std::size_t text_bytes_max = 1024;
    static constexpr int program_size_max = 8192;  ///< instructions of RE2's machine

    struct Error {
        std::string message, mend;
        bool too_large = false;
    };
    /// nullptr when `text` is refused; `error` then says why.
    static std::shared_ptr<const LevelPattern> compile(std::string_view text, Error& error);

    virtual ~LevelPattern() = default;
    /// True when the expression matches all of `level`. Any number of threads may ask at once.
    [[nodiscard]] virtual bool matches(std::string_view level) const = 0;
    [[nodiscard]] virtual int program_size() const = 0;
    [[nodiscard]] const std::string& text() const { return text_; }

protected:
    explicit LevelPattern(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

/// What two expressions have in common.
struct Overlap {
    bool may = false;                    ///< some text may match both
    std::optional<std::string> example;  ///< one that does; absent: only known for more than is compared
};

/// Whether some text matches both expressions, by walking the product of their automata. Never overlooks one; what it
/// can't take apart (Unicode classes, word boundaries) it takes for wider than it is. `budget` is how many pairs of
/// states may still be visited, and is lessened; at 0 the answer is "may".
[[nodiscard]] Overlap overlap(std::string_view a, std::string_view b, std::size_t& budget);

}  // namespace trunkline::uns
