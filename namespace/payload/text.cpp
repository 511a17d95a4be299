#include "namespace/payload/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

namespace trunkline::uns {

namespace {

constexpr std::size_t token_bytes_max = 64, pointer_bytes_max = 512, compared_bytes_max = 64;

/// `text` up to `bytes_max` bytes, at the start of a character.
std::string_view cut(std::string_view text, std::size_t bytes_max) {
    if (text.size() <= bytes_max) return text;
    std::size_t end = bytes_max;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    return text.substr(0, end);
}

template <typename T>
std::string chars_of(T number) {
    std::array<char, 32> buffer;
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number).ptr;
    return std::string(buffer.data(), end);
}

/// Control characters as JSON escapes; quotes and backslashes too when `for_quotes`.
std::string without_controls(std::string_view text, std::size_t bytes_max, bool for_quotes) {
    constexpr std::string_view hex = "0123456789abcdef";
    std::string result;
    const std::string_view kept = cut(text, bytes_max);
    for (std::size_t i = 0; i < kept.size(); ++i) {
        const auto c = static_cast<unsigned char>(kept[i]);
        const bool c1_control = c == 0xC2 && i + 1 < kept.size() && static_cast<unsigned char>(kept[i + 1]) < 0xA0;
        if (for_quotes && (c == '"' || c == '\\')) {
            result += '\\';
            result += static_cast<char>(c);
        } else if (c < 0x20 || c == 0x7F || c1_control) {
            const auto code = c1_control ? static_cast<unsigned char>(kept[++i]) : c;
            result += "\\u00";
            result += hex[code >> 4];
            result += hex[code & 15];
        } else {
            result += static_cast<char>(c);
        }
    }
    if (kept.size() < text.size()) result += "…";
    return result;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string folded(std::string_view name) {
    std::string plain;
    for (const char c : name) {
        if (c != '_' && c != '-' && c != ' ' && c != '.') plain += lower(c);
    }
    return plain;
}

/// Levenshtein distance of two short names.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
        }
    }
    return row[b.size()];
}

}  // namespace

std::string text_of(double number) { return chars_of(number); }

std::string text_of(const Number& number) {
    switch (number.form) {
    case Number::Form::negative: return chars_of(number.negative);
    case Number::Form::natural: return chars_of(number.natural);
    case Number::Form::real: break;
    }
    return chars_of(number.real);
}

std::string escaped(std::string_view text, std::size_t bytes_max) { return without_controls(text, bytes_max, true); }

std::string in_quotes(std::string_view text, std::size_t bytes_max) { return '"' + escaped(text, bytes_max) + '"'; }

std::string shown(const Datum& datum) {
    switch (datum.kind) {
    case Datum::Kind::null: return "null";
    case Datum::Kind::boolean: return datum.truth ? "true" : "false";
    case Datum::Kind::number: return text_of(datum.number);
    case Datum::Kind::string: return in_quotes(datum.text);
    case Datum::Kind::array: return "an array";
    case Datum::Kind::object: break;
    }
    return "an object";
}

void append_token(std::string& pointer, std::string_view token) {
    if (pointer.size() > pointer_bytes_max) return;
    pointer += '/';
    for (const char c : without_controls(token, token_bytes_max, false)) {
        if (c == '~') {
            pointer += "~0";
        } else if (c == '/') {
            pointer += "~1";
        } else {
            pointer += c;
        }
    }
}

std::size_t code_points(std::string_view text) {
    std::size_t count = 0;
    for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    return count;
}

std::string_view nearest(std::string_view name, std::span<const std::string_view> candidates) {
    if (name.empty() || name.size() > compared_bytes_max) return {};
    const std::string plain = folded(name);
    std::string_view best;
    std::size_t best_distance = name.size() <= 4 ? 2 : 3;
    for (const std::string_view candidate : candidates) {
        if (candidate.size() > compared_bytes_max || candidate == name) continue;
        if (folded(candidate) == plain) return candidate;
        const std::size_t apart = distance(name, candidate);
        if (apart < best_distance && apart < candidate.size()) {
            best = candidate;
            best_distance = apart;
        }
    }
    return best;
}

std::string alternatives(std::span<const std::string> words, std::size_t shown_max) {
    std::string text;
    const std::size_t count = std::min(words.size(), shown_max);
    for (std::size_t i = 0; i < count; ++i) {
        if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
        text += words[i];
    }
    if (count < words.size()) text += " or " + std::to_string(words.size() - count) + " more";
    return text;
}

}  // namespace trunkline::uns
