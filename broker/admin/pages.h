// Lists that are handed out page by page.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "broker/admin/http.h"
#include "broker/admin/router.h"

namespace trunkline::admin {

constexpr std::uint64_t page_entries_max = 10'000, page_entries_usual = 1'000;

[[nodiscard]] Parameter page_limit_parameter();
[[nodiscard]] Parameter page_cursor_parameter();

/// The page of a whole list that the request's `limit` and `cursor` ask for, as the field `name` of `rest`, which gets
/// a `cursor` where another page follows. An entry's text or number under `key` is its place in the list. A cursor
/// whose entry is gone is a problem document: what follows it is not known any more.
[[nodiscard]] Response paged(Json&& list, const char* name, const char* key, const Request& request,
                             Json rest = Json::object());

/// A cursor of two texts, and back. nullopt: it is none that pair_cursor() gave.
[[nodiscard]] std::string pair_cursor(const std::string& first, const std::string& second);
[[nodiscard]] std::optional<std::pair<std::string, std::string>> split_pair_cursor(const std::string& cursor);

}  // namespace trunkline::admin
