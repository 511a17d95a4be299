// Topic names and filters as text: validity, levels, matching (OASIS MQTT 5.0, section 4.7). Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace trunkline::uns {

/// A topic name: at least one byte, no wildcard, no U+0000. UTF-8 is the decoder's business.
[[nodiscard]] bool is_valid_topic_name(std::string_view topic);

/// A plain filter: at least one byte, `#` only last and alone in its level, `+` alone in its level
/// ([MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.3-1], [MQTT-4.7.3-2]).
[[nodiscard]] bool is_valid_topic_filter(std::string_view filter);

/// `$share/NAME/FILTER` taken apart. `group` is empty when the text is no shared subscription.
struct SharedFilter {
    bool valid = true;           // false: starts with $share/ but breaks [MQTT-4.8.2-1] or [MQTT-4.8.2-2]
    std::string_view group;      // empty: an ordinary filter
    std::string_view filter;     // what topics are matched with
};
[[nodiscard]] SharedFilter parse_shared(std::string_view text);

/// True when `topic` matches the plain filter `filter`. A filter starting with a wildcard does not match a topic
/// starting with `$` [MQTT-4.7.2-1].
[[nodiscard]] bool matches(std::string_view filter, std::string_view topic);

/// How many levels: one more than there are slashes.
[[nodiscard]] std::size_t level_count(std::string_view topic);

[[nodiscard]] inline bool has_wildcard(std::string_view filter) {
    return filter.find_first_of("+#") != std::string_view::npos;
}

/// Walks the levels of a topic from the left without copying: `for (LevelCursor at(topic); !at.done(); at.next())`.
class LevelCursor {
public:
    explicit LevelCursor(std::string_view topic) : rest_(topic) { cut(); }
    [[nodiscard]] bool done() const { return done_; }
    [[nodiscard]] std::string_view level() const { return level_; }
    [[nodiscard]] bool is_last() const { return last_; }
    void next() {
        if (last_) { done_ = true; return; }
        cut();
    }

private:
    void cut() {
        const std::size_t slash = rest_.find('/');
        last_ = slash == std::string_view::npos;
        level_ = rest_.substr(0, slash);
        if (!last_) rest_.remove_prefix(slash + 1);
    }
    std::string_view rest_, level_;
    bool last_ = false, done_ = false;
};

/// Levels into a vector that the caller reuses.
void split_levels(std::string_view topic, std::vector<std::string_view>& levels);

}  // namespace trunkline::uns
