#include "namespace/life/yaml_text.h"

#include <algorithm>
#include <array>

#include "namespace/model/text.h"
#include "namespace/model/yaml_tree.h"

namespace trunkline::uns {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Words that some reader of YAML takes for something other than text.
bool is_word_of_yaml(std::string_view text) {
    constexpr std::array<std::string_view, 9> words{"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
    const std::string folded = fold_case(text);
    return std::find(words.begin(), words.end(), folded) != words.end();
}

}  // namespace

std::string yaml_text(std::string_view text) {
    const bool plain = !text.empty() && is_letter(text.front()) && !is_word_of_yaml(text) &&
                       std::all_of(text.begin(), text.end(), [](char c) {
                           return is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '/' || c == '@';
                       });
    if (plain) return std::string(text);
    std::string out;
    append_json_string(out, text);
    return out;
}

std::string comment_text(std::string_view text, std::size_t bytes_max) {
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        out += byte < 0x20 || byte == 0x7F ? '?' : c;
    }
    if (out.size() > bytes_max) {
        std::size_t end = bytes_max;
        while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xC0) == 0x80) --end;
        out.resize(end);
        out += "...";
    }
    return is_utf8(out) ? out : "?";
}

}  // namespace trunkline::uns
