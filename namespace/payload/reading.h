// The built-in JSON payloads: `reading` and `umh`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "namespace/payload/contract.h"
#include "namespace/payload/datum.h"
#include "namespace/payload/value.h"
#include "namespace/payload/value_check.h"

namespace trunkline::uns {

/// An object with `value`, `timestamp` and, if the publisher likes, `quality` and `unit`. Further members are let
/// through unread, but for names that differ from those only in case or separators. `quick` accepts the usual form by
/// one pass over the bytes (reading_scan.h); without it the verdicts are the same, which tests make sure of.
[[nodiscard]] std::shared_ptr<const PayloadContract> make_reading_contract(ValueCheck value, bool quick = true);

/// A reading's member whose name differs from `name` only in case, separators or a plural; empty when there is none.
[[nodiscard]] std::string_view meant_member(std::string_view name);

/// Exactly `{timestamp_ms, value}`.
[[nodiscard]] std::shared_ptr<const PayloadContract> make_umh_contract(ValueCheck value);

/// Milliseconds since 1970 that a number or, where `text_allowed`, an RFC 3339 text says; from 1970 to 9999.
[[nodiscard]] std::optional<std::int64_t> timestamp_of(const Datum& datum, bool text_allowed);

/// good, uncertain, bad, or an OPC UA StatusCode (Part 4, 7.39: its two highest bits are the severity).
[[nodiscard]] std::optional<Quality> quality_of(const Datum& datum);

}  // namespace trunkline::uns
