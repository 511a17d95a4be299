#include "broker/admin/pages.h"

#include <algorithm>
#include <charconv>

namespace trunkline::admin {
namespace {

std::string place_of(const Json& entry, const char* key) {
    const auto at = entry.find(key);
    if (at == entry.end()) return {};
    return at->is_string() ? at->get<std::string>() : dump(*at);
}

}  // namespace

Parameter page_limit_parameter() {
    return {"limit", "query", "integer", false, "entries in a page, 1 to 10000, 1000 unless told"};
}
Parameter page_cursor_parameter() { return {"cursor", "query", "string", false, "`cursor` of the page before"}; }

Response paged(Json&& list, const char* name, const char* key, const Request& request, Json rest) {
    Response wrong;
    const auto limit = number_parameter(request, "limit", page_entries_usual, 1, page_entries_max, wrong);
    if (!limit) return wrong;
    std::size_t from = 0;
    if (const auto cursor = request.get("cursor"); cursor && !cursor->empty()) {
        while (from < list.size() && place_of(list[from], key) != *cursor) ++from;
        if (from == list.size()) {
            return bad_parameter("cursor", "its entry is not in the list, perhaps not any more; begin again");
        }
        ++from;
    }
    const std::size_t to = std::min<std::size_t>(list.size(), from + *limit);
    Json page = Json::array();
    for (std::size_t i = from; i < to; ++i) page.push_back(std::move(list[i]));
    if (to < list.size()) rest["cursor"] = place_of(page.back(), key);
    rest[name] = std::move(page);
    return json_response(rest);
}

std::string pair_cursor(const std::string& first, const std::string& second) {
    return std::to_string(first.size()) + ":" + first + second;
}

std::optional<std::pair<std::string, std::string>> split_pair_cursor(const std::string& cursor) {
    std::size_t size = 0;
    const auto [end, error] = std::from_chars(cursor.data(), cursor.data() + cursor.size(), size);
    const auto begin = static_cast<std::size_t>(end - cursor.data()) + 1;
    const bool good = error == std::errc() && begin <= cursor.size() && *end == ':' && size <= cursor.size() - begin;
    if (!good) return std::nullopt;
    return std::pair{cursor.substr(begin, size), cursor.substr(begin + size)};
}

}  // namespace trunkline::admin
