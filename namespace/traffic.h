// Messages that were published, as learning, planning and drift look at them.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace trunkline::uns {

/// One message of recent traffic. Views last as long as the visit.
struct TrafficSample {
    std::string_view topic;
    std::string_view payload;        ///< cut short where `truncated`
    std::string_view client_id, user;
    std::int64_t at_ms = 0;          ///< since 1970
    std::uint64_t messages = 1;      ///< of the topic that this one stands for; 0: counted with another sample of it
    std::uint8_t qos = 0;
    bool retain = false;
    bool truncated = false;
};

/// Returns false to end the visit.
using TrafficVisit = std::function<bool(const TrafficSample&)>;
/// Visits recent traffic: all samples of a topic one after the other, topics in order.
using Traffic = std::function<void(const TrafficVisit&)>;

}  // namespace trunkline::uns
