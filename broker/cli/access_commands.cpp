#include "broker/cli/access_commands.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>

#include <CLI/CLI.hpp>

#include "auth/mosquitto_import.h"
#include "broker/cli/fields.h"
#include "broker/cli/files.h"

namespace trunkline::cli {
namespace {

std::string joined(const Json& json, const char* key) {
    std::string all;
    for (const Json& one : json.value(key, Json::array())) all += (all.empty() ? "" : ", ") + one.get<std::string>();
    return all.empty() ? "-" : all;
}

std::string read_password(const std::string& file) {
    if (!file.empty()) return first_line(file);
    std::string first = read_hidden("Password: ", "--password-file");
    if (read_hidden("Again: ", "--password-file") != first) throw Failure(exit_usage, "the two are not the same");
    return first;
}

std::string body_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

int done(const Tool& tool, const Json& answer) {
    if (tool.out.format() != Format::table) {
        tool.out.value(answer);
    } else {
        std::cout << printable(text_of(answer, "user")) << ": " << text_of(answer, "done") << "; in force now\n";
    }
    return exit_ok;
}

int users_list(const Tool& tool) {
    Json list = Json::array();
    for_each_page(tool.server, "/api/v1/users?limit=1000", "users", [&](const Json& user) { list.push_back(user); });
    if (tool.out.format() != Format::table) {
        tool.out.value(list);
        return exit_ok;
    }
    std::vector<std::vector<std::string>> rows;
    for (const Json& user : list) {
        std::string state = user.value("disabled", false) ? "disabled" : text_of(user, "valid");
        if (user.value("weak_password", false)) state += state.empty() ? "weak hash" : ", weak hash";
        rows.push_back({text_of(user, "name"), joined(user, "groups"), joined(user, "roles"), joined(user, "methods"),
                        state.empty() ? "-" : state, text_of(user, "place")});
    }
    tool.out.table({"USER", "GROUPS", "ROLES", "METHODS", "STATE", "PLACE"}, std::move(rows));
    return exit_ok;
}

int users_remove(const Tool& tool, const std::string& name, const std::string& reason) {
    const std::string why = reason.empty() ? "" : "?reason=" + percent_encode(reason);
    return done(tool, request(tool.server, "DELETE", "/api/v1/users/" + percent_encode(name) + why));
}

int roles_list(const Tool& tool) {
    Json list = Json::array();
    for_each_page(tool.server, "/api/v1/roles?limit=1000", "roles", [&](const Json& role) { list.push_back(role); });
    if (tool.out.format() != Format::table) {
        tool.out.value(list);
        return exit_ok;
    }
    std::vector<std::vector<std::string>> rows;
    for (const Json& role : list) {
        const char* whose = role.value("everyone", false)    ? "everyone"
                            : role.value("anonymous", false) ? "anonymous"
                                                             : "";
        std::string users = joined(role, "users");
        if (*whose) users = users == "-" ? whose : users + ", " + whose;
        rows.push_back({text_of(role, "name"), text_of(role, "rule_count"), joined(role, "groups"), users,
                        text_of(role, "description"), text_of(role, "place")});
    }
    tool.out.table({"ROLE", "RULES", "GROUPS", "USERS", "WHAT", "PLACE"}, std::move(rows));
    return exit_ok;
}

int roles_show(const Tool& tool, const std::string& name) {
    const Json role = request(tool.server, "GET", "/api/v1/roles/" + percent_encode(name));
    if (tool.out.format() != Format::table) {
        tool.out.value(role);
        return exit_ok;
    }
    std::cout << printable(text_of(role, "name")) << "  groups: " << printable(joined(role, "groups"))
              << "  users: " << printable(joined(role, "users")) << '\n';
    std::vector<std::vector<std::string>> rows;
    for (const Json& rule : role.value("rules", Json::array())) {
        rows.push_back({text_of(rule, "place"), text_of(rule, "text"), text_of(rule, "when")});
    }
    tool.out.table({"PLACE", "RULE", "WHEN"}, std::move(rows));
    return exit_ok;
}

}  // namespace

void AccessCommands::add(CLI::App& app, std::function<int(const Tool&)>& action) {
    add_users(app, action);
    add_roles(app, action);
    add_access(app, action);
}

void AccessCommands::add_users(CLI::App& app, std::function<int(const Tool&)>& action) {
    auto* users = app.add_subcommand("users", "users of the roles file");
    users->require_subcommand(1);
    users->add_subcommand("ls", "list them")->callback([&action] { action = users_list; });
    const auto secret = [this](CLI::App* command) {
        command->add_option("NAME", name_, "the user")->required();
        command->add_option("--password-file", password_file_, "its first line; else it is asked on the terminal")
            ->type_name("FILE");
        command->add_option("--reason", reason_, "why, for the record")->type_name("TEXT");
    };
    auto* add = users->add_subcommand("add", "add one to the file");
    secret(add);
    add->add_option("--group", groups_, "a group of the file; may be repeated")->type_name("GROUP");
    add->add_option("--role", roles_, "a role of the file; may be repeated")->type_name("ROLE");
    add->add_flag("--no-password", no_password_, "it has none: a certificate or a token says who it is");
    add->callback([this, &action] { action = [this](const Tool& tool) { return users_add(tool); }; });
    auto* passwd = users->add_subcommand("passwd", "another password");
    secret(passwd);
    passwd->callback([this, &action] { action = [this](const Tool& tool) { return users_passwd(tool); }; });
    auto* remove = users->add_subcommand("rm", "remove one from the file");
    remove->add_option("NAME", name_, "the user")->required();
    remove->add_option("--reason", reason_, "why, for the record")->type_name("TEXT");
    remove->callback(
        [this, &action] { action = [this](const Tool& tool) { return users_remove(tool, name_, reason_); }; });
}

void AccessCommands::add_roles(CLI::App& app, std::function<int(const Tool&)>& action) {
    auto* roles = app.add_subcommand("roles", "roles of the roles file");
    roles->require_subcommand(1);
    roles->add_subcommand("ls", "list them, with who has them")->callback([&action] { action = roles_list; });
    auto* show = roles->add_subcommand("show", "the rules of one");
    show->add_option("NAME", name_, "the role")->required();
    show->callback([this, &action] { action = [this](const Tool& tool) { return roles_show(tool, name_); }; });
}

void AccessCommands::add_access(CLI::App& app, std::function<int(const Tool&)>& action) {
    auto* access = app.add_subcommand("access", "who may do what");
    access->require_subcommand(1);
    const auto question = [this](CLI::App* command) {
        command->add_option("ACTION", what_, "publish, subscribe, receive or admin")->required()
            ->check(CLI::IsMember({"publish", "subscribe", "receive", "admin"}));
        command->add_option("TOPIC", topic_, "a topic, a filter, or the name of an action")->required();
    };
    auto* test_command = access->add_subcommand("test", "may somebody do this, and by which rule");
    test_command->add_option("-u,--user", user_, "the user")->type_name("NAME");
    test_command->add_option("-i,--client", client_id_, "client identifier")->type_name("ID");
    question(test_command);
    test_command->callback([this, &action] { action = [this](const Tool& tool) { return test(tool); }; });
    auto* who = access->add_subcommand("who-can", "users who may do this, and by which rule");
    question(who);
    who->callback([this, &action] { action = [this](const Tool& tool) { return who_can(tool); }; });
    auto* import = access->add_subcommand("import-mosquitto", "a roles file of Mosquitto's files; needs no broker");
    import->add_option("--acl", acl_file_, "its acl_file")->type_name("FILE");
    import->add_option("--passwords", passwords_file_, "its password_file")->type_name("FILE");
    import->add_option("--out", out_file_, "where to; must not be there yet. Standard output unless told")
        ->type_name("FILE");
    import->callback([this, &action] { action = [this](const Tool&) { return import_mosquitto(); }; });
}

int AccessCommands::users_add(const Tool& tool) const {
    Json body = {{"name", name_}, {"groups", groups_}, {"roles", roles_}};
    if (!no_password_) body["password"] = read_password(password_file_);
    if (!reason_.empty()) body["reason"] = reason_;
    return done(tool, request(tool.server, "POST", "/api/v1/users", body_of(body)));
}

int AccessCommands::users_passwd(const Tool& tool) const {
    Json body = {{"name", name_}, {"password", read_password(password_file_)}};
    if (!reason_.empty()) body["reason"] = reason_;
    return done(tool, request(tool.server, "POST", "/api/v1/users/password", body_of(body)));
}

int AccessCommands::test(const Tool& tool) const {
    const Json body = {{"action", what_}, {"topic", topic_}, {"user", user_}, {"client_id", client_id_}};
    const Json answer = request(tool.server, "POST", "/api/v1/access/test", body_of(body));
    const bool allowed = answer.value("allowed", false);
    if (tool.out.format() != Format::table) {
        tool.out.value(answer);
        return allowed ? exit_ok : exit_findings;
    }
    std::cout << tool.out.colour(allowed ? "32" : "31", allowed ? "allowed" : "denied") << "  "
              << printable(text_of(answer, "text")) << "\nroles    " << printable(joined(answer, "roles")) << '\n';
    if (const Json partly = answer.value("partly", Json()); partly.is_object()) {
        std::cout << "some deliveries are kept back: " << printable(text_of(partly, "place")) << "  "
                  << printable(text_of(partly, "rule")) << '\n';
    }
    std::vector<std::vector<std::string>> rows;
    for (const Json& one : answer.value("considered", Json::array())) {
        rows.push_back({text_of(one, "place"), text_of(one, "rule"),
                        one.value("applies", false) ? "applies" : text_of(one, "why_not")});
    }
    if (!rows.empty()) tool.out.table({"PLACE", "RULE", ""}, std::move(rows));
    return allowed ? exit_ok : exit_findings;
}

int AccessCommands::who_can(const Tool& tool) const {
    Json list = Json::array();
    for_each_page(tool.server, "/api/v1/access/who-can?action=" + percent_encode(what_) + "&topic=" +
                                   percent_encode(topic_), "users", [&](const Json& user) { list.push_back(user); });
    if (tool.out.format() != Format::table) {
        tool.out.value(list);
        return list.empty() ? exit_findings : exit_ok;
    }
    std::vector<std::vector<std::string>> rows;
    for (const Json& one : list) rows.push_back({text_of(one, "user"), text_of(one, "place"), text_of(one, "rule")});
    tool.out.table({"USER", "PLACE", "RULE"}, std::move(rows));
    return list.empty() ? exit_findings : exit_ok;
}

int AccessCommands::import_mosquitto() const {
    if (acl_file_.empty() && passwords_file_.empty()) throw Failure(exit_usage, "give --acl, --passwords, or both");
    std::vector<Problem> problems;
    std::optional<auth::MosquittoAcl> acl;
    std::optional<auth::MosquittoPasswords> passwords;
    if (!acl_file_.empty()) acl = auth::MosquittoAcl::parse(read_file(acl_file_), acl_file_, problems);
    if (!passwords_file_.empty()) {
        passwords = auth::parse_mosquitto_passwords(read_file(passwords_file_), passwords_file_, problems);
    }
    for (const Problem& one : problems) std::cerr << printable(to_string(one), true) << '\n';
    if ((!acl_file_.empty() && !acl) || (!passwords_file_.empty() && !passwords)) return exit_findings;
    std::vector<Problem> notes;
    const std::string text = to_roles_file(acl ? &*acl : nullptr, passwords ? &*passwords : nullptr, notes);
    for (const Problem& one : notes) std::cerr << "note: " << printable(to_string(one), true) << '\n';
    if (out_file_.empty()) {
        std::cout << text;
        return exit_ok;
    }
    const int file = open(out_file_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);   // it holds hashes
    const bool written = file >= 0 && write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    const std::string why = written ? "" : std::strerror(errno);
    if (file >= 0) close(file);
    if (!written) throw Failure(exit_findings, "cannot write " + out_file_ + ": " + why);
    return exit_ok;
}

}  // namespace trunkline::cli
