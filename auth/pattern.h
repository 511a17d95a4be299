// The topic filter of a rule: levels that are texts, placeholders, `+` or `#`, compared with topics and with the
// filters that clients ask for. Pure functions of the filter and the principal.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/placeholder.h"

namespace trunkline::auth {

struct PatternLevel {
    enum class Kind : std::uint8_t { text, placeholder, plus, hash };
    Kind kind = Kind::text;
    Template text;              ///< of text and placeholder
};

/// A filter as a rule writes it. A topic that begins with `$` is matched only by a filter that is written with a
/// leading `$`: neither a wildcard nor a value reaches it.
class Pattern {
public:
    /// nullopt when it is no filter, or names an unknown placeholder; `error` says why.
    [[nodiscard]] static std::optional<Pattern> parse(std::string_view text, std::string& error);

    [[nodiscard]] const std::vector<PatternLevel>& levels() const { return levels_; }
    [[nodiscard]] const std::string& source() const { return source_; }
    [[nodiscard]] bool per_principal() const { return per_principal_; }

private:
    std::string source_;
    std::vector<PatternLevel> levels_;
    bool per_principal_ = false;
};

/// How a pattern relates to the topics of a plain filter.
enum class Relation : std::uint8_t {
    apart,      ///< no topic that the filter matches
    part,       ///< some of them, or it cannot be told for all
    covers      ///< each of them
};

/// Compares with a plain filter (no `$share/`) that is valid, for one principal. `fail_closed`: a placeholder whose
/// value is unusable in its place stands for any level (for rules that deny); else it matches nothing.
/// A topic name is a filter without wildcards: it is covered or apart, never part.
[[nodiscard]] Relation relate(const Pattern& pattern, std::string_view filter, const Principal& principal,
                              bool fail_closed);

/// The same between two filters without placeholders.
[[nodiscard]] Relation relate(std::string_view pattern, std::string_view filter);

}  // namespace trunkline::auth
