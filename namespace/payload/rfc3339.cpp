#include "namespace/payload/rfc3339.h"

#include <array>
#include <cstddef>

namespace trunkline::uns {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The `count` digits of `text` from `at` as a number, or -1. The caller has checked the length.
int digits_at(std::string_view text, std::size_t at, std::size_t count) {
    int value = 0;
    for (std::size_t i = at; i < at + count; ++i) {
        if (!is_digit(text[i])) return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

struct Date { int year = 0, month = 0, day = 0; };

std::optional<Date> parse_date(std::string_view text) {
    if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
    const Date date{digits_at(text, 0, 4), digits_at(text, 5, 2), digits_at(text, 8, 2)};
    if (date.year < 0 || date.month < 1 || date.month > 12 || date.day < 1) return std::nullopt;
    static constexpr std::array days{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = (date.year % 4 == 0 && date.year % 100 != 0) || date.year % 400 == 0;
    const int last = date.month == 2 && leap ? 29 : days[static_cast<std::size_t>(date.month - 1)];
    if (date.day > last) return std::nullopt;
    return date;
}

struct Time {
    std::int64_t ms = 0;          // of the day, local
    int offset_minutes = 0;
};

/// The offset that ends a time: Z, or +hh:mm, in minutes. Nothing when it is neither.
std::optional<int> parse_offset(std::string_view text) {
    if (text == "Z" || text == "z") return 0;
    if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return std::nullopt;
    const int hours = digits_at(text, 1, 2), minutes = digits_at(text, 4, 2);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return std::nullopt;
    return (text[0] == '-' ? -1 : 1) * (hours * 60 + minutes);
}

std::optional<Time> parse_time(std::string_view text) {
    if (text.size() < 9 || text[2] != ':' || text[5] != ':') return std::nullopt;
    const int hour = digits_at(text, 0, 2), minute = digits_at(text, 3, 2), second = digits_at(text, 6, 2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) return std::nullopt;
    std::size_t at = 8;
    int ms = 0;
    if (text[at] == '.') {
        const std::size_t first = ++at;
        for (int weight = 100; at < text.size() && is_digit(text[at]); ++at, weight /= 10)
            ms += weight * (text[at] - '0');
        if (at == first) return std::nullopt;
    }
    const auto offset = parse_offset(text.substr(at));
    if (!offset) return std::nullopt;
    const int utc_minute = ((hour * 60 + minute - *offset) % 1440 + 1440) % 1440;
    if (second == 60 && utc_minute != 1439) return std::nullopt;
    return Time{(hour * 3'600 + minute * 60 + second) * std::int64_t{1'000} + ms, *offset};
}

/// Days from 1970-01-01 in the Gregorian calendar, counting years from March so that the leap day comes last.
std::int64_t days_since_1970(const Date& date) {
    const std::int64_t year = date.month <= 2 ? date.year - 1 : date.year;
    const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
    const std::int64_t year_of_era = year - era * 400;
    const std::int64_t day_of_year = (153 * (date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + date.day - 1;
    return era * 146'097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719'468;
}

}  // namespace

bool is_full_date(std::string_view text) { return parse_date(text).has_value(); }

bool is_full_time(std::string_view text) { return parse_time(text).has_value(); }

std::optional<std::int64_t> parse_date_time(std::string_view text) {
    if (text.size() < 20 || (text[10] != 'T' && text[10] != 't')) return std::nullopt;
    const auto date = parse_date(text.substr(0, 10));
    if (!date) return std::nullopt;
    const auto time = parse_time(text.substr(11));
    if (!time) return std::nullopt;
    return days_since_1970(*date) * 86'400'000 + time->ms - std::int64_t{time->offset_minutes} * 60'000;
}

}  // namespace trunkline::uns
