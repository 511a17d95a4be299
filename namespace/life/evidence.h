// What was observed of a topic, or of one member over many assets: formats, values, units, times, publishers. Bounded.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "namespace/payload/contract.h"
#include "namespace/traffic.h"

namespace trunkline::uns {

struct Evidence {
    static constexpr std::size_t strings_max = 32;  ///< different texts that are kept
    static constexpr std::size_t units_max = 8;
    static constexpr std::size_t shapes_max = 8;  ///< different sets of keys of a JSON object
    static constexpr std::size_t clients_max = 16;

    std::uint64_t messages = 0, samples = 0, topics = 0;
    std::uint64_t truncated = 0, retained = 0, empty = 0;
    std::array<std::uint64_t, 7> formats{};  ///< by PayloadSpec::Format, as guessed
    std::array<std::uint64_t, 7> kinds{};    ///< by ValueType::Kind; any: null
    std::optional<double> min, max;
    std::set<std::string> strings;
    bool more_strings = false;
    std::map<std::string, std::uint64_t> units;
    std::uint64_t without_unit = 0;
    std::set<std::string> shapes;  ///< "batch, state, timestamp"
    std::map<std::string, std::uint64_t> clients;
    bool falls = false, rises = false;       ///< some number was below, above the one before it on its topic
    std::int64_t first_ms = 0, last_ms = 0;  ///< since 1970
    bool thinned = false;                    ///< samples stand for messages that are not shown
    std::uint64_t gaps = 0;                  ///< between messages of one topic
    std::int64_t gap_max_ms = 0, gap_sum_ms = 0;
    std::uint64_t steady_topics = 0, unsteady_topics = 0, unknown_topics = 0;  ///< by how regular they come
    std::int64_t period_max_ms = 0;  ///< the longest gap on a topic that comes regularly

    void merge(const Evidence& other);

    [[nodiscard]] std::uint64_t of(PayloadSpec::Format format) const {
        return formats[static_cast<std::size_t>(format)];
    }
    [[nodiscard]] std::uint64_t of(ValueType::Kind kind) const { return kinds[static_cast<std::size_t>(kind)]; }
};

/// Gathers the evidence of one topic, whose samples may come in any order of time.
class TopicEvidence {
public:
    void take(const TrafficSample& sample);
    /// After the last sample: judges how regular they come and which way the values go; forgets them.
    Evidence end();
    [[nodiscard]] const Evidence& so_far() const { return evidence_; }

private:
    static constexpr std::size_t series_max = 20'000;
    void judge_times();
    void judge_numbers();

    Evidence evidence_;
    std::vector<std::int64_t> times_;
    std::vector<std::pair<std::int64_t, double>> numbers_;
};

/// The keys of a JSON object, sorted, as "batch, state"; empty: it is none.
[[nodiscard]] std::string keys_of(std::string_view payload);

/// "5s", "10min": a duration that a person would write, not below `ms`.
[[nodiscard]] std::string nice_duration(std::int64_t ms);
/// 1,204 for 1204.
[[nodiscard]] std::string count_text(std::uint64_t count);
/// "1 message", "3 messages": what is counted, with an s where it needs one.
[[nodiscard]] std::string counted(std::uint64_t count, std::string_view noun);

}  // namespace trunkline::uns
