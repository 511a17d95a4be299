#include "auth/ldap_text.h"

#include <cstdint>
#include <vector>

namespace trunkline::auth {
namespace {

constexpr char digits[] = "0123456789abcdef";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    const char small = lower(c);
    return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

void add_hex(std::string& out, char c) {
    const auto byte = static_cast<unsigned char>(c);
    out += {'\\', digits[byte >> 4], digits[byte & 15]};
}

template <class Escape>
std::string fill(std::string_view text, const LdapValues& values, const Escape& escape) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%' || i + 1 == text.size()) {
            out += text[i];
            continue;
        }
        const char letter = text[++i];
        if (letter == 'u') out += escape(values.user);
        else if (letter == 'd') out += escape(values.dn);
        else out += letter;
    }
    return out;
}

// One `type=value` of a name.
struct Part {
    std::string type, value;
    char next = '\0';       // what ends it: ',', '+' or '\0'
};

// Reads a value up to what ends it, without its escapes. False: it is none.
bool read_value(std::string_view& rest, std::string& value) {
    std::size_t keep = 0;   // blanks that were escaped are part of the value
    while (!rest.empty() && rest[0] != ',' && rest[0] != '+' && rest[0] != ';') {
        const char c = rest[0];
        rest.remove_prefix(1);
        if (c == '"' || c == '<' || c == '>' || c == '\0') return false;
        if (c != '\\') {
            value += c;
            if (c != ' ') keep = value.size();
            continue;
        }
        if (rest.empty()) return false;
        const int high = hex_value(rest[0]), low = rest.size() > 1 ? hex_value(rest[1]) : -1;
        if (high >= 0 && low >= 0) {
            value += static_cast<char>(high * 16 + low);
            rest.remove_prefix(2);
        } else {
            value += rest[0];
            rest.remove_prefix(1);
        }
        keep = value.size();
    }
    value.resize(keep);
    return true;
}

std::optional<std::vector<Part>> read_dn(std::string_view rest) {
    std::vector<Part> parts;
    const auto skip_blanks = [&rest] {
        while (!rest.empty() && rest[0] == ' ') rest.remove_prefix(1);
    };
    while (true) {
        Part part;
        skip_blanks();
        while (!rest.empty() && (is_letter(rest[0]) || is_digit(rest[0]) || rest[0] == '-' || rest[0] == '.')) {
            part.type += lower(rest[0]);
            rest.remove_prefix(1);
        }
        skip_blanks();
        if (part.type.empty() || rest.empty() || rest[0] != '=') return std::nullopt;
        rest.remove_prefix(1);
        skip_blanks();
        if (!read_value(rest, part.value)) return std::nullopt;
        if (!rest.empty()) {
            part.next = rest[0] == ';' ? ',' : rest[0];
            rest.remove_prefix(1);
        }
        const bool last = part.next == '\0';
        parts.push_back(std::move(part));
        if (last) return parts;
    }
}

}  // namespace

std::string escape_dn_value(std::string_view value) {
    std::string out;
    for (std::size_t i = 0; i < value.size(); ++i) {
        const char c = value[i];
        const bool edge = (c == ' ' && (i == 0 || i + 1 == value.size())) || (c == '#' && i == 0);
        const bool special = std::string_view("\"+,;<=>\\").find(c) != std::string_view::npos;
        const auto byte = static_cast<unsigned char>(c);
        if (edge || special || byte < 0x20 || byte == 0x7f) add_hex(out, c);
        else out += c;
    }
    return out;
}

std::string escape_filter_value(std::string_view value) {
    std::string out;
    for (const char c : value) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::string_view("*()\\").find(c) != std::string_view::npos || byte < 0x20 || byte >= 0x7f) add_hex(out, c);
        else out += c;
    }
    return out;
}

std::string fill_dn(std::string_view text, const LdapValues& values) { return fill(text, values, escape_dn_value); }

std::string fill_filter(std::string_view text, const LdapValues& values) {
    return fill(text, values, escape_filter_value);
}

std::string check_template(std::string_view text, std::string_view allowed) {
    for (std::size_t i = text.find('%'); i != std::string_view::npos; i = text.find('%', i + 2)) {
        const char letter = i + 1 < text.size() ? text[i + 1] : '\0';
        if (letter == '%' || (letter != '\0' && allowed.find(letter) != std::string_view::npos)) continue;
        return "a percent sign stands before " + std::string(allowed.empty() ? "another one only" : "one of ") +
               std::string(allowed) + ", or twice for itself";
    }
    return {};
}

std::string normal_value(std::string_view value) {
    std::string out;
    for (const char c : value) {
        if (c == ' ' && (out.empty() || out.back() == ' ')) continue;
        out += lower(c);
    }
    while (!out.empty() && out.back() == ' ') out.pop_back();
    return out;
}

std::optional<std::string> normal_dn(std::string_view dn) {
    const auto parts = read_dn(dn);
    if (!parts) return std::nullopt;
    std::string out;
    for (const Part& part : *parts) {
        out += part.type + "=" + escape_dn_value(normal_value(part.value));
        if (part.next != '\0') out += part.next;
    }
    return out;
}

std::optional<std::string> first_value(std::string_view dn) {
    const auto parts = read_dn(dn);
    if (!parts) return std::nullopt;
    return normal_value(parts->front().value);
}

std::string attribute_of_user(std::string_view text) {
    std::string found;
    for (auto at = text.find("=%u"); at != std::string_view::npos; at = text.find("=%u", at + 1)) {
        std::size_t begin = at;
        const auto is_of_name = [](char c) { return is_letter(c) || is_digit(c) || c == '-'; };
        while (begin > 0 && is_of_name(text[begin - 1])) --begin;
        const std::string name(text.substr(begin, at - begin));
        if (!found.empty() && found != name) return {};
        found = name;
    }
    return found;
}

}  // namespace trunkline::auth
