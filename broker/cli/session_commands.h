// Clients, sessions, subscriptions, and what one client sends and is sent. Each throws Failure or returns an exit code.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "broker/cli/commands.h"

namespace CLI {
class App;
}

namespace trunkline::cli {

class SessionCommands {
public:
    /// Adds them to `app`; the one that is typed becomes `action`.
    void add(CLI::App& app, std::function<int(const Tool&)>& action);
    bool dry_run = false;

private:
    void add_clients(CLI::App& app, std::function<int(const Tool&)>& action);
    void add_sessions(CLI::App& app, std::function<int(const Tool&)>& action);
    int clients_list(const Tool& tool) const;
    int clients_show(const Tool& tool) const;
    int clients_kick(const Tool& tool) const;
    int trace(const Tool& tool) const;
    int sessions_list(const Tool& tool) const;
    int sessions_show(const Tool& tool) const;
    int sessions_remove(const Tool& tool) const;
    int subscriptions_list(const Tool& tool) const;

    std::string id_, state_ = "all", client_, filter_, topic_;
    std::uint64_t count_ = 0;
};

/// A traced packet as one line: time, direction, what it is, what is in it.
[[nodiscard]] std::string trace_line(const Json& packet);

}  // namespace trunkline::cli
