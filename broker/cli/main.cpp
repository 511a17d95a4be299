// trunkctl: the administration of a broker from the command line.
#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>

#include <CLI/CLI.hpp>

#include "broker/cli/access_commands.h"
#include "broker/cli/audit_commands.h"
#include "broker/cli/backup_commands.h"
#include "broker/cli/commands.h"
#include "broker/cli/config_commands.h"
#include "broker/cli/contexts.h"
#include "broker/cli/governance_commands.h"
#include "broker/cli/model_commands.h"
#include "broker/cli/session_commands.h"
#include "broker/version.h"

namespace {

using namespace trunkline;
using namespace trunkline::cli;

struct Common {
    std::string server, context, token_file, login, password_file, reason;
    TlsFiles files;
    Format format = Format::table;
    bool no_colour = false, watch = false, dry_run = false;
    double interval_s = 2;
};

/// Commands that only show: they may be repeated.
constexpr std::string_view shows[] = {
    "status", "tree", "ls", "get", "find", "meta", "clients ls", "clients show", "sessions ls", "sessions show",
    "subscriptions ls", "retained ls", "violations", "quarantine ls", "quarantine show", "model show", "model versions",
    "model pending", "model drift", "users ls", "roles ls", "roles show", "access test", "access who-can",
    "audit status", "config show", "config check", "explain", "context ls"};

/// Commands that change something on this machine, about which there is nothing to say without doing it.
constexpr std::string_view local_changes[] = {"backup create", "backup restore", "context add", "context use",
                                              "context rm", "access import-mosquitto"};

bool is_one_of(const auto& list, std::string_view command) {
    return std::find(std::begin(list), std::end(list), command) != std::end(list);
}

/// "clients ls": the command that was typed, without what it was given.
std::string typed_command(const CLI::App& app) {
    std::string path;
    for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
        at = at->get_subcommands().front();
        path += (path.empty() ? "" : " ") + at->get_name();
    }
    return path;
}

std::string or_environment(const std::string& given, const char* name) {
    const char* value = std::getenv(name);
    return !given.empty() || !value ? given : std::string(value);
}

Tool make_tool(const Common& common, const std::string& command) {
    // What needs no broker must not fail for want of a good context, least of all the commands that mend them.
    const bool by_itself = command.starts_with("context ");
    Tool tool{by_itself ? Server() : choose_server(common.server, common.context, common.token_file, common.files),
              Output(common.format, !common.no_colour)};
    tool.server.reason = common.reason;
    tool.server.dry_run = common.dry_run;
    // What is typed goes before the environment, and a name before a token.
    const bool token_typed = common.login.empty() && !common.token_file.empty();
    const std::string user = token_typed ? "" : or_environment(common.login, "TRUNKLINE_LOGIN");
    if (!user.empty()) {
        tool.server.token.clear();
        tool.server.login =
            std::make_shared<Login>(user, or_environment(common.password_file, "TRUNKLINE_PASSWORD_FILE"));
    }
    return tool;
}

/// Everything that may be typed; `action` is set to what was.
struct CommandLine {
    Common common;
    std::function<int(const Tool&)> action;
    std::string path, topic, filter, id, reference;
    std::uint32_t depth = 64;
    std::uint64_t count = 0;
    bool stats = false, dry_run = false, moved = false, end = false;
    Publication publication;
    ModelCommands model;
    AccessCommands access;
    AuditCommands audit;
    Search search;
    Chosen chosen;
    BackupCommands backup;
    SessionCommands sessions;
    ConfigCommands config;
    ContextCommands contexts;

    void add_common(CLI::App& app);
    void add_namespace(CLI::App& app);
    void add_drain(CLI::App& app);
    void add_messages(CLI::App& app);
    void add_governance(CLI::App& app);
    template <class Function>
    void on(CLI::App* command, Function function) {
        command->callback([this, function] { action = function; });
    }
};

void CommandLine::add_common(CLI::App& app) {
    const std::map<std::string, Format> formats = {
        {"table", Format::table}, {"json", Format::json}, {"yaml", Format::yaml}, {"jsonl", Format::jsonl}};
    auto* server = app.add_option("--server", common.server,
                                  "https://HOST:PORT, http://HOST:PORT or unix:PATH; also TRUNKLINE_SERVER")
                       ->type_name("URL");
    app.add_option("--context", common.context, "a broker by name, see context add; also TRUNKLINE_CONTEXT")
        ->type_name("NAME")->excludes(server);
    app.add_option("--token-file", common.token_file, "its first line; also TRUNKLINE_TOKEN_FILE, TRUNKLINE_TOKEN")
        ->type_name("FILE");
    add_tls_options(app, common.files, true);
    app.add_option("--login", common.login, "user of the roles file to be, with its password; also TRUNKLINE_LOGIN")
        ->type_name("USER");
    app.add_option("--login-password-file", common.password_file,
                   "its first line; also TRUNKLINE_PASSWORD_FILE; else it is asked on the terminal")->type_name("FILE");
    app.add_option("--reason", common.reason, "why something is changed, for the audit trail")->type_name("TEXT");
    app.add_option("-o,--output", common.format, "table, json, yaml or jsonl")
        ->transform(CLI::CheckedTransformer(formats))->option_text("FORMAT");
    app.add_flag("--no-color,--no-colour", common.no_colour, "no colours");
    app.add_flag("--watch", common.watch, "show it again and again; for commands that change nothing");
    app.add_option("--interval", common.interval_s, "with --watch: seconds in between, 2 unless told")
        ->check(CLI::Range(0.1, 86'400.0))->type_name("S");
    app.add_flag("--dry-run", common.dry_run, "change nothing, say what would be done");
    app.set_version_flag("--version", std::string("trunkctl ") + broker::version);
}

void CommandLine::add_namespace(CLI::App& app) {
    on(app.add_subcommand("status", "health, rates, backlog and disk, in one screen"), status);
    auto* tree_command = app.add_subcommand("tree", "the namespace with kinds, types, last values and their age");
    tree_command->add_option("PATH", path, "show what is below this topic");
    tree_command->add_option("-L,--levels", depth, "levels to show")->check(CLI::Range(1U, 1'024U))->type_name("N");
    tree_command->add_flag("--stats", stats, "figures per level instead");
    on(tree_command, [this](const Tool& tool) { return tree(tool, path, depth, stats); });
    auto* list_command = app.add_subcommand("ls", "one level of the namespace");
    list_command->add_option("PATH", path, "show what is right below this topic");
    on(list_command, [this](const Tool& tool) { return list(tool, path); });
    auto* find_command = app.add_subcommand("find", "topics by words, type, unit, owner, kind or staleness");
    find_command->add_option("WORDS", search.words, "all of them are in the topic or its description");
    find_command->add_option("--type", search.type, "of the value, or of the asset: number, filler, filler@2")
        ->type_name("T");
    find_command->add_option("--unit", search.unit, "UCUM code")->type_name("U");
    find_command->add_option("--owner", search.owner, "a part of the owner")->type_name("O");
    find_command->add_option("--kind", search.kind, "asset, metric, event, command, structure, part, open, unknown")
        ->type_name("K");
    find_command->add_flag("--stale", search.stale, "only what is stale or silent");
    find_command->add_option("-n,--limit", search.most, "topics to show")->check(CLI::Range(1U, 1'000'000U))
        ->type_name("N");
    on(find_command, [this](const Tool& tool) { return find(tool, search); });
    auto* meta_command = app.add_subcommand("meta", "what the model says of a topic or level, and how it lives");
    meta_command->add_option("TOPIC", topic, "topic")->required();
    on(meta_command, [this](const Tool& tool) { return meta(tool, topic); });
    auto* get_command = app.add_subcommand("get", "the last value of a topic");
    get_command->add_option("TOPIC", topic, "topic")->required();
    on(get_command, [this](const Tool& tool) { return get(tool, topic); });
    auto* watch_command = app.add_subcommand("watch", "messages as they come");
    watch_command->add_option("FILTER", filter, "MQTT topic filter")->required();
    watch_command->add_option("-n,--count", count, "end after so many")->type_name("N");
    on(watch_command, [this](const Tool& tool) { return watch(tool, filter, count); });
}

void CommandLine::add_drain(CLI::App& app) {
    auto* drain_command = app.add_subcommand("drain", "send all clients to another broker and refuse new ones");
    auto* where = drain_command->add_option("SERVER", reference, "where to: HOST:PORT");
    auto* moved_flag = drain_command->add_flag("--moved", moved, "for good (reason 0x9D instead of 0x9C)");
    drain_command->add_flag("--dry-run", dry_run, "say how many would go");
    drain_command->add_flag("--end", end, "stop draining")->excludes(where)->excludes(moved_flag);
    on(drain_command, [this](const Tool& tool) {
        if (end) return drain_end(tool);
        if (reference.empty()) throw Failure(exit_usage, "name the broker that clients are to use, or --end");
        return drain(tool, reference, moved, dry_run);
    });
}

void CommandLine::add_messages(CLI::App& app) {
    auto* retained = app.add_subcommand("retained", "retained messages");
    retained->require_subcommand(1);
    auto* list = retained->add_subcommand("ls", "list them");
    filter = "#";
    list->add_option("FILTER", filter, "MQTT topic filter, # unless told");
    on(list, [this](const Tool& tool) { return retained_list(tool, filter); });
    auto* remove = retained->add_subcommand("rm", "remove what matches");
    remove->add_option("FILTER", filter, "MQTT topic filter")->required();
    remove->add_flag("--dry-run", dry_run, "say what would go");
    on(remove, [this](const Tool& tool) { return retained_remove(tool, filter, dry_run); });
    auto* publish_command = app.add_subcommand("publish", "publish a message");
    publish_command->add_option("TOPIC", publication.topic, "topic")->required();
    auto* message = publish_command->add_option("-m,--message", publication.message, "payload")->type_name("TEXT");
    publish_command->add_option("-f,--file", publication.file, "payload from a file, - for standard input")
        ->type_name("FILE")->excludes(message);
    publish_command->add_option("-q,--qos", publication.qos, "0, 1 or 2")->check(CLI::Range(0U, 2U))->type_name("QOS");
    publish_command->add_flag("-r,--retain", publication.retain, "keep it as the topic's last value");
    on(publish_command, [this](const Tool& tool) { return publish(tool, publication); });
}

void CommandLine::add_governance(CLI::App& app) {
    auto* broken = app.add_subcommand("violations", "what broke the model lately: who, topic, rule, what, fix");
    auto* follow = broken->add_flag("--watch", stats, "as they come");
    broken->add_option("-n,--count", count, "so many at most (with --watch: end after so many)")->type_name("N");
    on(broken, [this, follow](const Tool& tool) {
        return follow->count() > 0 ? violations_watch(tool, count) : violations(tool, count ? count : 50);
    });
    auto* quarantine = app.add_subcommand("quarantine", "messages that were kept apart for breaking the model");
    quarantine->require_subcommand(1);
    auto* list = quarantine->add_subcommand("ls", "list them, oldest first");
    list->add_option("FILTER", filter, "MQTT topic filter, # unless told");
    on(list, [this](const Tool& tool) { return quarantine_list(tool, filter); });
    auto* show = quarantine->add_subcommand("show", "one with its payload, what is wrong with it and the fix");
    show->add_option("ID", id, "as ls gives it")->required();
    on(show, [this](const Tool& tool) { return quarantine_show(tool, id); });
    const auto choose = [this](CLI::App* command) {
        command->add_option("ID", chosen.ids, "as ls gives them");
        command->add_option("--filter", chosen.filter, "all whose topic matches")->type_name("FILTER");
        command->add_option("--reason", chosen.reason, "why, for the record")->type_name("TEXT");
    };
    auto* replay = quarantine->add_subcommand("replay", "judge them again and publish what the model takes now");
    choose(replay);
    on(replay, [this](const Tool& tool) { return quarantine_replay(tool, chosen); });
    auto* drop = quarantine->add_subcommand("drop", "remove them for good");
    choose(drop);
    drop->add_flag("--dry-run", chosen.dry_run, "say what would go");
    on(drop, [this](const Tool& tool) { return quarantine_drop(tool, chosen); });
}

/// With --dry-run before the command instead of behind it.
void spread_dry_run(CommandLine& line) {
    Common& common = line.common;
    const bool any = common.dry_run || line.dry_run || line.chosen.dry_run || line.model.dry_run ||
                     line.sessions.dry_run || line.config.dry_run;
    common.dry_run = line.dry_run = line.chosen.dry_run = line.model.dry_run = line.sessions.dry_run =
        line.config.dry_run = any;
}

int run_once(const CommandLine& line, const Tool& tool) {
    try {
        return line.action(tool);
    } catch (const DryRun& dry) {
        if (tool.out.format() != Format::table) {
            tool.out.value({{"dry_run", true}, {"method", dry.method}, {"target", dry.target}, {"body", dry.body}});
        } else {
            std::cout << "would send " << dry.method << ' ' << printable(dry.target);
            if (!dry.body.is_null()) {
                std::cout << ' ' << printable(dry.body.dump(-1, ' ', false, Json::error_handler_t::replace));
            }
            std::cout << '\n';
        }
        return exit_ok;
    }
}

/// Until it is interrupted, or nobody reads any more. A broker that cannot be reached may come back.
int run_watch(const CommandLine& line, const Tool& tool) {
    while (true) {
        std::ostringstream screen;   // painted at once, so that it does not flicker
        std::streambuf* const terminal = std::cout.rdbuf(screen.rdbuf());
        std::string wrong;
        try {
            (void)run_once(line, tool);
        } catch (const Failure& failure) {
            wrong = std::string(failure.what()) + "\n";
            if (failure.exit_code == exit_usage || failure.exit_code == exit_not_authorised) {
                std::cout.rdbuf(terminal);
                throw;
            }
        }
        std::cout.rdbuf(terminal);
        if (tool.out.terminal()) std::cout << "\x1B[H\x1B[2J";
        if (tool.out.format() == Format::yaml) std::cout << "---\n";
        std::cout << screen.str() << std::flush;
        if (!wrong.empty()) std::cerr << "trunkctl: " << printable(wrong, true);
        if (!std::cout.good()) return exit_ok;
        std::this_thread::sleep_for(std::chrono::duration<double>(line.common.interval_s));
    }
}

int run(CommandLine& line, const std::string& command) {
    spread_dry_run(line);
    if (line.common.watch && !is_one_of(shows, command)) {
        throw Failure(exit_usage, "--watch is for commands that only show, and " + command + " is none");
    }
    if (line.common.dry_run && is_one_of(local_changes, command)) {
        throw Failure(exit_usage, command + " has nothing to say without doing it; there is no dry run of it");
    }
    const Tool tool = make_tool(line.common, command);
    return line.common.watch ? run_watch(line, tool) : run_once(line, tool);
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"trunkctl, the administration of a Trunkline broker", "trunkctl"};
    app.require_subcommand(1);
    app.fallthrough();
    CommandLine line;
    line.add_common(app);
    line.add_namespace(app);
    line.sessions.add(app, line.action);
    line.add_drain(app);
    line.add_messages(app);
    line.add_governance(app);
    line.model.add(app, line.action);
    line.access.add(app, line.action);
    line.audit.add(app, line.action);
    line.backup.add(app, line.action);
    line.config.add(app, line.action);
    line.contexts.add(app, line.action);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? exit_ok : exit_usage;
    }
    try {
        return run(line, typed_command(app));
    } catch (const Failure& failure) {
        std::cerr << "trunkctl: " << printable(failure.what()) << '\n';
        return failure.exit_code;
    } catch (const std::exception& error) {
        std::cerr << "trunkctl: " << printable(error.what()) << '\n';
        return exit_findings;
    }
}
