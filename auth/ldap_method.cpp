#include "auth/ldap_method.h"

#include <algorithm>
#include <set>

#include "auth/ldap_text.h"

namespace trunkline::auth {
namespace {

constexpr std::size_t user_bytes_max = 256, password_bytes_max = 4'096;

MethodAnswer wrong(std::string detail) {
    MethodAnswer answer;
    answer.verdict = Verdict::deny;
    answer.outcome = Outcome::bad_credentials;
    answer.reason = wrong_password;
    answer.detail = std::move(detail);
    return answer;
}

// A server that is written in C may take what follows a NUL for nothing: a password that begins with one would be the
// empty one, which lets everybody in.
bool has_control_character(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

}  // namespace

void GroupRoles::add(std::string_view group, const std::vector<std::string>& roles) {
    const auto dn = normal_dn(group);
    for (const std::string& role : roles) {
        if (dn) by_dn_.emplace(*dn, role);
        else by_name_.emplace(normal_value(group), role);
    }
}

std::vector<std::string> GroupRoles::of(const std::vector<std::string>& groups) const {
    std::set<std::string> roles;
    const auto take = [&roles](const auto& range) {
        for (auto at = range.first; at != range.second; ++at) roles.insert(at->second);
    };
    for (const std::string& group : groups) {
        if (const auto dn = normal_dn(group)) take(by_dn_.equal_range(*dn));
        if (const auto name = first_value(group)) take(by_name_.equal_range(*name));
    }
    return {roles.begin(), roles.end()};
}

MethodAnswer LdapMethod::answer_of(DirectoryReply&& reply, const Attempt& attempt) {
    using Kind = DirectoryReply::Kind;
    switch (reply.kind) {
        case Kind::busy: return not_asked("too many log in at this moment; try again later");
        case Kind::dropped: return not_asked("nobody waits for it any more, or the broker is stopping");
        case Kind::wrong:
            health_.worked();
            return wrong("ldap password of " + *attempt.user + (reply.what.empty() ? "" : ": " + reply.what));
        case Kind::unknown: {
            health_.worked();
            MethodAnswer answer = wrong("ldap knows no " + *attempt.user);
            answer.verdict = Verdict::defer;
            return answer;
        }
        case Kind::bound: {
            if (reply.user.empty() || has_control_character(reply.user)) {
                reply.what = "the directory has no name for user " + *attempt.user + " that can be used";
                break;
            }
            health_.worked();
            MethodAnswer answer;
            answer.verdict = Verdict::allow;
            answer.principal.user = std::move(reply.user);
            answer.principal.roles = roles_.of(reply.groups);
            answer.principal.method = "ldap";
            return answer;
        }
        case Kind::unreachable:
        case Kind::failed: break;
    }
    health_.failed(reply.what, attempt.now_ms);
    if (reply.kind == Kind::unreachable && when_unreachable_ == WhenUnreachable::defer) return {};
    return no_judgement("ldap: " + reply.what);
}

void LdapMethod::check(std::shared_ptr<const Attempt> attempt, OnMethodAnswer done) {
    if (!attempt->user || attempt->user->empty() || !attempt->password) return done({});
    const std::string_view password = attempt->password->view();
    if (password.empty()) return done(wrong("an empty ldap password of " + *attempt->user));
    if (attempt->user->size() > user_bytes_max || has_control_character(*attempt->user) ||
        password.size() > password_bytes_max || password.find('\0') != std::string_view::npos) {
        return done(wrong("a user name or password that no directory has"));
    }
    directory_.login(attempt, [this, attempt, done = std::move(done)](DirectoryReply&& reply) {
        done(answer_of(std::move(reply), *attempt));
    });
}

}  // namespace trunkline::auth
