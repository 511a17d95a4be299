#include "auth/access.h"

#include <algorithm>

#include "namespace/topic.h"

namespace trunkline::auth {
namespace {

constexpr std::uint32_t none = 0xFFFF'FFFFU;

enum class Fits : std::uint8_t { no, yes, for_some };

// `principal` null: for anybody.
Fits fits(const Conditions& conditions, const TopicFacts* facts, const Principal* principal) {
    if (conditions.none()) return Fits::yes;
    if (!facts) return Fits::no;
    if (!conditions.member.empty() && facts->member() != conditions.member) return Fits::no;
    if (!conditions.type.empty() && !facts->in_type(conditions.type)) return Fits::no;
    if (!conditions.kind.empty() && !facts->in_kind(conditions.kind)) return Fits::no;
    if (!conditions.branch_owner) return Fits::yes;
    const std::string_view owner = facts->owner();
    if (owner.empty()) return Fits::no;
    if (conditions.branch_owner->literal()) return conditions.branch_owner->text() == owner ? Fits::yes : Fits::no;
    if (!principal) return Fits::for_some;
    return conditions.branch_owner->match_text(owner, false, *principal) == TextMatch::yes ? Fits::yes : Fits::no;
}

}  // namespace

/// What the rules say together. Rules are indices into the file, the least of each kind.
struct Access::Verdict {
    std::uint32_t deny = none, allow = none, partly = none;
    bool firm_deny = false, firm_allow = false;     // by a rule that is the same for all with the roles
    bool some_deny = false, some_allow = false;     // by one that is not, for somebody
    std::int64_t until_ms = always_ms;

    [[nodiscard]] bool per_principal() const { return !firm_deny && (some_deny || (!firm_allow && some_allow)); }
};

Access::Access(RolesFile file, std::uint64_t generation) : file_(std::move(file)), generation_(generation) {
    for (std::uint32_t i = 0; i < file_.roles.size(); ++i) roles_by_name_.emplace(file_.roles[i].name, i);
    for (std::uint32_t i = 0; i < file_.groups.size(); ++i) groups_by_name_.emplace(file_.groups[i].name, i);
    for (std::uint32_t i = 0; i < file_.users.size(); ++i) {
        if (!file_.users[i].certificate.none()) users_by_certificate_.push_back(i);
        if (file_.users[i].password) users_with_password_.push_back(i);
        if (file_.users[i].scram) users_with_scram_.push_back(i);
        for (const Template& id : file_.users[i].client_ids) {
            if (!id.literal()) continue;
            if (id.text().find('*') == std::string::npos) reserved_ids_.emplace(id.text(), i);
            else reserved_patterns_.emplace_back(&id, i);
        }
    }
    for (std::uint32_t i = 0; i < file_.rules.size(); ++i) {
        const Rule& rule = file_.rules[i];
        const bool admin = (rule.actions & bit(Action::admin)) != 0;
        rules_administration_ |= admin;
        RuleTrie& trie = admin ? admin_ : topics_;
        for (std::uint32_t p = 0; p < rule.topics.size(); ++p) {
            trie.add(rule.topics[p], {i, p}, rule.effect == Effect::deny);
        }
    }
}

std::shared_ptr<const Access> Access::deny_all(std::uint64_t generation) {
    return std::make_shared<const Access>(RolesFile{}, generation);
}

const User* Access::find_user(std::string_view name) const {
    const auto at = std::lower_bound(file_.users.begin(), file_.users.end(), name,
                                     [](const User& user, std::string_view wanted) { return user.name < wanted; });
    return at != file_.users.end() && at->name == name ? &*at : nullptr;
}

const User* Access::find_user(const CertificateFields& certificate) const {
    const User* found = nullptr;
    for (const std::uint32_t index : users_by_certificate_) {
        const User& user = file_.users[index];
        if (!user.certificate.fits(certificate)) continue;
        if (found) return nullptr;  // whose it is cannot be told
        found = &user;
    }
    return found;
}

const User* Access::reserved_by(std::string_view client_id) const {
    if (const auto at = reserved_ids_.find(client_id); at != reserved_ids_.end()) return &file_.users[at->second];
    static const Principal nobody;
    for (const auto& [id, user] : reserved_patterns_) {
        if (id->match_text(client_id, true, nobody) == TextMatch::yes) return &file_.users[user];
    }
    return nullptr;
}

std::shared_ptr<const RoleSet> Access::role_set(const Principal& principal, std::int64_t now_ms,
                                                std::int64_t* until_ms) const {
    std::vector<std::uint32_t> roles;
    const auto add = [&](const std::vector<std::uint32_t>& more) {
        roles.insert(roles.end(), more.begin(), more.end());
    };
    const auto add_group = [&](std::uint32_t group) { add(file_.groups[group].roles); };
    if (until_ms) *until_ms = always_ms;
    if (principal.anonymous()) {
        add(file_.anonymous);
    } else {
        const User* user = find_user(principal.user);
        if (user && until_ms) *until_ms = user->validity.settled_until(now_ms);
        if (user && !user->may_connect(now_ms)) return intern({});
        if (user) {
            add(user->roles);
            for (const std::uint32_t group : user->groups) add_group(group);
        }
        add(file_.everyone);
        for (const std::string& name : principal.roles) {
            if (const auto at = roles_by_name_.find(name); at != roles_by_name_.end()) roles.push_back(at->second);
        }
        for (const std::string& name : principal.groups) {
            if (const auto at = groups_by_name_.find(name); at != groups_by_name_.end()) add_group(at->second);
        }
    }
    std::sort(roles.begin(), roles.end());
    roles.erase(std::unique(roles.begin(), roles.end()), roles.end());
    return intern(std::move(roles));
}

std::shared_ptr<const RoleSet> Access::intern(std::vector<std::uint32_t> roles) const {
    const std::string key(reinterpret_cast<const char*>(roles.data()), roles.size() * sizeof(std::uint32_t));
    const std::lock_guard lock(mutex_);
    const auto at = role_sets_.find(key);
    if (at != role_sets_.end()) return at->second;
    auto made = std::make_shared<RoleSet>();
    made->generation = generation_;
    made->bits.resize(file_.roles.size() / 64 + 1);
    for (const std::uint32_t role : roles) made->bits[role / 64] |= std::uint64_t{1} << role % 64;
    made->id = roles.empty() ? 0 : static_cast<std::uint32_t>(role_sets_.size() + 1);
    made->roles = std::move(roles);
    if (made->id >= role_sets_max) {
        made->id = not_shared;
        return made;
    }
    role_sets_.emplace(key, made);
    return made;
}

void Access::judge(const RuleAt& at, const Principal* principal, const RoleSet& roles, Action action,
                   std::string_view filter, bool wildcards, const Circumstances& circumstances,
                   Verdict& verdict) const {
    const Rule& rule = file_.rules[at.rule];
    if (!(rule.actions & bit(action)) || !roles.has(rule.role)) return;
    const Pattern& pattern = rule.topics[at.pattern];
    const bool deny = rule.effect == Effect::deny;
    // One that is found already, and no later in the file, decides: what else says the same need not be looked at.
    const bool varies = rule.per_principal(pattern);
    const bool decided = (deny ? verdict.deny : verdict.allow) <= at.rule &&
                         (varies ? (deny ? verdict.some_deny : verdict.some_allow)
                                 : (deny ? verdict.firm_deny : verdict.firm_allow));
    if (decided && rule.validity.always()) return;
    Relation relation = Relation::covers;   // as the trie found, where nothing depends on the principal
    if (wildcards || (pattern.per_principal() && principal)) {
        static const Principal nobody;
        relation = relate(pattern, filter, principal ? *principal : nobody, deny);
    }
    Fits fit = Fits::yes;
    if (!wildcards) {
        fit = fits(rule.conditions, circumstances.facts, principal);
        const auto& owner = rule.conditions.branch_owner;
        if (fit == Fits::no && (!owner || owner->literal())) return;  // for nobody
    } else if (relation == Relation::covers && !rule.conditions.none()) {
        relation = Relation::part;  // it is true of some of the topics
    }
    verdict.until_ms = std::min(verdict.until_ms, rule.validity.settled_until(circumstances.now_ms));
    if (!rule.validity.holds(circumstances.now_ms)) return;

    if (varies) (deny ? verdict.some_deny : verdict.some_allow) = true;
    if (fit == Fits::no || (varies && !principal)) return;
    if (relation == Relation::covers) {
        std::uint32_t& first = deny ? verdict.deny : verdict.allow;
        first = std::min(first, at.rule);
        if (!varies) (deny ? verdict.firm_deny : verdict.firm_allow) = true;
    } else if (relation == Relation::part && deny) {
        verdict.partly = std::min(verdict.partly, at.rule);
    }
}

Access::Verdict Access::weigh(const Principal* principal, const RoleSet& roles, Action action, std::string_view topic,
                              const Circumstances& at) const {
    Verdict verdict;
    std::string_view filter = topic;
    bool valid = false;
    if (action == Action::subscribe) {
        const uns::SharedFilter shared = uns::parse_shared(topic);
        filter = shared.filter;
        valid = shared.valid && uns::is_valid_topic_filter(filter);
    } else {
        valid = uns::is_valid_topic_name(topic);
    }
    if (!valid || roles.roles.empty() || roles.generation != generation_) return verdict;
    const bool wildcards = action == Action::subscribe && uns::has_wildcard(filter);
    thread_local std::vector<RuleAt> candidates;
    candidates.clear();
    (action == Action::admin ? admin_ : topics_).find(filter, action == Action::subscribe, candidates);
    for (const RuleAt& candidate : candidates) {
        judge(candidate, principal, roles, action, filter, wildcards, at, verdict);
    }
    if (action == Action::subscribe && verdict.deny == none) {
        // A deny of receive alone keeps deliveries back, whether it takes a part of the topics or all of them.
        Verdict receive;
        for (const RuleAt& candidate : candidates) {
            if (file_.rules[candidate.rule].effect != Effect::deny) continue;
            judge(candidate, principal, roles, Action::receive, filter, wildcards, at, receive);
        }
        verdict.partly = std::min({verdict.partly, receive.partly, receive.deny});
        verdict.until_ms = std::min(verdict.until_ms, receive.until_ms);
    }
    return verdict;
}

Decision Access::decide(const Principal& principal, const RoleSet& roles, Action action, std::string_view topic,
                        const Circumstances& at) const {
    const Verdict verdict = weigh(&principal, roles, action, topic, at);
    Decision decision;
    decision.until_ms = verdict.until_ms;
    decision.per_principal = verdict.per_principal();
    if (verdict.deny != none) {
        decision.rule = &file_.rules[verdict.deny];
    } else if (verdict.allow != none) {
        decision.allowed = true;
        decision.rule = &file_.rules[verdict.allow];
        if (verdict.partly != none) decision.partly = &file_.rules[verdict.partly];
    }
    return decision;
}

Decision Access::decide(const Principal& principal, Action action, std::string_view topic,
                        const Circumstances& at) const {
    std::int64_t until_ms = always_ms;
    const auto roles = role_set(principal, at.now_ms, &until_ms);
    Decision decision = decide(principal, *roles, action, topic, at);
    decision.until_ms = std::min(decision.until_ms, until_ms);
    return decision;
}

bool Access::may_see_below(const Principal& principal, const RoleSet& roles, std::string_view topic,
                           std::int64_t now_ms) const {
    if (!uns::is_valid_topic_name(topic) || roles.generation != generation_) return false;
    const std::string below = std::string(topic) + "/#";   // the level itself, too [MQTT-4.7.1-2]
    bool allowed = false;
    for (const Rule& rule : file_.rules) {
        if (!(rule.actions & bit(Action::receive)) || !roles.has(rule.role) || !rule.validity.holds(now_ms)) continue;
        const bool deny = rule.effect == Effect::deny;
        if (deny && !rule.conditions.none()) continue;
        for (const Pattern& pattern : rule.topics) {
            const Relation relation = relate(pattern, below, principal, deny);
            if (deny && relation == Relation::covers) return false;
            allowed |= !deny && relation != Relation::apart;
        }
    }
    return allowed;
}

PermissionBits Access::permissions(const RoleSet& roles, std::string_view topic, const Circumstances& at) const {
    PermissionBits bits;
    bits.role_set = roles.id;
    bits.generation = generation_;
    const Verdict publish = weigh(nullptr, roles, Action::publish, topic, at);
    const Verdict receive = weigh(nullptr, roles, Action::receive, topic, at);
    bits.publish = publish.deny == none && publish.allow != none;
    bits.receive = receive.deny == none && receive.allow != none;
    bits.publish_per_principal = publish.per_principal();
    bits.receive_per_principal = receive.per_principal();
    bits.until_ms = std::min(publish.until_ms, receive.until_ms);
    return bits;
}

std::vector<Access::Considered> Access::explain(const Principal& principal, Action action, std::string_view topic,
                                                const Circumstances& at) const {
    std::vector<Considered> list;
    std::string_view filter = topic;
    if (action == Action::subscribe) {
        const uns::SharedFilter shared = uns::parse_shared(topic);
        if (!shared.valid || !uns::is_valid_topic_filter(shared.filter)) return list;
        filter = shared.filter;
    } else if (!uns::is_valid_topic_name(topic)) {
        return list;
    }
    const bool wildcards = action == Action::subscribe && uns::has_wildcard(filter);
    const auto roles = role_set(principal, at.now_ms);
    std::vector<RuleAt> candidates;
    (action == Action::admin ? admin_ : topics_).find(filter, action == Action::subscribe, candidates);
    std::sort(candidates.begin(), candidates.end(), [](const RuleAt& a, const RuleAt& b) { return a.rule < b.rule; });
    for (const RuleAt& candidate : candidates) {
        const Rule& rule = file_.rules[candidate.rule];
        if (!(rule.actions & bit(action)) || (!list.empty() && list.back().rule == &rule && list.back().applies))
            continue;
        const bool deny = rule.effect == Effect::deny;
        const Relation relation = relate(rule.topics[candidate.pattern], filter, principal, deny);
        Considered considered{&rule, false, {}};
        if (!roles->has(rule.role)) {
            considered.why_not = "needs the role " + file_.roles[rule.role].name;
        } else if (relation == Relation::apart) {
            considered.why_not = "is for another client: " + rule.topics[candidate.pattern].source();
        } else if (!rule.validity.holds(at.now_ms)) {
            considered.why_not = "holds " + rule.validity.describe();
        } else if (relation == Relation::part) {
            considered.why_not = deny ? "keeps a part of the deliveries back" : "covers only a part of the filter";
        } else if (wildcards && !rule.conditions.none()) {
            considered.why_not = "asks for what a filter with wildcards does not say: name the topics";
        } else if (fits(rule.conditions, at.facts, &principal) != Fits::yes) {
            considered.why_not =
                at.facts ? "asks for another place in the namespace" : "asks the model, and there is none";
        } else {
            considered.applies = true;
        }
        if (!list.empty() && list.back().rule == &rule) list.back() = std::move(considered);
        else list.push_back(std::move(considered));
    }
    return list;
}

std::vector<Access::Able> Access::who_can(Action action, std::string_view topic, const Circumstances& at) const {
    std::vector<Able> able;
    for (const User& user : file_.users) {
        Principal principal;
        principal.user = user.name;
        principal.client_id = user.client_ids.empty() || !user.client_ids.front().literal()
                                  ? user.name
                                  : user.client_ids.front().text();
        const Decision decision = decide(principal, action, topic, at);
        if (decision.allowed) able.push_back({&user, decision});
    }
    return able;
}

std::string Access::describe(const Decision& decision, const RoleSet& roles) const {
    if (decision.rule) return decision.rule->place + "  " + decision.rule->text;
    if (roles.roles.empty()) return "no rule: there is no role";
    std::string names;
    for (std::size_t i = 0; i < roles.roles.size() && i < 8; ++i) {
        names += (i == 0 ? "" : ", ") + file_.roles[roles.roles[i]].name;
    }
    if (roles.roles.size() > 8) names += " and " + std::to_string(roles.roles.size() - 8) + " more";
    return "no rule of " + names + " allows it";
}

}  // namespace trunkline::auth
