// Users, groups and roles in one YAML file (docs/access.md): read with all errors at once, or not at all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/password_hash.h"
#include "auth/placeholder.h"
#include "auth/rule.h"
#include "auth/scram_verifier.h"
#include "auth/validity.h"
#include "namespace/problem.h"

namespace trunkline::auth {

/// Which certificate is a user's: all that is given must be equal.
struct CertificateMatch {
    std::string common_name, organization, organizational_unit, fingerprint;
    std::string dns, email, uri;
    [[nodiscard]] bool none() const;
    [[nodiscard]] bool fits(const CertificateFields& certificate) const;
    bool operator==(const CertificateMatch&) const = default;
};

struct User {
    std::string name;
    std::optional<PasswordHash> password;
    std::optional<ScramVerifier> scram;
    CertificateMatch certificate;
    std::vector<std::uint32_t> roles, groups;      ///< indices
    std::vector<Template> client_ids;              ///< none: any that nobody else has reserved
    Validity validity;
    bool disabled = false;
    std::string place;

    [[nodiscard]] bool may_connect(std::int64_t now_ms) const { return !disabled && validity.holds(now_ms); }
};

struct Group {
    std::string name;
    std::vector<std::uint32_t> roles;
};

struct Role {
    std::string name;
    std::string description;
    std::optional<Template> client_id;   ///< who has the role must use this client identifier
    std::string place;
};

struct RolesFile {
    std::string name;                    ///< of the file
    std::vector<Role> roles;
    std::vector<Rule> rules;             ///< of all roles, in the order of the file
    std::vector<Group> groups;
    std::vector<User> users;             ///< by name
    std::vector<std::uint32_t> everyone;     ///< roles of all who are authenticated
    std::vector<std::uint32_t> anonymous;    ///< roles of those who are nobody in particular
};

/// Bounds that a file must keep.
struct RolesLimits {
    static constexpr std::size_t bytes_max = 32U << 20;
    static constexpr std::size_t roles_max = 16'384;
    static constexpr std::size_t rules_max = 131'072;
    static constexpr std::size_t patterns_max = 262'144;
    static constexpr std::size_t users_max = 131'072;
    static constexpr std::size_t groups_max = 16'384;
};

struct ParsedRoles {
    std::optional<RolesFile> file;       ///< absent when there is any problem
    std::vector<Problem> problems;
    std::vector<Problem> warnings;       ///< what works but should not stay so
};

/// Reads a roles file. `name` is how messages call it. Never throws on any input.
[[nodiscard]] ParsedRoles parse_roles(std::string_view text, const std::string& name);

}  // namespace trunkline::auth
