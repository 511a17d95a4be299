// Messages worth keeping of each topic, for learning and planning: the first, the latest, extremes, and one of each
// kind, unit and text, so that a rare wrong payload among many good ones is still there. Bounded as a whole.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "namespace/traffic.h"

namespace trunkline::uns {

/// One payload of a topic, standing for `messages` that came since the last one that was looked at.
struct Observation {
    std::string_view topic, payload;
    std::string_view client_id, user;
    std::int64_t at_ms = 0;          ///< since 1970
    std::uint64_t messages = 1;
    std::uint8_t qos = 0;
    bool retain = false;
    bool truncated = false;          ///< `payload` is only the beginning
    bool violation = false;          ///< it broke the model: kept beside those that did not
};

/// Thread safe.
class SampleStore {
public:
    static constexpr std::size_t samples_max = 8;     ///< of a topic, beside texts
    static constexpr std::size_t texts_max = 16;      ///< different texts of a topic, for enumerations
    static constexpr std::size_t text_bytes_max = 64; ///< a longer one is no text of an enumeration
    static constexpr std::size_t payload_bytes_max = 4'096;

    explicit SampleStore(std::uint64_t bytes_max);
    ~SampleStore();

    /// Looks at a payload and keeps it when it says something new about its topic.
    void add(const Observation& seen);

    /// Visits all samples, topic by topic, in topic order. What comes meanwhile may or may not be among them.
    /// The samples of a topic count its messages once: their `messages` add up to what was seen of it.
    void visit(const TrafficVisit& visit) const;
    [[nodiscard]] Traffic traffic() const {
        return [this](const TrafficVisit& visitor) { visit(visitor); };
    }

    struct Numbers {
        std::uint64_t topics = 0, samples = 0, bytes = 0;
        std::uint64_t topics_left_out = 0;     ///< that have none, since there was no room
        std::uint64_t messages_left_out = 0;   ///< of those
    };
    [[nodiscard]] Numbers numbers() const;

private:
    struct Topic;
    struct Sample;
    struct Look;
    void note(Topic& topic, const Observation& seen);
    [[nodiscard]] Sample* place_of(Topic& topic, const Observation& seen, const Look& look);
    void put(Topic& topic, Sample& sample, const Observation& seen, const Look& look);
    [[nodiscard]] bool has_room(std::size_t bytes) const { return numbers_.bytes + bytes <= bytes_max_; }

    const std::uint64_t bytes_max_;
    mutable std::mutex mutex_;
    boost::unordered_flat_map<std::uint64_t, std::unique_ptr<Topic>> topics_;   // by hash
    boost::unordered_flat_map<std::uint64_t, bool> left_out_;                   // hashes, to count topics once
    Numbers numbers_;
};

}  // namespace trunkline::uns
