// Records as lines of JSON and rows of CSV, and moments as text.
#include <charconv>
#include <chrono>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "auth/audit/record.h"

namespace trunkline::auth::audit {
namespace {

using Json = nlohmann::ordered_json;
constexpr std::int64_t second_ns = 1'000'000'000;

Json to_json(const Value& value) {
    switch (value.kind) {
        case Value::Kind::none:
            return nullptr;
        case Value::Kind::text:
            return value.text;
        case Value::Kind::hash:
            return Json{{"sha256", to_hex(value.hash)}, {"bytes", value.size}};
    }
    return nullptr;
}

std::string to_cell(const Value& value) {
    if (value.kind == Value::Kind::text) return value.text;
    if (value.kind == Value::Kind::none) return {};
    return "sha256:" + to_hex(value.hash) + " (" + std::to_string(value.size) + " bytes)";
}

/// One cell, quoted where RFC 4180 asks for it. What starts like a formula would be computed by a spreadsheet, and its
/// text comes from clients.
void put_cell(std::string& row, std::string_view text) {
    if (!row.empty()) row += ',';
    const bool formula = !text.empty() && std::string_view("=+-@\t\r").find(text[0]) != std::string_view::npos;
    const bool quoted = formula || text.find_first_of(",\"\r\n") != std::string_view::npos;
    if (quoted) row += '"';
    if (formula) row += '\'';
    for (const char c : text) {
        if (c == '"') row += '"';
        row += c;
    }
    if (quoted) row += '"';
}

/// Decimal digits of exactly `width`, at the front of `text`; -1 when they are not there.
int take_number(std::string_view& text, std::size_t width) {
    int value = 0;
    if (text.size() < width) return -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + width, value);
    if (error != std::errc() || end != text.data() + width || text[0] == '-') return -1;
    text.remove_prefix(width);
    return value;
}

bool take_char(std::string_view& text, char c) {
    if (text.empty() || text[0] != c) return false;
    text.remove_prefix(1);
    return true;
}

/// Nanoseconds of ".123", up to nine decimals; -1 when malformed.
std::int64_t take_fraction(std::string_view& text) {
    if (!take_char(text, '.')) return 0;
    std::int64_t value = 0;
    std::size_t digits = 0;
    while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
        value = value * 10 + (text[0] - '0');
        text.remove_prefix(1);
        if (++digits > 9) return -1;
    }
    if (digits == 0) return -1;
    for (; digits < 9; ++digits) value *= 10;
    return value;
}

}  // namespace

std::string utc_text(std::int64_t utc_ns) {
    using namespace std::chrono;
    std::int64_t seconds_part = utc_ns / second_ns, rest = utc_ns % second_ns;
    if (rest < 0) rest += second_ns, --seconds_part;
    const sys_seconds moment{seconds(seconds_part)};
    const auto day = floor<days>(moment);
    const year_month_day date{day};
    const hh_mm_ss time{moment - day};
    char text[48];
    std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%09dZ", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                  static_cast<int>(time.seconds().count()), static_cast<int>(rest));
    return text;
}

std::optional<std::int64_t> parse_utc(std::string_view text) {
    using namespace std::chrono;
    const int y = take_number(text, 4);
    if (y < 1970 || y > 2261 || !take_char(text, '-')) return std::nullopt;
    const int m = take_number(text, 2);
    if (m < 1 || !take_char(text, '-')) return std::nullopt;
    const int d = take_number(text, 2);
    if (d < 1) return std::nullopt;
    const year_month_day date{year(y), month(static_cast<unsigned>(m)), day(static_cast<unsigned>(d))};
    if (!date.ok()) return std::nullopt;
    const std::int64_t midnight_s = sys_days(date).time_since_epoch().count() * 86400;
    if (text.empty()) return midnight_s * second_ns;
    if (!take_char(text, 'T')) return std::nullopt;
    const int hour = take_number(text, 2);
    if (hour < 0 || hour > 23 || !take_char(text, ':')) return std::nullopt;
    const int minute = take_number(text, 2);
    if (minute < 0 || minute > 59 || !take_char(text, ':')) return std::nullopt;
    const int second = take_number(text, 2);
    if (second < 0 || second > 59) return std::nullopt;
    const std::int64_t fraction = take_fraction(text);
    if (fraction < 0 || text != "Z") return std::nullopt;
    return (midnight_s + hour * 3600 + minute * 60 + second) * second_ns + fraction;
}

std::string to_json_line(const Record& record) {
    Json line{{"sequence", record.sequence},
              {"time", utc_text(record.at.utc_ns)},
              {"monotonic_ns", record.at.monotonic_ns},
              {"actor", record.actor},
              {"method", record.method},
              {"source", record.source},
              {"action", record.action},
              {"object", record.object},
              {"old", to_json(record.old_value)},
              {"new", to_json(record.new_value)},
              {"reason", record.reason},
              {"approver", record.approver},
              {"result", to_text(record.outcome)},
              {"count", record.count}};
    if (record.cut) line["cut"] = true;
    line["leaf"] = to_hex(hash_leaf(encode(record)));
    return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string csv_header() {
    return "sequence,time,monotonic_ns,actor,method,source,action,object,old,new,reason,approver,result,count,cut,leaf"
           "\r\n";
}

std::string to_csv_row(const Record& record) {
    std::string row;
    put_cell(row, std::to_string(record.sequence));
    put_cell(row, utc_text(record.at.utc_ns));
    put_cell(row, std::to_string(record.at.monotonic_ns));
    for (const std::string* text : {&record.actor, &record.method, &record.source, &record.action, &record.object})
        put_cell(row, *text);
    put_cell(row, to_cell(record.old_value));
    put_cell(row, to_cell(record.new_value));
    put_cell(row, record.reason);
    put_cell(row, record.approver);
    put_cell(row, to_text(record.outcome));
    put_cell(row, std::to_string(record.count));
    put_cell(row, record.cut ? "cut" : "");
    put_cell(row, to_hex(hash_leaf(encode(record))));
    return row + "\r\n";
}

}  // namespace trunkline::auth::audit
