#include "auth/client_identity.h"

#include <algorithm>

namespace trunkline::auth {
namespace {

std::string refuse_by_role(const Access& access, const Principal& principal, const RoleSet& roles) {
    if (roles.generation != access.generation()) return "the roles have changed";
    for (const std::uint32_t index : roles.roles) {
        const Role& role = access.file().roles[index];
        if (!role.client_id || role.client_id->match_text(principal.client_id, true, principal) == TextMatch::yes)
            continue;
        return "role " + role.name + " asks for the client identifier " + role.client_id->source() + " (" + role.place +
               ")";
    }
    return {};
}

}  // namespace

std::string refuse_client_id(const Access& access, const Principal& principal, const RoleSet& roles) {
    const std::string& id = principal.client_id;
    const User* user = principal.anonymous() ? nullptr : access.find_user(principal.user);
    if (user && !user->client_ids.empty()) {
        const bool fits = std::any_of(user->client_ids.begin(), user->client_ids.end(), [&](const Template& allowed) {
            return allowed.match_text(id, true, principal) == TextMatch::yes;
        });
        if (!fits) return "user " + user->name + " may not use this client identifier (" + user->place + ")";
        return refuse_by_role(access, principal, roles);
    }
    if (const User* owner = access.reserved_by(id)) {
        return "this client identifier is reserved for user " + owner->name + " (" + owner->place + ")";
    }
    return refuse_by_role(access, principal, roles);
}

Takeover take_over(const Principal& holder, const Principal& newcomer) {
    if (holder.user == newcomer.user) return Takeover::allow;
    return holder.anonymous() ? Takeover::as_new : Takeover::refuse;
}

}  // namespace trunkline::auth
