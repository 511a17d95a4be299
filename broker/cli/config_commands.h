// The broker's configuration: shown, checked with or without a broker, read again.
#pragma once

#include <functional>
#include <string>

#include "broker/cli/commands.h"

namespace CLI {
class App;
}

namespace trunkline::cli {

class ConfigCommands {
public:
    void add(CLI::App& app, std::function<int(const Tool&)>& action);
    bool dry_run = false;

private:
    int show(const Tool& tool) const;
    int check(const Tool& tool) const;
    int reload(const Tool& tool) const;
    std::string file_;
    bool by_broker_ = false;
};

}  // namespace trunkline::cli
