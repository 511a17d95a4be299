#include "broker/cli/session_commands.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <iostream>

#include <CLI/CLI.hpp>

#include "broker/cli/events.h"
#include "broker/cli/fields.h"

namespace trunkline::cli {
namespace {

const char* version_text(std::uint64_t version) { return version == 5 ? "5.0" : version == 4 ? "3.1.1" : "3.1"; }

std::string expiry_text(std::uint64_t seconds) {
    return seconds == 0xFFFFFFFF ? "never" : duration_text(static_cast<std::int64_t>(seconds));
}

/// When an offline session ends, or how long a connected one would stay.
std::string expiry_of(const Json& session) {
    if (session.contains("expires_at_ms")) {
        const auto at_ms = static_cast<std::int64_t>(number_of(session, "expires_at_ms"));
        return "in " + duration_text((at_ms - now_ms()) / 1'000);
    }
    const std::uint64_t expiry = number_of(session, "expiry_s");
    return expiry == 0 ? "with its connection" : expiry_text(expiry) + " after it";
}

std::string flags_of(const Json& subscription) {
    std::string flags;
    const auto add = [&](bool on, const char* name) {
        if (on) flags += (flags.empty() ? "" : ", ") + std::string(name);
    };
    add(!subscription.value("allowed", true), "NOT ALLOWED");
    add(subscription.value("no_local", false), "no local");
    add(subscription.value("retain_as_published", false), "retain as published");
    add(text_of(subscription, "retain_handling") == "do-not-send", "no retained");
    add(text_of(subscription, "retain_handling") == "send-if-new", "retained if new");
    return flags.empty() ? "-" : flags;
}

void print_fields(const std::vector<std::pair<std::string, std::string>>& fields) {
    for (const auto& [name, text] : fields) {
        const std::string gap(name.size() < 18 ? 18 - name.size() : 1, ' ');
        std::cout << "  " << name << gap << printable(text) << '\n';
    }
}

void print_filters(const Tool& tool, const Json& list) {
    if (list.empty()) return;
    std::vector<std::vector<std::string>> rows;
    for (const Json& one : list) {
        rows.push_back({text_of(one, "filter"), std::to_string(number_of(one, "qos")), flags_of(one)});
    }
    std::cout << '\n';
    tool.out.table({"FILTER", "QOS", "OPTIONS"}, std::move(rows));
}

Json subscriptions_of(const Tool& tool, const std::string& id) {
    Json list = Json::array();
    for_each_page(tool.server, "/api/v1/subscriptions?limit=1000&client=" + percent_encode(id), "subscriptions",
                  [&](const Json& one) { list.push_back(one); });
    return list;
}

std::string clock_text(std::int64_t ms) {
    const auto seconds = static_cast<std::time_t>(ms / 1'000);
    std::tm parts{};
    localtime_r(&seconds, &parts);
    char text[32];
    std::snprintf(text, sizeof text, "%02d:%02d:%02d.%03d", parts.tm_hour, parts.tm_min, parts.tm_sec,
                  static_cast<int>(ms % 1'000));
    return text;
}

}  // namespace

std::string trace_line(const Json& packet) {
    constexpr std::array<std::string_view, 9> elsewhere = {"at_ms", "packet", "event", "direction", "packet_bytes",
                                                           "payload", "bytes", "truncated", "encoding"};
    std::string line = clock_text(static_cast<std::int64_t>(number_of(packet, "at_ms")));
    if (packet.contains("event")) {
        line += "  --  " + text_of(packet, "event");
    } else {
        line += text_of(packet, "direction") == "in" ? "  ->  " : "  <-  ";
        line += text_of(packet, "packet") + "  " + std::to_string(number_of(packet, "packet_bytes")) + " B";
    }
    for (const auto& [name, value] : packet.items()) {
        const bool shown = std::find(elsewhere.begin(), elsewhere.end(), name) != elsewhere.end();
        if (shown || name == "connection" || (value.is_boolean() && !value.get<bool>())) continue;
        line += "  " + name;
        if (!value.is_boolean()) line += "=" + text_of(packet, name.c_str());
    }
    if (packet.contains("payload")) {
        line += "  payload=" + payload_of(packet);
        if (packet.contains("truncated")) line += " (" + std::to_string(number_of(packet, "bytes")) + " bytes)";
    }
    return printable(line);
}

void SessionCommands::add(CLI::App& app, std::function<int(const Tool&)>& action) {
    add_clients(app, action);
    add_sessions(app, action);
}

void SessionCommands::add_clients(CLI::App& app, std::function<int(const Tool&)>& action) {
    auto* clients = app.add_subcommand("clients", "connected clients");
    clients->require_subcommand(1);
    const auto on = [&action](CLI::App* command, auto function) {
        command->callback([&action, function] { action = function; });
    };
    on(clients->add_subcommand("ls", "list them"), [this](const Tool& tool) { return clients_list(tool); });
    auto* show = clients->add_subcommand("show", "everything about one, with its subscriptions");
    show->add_option("ID", id_, "client identifier")->required();
    on(show, [this](const Tool& tool) { return clients_show(tool); });
    auto* kick = clients->add_subcommand("kick", "disconnect one");
    kick->add_option("ID", id_, "client identifier")->required();
    kick->add_flag("--dry-run", dry_run, "say who would go");
    on(kick, [this](const Tool& tool) { return clients_kick(tool); });
    auto* watch = clients->add_subcommand("trace", "what one sends and is sent, packet by packet, as it happens; "
                                                   "it may also come later");
    watch->add_option("ID", id_, "client identifier")->required();
    watch->add_option("-n,--count", count_, "end after so many packets")->type_name("N");
    on(watch, [this](const Tool& tool) { return trace(tool); });
}

void SessionCommands::add_sessions(CLI::App& app, std::function<int(const Tool&)>& action) {
    auto* sessions = app.add_subcommand("sessions", "sessions, also of clients that are away");
    sessions->require_subcommand(1);
    const auto on = [&action](CLI::App* command, auto function) {
        command->callback([&action, function] { action = function; });
    };
    auto* list = sessions->add_subcommand("ls", "list them");
    list->add_option("--state", state_, "all, connected or offline")
        ->check(CLI::IsMember({"all", "connected", "offline"}))->option_text("STATE");
    on(list, [this](const Tool& tool) { return sessions_list(tool); });
    auto* show = sessions->add_subcommand("show", "one: its queue, when it ends, its subscriptions");
    show->add_option("ID", id_, "client identifier")->required();
    on(show, [this](const Tool& tool) { return sessions_show(tool); });
    auto* remove = sessions->add_subcommand("rm", "end one: its queue goes, its will is sent, its client goes");
    remove->add_option("ID", id_, "client identifier")->required();
    remove->add_flag("--dry-run", dry_run, "say what would go");
    on(remove, [this](const Tool& tool) { return sessions_remove(tool); });
    auto* subscriptions = app.add_subcommand("subscriptions", "who has subscribed to what");
    subscriptions->require_subcommand(1);
    auto* all = subscriptions->add_subcommand("ls", "list them, also of clients that are away");
    all->add_option("--client", client_, "of this client alone")->type_name("ID");
    all->add_option("--filter", filter_, "this filter alone")->type_name("FILTER");
    all->add_option("--topic", topic_, "those that match this topic: who gets it")->type_name("TOPIC");
    on(all, [this](const Tool& tool) { return subscriptions_list(tool); });
}

int SessionCommands::clients_list(const Tool& tool) const {
    Json list = Json::array();
    for_each_page(tool.server, "/api/v1/clients?limit=1000", "clients",
                  [&](const Json& client) { list.push_back(client); });
    if (tool.out.format() != Format::table) {
        tool.out.value(list);
        return exit_ok;
    }
    std::vector<std::vector<std::string>> rows;
    for (const Json& client : list) {
        std::vector<std::string> row = {text_of(client, "client_id"), text_of(client, "address"),
                                        version_text(number_of(client, "version")),
                                        age_since(client, "connected_since_ms"),
                                        client.value("durable", false) ? "durable" : "-"};
        for (const char* key : {"subscriptions", "messages_in", "messages_out", "queued"}) {
            row.push_back(std::to_string(number_of(client, key)));
        }
        rows.push_back(std::move(row));
    }
    tool.out.table({"CLIENT", "ADDRESS", "MQTT", "SINCE", "SESSION", "SUBS", "IN", "OUT", "QUEUED"}, std::move(rows));
    return exit_ok;
}

int SessionCommands::clients_show(const Tool& tool) const {
    Json json = request(tool.server, "GET", "/api/v1/clients/" + percent_encode(id_));
    const Json filters = subscriptions_of(tool, id_);
    if (tool.out.format() != Format::table) {
        json["filters"] = filters;
        tool.out.value(json);
        return exit_ok;
    }
    const auto number = [&](const char* key) { return number_text(static_cast<double>(number_of(json, key))); };
    std::cout << printable(text_of(json, "client_id")) << "  connected for " << age_since(json, "connected_since_ms")
              << '\n';
    const std::string user = text_of(json, "user");
    print_fields({{"user", user.empty() ? "-" : user},
                  {"address", text_of(json, "address") + " on " + text_of(json, "listener")},
                  {"protocol", std::string("MQTT ") + version_text(number_of(json, "version"))},
                  {"keep alive", number("keep_alive_s") + " s"},
                  {"session", json.value("durable", false)
                                  ? "durable, stays " + expiry_text(number_of(json, "session_expiry_s"))
                                  : std::string("ends with the connection")},
                  {"messages", number("messages_in") + " in, " + number("messages_out") + " out"},
                  {"not acknowledged", number("inflight_out")},
                  {"queued", number("queued")},
                  {"write buffer", bytes_text(number_of(json, "write_buffer_bytes"))},
                  {"subscriptions", number("subscriptions")}});
    print_filters(tool, filters);
    return exit_ok;
}

int SessionCommands::clients_kick(const Tool& tool) const {
    const std::string target = "/api/v1/clients/" + percent_encode(id_);
    const Json json = request(tool.server, dry_run ? "GET" : "DELETE", target);
    if (tool.out.format() != Format::table) {
        tool.out.value(json);
    } else {
        std::cout << (dry_run ? "would disconnect " : "disconnected ") << printable(id_) << '\n';
    }
    return exit_ok;
}

int SessionCommands::trace(const Tool& tool) const {
    const auto show = [&](const Json& json, std::string_view data) {
        print_event(tool, json, data, [&] {
            const std::string line = trace_line(json);
            const std::string text = tool.out.width() ? cut(line, tool.out.width()) : line;
            const bool in = text_of(json, "direction") == "in";
            std::cout << (json.contains("event") ? tool.out.colour("1", text)
                                                 : in ? tool.out.colour("36", text) : text)
                      << '\n';
        });
        return json.contains("packet");
    };
    return show_events(tool, "/api/v1/trace?client=" + percent_encode(id_), "trace", count_, show);
}

int SessionCommands::sessions_list(const Tool& tool) const {
    Json list = Json::array();
    for_each_page(tool.server, "/api/v1/sessions?limit=1000&state=" + state_, "sessions",
                  [&](const Json& session) { list.push_back(session); });
    if (tool.out.format() != Format::table) {
        tool.out.value(list);
        return exit_ok;
    }
    std::vector<std::vector<std::string>> rows;
    for (const Json& session : list) {
        const std::string user = text_of(session, "user");
        rows.push_back({text_of(session, "client_id"), text_of(session, "state"), expiry_of(session),
                        std::to_string(number_of(session, "subscriptions")),
                        std::to_string(number_of(session, "queued_messages")),
                        bytes_text(number_of(session, "queued_bytes")), user.empty() ? "-" : user});
    }
    tool.out.table({"CLIENT", "STATE", "ENDS", "SUBS", "QUEUED", "BYTES", "USER"}, std::move(rows));
    return exit_ok;
}

int SessionCommands::sessions_show(const Tool& tool) const {
    const Json json = request(tool.server, "GET", "/api/v1/sessions/" + percent_encode(id_));
    if (tool.out.format() != Format::table) {
        tool.out.value(json);
        return exit_ok;
    }
    std::cout << printable(text_of(json, "client_id")) << "  " << text_of(json, "state") << '\n';
    const auto number = [&](const char* key) { return number_text(static_cast<double>(number_of(json, key))); };
    std::vector<std::pair<std::string, std::string>> fields = {{"ends", expiry_of(json)}};
    if (json.contains("user")) fields.emplace_back("user", text_of(json, "user"));
    fields.emplace_back("queued", number("queued_messages") + " messages" +
                                      (json.contains("queued_bytes")
                                           ? ", " + bytes_text(number_of(json, "queued_bytes")) : std::string()));
    if (json.contains("unreleased_qos2")) fields.emplace_back("QoS 2 to release", number("unreleased_qos2"));
    if (json.contains("will_topic")) fields.emplace_back("will", "on " + text_of(json, "will_topic"));
    fields.emplace_back("subscriptions", number("subscriptions"));
    print_fields(fields);
    print_filters(tool, json.value("filters", Json::array()));
    return exit_ok;
}

int SessionCommands::sessions_remove(const Tool& tool) const {
    const Json json = request(tool.server, "DELETE",
                              "/api/v1/sessions/" + percent_encode(id_) + (dry_run ? "?dry_run=true" : ""));
    if (tool.out.format() != Format::table) {
        tool.out.value(json);
    } else {
        std::cout << (dry_run ? "would remove the session of " : "removed the session of ") << printable(id_) << ", "
                  << number_of(json, "queued_messages") << " messages with it\n";
    }
    return exit_ok;
}

int SessionCommands::subscriptions_list(const Tool& tool) const {
    std::string target = "/api/v1/subscriptions?limit=1000";
    if (!client_.empty()) target += "&client=" + percent_encode(client_);
    if (!filter_.empty()) target += "&filter=" + percent_encode(filter_);
    if (!topic_.empty()) target += "&topic=" + percent_encode(topic_);
    return show_list(tool, target, "subscriptions", {"CLIENT", "FILTER", "QOS", "STATE", "OPTIONS"},
                     [](const Json& one) -> std::vector<std::string> {
                         return {text_of(one, "client_id"), text_of(one, "filter"),
                                 std::to_string(number_of(one, "qos")),
                                 one.value("connected", false) ? "connected" : "offline", flags_of(one)};
                     });
}

}  // namespace trunkline::cli
