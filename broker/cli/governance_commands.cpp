#include "broker/cli/governance_commands.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <iostream>

#include "broker/cli/events.h"
#include "broker/cli/fields.h"

namespace trunkline::cli {
namespace {

std::string clock_text(const Json& json) {
    const auto seconds = static_cast<std::time_t>(number_of(json, "at_ms") / 1'000);
    std::tm parts{};
    localtime_r(&seconds, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%H:%M:%S", &parts);
    return text;
}

/// One line that says it all, for a terminal that scrolls.
void print_violation(const Tool& tool, const Json& json) {
    const std::string outcome = text_of(json, "outcome");
    const char* colour = outcome == "reject" ? "31" : outcome == "quarantine" ? "33" : "36";
    std::cout << clock_text(json) << "  " << tool.out.colour(colour, printable(outcome)) << "  "
              << printable(text_of(json, "client_id")) << "  " << printable(text_of(json, "topic")) << "  "
              << printable(text_of(json, "rule")) << " " << printable(text_of(json, "text"));
    if (const std::string fix = text_of(json, "fix"); !fix.empty()) std::cout << "  fix: " << printable(fix);
    std::cout << '\n';
}

constexpr std::uint64_t page_max = 1'000;   // of violations

std::string and_query(const char* name, const std::string& text) {
    return text.empty() ? "" : std::string("&") + name + "=" + percent_encode(text);
}

std::string messages_text(std::uint64_t count) {
    return std::to_string(count) + (count == 1 ? " message" : " messages");
}

void check_chosen(const Chosen& chosen) {
    if (chosen.ids.empty() == chosen.filter.empty()) throw Failure(exit_usage, "name ids, or a --filter");
    for (const std::string& id : chosen.ids) {
        const bool number = !id.empty() && id.find_first_not_of("0123456789") == std::string::npos;
        if (!number) throw Failure(exit_usage, "\"" + id + "\" is no id of the quarantine; see trunkctl quarantine ls");
    }
}

/// The ids and topics that are meant, oldest first.
std::vector<Json> chosen_messages(const Tool& tool, const Chosen& chosen) {
    std::vector<Json> messages;
    for (const std::string& id : chosen.ids) messages.push_back({{"id", id}});
    if (!chosen.filter.empty()) {
        for_each_page(tool.server, "/api/v1/quarantine?filter=" + percent_encode(chosen.filter), "messages",
                      [&](const Json& message) {
                          messages.push_back({{"id", text_of(message, "id")}, {"topic", text_of(message, "topic")}});
                      });
    }
    return messages;
}

int drop_by_filter(const Tool& tool, const Chosen& chosen) {
    const std::string target = "/api/v1/quarantine?filter=" + percent_encode(chosen.filter) +
                               (chosen.dry_run ? "&dry_run=true" : "") + and_query("reason", chosen.reason);
    std::uint64_t matched = 0, dropped = 0;
    std::string cursor;
    do {
        const Json page = request(tool.server, "DELETE", target + and_query("cursor", cursor));
        matched += number_of(page, "matched");
        dropped += number_of(page, "dropped");
        cursor = text_of(page, "cursor");
        if (chosen.dry_run && tool.out.format() == Format::table) {
            for (const Json& topic : page["topics"]) std::cout << printable(topic.get<std::string>()) << '\n';
        }
    } while (!cursor.empty());
    if (tool.out.format() == Format::table) {
        std::cout << (chosen.dry_run ? "would drop " : "dropped ") << messages_text(chosen.dry_run ? matched : dropped)
                  << '\n';
    } else {
        tool.out.value({{"matched", matched}, {"dropped", dropped}, {"dry_run", chosen.dry_run}});
    }
    return matched == 0 ? exit_findings : exit_ok;
}

/// Asks for one change of each message and tells what became of it. `what`: "replayed".
int change_each(const Tool& tool, const std::vector<Json>& messages, const char* what,
                const std::function<void(const std::string& id)>& change) {
    Json list = Json::array();
    std::uint64_t done = 0;
    for (const Json& message : messages) {
        Json result = message;
        const std::string id = text_of(message, "id");
        try {
            change(id);
            result[what] = true;
            ++done;
        } catch (const Failure& failure) {
            if (failure.exit_code != exit_findings) throw;
            result[what] = false;
            result["why"] = failure.what();
            if (tool.out.format() == Format::table) {
                std::cout << printable(id) << "  not " << what << ": " << printable(failure.what()) << '\n';
            }
        }
        list.push_back(std::move(result));
    }
    if (tool.out.format() == Format::table) {
        std::cout << what << " " << done << " of " << messages_text(messages.size()) << '\n';
    } else {
        tool.out.value(list);
    }
    return done == messages.size() && done > 0 ? exit_ok : exit_findings;
}

}  // namespace

int violations(const Tool& tool, std::uint64_t limit) {
    Json list = Json::array();
    std::string cursor;
    do {
        const std::string most = std::to_string(std::min<std::uint64_t>(limit - list.size(), page_max));
        const Json page = request(tool.server, "GET", "/api/v1/violations?limit=" + most + and_query("cursor", cursor));
        for (const Json& one : page.value("violations", Json::array())) list.push_back(one);
        cursor = text_of(page, "cursor");
    } while (!cursor.empty() && list.size() < limit);
    if (tool.out.format() != Format::table) {
        tool.out.value(list);
        return exit_ok;
    }
    if (list.empty()) {
        std::cout << "nothing has broken the model since the broker started\n";
        return exit_ok;
    }
    std::vector<std::vector<std::string>> rows;
    for (const Json& entry : list) {
        std::vector<std::string> row = {age_since(entry, "at_ms")};
        for (const char* key : {"client_id", "topic", "rule", "outcome"}) row.push_back(text_of(entry, key));
        row.push_back(std::to_string(number_of(entry, "repeated") + 1));
        for (const char* key : {"text", "fix"}) row.push_back(text_of(entry, key));
        rows.push_back(std::move(row));
    }
    tool.out.table({"AGE", "CLIENT", "TOPIC", "RULE", "VERDICT", "TIMES", "WHAT", "FIX"}, std::move(rows));
    return exit_ok;
}

int violations_watch(const Tool& tool, std::uint64_t count) {
    const auto show = [&](const Json& message, std::string_view) {
        const Json json = Json::parse(text_of(message, "payload"), nullptr, false);
        if (!json.is_object()) return false;
        print_event(tool, json, json.dump(-1, ' ', false, Json::error_handler_t::replace),
                    [&] { print_violation(tool, json); });
        return true;
    };
    return show_events(tool, "/api/v1/namespace/watch?filter=" + percent_encode("$UNS/violations"), "watch", count,
                       show);
}

int quarantine_list(const Tool& tool, const std::string& filter) {
    return show_list(tool, "/api/v1/quarantine?filter=" + percent_encode(filter), "messages",
                     {"ID", "AGE", "TOPIC", "CLIENT", "RULE", "WHAT", "BYTES"},
                     [](const Json& message) -> std::vector<std::string> {
                         return {text_of(message, "id"), age_since(message, "at_ms"), text_of(message, "topic"),
                                 text_of(message, "client_id"), text_of(message, "rule"), text_of(message, "text"),
                                 text_of(message, "bytes")};
                     });
}

int quarantine_show(const Tool& tool, const std::string& id) {
    const Json json = request(tool.server, "GET", "/api/v1/quarantine/" + percent_encode(id));
    if (tool.out.format() != Format::table) {
        tool.out.value(json);
        return exit_ok;
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& field : json.items()) {
        std::string text = text_of(json, field.key().c_str());
        if (field.key() == "at_ms") text += " (" + age_since(json, "at_ms") + " ago)";
        rows.push_back({field.key(), std::move(text)});
    }
    tool.out.table({"FIELD", "VALUE"}, std::move(rows));
    return exit_ok;
}

int quarantine_replay(const Tool& tool, const Chosen& chosen) {
    check_chosen(chosen);
    const Json body = chosen.reason.empty() ? Json() : Json{{"reason", chosen.reason}};
    const std::string text = body.is_null() ? "" : body.dump(-1, ' ', false, Json::error_handler_t::replace);
    return change_each(tool, chosen_messages(tool, chosen), "replayed", [&](const std::string& id) {
        (void)request(tool.server, "POST", "/api/v1/quarantine/" + id + "/replay", text);
    });
}

int quarantine_drop(const Tool& tool, const Chosen& chosen) {
    check_chosen(chosen);
    if (!chosen.filter.empty()) return drop_by_filter(tool, chosen);
    if (chosen.dry_run) throw Failure(exit_usage, "--dry-run goes with --filter");
    return change_each(tool, chosen_messages(tool, chosen), "dropped", [&](const std::string& id) {
        const std::string why = chosen.reason.empty() ? "" : "?reason=" + percent_encode(chosen.reason);
        (void)request(tool.server, "DELETE", "/api/v1/quarantine/" + id + why);
    });
}

void print_governance(const Json& status) {
    const auto at = status.find("governance");
    if (at == status.end()) return;
    const Json model = at->value("model", Json());
    const Json broken = at->value("violations", Json::object());
    const Json kept = at->value("quarantine", Json::object());
    status_line("model", model.is_object() ? text_of(model, "name") + " " + text_of(model, "version") + ", applied " +
                                                 age_since(model, "applied_at_ms") + " ago by " +
                                                 text_of(model, "applied_by")
                                           : "none: everything is taken");
    status_line("violations", number_text(broken.value("per_minute", 0.0)) + "/min, " +
                                  number_text(static_cast<double>(number_of(broken, "total"))) +
                                  " since the start; see trunkctl violations");
    const std::uint64_t messages = number_of(kept, "messages");
    status_line("quarantine", messages == 0 ? "empty"
                                            : messages_text(messages) + ", " + bytes_text(number_of(kept, "bytes")) +
                                                  "; see trunkctl quarantine ls");
}

}  // namespace trunkline::cli
