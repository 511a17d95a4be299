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
    /// A token. Without a user and roles its holder may do everything.
    struct Entry {
        std::string name;
        std::array<std::uint8_t, 32> hash{};
        std::string user;                    ///< of the roles file, who the holder is; empty: nobody of it
        std::vector<std::string> roles;      ///< that the holder has beside the user's
        bool operator==(const Entry&) const = default;
    };

    /// One `name:sha256-in-hex` per line, then, after spaces, `user=NAME` and `roles=A,B` where it is not to have
    /// everything; blank lines and lines that start with # are skipped. Problems carry file:line:column; the set is
    /// usable only when there are none.
    static Tokens parse(std::string_view text, const std::string& file, std::vector<Problem>& problems);
    static Tokens load(const std::string& file, std::vector<Problem>& problems);

    /// Null when it is none of them. Takes the same time whichever it is.
    [[nodiscard]] const Entry* find(std::string_view token) const;
    /// Its name, or "".
    [[nodiscard]] std::string name_of(std::string_view token) const;
    [[nodiscard]] std::size_t size() const { return entries_.size(); }

private:
    std::vector<Entry> entries_;
};

}  // namespace trunkline::admin
