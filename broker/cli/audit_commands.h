// trunkctl audit: the trail as the broker keeps it. Offline, and without trusting the broker: trunkaudit.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "broker/cli/commands.h"

namespace trunkline::cli {

/// What may be typed after `trunkctl audit`.
class AuditCommands {
public:
    /// Sets `action` to what was typed.
    void add(CLI::App& app, std::function<int(const Tool&)>& action);

private:
    [[nodiscard]] std::string query() const;
    [[nodiscard]] int tail(const Tool& tool) const;
    [[nodiscard]] int search(const Tool& tool) const;
    [[nodiscard]] int status(const Tool& tool) const;
    [[nodiscard]] int verify(const Tool& tool) const;
    [[nodiscard]] int prove(const Tool& tool) const;
    [[nodiscard]] int write_export(const Tool& tool) const;
    [[nodiscard]] int checkpoint(const Tool& tool) const;
    [[nodiscard]] int rotate_key(const Tool& tool) const;

    std::string actor_, action_, object_, from_, to_, result_, format_ = "jsonl", file_, publish_, reason_;
    std::uint64_t count_ = 50, limit_ = 0, sequence_ = 0;
    bool follow_ = false;
};

}  // namespace trunkline::cli
