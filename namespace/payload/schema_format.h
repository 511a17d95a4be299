// The values of JSON Schema's `format` that are checked.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace trunkline::uns::schema {

enum class Format {
    date_time, date, time, email, hostname, ipv4, ipv6, uri, uri_reference, uuid, json_pointer, regex
};

/// Nothing when `name` is not one that is checked.
[[nodiscard]] std::optional<Format> format_named(std::string_view name);
[[nodiscard]] std::string_view name_of(Format format);
[[nodiscard]] std::span<const std::string_view> format_names();

[[nodiscard]] bool has_format(std::string_view text, Format format);

}  // namespace trunkline::uns::schema
