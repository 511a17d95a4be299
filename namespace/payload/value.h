// What a payload says, read for people and for learning: never a verdict.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "namespace/payload/contract.h"

namespace trunkline::uns {

enum class Quality { good, uncertain, bad };
[[nodiscard]] std::string_view name_of(Quality quality);

/// The value in a payload, as browsing shows it and learning counts it.
struct Value {
    ValueType::Kind kind = ValueType::Kind::any;    ///< any: null
    std::string text;                               ///< for display: at most 256 bytes of valid UTF-8
    std::optional<double> number;                   ///< of number and integer
    std::optional<std::int64_t> timestamp_ms;       ///< since 1970, UTC
    std::optional<Quality> quality;
    std::string unit;                               ///< as the payload has it; empty: none
};

/// Reads what `payload` of format `format` says. Of `json`, `schema` and `any` an object with a `value` is read like a
/// reading, with `timestamp` or `timestamp_ms`; other JSON as a whole, and text that is not JSON as plain. Of
/// Sparkplug it is the one metric, or the number of metrics. Nothing when the payload can't be read as its format.
[[nodiscard]] std::optional<Value> read_value(std::string_view payload, PayloadSpec::Format format);

/// The built-in format that `payload` looks like: sparkplug is never guessed, `any` is what is neither JSON nor text.
[[nodiscard]] PayloadSpec::Format guess_format(std::string_view payload);

}  // namespace trunkline::uns
