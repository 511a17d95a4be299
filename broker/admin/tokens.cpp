#include "broker/admin/tokens.h"

#include <fstream>
#include <sstream>

#include <openssl/crypto.h>
#include <openssl/sha.h>

namespace trunkline::admin {
namespace {

constexpr std::size_t tokens_max = 1'000;

bool from_hex(std::string_view text, std::array<std::uint8_t, 32>& out) {
    if (text.size() != 64) return false;
    for (std::size_t i = 0; i < 64; ++i) {
        const char c = text[i];
        int value = -1;
        if (c >= '0' && c <= '9') value = c - '0';
        if (c >= 'a' && c <= 'f') value = c - 'a' + 10;
        if (c >= 'A' && c <= 'F') value = c - 'A' + 10;
        if (value < 0) return false;
        out[i / 2] = static_cast<std::uint8_t>(out[i / 2] * 16 + value);
    }
    return true;
}

// Where `:HASH` begins that ends the line or is followed by a space; npos: nowhere.
std::size_t hash_at(std::string_view line, std::array<std::uint8_t, 32>& hash) {
    constexpr auto none = std::string_view::npos;
    for (auto colon = line.rfind(':'); colon != none && colon > 0; colon = line.rfind(':', colon - 1)) {
        const bool ends = line.size() == colon + 65 || (line.size() > colon + 65 && line[colon + 65] == ' ');
        if (ends && from_hex(line.substr(colon + 1, 64), hash)) return colon;
    }
    return std::string_view::npos;
}

// Reads `user=NAME roles=A,B`. False: it is something else.
bool read_rights(std::string_view text, Tokens::Entry& entry) {
    while (!text.empty()) {
        const auto end = text.find(' ');
        const std::string_view word = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
        if (word.empty()) continue;
        if (word.starts_with("user=") && word.size() > 5 && entry.user.empty()) {
            entry.user = word.substr(5);
        } else if (word.starts_with("roles=") && entry.roles.empty()) {
            for (std::string_view rest = word.substr(6);;) {
                const auto comma = rest.find(',');
                if (rest.substr(0, comma).empty()) return false;
                entry.roles.emplace_back(rest.substr(0, comma));
                if (comma == std::string_view::npos) break;
                rest = rest.substr(comma + 1);
            }
        } else {
            return false;
        }
    }
    return true;
}

}  // namespace

Tokens Tokens::parse(std::string_view text, const std::string& file, std::vector<Problem>& problems) {
    Tokens tokens;
    for (std::size_t line = 1; !text.empty(); ++line) {
        const auto end = text.find('\n');
        std::string_view entry = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
        while (!entry.empty() && (entry.back() == ' ' || entry.back() == '\r')) entry.remove_suffix(1);
        if (entry.empty() || entry.front() == '#') continue;
        Entry made;
        const auto colon = hash_at(entry, made.hash);
        if (colon == std::string_view::npos) {
            problems.push_back({"TL-9014", file + ":" + std::to_string(line) + ":1",
                                "no token: a line is name:hash with 64 hexadecimal digits",
                                "make the hash with: printf %s \"$TOKEN\" | sha256sum"});
            continue;
        }
        if (!read_rights(entry.substr(colon + 65), made)) {
            problems.push_back({"TL-9014", file + ":" + std::to_string(line) + ":" + std::to_string(colon + 67),
                                "what follows the hash is neither user=NAME nor roles=A,B",
                                "write name:hash user=ann, or name:hash roles=viewer,operator"});
            continue;
        }
        if (tokens.entries_.size() == tokens_max) {
            problems.push_back({"TL-9014", file + ":" + std::to_string(line) + ":1", "more than 1,000 tokens", ""});
            break;
        }
        made.name = entry.substr(0, colon);
        tokens.entries_.push_back(std::move(made));
    }
    if (tokens.entries_.empty() && problems.empty()) {
        problems.push_back({"TL-9014", file, "the file holds no token", "add a line name:hash"});
    }
    return tokens;
}

Tokens Tokens::load(const std::string& file, std::vector<Problem>& problems) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    if (in) text << in.rdbuf();
    if (!in) {
        problems.push_back({"TL-9014", file, "the tokens file cannot be read", "check its path and its owner"});
        return {};
    }
    return parse(text.str(), file, problems);
}

const Tokens::Entry* Tokens::find(std::string_view token) const {
    std::array<std::uint8_t, 32> hash{};
    SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), hash.data());
    const Entry* found = nullptr;
    for (const Entry& entry : entries_) {
        if (CRYPTO_memcmp(entry.hash.data(), hash.data(), hash.size()) == 0) found = &entry;
    }
    return found;
}

std::string Tokens::name_of(std::string_view token) const {
    const Entry* found = find(token);
    return found ? found->name : std::string();
}

}  // namespace trunkline::admin
