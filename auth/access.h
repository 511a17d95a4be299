// Who may do what: the one place where it is decided. An Access is an immutable snapshot of a roles file, compiled; a
// reload makes another with a higher generation. Thread safe. See auth/README.md for how a decision is made.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "auth/principal.h"
#include "auth/roles_file.h"
#include "auth/rule_trie.h"

namespace trunkline::auth {

/// The roles that somebody has, as one snapshot sees them. Sets with the same roles are the same object with the same
/// id, so that what is decided for one is decided for all who have it.
struct RoleSet {
    std::uint32_t id = 0;                   ///< 0: no role at all
    std::uint64_t generation = 0;           ///< of the snapshot it belongs to
    std::vector<std::uint32_t> roles;       ///< sorted indices into Access::file().roles
    std::vector<std::uint64_t> bits;        ///< the same by bit
    [[nodiscard]] bool has(std::uint32_t role) const { return (bits[role / 64] >> role % 64 & 1) != 0; }
};

/// Ids of role sets stay below this; whoever has a set beyond shares no cached decision (RoleSet::id is not_shared).
inline constexpr std::uint32_t role_sets_max = 4096;
inline constexpr std::uint32_t not_shared = 0xFFFF'FFFFU;

/// What a decision depends on besides who asks for what.
struct Circumstances {
    std::int64_t now_ms = 0;                ///< UTC milliseconds since 1970
    const TopicFacts* facts = nullptr;      ///< of the topic, or of a subscription's filter without wildcards; or null
};

/// The answer. Pointers are valid as long as the Access that gave them.
struct Decision {
    bool allowed = false;
    const Rule* rule = nullptr;      ///< that decided; null: nothing allows it
    const Rule* partly = nullptr;    ///< subscribe, when allowed: a deny that keeps some of the deliveries back
    bool per_principal = false;      ///< somebody else with the same roles may be answered otherwise
    std::int64_t until_ms = always_ms;   ///< ask again then: a rule's time begins or ends
};

/// The decisions about one topic for all who have a role set; a value to keep on a route.
struct PermissionBits {
    bool publish : 1 = false;
    bool receive : 1 = false;
    bool publish_per_principal : 1 = false;     ///< publish says nothing: call decide() with the principal
    bool receive_per_principal : 1 = false;
    std::uint32_t role_set = 0;
    std::uint64_t generation = 0;    ///< of the Access; another one: ask again
    std::int64_t until_ms = 0;       ///< and so from this time on
};

class Access {
public:
    /// Takes a file that was read without problems. `generation` grows with each reload.
    Access(RolesFile file, std::uint64_t generation);
    Access(const Access&) = delete;
    Access& operator=(const Access&) = delete;
    /// Nobody may do anything: what holds without a file, or with one that cannot be used.
    [[nodiscard]] static std::shared_ptr<const Access> deny_all(std::uint64_t generation);

    [[nodiscard]] std::uint64_t generation() const { return generation_; }
    [[nodiscard]] const RolesFile& file() const { return file_; }
    [[nodiscard]] const User* find_user(std::string_view name) const;
    [[nodiscard]] const User* find_user(const CertificateFields& certificate) const;

    /// Indices of users that have one.
    [[nodiscard]] const std::vector<std::uint32_t>& users_with_password() const { return users_with_password_; }
    [[nodiscard]] const std::vector<std::uint32_t>& users_with_scram() const { return users_with_scram_; }
    /// The user whose `client_ids` reserve a client identifier: the first of the file's, or null. Those with
    /// placeholders reserve nothing.
    [[nodiscard]] const User* reserved_by(std::string_view client_id) const;

    /// The roles of a principal now: its own, its user's, those of all its groups, and `everyone` or `anonymous`. A
    /// user of the file who is disabled or out of its time has none. Roles that the file does not have count for
    /// nothing. Ask once per connection and generation (and when `until_ms`, which gets the time of the next change,
    /// has come).
    [[nodiscard]] std::shared_ptr<const RoleSet> role_set(const Principal& principal, std::int64_t now_ms,
                                                          std::int64_t* until_ms = nullptr) const;

    /// May `principal`, who has `roles` (of this generation; others are denied all), do this? `topic`: a topic name
    /// (publish, receive), a filter, also `$share/...` (subscribe), or the name of an action (admin). What is no such
    /// thing is denied. Deny overrides allow; of several
    /// rules the first of the file is named; without an allow it is denied.
    /// Subscribe is allowed when one rule covers every topic of the filter and none denies every one; denies that take
    /// a part of the topics are left to receive, which must be asked for each delivery.
    [[nodiscard]] Decision decide(const Principal& principal, const RoleSet& roles, Action action,
                                  std::string_view topic, const Circumstances& at) const;
    /// The same for those who ask once.
    [[nodiscard]] Decision decide(const Principal& principal, Action action, std::string_view topic,
                                  const Circumstances& at) const;

    /// May the principal receive something on `topic` or below it? For showing the levels of the namespace: a rule that
    /// asks the model counts as if it did not, and several denies are not added up; so a level may be shown below which
    /// there is nothing to be seen, but none is left out.
    [[nodiscard]] bool may_see_below(const Principal& principal, const RoleSet& roles, std::string_view topic,
                                     std::int64_t now_ms) const;
    /// A rule is about administration.
    [[nodiscard]] bool rules_administration() const { return rules_administration_; }

    /// Publish and receive on a topic name for everyone with these roles.
    [[nodiscard]] PermissionBits permissions(const RoleSet& roles, std::string_view topic,
                                             const Circumstances& at) const;

    /// Every rule of the principal's roles that has to do with the topic, in the order of the file, and whether it
    /// applies: what `explain` shows.
    struct Considered {
        const Rule* rule = nullptr;
        bool applies = false;
        std::string why_not;
    };
    [[nodiscard]] std::vector<Considered> explain(const Principal& principal, Action action, std::string_view topic,
                                                  const Circumstances& at) const;

    /// Users of the file who may do this now, with what decided (`access who-can`). A user stands for itself with a
    /// client identifier that it may use; where rules depend on more (a certificate), the answer is for none.
    struct Able {
        const User* user = nullptr;
        Decision decision;
    };
    [[nodiscard]] std::vector<Able> who_can(Action action, std::string_view topic, const Circumstances& at) const;

    /// "roles.yaml:14 allow publish acme/#" or "no rule of the roles edge, viewer allows it", for people.
    [[nodiscard]] std::string describe(const Decision& decision, const RoleSet& roles) const;

private:
    struct Verdict;
    void judge(const RuleAt& at, const Principal* principal, const RoleSet& roles, Action action,
               std::string_view filter, bool wildcards, const Circumstances& circumstances, Verdict& verdict) const;
    [[nodiscard]] Verdict weigh(const Principal* principal, const RoleSet& roles, Action action, std::string_view topic,
                                const Circumstances& at) const;
    std::shared_ptr<const RoleSet> intern(std::vector<std::uint32_t> roles) const;

    RolesFile file_;
    std::uint64_t generation_;
    bool rules_administration_ = false;
    RuleTrie topics_, admin_;
    std::unordered_map<std::string_view, std::uint32_t> roles_by_name_, groups_by_name_;
    std::vector<std::uint32_t> users_by_certificate_;     // users that have one
    std::vector<std::uint32_t> users_with_password_, users_with_scram_;
    std::unordered_map<std::string_view, std::uint32_t> reserved_ids_;            // user by literal client identifier
    std::vector<std::pair<const Template*, std::uint32_t>> reserved_patterns_;    // those with *

    mutable std::mutex mutex_;                            // guards what is below
    mutable std::unordered_map<std::string, std::shared_ptr<const RoleSet>> role_sets_;   // by their roles, as bytes
};

}  // namespace trunkline::auth
