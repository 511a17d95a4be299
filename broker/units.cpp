#include "broker/units.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

namespace trunkline::broker {
namespace {

using Unit = std::pair<std::string_view, std::uint64_t>;

constexpr std::array<Unit, 11> byte_units = {{{"", 1},
                                              {"B", 1},
                                              {"KiB", 1ULL << 10},
                                              {"MiB", 1ULL << 20},
                                              {"GiB", 1ULL << 30},
                                              {"TiB", 1ULL << 40},
                                              {"kB", 1'000},
                                              {"KB", 1'000},
                                              {"MB", 1'000'000},
                                              {"GB", 1'000'000'000},
                                              {"TB", 1'000'000'000'000}}};
constexpr std::array<Unit, 6> time_units = {
    {{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"min", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};

std::string_view trim(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::optional<std::uint64_t> scaled(std::uint64_t number, std::uint64_t unit) {
    std::uint64_t product = 0;
    if (__builtin_mul_overflow(number, unit, &product)) return std::nullopt;
    return product;
}

template <std::size_t N>
std::optional<std::uint64_t> unit_of(const std::array<Unit, N>& units, std::string_view name) {
    for (const auto& [unit, factor] : units) {
        if (unit == name) return factor;
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> parse_count(std::string_view text) {
    text = trim(text);
    if (text.empty() || !is_digit(text.front()) || !is_digit(text.back())) return std::nullopt;
    std::uint64_t number = 0;
    for (const char c : text) {
        if (c == '_' || c == '\'') continue;
        if (!is_digit(c)) return std::nullopt;
        if (__builtin_mul_overflow(number, std::uint64_t{10}, &number)) return std::nullopt;
        if (__builtin_add_overflow(number, static_cast<std::uint64_t>(c - '0'), &number)) return std::nullopt;
    }
    return number;
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
    text = trim(text);
    std::size_t digits = 0;
    bool fraction = false;
    while (digits < text.size() && (is_digit(text[digits]) || text[digits] == '_' || text[digits] == '.')) {
        fraction = fraction || text[digits] == '.';
        ++digits;
    }
    const std::string_view unit_name = trim(text.substr(digits));
    const auto unit = unit_of(byte_units, unit_name);
    if (!unit || digits == 0) return std::nullopt;
    if (!fraction) {
        const auto number = parse_count(text.substr(0, digits));
        return number ? scaled(*number, *unit) : std::nullopt;
    }
    double number = 0;
    const char* end = text.data() + digits;
    const auto [stop, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
    if (error != std::errc{} || stop != end || *unit == 1) return std::nullopt;  // no fractions of a byte
    const double bytes = number * static_cast<double>(*unit);
    if (!(bytes >= 0) || bytes >= 1.8e19) return std::nullopt;
    return static_cast<std::uint64_t>(std::llround(std::min(bytes, 9.2e18)));
}

std::optional<std::uint64_t> parse_duration_ms(std::string_view text, std::uint64_t bare_unit_ms) {
    text = trim(text);
    if (const auto bare = parse_count(text)) return scaled(*bare, bare_unit_ms);
    std::uint64_t total = 0;
    while (!text.empty()) {
        std::size_t digits = 0;
        while (digits < text.size() && is_digit(text[digits])) ++digits;
        const auto number = parse_count(text.substr(0, digits));
        text = trim(text.substr(digits));
        std::size_t letters = 0;
        while (letters < text.size() && text[letters] >= 'a' && text[letters] <= 'z') ++letters;
        const auto unit = unit_of(time_units, text.substr(0, letters));
        if (!number || !unit) return std::nullopt;
        text = trim(text.substr(letters));
        const auto part = scaled(*number, *unit);
        if (!part || __builtin_add_overflow(total, *part, &total)) return std::nullopt;
        if (text.empty()) return total;
    }
    return std::nullopt;
}

std::string format_bytes(std::uint64_t bytes) {
    constexpr std::array<Unit, 4> units = {
        {{" TiB", 1ULL << 40}, {" GiB", 1ULL << 30}, {" MiB", 1ULL << 20}, {" KiB", 1ULL << 10}}};
    for (const auto& [name, factor] : units) {
        if (bytes >= factor && bytes % factor == 0) return std::to_string(bytes / factor) + std::string(name);
    }
    return std::to_string(bytes);
}

std::string format_duration_ms(std::uint64_t ms) {
    constexpr std::array<Unit, 4> units = {{{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}}};
    for (const auto& [name, factor] : units) {
        if (ms >= factor && ms % factor == 0) return std::to_string(ms / factor) + std::string(name);
    }
    return std::to_string(ms) + "ms";
}

}  // namespace trunkline::broker
