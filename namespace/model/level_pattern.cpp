#include "namespace/model/level_pattern.h"

#include <re2/re2.h>

#include "namespace/model/text.h"

namespace trunkline::uns {
namespace {

// Memory of one expression: its program, and the states that RE2 caches while it matches.
constexpr std::int64_t memory_max = 256LL << 10;

class Re2LevelPattern final : public LevelPattern {
public:
    Re2LevelPattern(std::string text, const re2::RE2::Options& options)
        : LevelPattern(std::move(text)), expression_(text_, options) {}
    [[nodiscard]] bool matches(std::string_view level) const override {
        return re2::RE2::FullMatch(re2::StringPiece(level.data(), level.size()), expression_);
    }
    [[nodiscard]] int program_size() const override { return expression_.ProgramSize(); }
    [[nodiscard]] const re2::RE2& expression() const { return expression_; }

private:
    re2::RE2 expression_;
};

}  // namespace

std::shared_ptr<const LevelPattern> LevelPattern::compile(std::string_view text, Error& error) {
    if (text.size() > text_bytes_max) {
        error = {"the regular expression has " + std::to_string(text.size()) + " bytes, above 1024", "shorten it",
                 true};
        return nullptr;
    }
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(memory_max);
    auto pattern = std::make_shared<const Re2LevelPattern>(std::string(text), options);
    const re2::RE2& expression = pattern->expression();
    if (expression.ok() && expression.ProgramSize() <= program_size_max) return pattern;
    const bool too_large = expression.ok() || expression.error_code() == re2::RE2::ErrorPatternTooLarge ||
                           expression.error_code() == re2::RE2::ErrorRepeatSize;
    if (too_large) {
        error = {"the regular expression " + quote(text) + " is too large once its repetitions are counted out",
                 "use smaller repetitions: a level of a topic rarely needs more than {0,63}", true};
        return nullptr;
    }
    error = {"the regular expression " + quote(text) + " is refused: " + expression.error(), "", false};
    const bool unbounded = text.find("(?=") != std::string_view::npos || text.find("(?!") != std::string_view::npos ||
                           text.find("(?<") != std::string_view::npos ||
                           expression.error_code() == re2::RE2::ErrorBadEscape;
    error.mend = unbounded
                     ? "only what can be matched in linear time is taken (RE2): no look-around, no back-references"
                     : "write it as RE2 has it: https://github.com/google/re2/wiki/Syntax";
    return nullptr;
}

}  // namespace trunkline::uns
