#include "broker/core/log.h"

#include <atomic>

namespace trunkline::broker {
namespace {

std::atomic<LogSink*> current_sink{nullptr};
std::atomic<Level> current_level{Level::info};

}  // namespace

std::string_view level_name(Level level) {
    switch (level) {
        case Level::error: return "error";
        case Level::warn: return "warn";
        case Level::info: return "info";
        case Level::debug: return "debug";
    }
    return "unknown";
}

bool log_enabled(Level level) {
    return level <= current_level.load(std::memory_order_relaxed) &&
           current_sink.load(std::memory_order_relaxed) != nullptr;
}

void log(Level level, std::string_view event, std::initializer_list<LogField> fields) {
    if (level > current_level.load(std::memory_order_relaxed)) return;
    if (LogSink* sink = current_sink.load(std::memory_order_acquire)) sink->write(level, event, fields);
}

void set_log_sink(LogSink* sink) { current_sink.store(sink, std::memory_order_release); }
void set_log_level(Level level) { current_level.store(level, std::memory_order_relaxed); }

}  // namespace trunkline::broker
