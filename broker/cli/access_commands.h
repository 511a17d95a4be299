// Users, roles, and who may do what; import of Mosquitto's files, which needs no broker.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "broker/cli/commands.h"

namespace CLI {
class App;
}

namespace trunkline::cli {

/// The commands and what was typed for them.
class AccessCommands {
public:
    /// Adds them to `app`; the one that is typed becomes `action`.
    void add(CLI::App& app, std::function<int(const Tool&)>& action);

private:
    void add_users(CLI::App& app, std::function<int(const Tool&)>& action);
    void add_roles(CLI::App& app, std::function<int(const Tool&)>& action);
    void add_access(CLI::App& app, std::function<int(const Tool&)>& action);
    int users_add(const Tool& tool) const;
    int users_passwd(const Tool& tool) const;
    int test(const Tool& tool) const;
    int who_can(const Tool& tool) const;
    int import_mosquitto() const;

    std::string name_, password_file_, reason_, what_, topic_, user_, client_id_;
    std::string acl_file_, passwords_file_, out_file_;
    std::vector<std::string> groups_, roles_;
    bool no_password_ = false;
};

}  // namespace trunkline::cli
