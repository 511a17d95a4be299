#include "broker/core/name_book.h"

#include <algorithm>
#include <utility>

#include <xxhash.h>

#include "namespace/model/text.h"

namespace trunkline::broker {
namespace {

/// Calls visit(hash of the folded path down to the level, level) for each level until it returns false.
template <class Visit>
void for_each_level(std::string_view topic, Visit&& visit) {
    const std::string folded = uns::is_folded(topic) ? std::string() : uns::fold_case(topic);
    std::string_view rest = folded.empty() ? topic : folded;
    std::uint64_t hash = 0;
    while (true) {
        const std::size_t end = std::min(topic.find('/'), topic.size());
        const std::size_t folded_end = std::min(rest.find('/'), rest.size());
        hash = XXH3_64bits_withSeed(rest.data(), folded_end, hash + 1);
        if (!visit(hash, topic.substr(0, end)) || end == topic.size()) return;
        topic.remove_prefix(end + 1);
        rest.remove_prefix(folded_end + 1);
    }
}

}  // namespace

std::string NameBook::same_but_case(std::string_view topic) const {
    std::string spelt;
    bool differs = false, first = true;
    const std::lock_guard lock(mutex_);
    for_each_level(topic, [&](std::uint64_t hash, std::string_view level) {
        const auto at = names_.find(hash);
        const std::string_view name = at == names_.end() ? level : std::string_view(at->second);
        differs |= name != level;
        spelt.append(std::exchange(first, false) ? "" : "/").append(name);
        return true;
    });
    return differs ? spelt : std::string();
}

bool NameBook::claim(std::string_view topic) {
    bool mine = true;
    const std::lock_guard lock(mutex_);
    for_each_level(topic, [&](std::uint64_t hash, std::string_view level) {
        const auto at = names_.find(hash);
        if (at != names_.end()) {
            mine = at->second == level;
        } else if (names_.size() < names_max) {
            names_.emplace(hash, level);
        }
        return mine;
    });
    return mine;
}

void NameBook::swap(NameBook& other) {
    const std::scoped_lock lock(mutex_, other.mutex_);
    names_.swap(other.names_);
}

}  // namespace trunkline::broker
