#include "broker/cli/commands.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>

#include "broker/cli/events.h"
#include "broker/cli/fields.h"
#include "broker/cli/governance_commands.h"

namespace trunkline::cli {
namespace {

void print_advice(const Tool& tool, const Json& json) {
    for (const Json& one : json.value("advice", Json::array())) {
        const std::string severity = text_of(one, "severity");
        const char* colour = severity == "critical" ? "31" : severity == "warning" ? "33" : "36";
        std::cout << "  " << tool.out.colour(colour, severity == "note" ? "-" : "!") << ' '
                  << printable(text_of(one, "what")) << "\n    fix: " << printable(text_of(one, "fix")) << '\n';
    }
    if (json.contains("advice")) return;   // what a broker of an earlier version says
    for (const Json& reason : json["reasons"]) std::cout << "  ! " << printable(reason.get<std::string>()) << '\n';
    for (const Json& alarm : json.value("alarms", Json::array())) {
        std::cout << "  ! alarm: " << printable(alarm.get<std::string>()) << '\n';
    }
}

void print_status(const Tool& tool, const Json& json) {
    const bool healthy = json.value("healthy", false);
    std::cout << (healthy ? tool.out.colour("32", "healthy") : tool.out.colour("31", "NOT HEALTHY")) << "  "
              << printable(text_of(json, "node")) << ", trunkline " << printable(text_of(json, "version")) << ", up "
              << duration_text(static_cast<std::int64_t>(number_of(json, "uptime_s"))) << '\n';
    print_advice(tool, json);
    const Json& clients = json["clients"];
    const Json& rates = json["rates"];
    const Json& totals = json["totals"];
    const Json& retained = json["retained"];
    const auto rate = [&](const char* key) { return number_text(rates.value(key, 0.0)); };
    const auto count = [](const Json& of, const char* key) {
        return number_text(static_cast<double>(number_of(of, key)));
    };
    status_line("clients", count(clients, "connected") + " connected, " + count(json, "sessions_durable") +
                               " durable sessions, " + count(json, "subscriptions") + " subscriptions");
    status_line("messages", rate("messages_received") + "/s in, " + rate("messages_sent") + "/s out; " +
                                count(totals, "messages_received") + " in, " + count(totals, "messages_sent") +
                                " out since the start");
    status_line("bytes", bytes_text(number_of(rates, "bytes_received")) + "/s in, " +
                             bytes_text(number_of(rates, "bytes_sent")) + "/s out");
    status_line("refused", count(totals, "publishes_refused") + " publishes; " + count(totals, "messages_dropped") +
                               " deliveries dropped");
    print_governance(json);
    status_line("retained", count(retained, "messages") + " topics, " + bytes_text(number_of(retained, "bytes")));
    status_line("log", (json["log"].value("accepting", false) ? "accepting, " : "REFUSING, ") +
                           bytes_text(number_of(json["log"], "backlog_bytes")) + " waiting to be safe");
    if (json.contains("disk")) {
        const Json& disk = json["disk"];
        const double size = static_cast<double>(number_of(disk, "size_bytes"));
        const double free = static_cast<double>(number_of(disk, "free_bytes"));
        status_line("disk", bytes_text(number_of(disk, "store_bytes")) + " in the store, " +
                                bytes_text(number_of(disk, "free_bytes")) + " free" +
                                (size > 0 ? " (" + number_text(free / size * 100) + " %)" : std::string()));
    }
    status_line("process", bytes_text(number_of(json["process"], "resident_bytes")) + " memory, " +
                               count(json["process"], "open_descriptors") + " of " +
                               count(json["process"], "max_descriptors") + " descriptors");
    for (const Json& listener : json["listeners"]) {
        std::string text = text_of(listener, "address") + ", " + count(listener, "connections") + " connections";
        if (listener.contains("certificate_expires_s")) {
            const auto end = static_cast<std::int64_t>(number_of(listener, "certificate_expires_s"));
            const std::int64_t left = end - now_ms() / 1'000;
            text += left < 0 ? ", certificate EXPIRED" : ", certificate for another " + duration_text(left);
        }
        status_line("listener", text);
    }
}

Json message_of(const Publication& publication) {
    std::string payload = publication.message;
    if (!publication.file.empty()) {
        std::ifstream file(publication.file, std::ios::binary);
        std::istream& in = publication.file == "-" ? std::cin : file;
        if (!in) throw Failure(exit_usage, "cannot read " + publication.file);
        payload.assign(std::istreambuf_iterator<char>(in), {});
    }
    Json json = {{"topic", publication.topic}, {"payload", payload}, {"qos", publication.qos},
                 {"retain", publication.retain}};
    return json;
}

}  // namespace

int status(const Tool& tool) {
    const Json json = request(tool.server, "GET", "/api/v1/status");
    if (tool.out.format() == Format::table) {
        print_status(tool, json);
    } else {
        tool.out.value(json);
    }
    return json.value("healthy", false) ? exit_ok : exit_findings;
}

int watch(const Tool& tool, const std::string& filter, std::uint64_t count) {
    const auto show = [&](const Json& json, std::string_view text) {
        print_event(tool, json, text, [&] {
            const std::string line = printable(text_of(json, "topic")) + " " + printable(payload_of(json));
            std::cout << (tool.out.width() ? cut(line, tool.out.width()) : line) << '\n';
        });
        return true;
    };
    return show_events(tool, "/api/v1/namespace/watch?filter=" + percent_encode(filter), "watch", count, show);
}

int drain(const Tool& tool, const std::string& reference, bool moved, bool dry_run) {
    if (dry_run) {
        const Json now = request(tool.server, "GET", "/api/v1/status");
        const Json json = {{"would_send_away", number_of(now["clients"], "connected")},
                           {"server_reference", reference}};
        if (tool.out.format() != Format::table) {
            tool.out.value(json);
        } else {
            std::cout << "would send " << number_of(json, "would_send_away") << " clients to " << printable(reference)
                      << '\n';
        }
        return exit_ok;
    }
    const Json body = {{"server_reference", reference}, {"moved", moved}};
    const Json json = request(tool.server, "POST", "/api/v1/drain",
                              body.dump(-1, ' ', false, Json::error_handler_t::replace));
    if (tool.out.format() == Format::table) {
        std::cout << "draining: " << number_of(json, "disconnected") << " clients were sent to "
                  << printable(reference) << '\n';
    } else {
        tool.out.value(json);
    }
    return exit_ok;
}

int drain_end(const Tool& tool) {
    const Json json = request(tool.server, "DELETE", "/api/v1/drain");
    if (tool.out.format() == Format::table) {
        std::cout << "clients are welcome again\n";
    } else {
        tool.out.value(json);
    }
    return exit_ok;
}

int retained_list(const Tool& tool, const std::string& filter) {
    return show_list(tool, "/api/v1/retained?filter=" + percent_encode(filter), "messages",
                     {"TOPIC", "BYTES", "AGE", "PAYLOAD"}, [](const Json& message) -> std::vector<std::string> {
                         return {text_of(message, "topic"), std::to_string(number_of(message, "bytes")),
                                 age_since(message, "stored_at_ms"), payload_of(message)};
                     });
}

int retained_remove(const Tool& tool, const std::string& filter, bool dry_run) {
    std::string target = "/api/v1/retained?filter=" + percent_encode(filter);
    if (dry_run) target += "&dry_run=true";
    std::uint64_t matched = 0, left = 0;
    std::string cursor;
    do {
        const std::string at = cursor.empty() ? target : target + "&cursor=" + percent_encode(cursor);
        const Json page = request(tool.server, "DELETE", at);
        matched += number_of(page, "matched");
        left += number_of(page, "not_allowed");
        cursor = text_of(page, "cursor");
        if (dry_run && tool.out.format() == Format::table) {
            for (const Json& topic : page["topics"]) std::cout << printable(topic.get<std::string>()) << '\n';
        }
    } while (!cursor.empty());
    if (tool.out.format() == Format::table) {
        std::cout << (dry_run ? "would remove " : "removed ") << matched
                  << (matched == 1 ? " message\n" : " messages\n");
        if (left > 0) std::cout << "left " << left << " that you may not publish\n";
    } else {
        tool.out.value({{"matched", matched}, {"not_allowed", left}, {"dry_run", dry_run}});
    }
    return matched == 0 ? exit_findings : exit_ok;
}

int publish(const Tool& tool, const Publication& publication) {
    Json message = message_of(publication);
    std::string body;
    try {
        body = message.dump();
    } catch (const Json::type_error&) {   // no UTF-8
        message["payload"] = base64(message["payload"].get<std::string>());
        message["encoding"] = "base64";
        body = message.dump(-1, ' ', false, Json::error_handler_t::replace);
    }
    const Json json = request(tool.server, "POST", "/api/v1/publish", body);
    if (tool.out.format() != Format::table) tool.out.value(json);
    return exit_ok;
}

}  // namespace trunkline::cli
