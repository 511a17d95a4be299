// What commands read from the broker's answers, and how they ask for lists. commands.cpp implements it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "broker/cli/http_client.h"

namespace trunkline::cli {

/// A field as text, other values than texts as JSON; "" when it is missing.
[[nodiscard]] std::string text_of(const Json& json, const char* key);
/// A field as a number; 0 when it is missing or none.
[[nodiscard]] std::uint64_t number_of(const Json& json, const char* key);
/// How long ago a field in milliseconds since 1970 was: "3m 12s".
[[nodiscard]] std::string age_since(const Json& json, const char* key);
/// All pages of a list; `target` already has a query. Throws Failure.
void for_each_page(const Server& server, const std::string& target, const char* list,
                   const std::function<void(const Json&)>& visit);
/// A line of `status`.
void status_line(const char* name, const std::string& text);

}  // namespace trunkline::cli
