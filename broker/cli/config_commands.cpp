#include "broker/cli/config_commands.h"

#include <filesystem>
#include <iostream>

#include <CLI/CLI.hpp>

#include "broker/cli/fields.h"
#include "broker/cli/files.h"
#include "broker/config_check.h"

namespace trunkline::cli {
namespace {

void print_list(const char* heading, const Json& list) {
    if (list.empty()) return;
    std::cout << heading;
    for (const Json& one : list) std::cout << ' ' << printable(one.get<std::string>());
    std::cout << '\n';
}

void print_problems(const Json& problems) {
    for (const Json& one : problems) {
        std::cout << printable(text_of(one, "place")) << ": " << printable(text_of(one, "rule")) << ' '
                  << printable(text_of(one, "message")) << '\n';
        if (one.contains("fix")) std::cout << "    fix: " << printable(text_of(one, "fix"), true) << '\n';
    }
}

Json problems_json(const std::vector<Problem>& problems) {
    Json list = Json::array();
    for (const Problem& one : problems) {
        list.push_back({{"rule", one.rule}, {"place", one.place}, {"message", one.message}, {"fix", one.fix}});
    }
    return list;
}

int show_check(const Tool& tool, const Json& result, const char* verb) {
    const bool good = result.value("ok", false);
    if (tool.out.format() != Format::table) {
        tool.out.value(result);
        return good ? exit_ok : exit_findings;
    }
    print_problems(result.value("problems", Json::array()));
    if (!good) return exit_findings;
    std::cout << "the configuration is good\n";
    const Json changed = result.value("changed", Json::array());
    print_list((std::string(verb) + ":").c_str(), changed);
    print_list("takes a restart:", result.value("needs_restart", Json::array()));
    print_list("files read again:", result.value("read_again", Json::array()));
    return exit_ok;
}

}  // namespace

void ConfigCommands::add(CLI::App& app, std::function<int(const Tool&)>& action) {
    auto* config = app.add_subcommand("config", "the broker's configuration");
    config->require_subcommand(1);
    config->add_subcommand("show", "what is in force, secrets masked")->callback([this, &action] {
        action = [this](const Tool& tool) { return show(tool); };
    });
    auto* check_command = config->add_subcommand("check", "every mistake of a file with its place and mend; without "
                                                          "FILE of the broker's own");
    check_command->add_option("FILE", file_, "looked at here, without a broker, unless --broker");
    check_command->add_flag("--broker", by_broker_, "the broker looks at FILE, and says what it would change");
    check_command->callback([this, &action] { action = [this](const Tool& tool) { return check(tool); }; });
    auto* reload_command = config->add_subcommand("reload", "read configuration, certificates, tokens, users and roles "
                                                            "again; nobody is disconnected");
    reload_command->add_flag("--dry-run", dry_run, "say what would change");
    reload_command->callback([this, &action] { action = [this](const Tool& tool) { return reload(tool); }; });
}

int ConfigCommands::show(const Tool& tool) const {
    const Json json = request(tool.server, "GET", "/api/v1/config");
    if (tool.out.format() == Format::table) {
        std::cout << to_yaml(json);
    } else {
        tool.out.value(json);
    }
    return exit_ok;
}

int ConfigCommands::check(const Tool& tool) const {
    if (!file_.empty() && !by_broker_) {
        const auto problems = broker::check_config_file(file_);
        return show_check(tool, {{"ok", problems.empty()}, {"file", file_}, {"problems", problems_json(problems)}}, "");
    }
    const std::string text = file_.empty() ? "" : read_file(file_);
    if (!file_.empty() && text.empty()) throw Failure(exit_usage, file_ + " is empty");
    const std::string base = std::filesystem::path(file_).filename().string();
    const std::string name = file_.empty() ? "" : "?file=" + percent_encode(base);
    return show_check(tool, request(tool.server, "POST", "/api/v1/config/check" + name, text), "a reload would change");
}

int ConfigCommands::reload(const Tool& tool) const {
    if (dry_run) return show_check(tool, request(tool.server, "POST", "/api/v1/config/check"), "a reload would change");
    try {
        const Json result = request(tool.server, "POST", "/api/v1/config/reload");
        if (tool.out.format() != Format::table) {
            tool.out.value(result);
            return exit_ok;
        }
        std::cout << "reloaded " << printable(text_of(result, "file")) << '\n';
        if (result.value("changed", Json::array()).empty()) std::cout << "no key has changed\n";
        print_list("changed:", result.value("changed", Json::array()));
        print_list("takes a restart:", result.value("needs_restart", Json::array()));
        print_list("files read again:", result.value("read_again", Json::array()));
        return exit_ok;
    } catch (const Failure& failure) {
        if (!failure.problem.is_object() || !failure.problem.contains("problems")) throw;
        if (tool.out.format() != Format::table) {
            tool.out.value(failure.problem);
        } else {
            print_problems(failure.problem["problems"]);
            std::cerr << "trunkctl: not reloaded: what was in force stays\n";
        }
        return exit_findings;
    }
}

}  // namespace trunkline::cli
