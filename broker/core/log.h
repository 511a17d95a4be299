// Logging as seen from anywhere in the broker: one event, a few named values. Where lines go and how they look is set
// once at start (broker/log_sink.h); without a sink, as in unit tests, nothing is written.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace trunkline::broker {

/// Ascending detail. Nothing that happens per publish is logged above debug.
enum class Level : std::uint8_t { error, warn, info, debug };

/// "error", "warn", "info", "debug".
[[nodiscard]] std::string_view level_name(Level level);

using LogField = std::pair<std::string_view, std::string_view>;

/// Thread safe. `event` is a fixed lower_snake_case name such as "client_connected": lines are rate limited by it, so
/// it must not be built from outside input. Fields carry no payloads and no secrets; values may hold any bytes.
void log(Level level, std::string_view event, std::initializer_list<LogField> fields = {});

/// False when a line of this level would go nowhere: lets a caller skip building its values.
[[nodiscard]] bool log_enabled(Level level);

/// Called with every line of the level or above, from any thread.
struct LogSink {
    virtual ~LogSink() = default;
    virtual void write(Level level, std::string_view event, std::initializer_list<LogField> fields) = 0;
};

/// Sets the process's sink; null: none. The sink must outlive all use of log(): set it before the threads start and
/// take it away after they ended.
void set_log_sink(LogSink* sink);
/// Lines above this level are not written. Thread safe, may change while running.
void set_log_level(Level level);

}  // namespace trunkline::broker
