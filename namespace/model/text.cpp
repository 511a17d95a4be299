#include "namespace/model/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace trunkline::uns {
namespace {

constexpr std::size_t quoted_bytes_max = 80;
constexpr std::size_t word_bytes_max = 64;

// Takes one code point off the front; nullopt when the bytes are no well-formed UTF-8.
std::optional<char32_t> take_code_point(std::string_view& text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    std::size_t length = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 0;
    if (length == 0 || first > 0xF4 || text.size() < length) return std::nullopt;
    char32_t value = length == 1 ? first : first & (0xFFU >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0U) != 0x80) return std::nullopt;
        value = value << 6 | (byte(i) & 0x3FU);
    }
    constexpr std::array<char32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
    if (value < least[length] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return std::nullopt;
    text.remove_prefix(length);
    return value;
}

void append_code_point(std::string& out, char32_t value) {
    if (value < 0x80) {
        out += static_cast<char>(value);
    } else if (value < 0x800) {
        out += static_cast<char>(0xC0 | value >> 6);
        out += static_cast<char>(0x80 | (value & 0x3F));
    } else if (value < 0x10000) {
        out += static_cast<char>(0xE0 | value >> 12);
        out += static_cast<char>(0x80 | (value >> 6 & 0x3F));
        out += static_cast<char>(0x80 | (value & 0x3F));
    } else {
        out += static_cast<char>(0xF0 | value >> 18);
        out += static_cast<char>(0x80 | (value >> 12 & 0x3F));
        out += static_cast<char>(0x80 | (value >> 6 & 0x3F));
        out += static_cast<char>(0x80 | (value & 0x3F));
    }
}

// Simple case folding (Unicode CaseFolding.txt, status C and S) of the scripts that plants name things in.
char32_t fold(char32_t c) {
    if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
    if (c >= 0xC0 && c <= 0xDE && c != 0xD7) return c + 32;
    if ((c >= 0x100 && c <= 0x12F) || (c >= 0x132 && c <= 0x137) || (c >= 0x14A && c <= 0x177)) return c | 1;
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E)) return c % 2 == 1 ? c + 1 : c;
    if (c == 0x178) return 0xFF;
    if (c >= 0x391 && c <= 0x3AB && c != 0x3A2) return c + 32;
    if (c == 0x386) return 0x3AC;
    if (c >= 0x388 && c <= 0x38A) return c + 37;
    if (c == 0x38C) return 0x3CC;
    if (c == 0x38E || c == 0x38F) return c + 63;
    if (c == 0x3C2) return 0x3C3;
    if (c >= 0x400 && c <= 0x40F) return c + 80;
    if (c >= 0x410 && c <= 0x42F) return c + 32;
    return c;
}

// The number at the front and what follows it, blanks between them dropped.
std::optional<std::pair<double, std::string_view>> number_and_unit(std::string_view text) {
    const std::size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
    const auto number = parse_number(text.substr(0, end));
    if (!number) return std::nullopt;
    text.remove_prefix(end);
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    return std::pair{*number, text};
}

std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
    if (text.size() < at + count) return std::nullopt;
    int value = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + at + count, value);
    if (error != std::errc{} || end != text.data() + at + count || text[at] == '-') return std::nullopt;
    return value;
}

// Days since 1970-01-01 of the proleptic Gregorian calendar (Hinnant, "chrono-compatible low-level date algorithms").
std::int64_t days_from_civil(std::int64_t y, unsigned m, unsigned d) {
    y -= m <= 2 ? 1 : 0;
    const std::int64_t era = (y >= 0 ? y : y - 399) / 400;
    const auto yoe = static_cast<unsigned>(y - era * 400);
    const unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    const unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + static_cast<std::int64_t>(doe) - 719468;
}

unsigned days_in_month(int year, int month) {
    constexpr std::array<unsigned, 12> days{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[static_cast<std::size_t>(month - 1)];
}

}  // namespace

std::string quote(std::string_view text) {
    std::string out = "\"";
    bool cut = false;
    while (!text.empty()) {
        if (out.size() > quoted_bytes_max) {
            cut = true;
            break;
        }
        std::string_view rest = text;
        const auto value = take_code_point(rest);
        if (!value) {
            out += '?';
            text.remove_prefix(1);
            continue;
        }
        if (*value < 0x20 || (*value >= 0x7F && *value < 0xA0)) {
            out += '?';
        } else {
            out += text.substr(0, text.size() - rest.size());
        }
        text = rest;
    }
    return out + (cut ? "...\"" : "\"");
}

std::string with_article(std::string_view noun) {
    // "unit" is spoken with a consonant, unlike the other kinds of level and types that begin with a vowel.
    const bool vowel = !noun.empty() && std::string_view("aeioAEIO").find(noun.front()) != std::string_view::npos;
    return (vowel ? "an " : "a ") + std::string(noun);
}

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const auto value = take_code_point(text);
        if (!value || *value == 0) return false;
    }
    return true;
}

bool is_folded(std::string_view text) {
    while (!text.empty()) {
        if (static_cast<unsigned char>(text.front()) < 0x80) {
            if (text.front() >= 'A' && text.front() <= 'Z') return false;
            text.remove_prefix(1);
            continue;
        }
        const auto value = take_code_point(text);
        if (!value) {
            text.remove_prefix(1);
        } else if (fold(*value) != *value) {
            return false;
        }
    }
    return true;
}

std::string fold_case(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        std::string_view rest = text;
        if (const auto value = take_code_point(rest)) {
            append_code_point(out, fold(*value));
            text = rest;
        } else {
            out += text.front();
            text.remove_prefix(1);
        }
    }
    return out;
}

std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t most) {
    const std::size_t gap = a.size() > b.size() ? a.size() - b.size() : b.size() - a.size();
    if (gap > most || a.size() > word_bytes_max || b.size() > word_bytes_max) return a == b ? 0 : most + 1;
    std::array<std::array<std::size_t, word_bytes_max + 1>, 3> rows{};
    for (std::size_t j = 0; j <= b.size(); ++j) rows[0][j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        auto& row = rows[i % 3];
        const auto& above = rows[(i - 1) % 3];
        const auto& before = rows[(i + 1) % 3];
        std::size_t least = row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = std::min(row[j], before[j - 2] + 1);
            }
            least = std::min(least, row[j]);
        }
        if (least > most + 1) return most + 1;
    }
    return std::min(rows[a.size() % 3][b.size()], most + 1);
}

std::size_t distance_allowed(std::string_view word) { return std::clamp<std::size_t>(word.size() / 3, 1, 4); }

std::string_view nearest_word(std::string_view word, const std::vector<std::string_view>& candidates) {
    std::string_view best;
    const std::string folded = fold_case(word);
    std::size_t least = distance_allowed(word) + 1;
    for (const std::string_view candidate : candidates) {
        if (least > 1 && candidate.size() == word.size() && fold_case(candidate) == folded) return candidate;
        const std::size_t distance = edit_distance(word, candidate, least - 1);
        if (distance < least) {
            least = distance;
            best = candidate;
        }
    }
    return best;
}

std::optional<double> parse_number(std::string_view text) {
    if (text.empty() || text.size() > 400) return std::nullopt;
    if (text.front() == '+') text.remove_prefix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
    return value;
}

std::optional<std::uint64_t> parse_count(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::string number_text(double value) {
    char buffer[40];
    const auto result = std::to_chars(buffer, buffer + sizeof buffer, value);
    return {buffer, result.ptr};
}

std::optional<std::uint64_t> parse_duration_ms(std::string_view text) {
    const auto parts = number_and_unit(text);
    if (!parts) return std::nullopt;
    constexpr std::array<std::pair<std::string_view, double>, 6> units{
        {{"ms", 1}, {"s", 1e3}, {"min", 6e4}, {"m", 6e4}, {"h", 3.6e6}, {"d", 8.64e7}}};
    for (const auto& [name, factor] : units) {
        if (parts->second != name) continue;
        const double ms = std::round(parts->first * factor);
        if (ms < 1 || ms > 1e15) return std::nullopt;
        return static_cast<std::uint64_t>(ms);
    }
    return std::nullopt;
}

std::optional<double> parse_rate(std::string_view text) {
    const auto parts = number_and_unit(text);
    if (!parts || parts->first <= 0) return std::nullopt;
    if (parts->second == "/s") return parts->first;
    if (parts->second == "/min") return parts->first / 60;
    if (parts->second == "/h") return parts->first / 3600;
    return std::nullopt;
}

std::optional<std::uint64_t> parse_byte_rate(std::string_view text) {
    const auto parts = number_and_unit(text);
    if (!parts) return std::nullopt;
    constexpr std::array<std::pair<std::string_view, double>, 8> units{{{"/s", 1},
                                                                        {"B/s", 1},
                                                                        {"kB/s", 1e3},
                                                                        {"KiB/s", 1024},
                                                                        {"MB/s", 1e6},
                                                                        {"MiB/s", 1048576},
                                                                        {"GB/s", 1e9},
                                                                        {"GiB/s", 1073741824}}};
    for (const auto& [name, factor] : units) {
        if (parts->second != name) continue;
        const double bytes = std::round(parts->first * factor);
        if (bytes < 1 || bytes > 1e15) return std::nullopt;
        return static_cast<std::uint64_t>(bytes);
    }
    return std::nullopt;
}

std::optional<std::int64_t> parse_date_ms(std::string_view text) {
    const auto year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
    if (!year || !month || !day || text[4] != '-' || text[7] != '-') return std::nullopt;
    if (*month < 1 || *month > 12 || *day < 1 || static_cast<unsigned>(*day) > days_in_month(*year, *month)) {
        return std::nullopt;
    }
    const std::int64_t days =
        days_from_civil(*year, static_cast<unsigned>(*month), static_cast<unsigned>(*day)) * 86'400'000;
    if (text.size() == 10) return days + 86'399'999;
    const auto hour = digits(text, 11, 2), minute = digits(text, 14, 2), second = digits(text, 17, 2);
    if (text.size() != 20 || text[10] != 'T' || text[13] != ':' || text[16] != ':' || text[19] != 'Z') return {};
    if (!hour || !minute || !second || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
    return days + ((*hour * 60LL + *minute) * 60 + *second) * 1000;
}

std::string date_text(std::int64_t ms) {
    const std::int64_t seconds = ms >= 0 ? ms / 1000 : (ms - 999) / 1000;
    std::int64_t days = seconds >= 0 ? seconds / 86400 : (seconds - 86399) / 86400;
    const auto in_day = static_cast<int>(seconds - days * 86400);
    days += 719468;
    const std::int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    const auto doe = static_cast<unsigned>(days - era * 146097);
    const unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    const unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    const unsigned mp = (5 * doy + 2) / 153;
    const unsigned month = mp < 10 ? mp + 3 : mp - 9;
    const auto year = static_cast<long long>(yoe) + era * 400 + (month <= 2 ? 1 : 0);
    char buffer[48];
    std::snprintf(buffer, sizeof buffer, "%04lld-%02u-%02uT%02d:%02d:%02dZ", year, month, doy - (153 * mp + 2) / 5 + 1,
                  in_day / 3600, in_day / 60 % 60, in_day % 60);
    return buffer;
}

bool glob_matches(std::string_view pattern, std::string_view text) {
    std::size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

}  // namespace trunkline::uns
