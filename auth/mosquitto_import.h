// Mosquitto's password and ACL files: read, judged exactly as Mosquitto 2.0.11 does, and written as a roles file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "auth/password_hash.h"
#include "auth/rule.h"
#include "namespace/problem.h"

namespace trunkline::auth {

/// `acl_file` of Mosquitto: `user NAME`, `topic [read|write|readwrite|deny] FILTER`, `pattern ...` with %c and %u.
class MosquittoAcl {
public:
    enum Access : std::uint8_t { deny = 0, read = 1, write = 2 };
    struct Entry {
        std::uint8_t access = read | write;
        std::string filter;
        std::uint32_t line = 0;
    };
    struct Entries {
        std::vector<Entry> denies, allows;      ///< denies are looked at first
    };

    /// All lines that Mosquitto would refuse are reported, with their place. nullopt when there is one.
    [[nodiscard]] static std::optional<MosquittoAcl> parse(std::string_view text, const std::string& name,
                                                           std::vector<Problem>& problems);

    /// As Mosquitto's acl_check: the entries of the user (or of nobody), denies first; then the patterns, denies
    /// first; else no. A subscription is always granted; what it delivers is a matter of `receive`.
    [[nodiscard]] bool allowed(const std::optional<std::string>& user, std::string_view client_id, Action action,
                               std::string_view topic) const;

    [[nodiscard]] const std::unordered_map<std::string, Entries>& users() const { return users_; }
    [[nodiscard]] const Entries& nobody() const { return nobody_; }
    [[nodiscard]] const Entries& patterns() const { return patterns_; }
    [[nodiscard]] const std::string& name() const { return name_; }

private:
    std::string name_;
    std::unordered_map<std::string, Entries> users_;
    Entries nobody_, patterns_;
};

/// `password_file` of Mosquitto: `NAME:$7$...` or `NAME:$6$...` a line.
struct MosquittoPasswords {
    std::vector<std::pair<std::string, std::string>> users;   ///< name and hash, in the order of the file
};
[[nodiscard]] std::optional<MosquittoPasswords> parse_mosquitto_passwords(std::string_view text,
                                                                          const std::string& name,
                                                                          std::vector<Problem>& problems);

/// A roles file that decides alike. `notes` gets each place where it cannot: a pattern that denies beside a user's
/// entry that allows (here the deny wins, there the entry), and what should be looked at: hashes to renew.
/// Names with a slash fit no placeholder here (there they reach into other branches), names with + or # none that is
/// theirs (there, no pattern at all).
[[nodiscard]] std::string to_roles_file(const MosquittoAcl* acl, const MosquittoPasswords* passwords,
                                        std::vector<Problem>& notes);

}  // namespace trunkline::auth
