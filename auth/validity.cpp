#include "auth/validity.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

namespace trunkline::auth {
namespace {

constexpr std::int64_t minute_ms = 60'000;
constexpr std::array<std::string_view, 7> day_names = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

struct Reading {
    int weekday;    // 0 is Monday
    int minute;     // of the day
};

Reading read_clock(std::int64_t now_ms, Clock clock) {
    std::int64_t seconds = now_ms / 1000;
    if (now_ms % 1000 < 0) --seconds;
    const auto time = static_cast<std::time_t>(seconds);
    std::tm parts{};
    if (clock == Clock::local) localtime_r(&time, &parts);
    else gmtime_r(&time, &parts);
    return {(parts.tm_wday + 6) % 7, parts.tm_hour * 60 + parts.tm_min};
}

// `count` digits at the front of `text`, taken off it.
bool take_number(std::string_view& text, std::size_t count, int& out) {
    if (text.size() < count) return false;
    out = 0;
    for (std::size_t i = 0; i < count; ++i) {
        if (text[i] < '0' || text[i] > '9') return false;
        out = out * 10 + (text[i] - '0');
    }
    text.remove_prefix(count);
    return true;
}

bool take(std::string_view& text, char c) {
    if (!text.starts_with(c)) return false;
    text.remove_prefix(1);
    return true;
}

bool take_hour(std::string_view& text, std::uint16_t& minute_of_day) {
    int hour = 0, minute = 0;
    if (!take_number(text, 2, hour) || !take(text, ':') || !take_number(text, 2, minute)) return false;
    if (minute > 59 || hour * 60 + minute > 24 * 60) return false;
    minute_of_day = static_cast<std::uint16_t>(hour * 60 + minute);
    return true;
}

bool leap(int year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

bool real_date(int year, int month, int day) {
    constexpr std::array<int, 12> lengths = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 1970 || month < 1 || month > 12 || day < 1) return false;
    return day <= lengths[static_cast<std::size_t>(month - 1)] + (month == 2 && leap(year) ? 1 : 0);
}

}  // namespace

bool Validity::always() const {
    return from_ms == std::numeric_limits<std::int64_t>::min() && until_ms == always_ms && days == 0x7F &&
           begin_minute == 0 && end_minute == 24 * 60;
}

bool Validity::holds(std::int64_t now_ms) const {
    if (now_ms < from_ms || now_ms >= until_ms) return false;
    if (days == 0x7F && begin_minute == 0 && end_minute == 24 * 60) return true;
    const Reading now = read_clock(now_ms, clock);
    const auto on = [&](int day) { return (days >> ((day + 7) % 7) & 1) != 0; };
    if (begin_minute < end_minute) return on(now.weekday) && now.minute >= begin_minute && now.minute < end_minute;
    return (now.minute >= begin_minute && on(now.weekday)) || (now.minute < end_minute && on(now.weekday - 1));
}

std::int64_t Validity::settled_until(std::int64_t now_ms) const {
    std::int64_t until = always_ms;
    if (from_ms > now_ms) until = from_ms;
    else if (until_ms > now_ms) until = until_ms;
    if (now_ms >= until_ms || (days == 0x7F && begin_minute == 0 && end_minute == 24 * 60)) return until;
    // Windows begin and end on whole minutes, clocks are put forward and back on quarters of an hour of UTC.
    const Reading now = read_clock(now_ms, clock);
    const std::int64_t minute_began = now_ms - ((now_ms % minute_ms) + minute_ms) % minute_ms;
    int ahead = 15 - static_cast<int>(((minute_began / minute_ms) % 15 + 15) % 15);
    for (const int edge : {int{begin_minute}, int{end_minute}, 24 * 60}) {
        const int distance = (edge - now.minute + 24 * 60) % (24 * 60);
        if (distance > 0) ahead = std::min(ahead, distance);
    }
    return std::min(until, minute_began + ahead * minute_ms);
}

std::string Validity::describe() const {
    std::string text;
    const auto add = [&](const std::string& part) { text += (text.empty() ? "" : " ") + part; };
    if (from_ms != std::numeric_limits<std::int64_t>::min()) add("from " + format_time(from_ms));
    if (until_ms != always_ms) add("until " + format_time(until_ms));
    if (days != 0x7F) {
        std::string list;
        for (std::size_t day = 0; day < 7; ++day) {
            if (days >> day & 1) list += (list.empty() ? "" : ",") + std::string(day_names[day]);
        }
        add("on " + list);
    }
    if (begin_minute != 0 || end_minute != 24 * 60) {
        std::array<char, 32> hours{};
        std::snprintf(hours.data(), hours.size(), "%02d:%02d-%02d:%02d", begin_minute / 60, begin_minute % 60,
                      end_minute / 60, end_minute % 60);
        add(std::string("at ") + hours.data() + (clock == Clock::utc ? " UTC" : " local time"));
    }
    return text;
}

std::optional<std::int64_t> parse_time(std::string_view text, Clock clock) {
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
    if (!take_number(text, 4, year) || !take(text, '-') || !take_number(text, 2, month) || !take(text, '-') ||
        !take_number(text, 2, day) || !real_date(year, month, day)) {
        return std::nullopt;
    }
    std::optional<int> offset_minutes;
    if (take(text, 'T') || take(text, ' ')) {
        if (!take_number(text, 2, hour) || !take(text, ':') || !take_number(text, 2, minute)) return std::nullopt;
        if (take(text, ':') && !take_number(text, 2, second)) return std::nullopt;
        if (hour > 23 || minute > 59 || second > 59) return std::nullopt;
        if (take(text, 'Z')) {
            offset_minutes = 0;
        } else if (!text.empty()) {
            const int sign = text.front() == '+' ? 1 : -1;
            int hours = 0, minutes = 0;
            if ((!take(text, '+') && !take(text, '-')) || !take_number(text, 2, hours) || !take(text, ':') ||
                !take_number(text, 2, minutes) || hours > 23 || minutes > 59) {
                return std::nullopt;
            }
            offset_minutes = sign * (hours * 60 + minutes);
        }
    }
    if (!text.empty()) return std::nullopt;
    std::tm parts{};
    parts.tm_year = year - 1900;
    parts.tm_mon = month - 1;
    parts.tm_mday = day;
    parts.tm_hour = hour;
    parts.tm_min = minute;
    parts.tm_sec = second;
    parts.tm_isdst = -1;
    if (!offset_minutes && clock == Clock::local) return static_cast<std::int64_t>(std::mktime(&parts)) * 1000;
    return (static_cast<std::int64_t>(timegm(&parts)) - 60 * offset_minutes.value_or(0)) * 1000;
}

bool parse_hours(std::string_view text, Validity& into) {
    std::uint16_t begin = 0, end = 0;
    if (!take_hour(text, begin) || !take(text, '-') || !take_hour(text, end) || !text.empty()) return false;
    if (begin == end || begin == 24 * 60) return false;
    into.begin_minute = begin;
    into.end_minute = end;
    return true;
}

std::optional<std::uint8_t> parse_days(std::string_view text) {
    const auto index = [](std::string_view name) {
        return static_cast<std::size_t>(std::find(day_names.begin(), day_names.end(), name) - day_names.begin());
    };
    const std::size_t dash = text.find('-');
    const std::size_t first = index(text.substr(0, dash));
    const std::size_t last = dash == std::string_view::npos ? first : index(text.substr(dash + 1));
    if (first == 7 || last == 7) return std::nullopt;
    std::uint8_t days = 0;
    for (std::size_t day = first;; day = (day + 1) % 7) {
        days = static_cast<std::uint8_t>(days | 1U << day);
        if (day == last) return days;
    }
}

std::string format_time(std::int64_t ms) {
    const auto time = static_cast<std::time_t>(ms / 1000);
    std::tm parts{};
    gmtime_r(&time, &parts);
    std::array<char, 32> text{};
    std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text.data();
}

}  // namespace trunkline::auth
