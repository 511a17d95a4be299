// What the traffic does that the model does not say, and the change to the model that would say it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "namespace/model/model.h"
#include "namespace/traffic.h"

namespace trunkline::uns {

struct DriftOptions {
    std::size_t items_max = 500;
    std::int64_t now_ms = 0;  ///< since 1970: what counts as silent; 0: the time of the last message
};

struct DriftItem {
    enum class Kind : std::uint8_t {
        unknown_topic,    ///< published, and not in the model
        silent_asset,     ///< in the model, and nothing heard
        silent_member,    ///< of assets that are heard
        breaks_contract,  ///< values, types, forms that the model does not allow
        new_value,        ///< not among the values of an enum
        unit,             ///< another unit, or one that the model does not know
        unused_value,     ///< of an enum, never seen
        loose_range,      ///< the values use a small part of the range
        late,             ///< `every` is not kept
    };
    Kind kind = Kind::unknown_topic;
    std::string subject;                 ///< the topic, or `type filler@2, metric temperature`
    std::string text;                    ///< what was seen
    std::string rule;                    ///< of the finding; empty: the model is not broken by it
    std::string place;                   ///< "plant.yaml:38", the line to change; empty: nowhere yet
    std::string change;                  ///< what to write there, or what the publisher should do
    std::vector<std::string> topics;     ///< up to three, as examples
    std::vector<std::string> clients;    ///< up to three
    std::uint64_t messages = 0, of = 0;  ///< 0 where nothing is counted
    std::uint64_t topics_total = 0;
};
[[nodiscard]] std::string_view to_string(DriftItem::Kind kind);

struct DriftReport {
    std::vector<DriftItem> items;  ///< by kind, then by place
    std::uint64_t items_total = 0;
    std::uint64_t messages = 0, topics = 0;
    std::int64_t first_ms = 0, last_ms = 0;
    std::vector<std::string> notes;
};

[[nodiscard]] DriftReport drift(const Traffic& traffic, const Model& model, const DriftOptions& options = {});

}  // namespace trunkline::uns
