#include "broker/log_sink.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <utility>

namespace trunkline::broker {
namespace {

std::string timestamp(std::int64_t wall_ms) {
    const std::time_t seconds = wall_ms / 1'000;
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    char text[32];
    const std::size_t used = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    char fraction[8];
    std::snprintf(fraction, sizeof fraction, ".%03dZ", static_cast<int>(wall_ms % 1'000));
    return std::string(text, used) + fraction;
}

// Length of the UTF-8 sequence at the front of `text`, 0 when there is none.
std::size_t utf8_length(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    std::size_t length = 0;   // 0x80 to 0xC1 and 0xF5 to 0xFF start nothing
    if (first < 0x80) length = 1;
    else if (first >= 0xC2 && first < 0xE0) length = 2;
    else if (first >= 0xE0 && first < 0xF0) length = 3;
    else if (first >= 0xF0 && first < 0xF5) length = 4;
    if (length > text.size()) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0) != 0x80) return 0;
    }
    if (length == 3 && ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F))) return 0;
    if (length == 4 && ((first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F))) return 0;
    return length;
}

// A quoted string that is valid JSON, also used for the values of text lines.
void append_quoted(std::string& out, std::string_view text) {
    out += '"';
    while (!text.empty()) {
        const char c = text.front();
        const std::size_t length = utf8_length(text);
        if (length == 0) {
            out += "\xEF\xBF\xBD";
        } else if (c == '"' || c == '\\') {
            out.append({'\\', c});
        } else if (c == '\n') {
            out += "\\n";
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
            char escaped[8];
            std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
            out += escaped;
        } else {
            out += text.substr(0, length);
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
    out += '"';
}

}  // namespace

std::string StderrLog::format(bool json, std::int64_t wall_ms, Level level, std::string_view event,
                              std::initializer_list<LogField> fields, std::uint64_t suppressed) {
    std::string line;
    if (json) {
        line.append("{\"time\":\"").append(timestamp(wall_ms)).append("\",\"level\":\"").append(level_name(level));
        line.append("\",\"event\":\"").append(event).append("\"");
    } else {
        line.append(timestamp(wall_ms)).append(" ").append(level_name(level)).append(" ").append(event);
    }
    const auto name = [&](std::string_view key) {
        if (json) {
            line.append(",\"").append(key).append("\":");
        } else {
            line.append(" ").append(key).append("=");
        }
    };
    for (const auto& [key, value] : fields) {
        name(key);
        append_quoted(line, value);
    }
    if (suppressed) {
        name("suppressed");
        line += std::to_string(suppressed);
    }
    line += json ? "}\n" : "\n";
    return line;
}

void StderrLog::write(Level level, std::string_view event, std::initializer_list<LogField> fields) {
    using namespace std::chrono;
    const std::int64_t wall_ms = duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
    const std::int64_t second = duration_cast<seconds>(steady_clock::now().time_since_epoch()).count();
    const std::lock_guard lock(mutex_);
    Rate& rate = rates_[std::string(event)];
    if (rate.second != second) {
        rate.second = second;
        rate.lines = 0;
    }
    if (rate.lines >= burst) {
        ++rate.suppressed;
        return;
    }
    ++rate.lines;
    const std::string line = format(json_, wall_ms, level, event, fields, std::exchange(rate.suppressed, 0));
    // Whoever reads standard error may be gone or full; logging is no reason to stop.
    [[maybe_unused]] const ssize_t written = ::write(descriptor_, line.data(), line.size());
}

}  // namespace trunkline::broker
