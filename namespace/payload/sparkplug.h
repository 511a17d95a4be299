// Sparkplug B payloads (Eclipse Sparkplug 3.0.0, section 6.4): a bounded reader of the protobuf wire format.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "namespace/payload/contract.h"
#include "namespace/payload/datum.h"
#include "namespace/payload/value_check.h"

namespace trunkline::uns {

/// Data types of metrics: section 6.4.16.
enum class SparkplugType : std::uint8_t {
    unknown, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64, boolean, string, date_time,
    text, uuid, data_set, bytes, file, template_, property_set, property_set_list, int8_array, int16_array, int32_array,
    int64_array, uint8_array, uint16_array, uint32_array, uint64_array, float_array, double_array, boolean_array,
    string_array, date_time_array
};

/// One metric; texts are views into the payload.
struct SparkplugMetric {
    /// Which field carries the value.
    enum class Field : std::uint8_t {
        none = 0, int_value = 10, long_value, float_value, double_value, boolean_value, string_value, bytes_value,
        dataset_value, template_value, extension_value
    };
    std::string_view name;                          ///< empty: the alias names it
    std::optional<std::uint64_t> alias, timestamp;  ///< timestamp in ms since 1970
    std::optional<SparkplugType> type;              ///< may be left out after the birth certificate
    bool is_historical = false, is_transient = false, is_null = false;
    Field field = Field::none;
    std::uint64_t bits = 0;                         ///< of int, long, boolean, and the bits of float and double
    std::string_view bytes;                         ///< of string, bytes; the message of dataset and template
};

/// The value of a metric. Integers without a type are signed where `may_be_negative`: the wire does not tell.
[[nodiscard]] Datum datum_of(const SparkplugMetric& metric, bool may_be_negative = true);

struct SparkplugPayload {
    std::optional<std::uint64_t> timestamp, seq;
    std::string_view uuid, body;
    std::size_t metrics = 0;
};

/// Reads `bytes`, calls `on_metric(metric, index)` for each metric in order until it returns false. The violation
/// names the metric (`/metrics/3/int_value`) and the byte. Checked are the wire format, all nested messages, UTF-8,
/// values against their data types, that each metric has a name or an alias and a value or is_null, and limits.
[[nodiscard]] std::optional<Violation> read_sparkplug(
    std::string_view bytes, SparkplugPayload& payload,
    const std::function<bool(const SparkplugMetric&, std::size_t)>& on_metric);

/// Every metric's value is checked with `value`.
[[nodiscard]] std::shared_ptr<const PayloadContract> make_sparkplug_contract(ValueCheck value);

}  // namespace trunkline::uns
