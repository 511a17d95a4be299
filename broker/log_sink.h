// Log lines on standard error, as JSON or text.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "broker/core/log.h"

namespace trunkline::broker {

/// One write() a line, so that lines of several threads and processes don't mix. Thread safe. Each event may write
/// `burst` lines at once and `burst` more each second after; what is held back is counted and told by the next line of
/// that event ("suppressed"). Errors are limited too: a failing disk must not fill another.
class StderrLog : public LogSink {
public:
    static constexpr std::uint32_t burst = 20;

    StderrLog(bool json, int descriptor) : json_(json), descriptor_(descriptor) {}
    void write(Level level, std::string_view event, std::initializer_list<LogField> fields) override;

    /// The line for an event, with its newline. Values are escaped; bytes that are no UTF-8 become U+FFFD.
    [[nodiscard]] static std::string format(bool json, std::int64_t wall_ms, Level level, std::string_view event,
                                            std::initializer_list<LogField> fields, std::uint64_t suppressed);

private:
    struct Rate {
        std::int64_t second = 0;
        std::uint32_t lines = 0;
        std::uint64_t suppressed = 0;
    };
    bool json_;
    int descriptor_;
    std::mutex mutex_;
    std::unordered_map<std::string, Rate> rates_;   // by event: a fixed set of names
};

}  // namespace trunkline::broker
