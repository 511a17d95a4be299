// Logins that a directory judges: what is asked of it, what its answers mean. Who speaks LDAP is behind Directory
// (broker/auth_ldap.h).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "auth/backend.h"
#include "auth/method.h"

namespace trunkline::auth {

/// What came of one login.
struct DirectoryReply {
    enum class Kind : std::uint8_t {
        bound,          ///< the password is right; `user` and `groups` are there
        wrong,          ///< the password is not, or the directory does not let this one in
        unknown,        ///< it has nobody of that name
        unreachable,    ///< no name, no way, refused
        failed,         ///< too slow, lost, a certificate that is not good, an answer that is none
        busy,           ///< too much is waiting
        dropped         ///< the client has gone, or the broker stops
    };
    Kind kind = Kind::failed;
    std::string user;                   ///< as the directory writes it
    std::vector<std::string> groups;    ///< distinguished names
    std::string what;                   ///< unless bound: why, for the log; no secret
};

/// Thread safe, does not block.
class Directory {
public:
    virtual ~Directory() = default;
    using OnReply = std::function<void(DirectoryReply&&)>;
    /// Logs in with the attempt's user and password, neither of them empty, its `delay_ms` from now at the earliest,
    /// unless it is abandoned before. Calls `done` once, on any thread, perhaps before it returns.
    virtual void login(std::shared_ptr<const Attempt> attempt, OnReply done) = 0;
};

/// Which roles the members of a group have. Groups are compared as normal_dn() does.
class GroupRoles {
public:
    /// `group`: a distinguished name, which is that group alone; or a name without `=`, which is each group whose
    /// distinguished name begins with it.
    void add(std::string_view group, const std::vector<std::string>& roles);
    /// The roles of the members of all these groups, each once.
    [[nodiscard]] std::vector<std::string> of(const std::vector<std::string>& groups) const;

private:
    std::multimap<std::string, std::string> by_dn_, by_name_;
};

/// Asks about every CONNECT that brings a user name and a password. Whom the directory does not know it defers. An
/// empty password is refused before anybody is asked: to a directory that is a login as nobody, which succeeds (RFC
/// 4513, section 5.1.2).
class LdapMethod : public Method {
public:
    /// `directory` and `health` must outlive it.
    LdapMethod(Directory& directory, BackendHealth& health, GroupRoles roles, WhenUnreachable when_unreachable)
        : directory_(directory), health_(health), roles_(std::move(roles)), when_unreachable_(when_unreachable) {}
    [[nodiscard]] std::string_view name() const override { return "ldap"; }
    void check(std::shared_ptr<const Attempt> attempt, OnMethodAnswer done) override;

private:
    [[nodiscard]] MethodAnswer answer_of(DirectoryReply&& reply, const Attempt& attempt);

    Directory& directory_;
    BackendHealth& health_;
    const GroupRoles roles_;
    const WhenUnreachable when_unreachable_;
};

}  // namespace trunkline::auth
