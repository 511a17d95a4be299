#include "tests/sim/story.h"

#include <xxhash.h>

namespace trunkline::sim {

void Story::mix(std::uint64_t value) {
    hash_ = (hash_ ^ value) * 0xFF51AFD7ED558CCDull;
    hash_ ^= hash_ >> 29;
}

void Story::mix(std::string_view text) { mix(XXH3_64bits(text.data(), text.size())); }

void Story::tell(std::int64_t now_ms, std::string_view who, std::string_view what,
                 std::initializer_list<std::uint64_t> numbers, std::string_view text) {
    mix(static_cast<std::uint64_t>(now_ms));
    mix(who);
    mix(what);
    for (const std::uint64_t number : numbers) mix(number);
    mix(text);
    if (lines_max_ == 0) return;
    std::string line = std::to_string(now_ms) + " ms  " + std::string(who) + ' ' + std::string(what);
    for (const std::uint64_t number : numbers) line += ' ' + std::to_string(number);
    if (!text.empty()) line += ' ' + std::string(text);
    tail_.push_back(std::move(line));
    if (tail_.size() > lines_max_) tail_.pop_front();
}

}  // namespace trunkline::sim
