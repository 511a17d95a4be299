// What the publisher of an asset has to send, topic by topic.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "namespace/model/model.h"

namespace trunkline::uns {

struct SheetLine {
    std::string topic;
    MemberKind kind = MemberKind::metric;
    std::string payload;            ///< format: reading, plain, a named payload
    std::string type, unit, range;  ///< "number", "Cel", "-20 to 120" or "idle, running"
    std::uint64_t every_ms = 0;
    std::string description, place;
    std::string example;  ///< a payload that keeps the contract; empty: none is known
    bool to_send = true;  ///< false: a command, which the asset is sent
};

/// Metrics first, then events and commands, each by topic. Empty when `asset` is no asset of the model. `now_ms` (since
/// 1970) is the time in the examples.
[[nodiscard]] std::vector<SheetLine> publisher_sheet(const Model& model, std::string_view asset, std::int64_t now_ms);

}  // namespace trunkline::uns
