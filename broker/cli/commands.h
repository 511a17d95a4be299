// What trunkctl can do; each throws Failure or returns an exit code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/cli/http_client.h"
#include "broker/cli/output.h"

namespace trunkline::cli {

struct Tool {
    Server server;
    Output out;
};

int status(const Tool& tool);
int tree(const Tool& tool, const std::string& path, std::uint32_t depth, bool stats);
/// One level: what is right below `path`, "" for the first.
int list(const Tool& tool, const std::string& path);
int get(const Tool& tool, const std::string& topic);
struct Search {
    std::vector<std::string> words;
    std::string type, unit, owner, kind;
    bool stale = false;
    std::uint32_t most = 100;                 // topics to show
};
int find(const Tool& tool, const Search& search);
int meta(const Tool& tool, const std::string& topic);
/// Ends after `count` messages; 0: never.
int watch(const Tool& tool, const std::string& filter, std::uint64_t count);
/// Sends all clients to `reference` (HOST:PORT), for good when `moved`.
int drain(const Tool& tool, const std::string& reference, bool moved, bool dry_run);
int drain_end(const Tool& tool);
int retained_list(const Tool& tool, const std::string& filter);
int retained_remove(const Tool& tool, const std::string& filter, bool dry_run);

struct Publication {
    std::string topic, message, file;
    std::uint32_t qos = 0;
    bool retain = false;
};
int publish(const Tool& tool, const Publication& publication);

}  // namespace trunkline::cli
