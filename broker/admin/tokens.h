// Bearer tokens of the administration interface: names and SHA-256 hashes, never the tokens themselves.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "namespace/problem.h"

namespace trunkline::admin {

class Tokens {
public:
    /// One `name:sha256-in-hex` per line; blank lines and lines that start with # are skipped. Problems carry
    /// file:line:column; the set is usable only when there are none.
    static Tokens parse(std::string_view text, const std::string& file, std::vector<Problem>& problems);
    static Tokens load(const std::string& file, std::vector<Problem>& problems);

    /// The name of the token, or "" when it is none of them. Takes the same time whichever it is.
    [[nodiscard]] std::string name_of(std::string_view token) const;
    [[nodiscard]] std::size_t size() const { return entries_.size(); }

private:
    struct Entry {
        std::string name;
        std::array<std::uint8_t, 32> hash{};
    };
    std::vector<Entry> entries_;
};

}  // namespace trunkline::admin
