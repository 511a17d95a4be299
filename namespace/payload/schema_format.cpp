#include "namespace/payload/schema_format.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <variant>

#include "namespace/payload/pattern.h"
#include "namespace/payload/rfc3339.h"

namespace trunkline::uns::schema {

namespace {

constexpr std::array<std::string_view, 12> names{"date-time",     "date", "time",         "email",
                                                 "hostname",      "ipv4", "ipv6",         "uri",
                                                 "uri-reference", "uuid", "json-pointer", "regex"};

bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

/// RFC 1123, section 2.1.
bool is_hostname(std::string_view text) {
    if (text.empty() || text.size() > 253) return false;
    std::size_t start = 0;
    while (start <= text.size()) {
        const std::size_t end = std::min(text.find('.', start), text.size());
        const std::string_view label = text.substr(start, end - start);
        if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
        for (const char c : label) {
            if (!is_alpha(c) && !is_digit(c) && c != '-') return false;
        }
        start = end + 1;
    }
    return true;
}

/// A mailbox of RFC 5321 without quoted local parts.
bool is_email(std::string_view text) {
    const std::size_t at = text.rfind('@');
    if (at == std::string_view::npos || at == 0 || at > 64) return false;
    const std::string_view local = text.substr(0, at);
    if (local.front() == '.' || local.back() == '.' || local.find("..") != std::string_view::npos) return false;
    for (const char c : local) {
        if (!is_alpha(c) && !is_digit(c) &&
            std::string_view("!#$%&'*+-/=?^_`{|}~.").find(c) == std::string_view::npos) {
            return false;
        }
    }
    return is_hostname(text.substr(at + 1));
}

template <int family, std::size_t size_max>
bool is_address(std::string_view text) {
    std::array<char, size_max + 1> terminated{};
    std::array<unsigned char, 16> address;
    if (text.empty() || text.size() > size_max || text.find('\0') != std::string_view::npos) return false;
    std::memcpy(terminated.data(), text.data(), text.size());
    return inet_pton(family, terminated.data(), address.data()) == 1;
}

/// The characters of RFC 3986; percent signs with two digits.
bool has_uri_characters(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '%') {
            if (i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) return false;
        } else if (!is_alpha(c) && !is_digit(c) &&
                   std::string_view("-._~:/?#[]@!$&'()*+,;=").find(c) == std::string_view::npos) {
            return false;
        }
    }
    const std::size_t hash = text.find('#');
    if (hash != std::string_view::npos && text.find('#', hash + 1) != std::string_view::npos) return false;
    const std::size_t bracket = text.find_first_of("[]");
    return bracket == std::string_view::npos || text.find("//[") == bracket - 2;
}

/// The length of a scheme before a colon, 0 when there is none.
std::size_t scheme_bytes(std::string_view text) {
    if (text.empty() || !is_alpha(text[0])) return 0;
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == ':') return i;
        if (!is_alpha(text[i]) && !is_digit(text[i]) && text[i] != '+' && text[i] != '-' && text[i] != '.') return 0;
    }
    return 0;
}

bool is_uri_reference(std::string_view text) {
    if (!has_uri_characters(text)) return false;
    // RFC 3986, section 4.2: a colon in the first segment would make it a scheme.
    return scheme_bytes(text) > 0 || text.substr(0, text.find_first_of("/?#")).find(':') == std::string_view::npos;
}

bool is_uuid(std::string_view text) {
    if (text.size() != 36) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !is_hex(text[i])) return false;
    }
    return true;
}

bool is_json_pointer(std::string_view text) {
    if (!text.empty() && text[0] != '/') return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '~' && (i + 1 == text.size() || (text[i + 1] != '0' && text[i + 1] != '1'))) return false;
    }
    return true;
}

bool is_regex(std::string_view text) {
    return std::holds_alternative<Pattern>(Pattern::compile(text, Pattern::Reach::anywhere, Pattern::Dialect::ecma));
}

}  // namespace

std::span<const std::string_view> format_names() { return names; }

std::optional<Format> format_named(std::string_view name) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) return std::nullopt;
    return static_cast<Format>(found - names.begin());
}

std::string_view name_of(Format format) { return names[static_cast<std::size_t>(format)]; }

bool has_format(std::string_view text, Format format) {
    switch (format) {
    case Format::date_time: return parse_date_time(text).has_value();
    case Format::date: return is_full_date(text);
    case Format::time: return is_full_time(text);
    case Format::email: return is_email(text);
    case Format::hostname: return is_hostname(text);
    case Format::ipv4: return is_address<AF_INET, 15>(text);
    case Format::ipv6: return is_address<AF_INET6, 45>(text);
    case Format::uri: return scheme_bytes(text) > 0 && has_uri_characters(text);
    case Format::uri_reference: return is_uri_reference(text);
    case Format::uuid: return is_uuid(text);
    case Format::json_pointer: return is_json_pointer(text);
    case Format::regex: return is_regex(text);
    }
    return false;
}

}  // namespace trunkline::uns::schema
