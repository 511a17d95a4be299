#include "auth/nearest.h"

#include <algorithm>
#include <array>

namespace trunkline::auth {
namespace {

constexpr std::size_t word_bytes_max = 64;

// Optimal string alignment, three rows at a time. Both words are at most word_bytes_max long.
std::size_t distance(std::string_view a, std::string_view b) {
    std::array<std::array<std::size_t, word_bytes_max + 1>, 3> rows{};
    for (std::size_t j = 0; j <= b.size(); ++j) rows[0][j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        auto& row = rows[i % 3];
        const auto& above = rows[(i - 1) % 3];
        const auto& two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = std::min(row[j], two_above[j - 2] + 1);
            }
        }
    }
    return rows[a.size() % 3][b.size()];
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
    std::string best;
    if (word.size() > word_bytes_max) return best;
    std::size_t least = std::max<std::size_t>(2, word.size() / 2) + 1;
    for (const std::string& candidate : candidates) {
        if (candidate.size() > word_bytes_max) continue;
        const std::size_t found = distance(word, candidate);
        if (found < least) {
            least = found;
            best = candidate;
        }
    }
    return best;
}

}  // namespace trunkline::auth
