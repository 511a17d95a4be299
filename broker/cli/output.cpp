#include "broker/cli/output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>

namespace trunkline::cli {
namespace {

std::size_t terminal_width() {
    if (const char* columns = std::getenv("COLUMNS")) {
        if (const long width = std::strtol(columns, nullptr, 10); width >= 20) return static_cast<std::size_t>(width);
    }
    winsize size{};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20) return size.ws_col;
    return 80;
}

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

std::string dump(const Json& json, int indent) { return json.dump(indent, ' ', false, Json::error_handler_t::replace); }

void append_yaml(std::string& out, const Json& json, std::size_t indent) {
    const std::string margin(indent, ' ');
    if (json.is_object() && !json.empty()) {
        for (const auto& [key, value] : json.items()) {
            const bool nested = value.is_structured() && !value.empty();
            const bool plain = key.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789") == std::string::npos;
            out += margin + (plain ? key : dump(key, -1)) + ":" + (nested ? "\n" : " ");
            append_yaml(out, value, nested ? indent + 2 : 0);
        }
    } else if (json.is_array() && !json.empty()) {
        for (const Json& value : json) {
            const bool nested = value.is_structured() && !value.empty();
            if (!nested) {
                out += margin + "- ";
                append_yaml(out, value, 0);
                continue;
            }
            std::string inner;
            append_yaml(inner, value, indent + 2);
            inner[indent] = '-';   // the first line's margin is at least two wider
            out += inner;
        }
    } else {
        out += dump(json, -1) + "\n";   // scalars and empty collections are JSON, which is YAML
    }
}

}  // namespace

Output::Output(Format format, bool colour_wanted)
    : format_(format), terminal_(::isatty(STDOUT_FILENO) != 0),
      colour_(terminal_ && colour_wanted && !std::getenv("NO_COLOR")), width_(terminal_ ? terminal_width() : 0) {}

std::string Output::colour(std::string_view code, std::string_view text) const {
    if (!colour_) return std::string(text);
    return "\x1B[" + std::string(code) + "m" + std::string(text) + "\x1B[0m";
}

void Output::value(const Json& json) const {
    if (format_ == Format::yaml) {
        std::cout << to_yaml(json);
    } else if (format_ == Format::jsonl && json.is_array()) {
        for (const Json& entry : json) std::cout << dump(entry, -1) << '\n';
    } else {
        std::cout << dump(json, format_ == Format::json ? 2 : -1) << '\n';
    }
}

void Output::table(const std::vector<std::string>& headings, std::vector<std::vector<std::string>> rows) const {
    std::vector<std::size_t> widths;
    for (const std::string& heading : headings) widths.push_back(columns_of(heading));
    for (auto& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            row[i] = printable(row[i]);
            widths[i] = std::max(widths[i], columns_of(row[i]));
        }
    }
    const auto total = [&] {
        std::size_t sum = 2 * (widths.size() - 1);
        for (const std::size_t width : widths) sum += width;
        return sum;
    };
    while (width_ != 0 && total() > width_) {
        const auto widest = std::max_element(widths.begin(), widths.end());
        if (*widest <= 6) break;
        --*widest;
    }
    const auto print = [&](const std::vector<std::string>& row, bool heading) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string text = cut(row[i], widths[i]);
            line += text;
            if (i + 1 < row.size()) line += std::string(widths[i] - columns_of(text) + 2, ' ');
        }
        std::cout << (heading ? colour("1", line) : line) << '\n';
    };
    print(headings, true);
    for (const auto& row : rows) print(row, false);
}

std::string printable(std::string_view text, bool lines) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const bool c1 = byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
        if (c1) {
            out += '?';
            ++i;
        } else if (byte == '\n' || byte == '\t') {
            out += lines ? text[i] : ' ';
        } else {
            out += byte < 0x20 || byte == 0x7F ? '?' : text[i];
        }
    }
    return out;
}

std::size_t columns_of(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return !continues(c); }));
}

std::string cut(std::string_view text, std::size_t columns) {
    if (columns_of(text) <= columns) return std::string(text);
    std::size_t end = 0;
    for (std::size_t left = columns; end < text.size(); ++end) {
        if (continues(text[end])) continue;
        if (--left == 0) break;
    }
    return std::string(text.substr(0, end)) + "\xE2\x80\xA6";
}

std::string to_yaml(const Json& json) {
    std::string out;
    append_yaml(out, json, 0);
    return out;
}

std::string bytes_text(std::uint64_t bytes) {
    constexpr std::array<const char*, 6> units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double amount = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (amount >= 1'024 && unit + 1 < units.size()) {
        amount /= 1'024;
        ++unit;
    }
    char text[48];
    std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", amount, units[unit]);
    return text;
}

std::string duration_text(std::int64_t seconds) {
    seconds = std::max<std::int64_t>(0, seconds);
    const auto part = [](std::int64_t number, const char* unit) { return std::to_string(number) + unit; };
    if (seconds < 60) return part(seconds, "s");
    if (seconds < 3'600) return part(seconds / 60, "m ") + part(seconds % 60, "s");
    if (seconds < 86'400) return part(seconds / 3'600, "h ") + part(seconds % 3'600 / 60, "m");
    return part(seconds / 86'400, "d ") + part(seconds % 86'400 / 3'600, "h");
}

std::string number_text(double number) {
    const std::string digits = std::to_string(static_cast<std::int64_t>(std::llround(number)));
    std::string out;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        out += digits[i];
        const std::size_t left = digits.size() - 1 - i;
        if (left > 0 && left % 3 == 0 && digits[i] != '-') out += ',';
    }
    return out;
}

}  // namespace trunkline::cli
