// Fields of the broker's answers, as text and numbers; and lists that come in pages.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "broker/cli/http_client.h"

namespace trunkline::cli {

struct Tool;

[[nodiscard]] std::int64_t now_ms();
/// A field as text, "" where it is missing.
[[nodiscard]] std::string text_of(const Json& json, const char* key);
/// A field as a number, 0 where it is none.
[[nodiscard]] std::uint64_t number_of(const Json& json, const char* key);
/// How long ago a time in milliseconds since 1970 was.
[[nodiscard]] std::string age_since(const Json& json, const char* key);
/// A message's payload as people read it.
[[nodiscard]] std::string payload_of(const Json& message);
/// All pages of a list; `target` already has a query.
void for_each_page(const Server& server, const std::string& target, const char* list,
                   const std::function<void(const Json&)>& visit);

/// Shows all pages of a list, in a table each entry as the row that `row_of` makes of it. exit_findings: it is empty.
int show_list(const Tool& tool, const std::string& target, const char* list, const std::vector<std::string>& headings,
              const std::function<std::vector<std::string>(const Json&)>& row_of);

/// A line of `status`.
void status_line(const char* name, const std::string& text);

}  // namespace trunkline::cli
