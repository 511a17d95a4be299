// Any bytes as a roles file. What is read must be told of with places, compile, and decide without a broken invariant:
// a decision equals the rules applied one by one, and nobody without a role may do anything.
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "auth/access.h"
#include "auth/mosquitto_import.h"
#include "namespace/topic.h"

using namespace trunkline;
using namespace trunkline::auth;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

bool plainly_allowed(const Access& access, const Principal& who, const RoleSet& roles, Action action,
                     std::string_view topic, std::int64_t now_ms) {
    bool allow = false, deny = false;
    for (const Rule& rule : access.file().rules) {
        if (!(rule.actions & bit(action)) || !roles.has(rule.role) || !rule.validity.holds(now_ms)) continue;
        if (!rule.conditions.none()) continue;      // no model: they apply to nothing
        for (const Pattern& pattern : rule.topics) {
            const bool denies = rule.effect == Effect::deny;
            if (relate(pattern, topic, who, denies) == Relation::covers) (denies ? deny : allow) = true;
        }
    }
    return allow && !deny;
}

void ask(const Access& access, const Principal& who, std::int64_t now_ms) {
    const auto roles = access.role_set(who, now_ms);
    for (const std::string_view topic : {"a/b/c", "a", "$SYS/x", "/", "c1/u1"}) {
        for (const Action action : {Action::publish, Action::receive, Action::admin}) {
            const Decision decision = access.decide(who, *roles, action, topic, {now_ms, nullptr});
            require(decision.allowed == plainly_allowed(access, who, *roles, action, topic, now_ms));
            require(!decision.allowed || (decision.rule && !roles->roles.empty()));
            require(decision.until_ms > now_ms);
            (void)access.describe(decision, *roles);
        }
        (void)access.permissions(*roles, topic, {now_ms, nullptr});
        (void)access.explain(who, Action::publish, topic, {now_ms, nullptr});
    }
    for (const std::string_view filter : {"#", "a/+/#", "$share/g/a/#", "+/b", "/#"}) {
        const Decision decision = access.decide(who, *roles, Action::subscribe, filter, {now_ms, nullptr});
        if (decision.allowed) require(decision.rule && decision.rule->effect == Effect::allow);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    ParsedRoles parsed = parse_roles(text, "f");
    require(parsed.file.has_value() == parsed.problems.empty());
    for (const Problem& problem : parsed.problems) require(problem.place.starts_with("f") && !problem.rule.empty());
    std::vector<Problem> problems, notes;
    const auto acl = MosquittoAcl::parse(text, "f", problems);
    const auto passwords = parse_mosquitto_passwords(text, "f", problems);
    if (acl) require(parse_roles(to_roles_file(&*acl, passwords ? &*passwords : nullptr, notes), "c").file.has_value());
    if (!parsed.file) return 0;
    const Access access(std::move(*parsed.file), 2);
    Principal who;
    who.user = "u1";
    who.client_id = "c1";
    for (std::size_t i = 0; i < access.file().roles.size() && i < 16; ++i) {
        who.roles.push_back(access.file().roles[i].name);
    }
    for (const std::int64_t now_ms : {std::int64_t{0}, std::int64_t{1'800'000'000'000}}) {
        ask(access, who, now_ms);
        ask(access, {}, now_ms);
    }
    return 0;
}
