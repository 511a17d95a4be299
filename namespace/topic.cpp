#include "namespace/topic.h"

#include <algorithm>

namespace trunkline::uns {

bool is_valid_topic_name(std::string_view topic) {
    return !topic.empty() && topic.find_first_of(std::string_view("+#\0", 3)) == std::string_view::npos;
}

bool is_valid_topic_filter(std::string_view filter) {
    if (filter.empty() || filter.find('\0') != std::string_view::npos) return false;
    for (LevelCursor at(filter); !at.done(); at.next()) {
        const std::string_view level = at.level();
        if (level.size() > 1 && has_wildcard(level)) return false;
        if (level == "#" && !at.is_last()) return false;
    }
    return true;
}

SharedFilter parse_shared(std::string_view text) {
    constexpr std::string_view prefix = "$share/";
    if (text == "$share") return {false, {}, {}};
    if (!text.starts_with(prefix)) return {true, {}, text};
    text.remove_prefix(prefix.size());
    const std::size_t slash = text.find('/');
    if (slash == 0 || slash == std::string_view::npos) return {false, {}, {}};
    const SharedFilter shared{true, text.substr(0, slash), text.substr(slash + 1)};
    if (has_wildcard(shared.group) || shared.filter.empty()) return {false, {}, {}};
    return shared;
}

bool matches(std::string_view filter, std::string_view topic) {
    if (!topic.empty() && topic.front() == '$' && !filter.empty() && (filter.front() == '+' || filter.front() == '#')) {
        return false;
    }
    LevelCursor want(filter), have(topic);
    for (; !want.done(); want.next(), have.next()) {
        if (want.level() == "#") return true;  // also matches the parent level
        if (have.done() || (want.level() != "+" && want.level() != have.level())) return false;
    }
    return have.done();
}

std::size_t level_count(std::string_view topic) {
    return 1 + static_cast<std::size_t>(std::count(topic.begin(), topic.end(), '/'));
}

void split_levels(std::string_view topic, std::vector<std::string_view>& levels) {
    levels.clear();
    for (LevelCursor at(topic); !at.done(); at.next()) levels.push_back(at.level());
}

}  // namespace trunkline::uns
