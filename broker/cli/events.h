// Commands that show events as they happen.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "broker/cli/commands.h"

namespace trunkline::cli {

/// Shows the events of a stream until the connection ends, nobody reads the output any more, or `count` events were
/// shown (0: any number). `show` prints one, of which `text` is the JSON as it came, and says whether it counts.
/// Throws Failure (exit_findings) when the broker gives a reason for its end; `what`, such as "watch", is named in it.
int show_events(const Tool& tool, const std::string& target, const std::string& what, std::uint64_t count,
                const std::function<bool(const Json& event, std::string_view text)>& show);

/// Prints an event in the chosen format: `print_line` does where that is a table; `text` is `json` on one line.
void print_event(const Tool& tool, const Json& json, std::string_view text, const std::function<void()>& print_line);

}  // namespace trunkline::cli
