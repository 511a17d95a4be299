// Limits by name, so that the configuration file, its schema, the documentation and /api/v1/config agree.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "broker/core/limits.h"

namespace trunkline::broker {

enum class LimitUnit : std::uint8_t { count, bytes, milliseconds, seconds, percent };

struct LimitField {
    using Member = std::variant<std::uint16_t Limits::*, std::uint32_t Limits::*, std::uint64_t Limits::*>;
    std::string_view name;
    Member member;
    LimitUnit unit;
    std::uint64_t min, max;   // inclusive, in the field's unit

    [[nodiscard]] std::uint64_t get(const Limits& limits) const;
    /// `value` within [min, max].
    void set(Limits& limits, std::uint64_t value) const;
};

/// Every field of Limits, in its order.
[[nodiscard]] std::span<const LimitField> limit_fields();

}  // namespace trunkline::broker
