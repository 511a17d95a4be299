#include "broker/cli/fields.h"

#include <chrono>
#include <iostream>
#include <utility>

#include "broker/cli/commands.h"
#include "broker/cli/output.h"
#include "broker/cli/progress.h"

namespace trunkline::cli {

std::int64_t now_ms() {
    using namespace std::chrono;
    return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

std::string text_of(const Json& json, const char* key) {
    const auto at = json.find(key);
    if (at == json.end()) return {};
    return at->is_string() ? at->get<std::string>() : at->dump();
}

std::uint64_t number_of(const Json& json, const char* key) {
    const auto at = json.find(key);
    return at != json.end() && at->is_number() ? at->get<std::uint64_t>() : 0;
}

std::string age_since(const Json& json, const char* key) {
    return duration_text((now_ms() - static_cast<std::int64_t>(number_of(json, key))) / 1'000);
}

std::string payload_of(const Json& message) {
    std::string text = text_of(message, "payload");
    if (message.contains("encoding")) text = "base64:" + text;
    if (message.contains("truncated")) text += "...";
    return text;
}

/// All pages of a list; `target` already has a query.
void for_each_page(const Server& server, const std::string& target, const char* list,
                   const std::function<void(const Json&)>& visit) {
    std::string cursor;
    Progress progress;
    std::uint64_t entries = 0;
    while (true) {
        const std::string at = cursor.empty() ? target : target + "&cursor=" + percent_encode(cursor);
        const Json page = request(server, "GET", at);
        if (!page.contains(list)) throw Failure(exit_no_connection, "the broker's answer has no " + std::string(list));
        for (const Json& entry : page[list]) visit(entry);
        entries += page[list].size();
        progress.show([&](long seconds) {
            return "trunkctl: " + std::to_string(entries) + " " + list + " so far, " + std::to_string(seconds) + " s";
        });
        if (!page.contains("cursor")) return;
        cursor = page["cursor"].get<std::string>();
    }
}

int show_list(const Tool& tool, const std::string& target, const char* list, const std::vector<std::string>& headings,
              const std::function<std::vector<std::string>(const Json&)>& row_of) {
    Json entries = Json::array();
    for_each_page(tool.server, target, list, [&](const Json& entry) { entries.push_back(entry); });
    if (tool.out.format() == Format::table) {
        std::vector<std::vector<std::string>> rows;
        for (const Json& entry : entries) rows.push_back(row_of(entry));
        tool.out.table(headings, std::move(rows));
    } else {
        tool.out.value(entries);
    }
    return entries.empty() ? exit_findings : exit_ok;
}

void status_line(const char* name, const std::string& text) {
    std::cout << "  " << name << std::string(14 - std::char_traits<char>::length(name), ' ') << printable(text) << '\n';
}

}  // namespace trunkline::cli
