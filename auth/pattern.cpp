#include "auth/pattern.h"

#include "namespace/topic.h"

namespace trunkline::auth {
namespace {

using Kind = PatternLevel::Kind;

// One level of a pattern against one level of a filter that is no `#`.
Relation relate_level(const PatternLevel& want, std::string_view level, bool first, const Principal& principal,
                      bool fail_closed) {
    if (want.kind == Kind::plus) return Relation::covers;
    if (want.kind == Kind::text) {
        if (level == "+") return Relation::part;
        return want.text.text() == level ? Relation::covers : Relation::apart;
    }
    switch (want.text.match_level(level, first, principal)) {
        case TextMatch::yes: return Relation::covers;
        case TextMatch::no: return level == "+" ? Relation::part : Relation::apart;
        case TextMatch::absent: return Relation::apart;
        case TextMatch::unusable: break;
    }
    return fail_closed ? Relation::covers : Relation::apart;
}

}  // namespace

std::optional<Pattern> Pattern::parse(std::string_view text, std::string& error) {
    if (text.starts_with("$share/") || text == "$share") {
        error = "a rule is about topics: write the filter alone, without $share and the group";
        return std::nullopt;
    }
    if (!uns::is_valid_topic_filter(text)) {
        error = text.empty() ? "a filter has at least one character"
                             : "this is no topic filter: + and # stand alone in their level, # only at the end";
        return std::nullopt;
    }
    Pattern made;
    made.source_ = text;
    for (uns::LevelCursor at(text); !at.done(); at.next()) {
        PatternLevel level;
        if (at.level() == "+") {
            level.kind = Kind::plus;
        } else if (at.level() == "#") {
            level.kind = Kind::hash;
        } else {
            auto parsed = Template::parse(at.level(), error);
            if (!parsed) return std::nullopt;
            level.kind = parsed->literal() ? Kind::text : Kind::placeholder;
            made.per_principal_ = made.per_principal_ || !parsed->literal();
            level.text = std::move(*parsed);
        }
        made.levels_.push_back(std::move(level));
    }
    return made;
}

Relation relate(const Pattern& pattern, std::string_view filter, const Principal& principal, bool fail_closed) {
    const auto& levels = pattern.levels();
    const bool filter_wild = filter.front() == '+' || filter.front() == '#';
    const bool dollar_text = levels.front().kind != Kind::plus && levels.front().kind != Kind::hash &&
                             levels.front().text.source().starts_with('$');
    // [MQTT-4.7.2-1]: topics that begin with $ are a world of their own. `+` or `#` in front is never in it.
    if (filter.front() == '$' && !dollar_text) return Relation::apart;
    if (filter_wild && dollar_text) return Relation::apart;
    if (filter == "+" && pattern.source() == "/#") return Relation::apart;  // they share the empty text alone, no topic

    Relation so_far = Relation::covers;
    std::size_t i = 0;
    for (uns::LevelCursor at(filter); !at.done(); at.next(), ++i) {
        if (i < levels.size() && levels[i].kind == Kind::hash) return so_far;
        if (at.level() == "#") {
            // The filter has its parent level too, and everything below. In `#` and `/#` the parent is the empty text,
            // which is no topic: there, `+/#` has as many topics as `#`, and a pattern that ends above has none.
            if (i == 0 || filter == "/#") {
                if (i == levels.size()) return Relation::apart;
                if (levels.size() == i + 2 && levels[i].kind == Kind::plus && levels[i + 1].kind == Kind::hash) {
                    return so_far;
                }
            }
            // What is left of the pattern may still be impossible for this principal.
            for (; i < levels.size(); ++i) {
                if (levels[i].kind != Kind::placeholder) continue;
                const Relation at_level = relate_level(levels[i], "+", i == 0, principal, fail_closed);
                if (at_level == Relation::apart) return Relation::apart;
            }
            return Relation::part;
        }
        if (i >= levels.size()) return Relation::apart;
        const Relation here = relate_level(levels[i], at.level(), i == 0, principal, fail_closed);
        if (here == Relation::apart) return Relation::apart;
        if (here == Relation::part) so_far = Relation::part;
    }
    if (i < levels.size() && levels[i].kind != Kind::hash) return Relation::apart;
    return so_far;
}

Relation relate(std::string_view pattern, std::string_view filter) {
    std::string escaped, error;
    for (const char c : pattern) escaped.append(c == '%' ? 2 : 1, c);
    const auto parsed = Pattern::parse(escaped, error);
    return parsed && uns::is_valid_topic_filter(filter) ? relate(*parsed, filter, {}, false) : Relation::apart;
}

}  // namespace trunkline::auth
