#include "broker/admin/identity.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>

#include "auth/plugin_host.h"
#include "broker/admin/namespace_json.h"
#include "broker/core/governance.h"
#include "broker/core/model_facts.h"
#include "namespace/topic.h"

namespace trunkline::admin {
namespace {

constexpr std::size_t login_bytes_max = 4'096;
constexpr auto plugins_wait = std::chrono::seconds(2);

/// Of a user of this machine.
std::string name_of(std::uint32_t uid) {
    std::array<char, 4'096> buffer{};
    passwd entry{};
    passwd* found = nullptr;
    const int failed = ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
    return failed == 0 && found && *found->pw_name ? found->pw_name : "uid " + std::to_string(uid);
}

bool plugins_authorise(const Sources& sources) {
    return std::ranges::any_of(sources.broker.plugins(), [](const auth::Plugin* one) { return one->authorises(); });
}

bool starts_with_word(std::string_view text, std::string_view word) {   // schemes are case-insensitive (RFC 9110, 11.1)
    return text.size() > word.size() && text[word.size()] == ' ' &&
           std::equal(word.begin(), word.end(), text.begin(), [](char a, char b) { return a == (b | 0x20); });
}

}  // namespace

void read_authorization(std::string_view header, Shown& shown) {
    if (header.empty()) return;
    if (starts_with_word(header, "bearer")) {
        shown.token = header.substr(7);
    } else if (starts_with_word(header, "basic") && header.size() <= login_bytes_max) {
        auto login = from_base64(header.substr(6));
        const auto colon = login ? login->find(':') : std::string::npos;
        if (colon != std::string::npos && colon > 0) {
            shown.user = login->substr(0, colon);
            shown.password = auth::Secret(std::string_view(*login).substr(colon + 1));
        }
        if (login) std::fill(login->begin(), login->end(), '\0');
    }
    shown.unreadable = shown.token.empty() && shown.user.empty();
}

void Guard::use(GuardSettings settings) {
    auto fresh = std::make_shared<const GuardSettings>(std::move(settings));
    const std::lock_guard lock(mutex_);
    settings_ = std::move(fresh);
}

Guard::Settings Guard::settings() const {
    const std::lock_guard lock(mutex_);
    return settings_;
}

bool Guard::guarded() const { return guarded(*settings()); }

bool Guard::guarded(const GuardSettings& settings) const {
    if (settings.tokens || !settings.unix_users.empty() || settings.certificates) return true;
    if (!sources_.access) return false;
    const auto access = sources_.access->current();
    // Without a name no file was good yet: what it says of administration is not known.
    return access->rules_administration() || access->file().name.empty();
}

Guard::Found Guard::identify(const Shown& shown) const {
    const Settings settings = this->settings();
    const bool guarded = this->guarded(*settings);
    if (!shown.token.empty() && settings->tokens) {
        const Tokens::Entry* entry = settings->tokens->find(shown.token);
        if (!entry) return {nullptr, "the token is not known"};
        return of_token(*entry, shown);
    }
    if (!shown.user.empty() && sources_.people) {
        if (!shown.confidential) {
            return {nullptr, "a password is taken over loopback, the Unix socket or TLS only: send a token"};
        }
        return {nullptr, {}, true};
    }
    const bool tried = shown.unreadable || !shown.token.empty() || !shown.user.empty();
    if (guarded && tried) {
        return {nullptr, !shown.token.empty() ? "there is no tokens file (admin.tokens_file)"
                         : !shown.user.empty() ? "there is no roles file with users"
                                               : "the header Authorization is neither Bearer nor Basic"};
    }
    if (shown.uid) return of_uid(*settings, shown);
    if (shown.certificate) return of_certificate(*shown.certificate, shown.source);
    if (guarded) return {nullptr, {}};
    Identity nobody;
    nobody.everything = true;
    nobody.principal.method = "local";
    return {std::make_shared<const Identity>(std::move(nobody)), {}};
}

Guard::Found Guard::of_token(const Tokens::Entry& entry, const Shown& shown) const {
    Identity who;
    if (!entry.user.empty()) {
        Found found = of_user(entry.user, "token", shown.source);
        if (!found.who || entry.roles.empty()) return found;
        who = *found.who;
    } else if (!entry.roles.empty()) {
        // Its own roles alone: those of a user who happens to have the same name would come on top.
        if (sources_.access && sources_.access->current()->find_user(entry.name)) {
            return {nullptr, "the token " + entry.name + " has the name of a user: write user=" + entry.name +
                                 " behind it in the tokens file, or give it another name"};
        }
        who.name = who.principal.user = entry.name;
        who.principal.address = shown.source;
    } else {
        who.name = who.principal.user = entry.name;
        who.everything = true;
    }
    who.method = who.principal.method = "token";
    who.principal.roles = entry.roles;
    return {std::make_shared<const Identity>(std::move(who)), {}};
}

Guard::Found Guard::of_uid(const GuardSettings& settings, const Shown& shown) const {
    if (*shown.uid == 0 || *shown.uid == ::geteuid()) {   // who can do everything to the broker anyway
        Identity who;
        who.name = who.principal.user = name_of(*shown.uid);
        who.method = who.principal.method = "unix";
        who.everything = who.unasked = true;
        return {std::make_shared<const Identity>(std::move(who)), {}};
    }
    const auto user = settings.unix_users.find(*shown.uid);
    if (user != settings.unix_users.end()) return of_user(user->second, "unix", shown.source);
    return {nullptr, "admin.unix_users does not have " + name_of(*shown.uid) + " (uid " + std::to_string(*shown.uid) +
                         ") of this machine"};
}

// As on the listeners of clients: the same user, from the same fields.
Guard::Found Guard::of_certificate(const ShownCertificate& certificate, const std::string& source) const {
    const auto nobody = [&](std::string who, std::string why) {
        Found found{nullptr, std::move(why)};
        found.holder = who.empty() ? certificate.fields.subject : std::move(who);
        return found;
    };
    if (!sources_.access || !sources_.certificates) {
        return nobody("", "there is no roles file that could have the user of this certificate");
    }
    const auto [name, known] = sources_.certificates->holder(certificate.fields);
    if (name.empty()) return nobody("", "the certificate does not say whose it is: " + certificate.fields.subject);
    if (!known) return nobody(name, "the roles file has no user " + name + ", whose certificate this is");
    Identity who;
    if (const auto access = sources_.access->current(); const auth::User* user = access->find_user(name)) {
        if (!user->may_connect(wall_ms())) {
            return nobody(name, "user " + name + " is disabled or out of its time (" + user->place + ")");
        }
        if (user->validity.until_ms != auth::always_ms) who.principal.expires_ms = user->validity.until_ms;
    }
    who.name = who.principal.user = name;
    who.method = who.principal.method = "certificate";
    who.principal.address = source;
    who.principal.certificate = certificate.fields;
    return {std::make_shared<const Identity>(std::move(who)), {}};
}

Guard::Found Guard::user(const std::string& name, const std::string& source) const {
    return of_user(name, "password", source);
}

Guard::Found Guard::of_user(const std::string& name, const char* method, const std::string& source) const {
    if (!sources_.access) return {nullptr, "there is no roles file that could have the user " + name};
    const auto access = sources_.access->current();
    const auth::User* user = access->find_user(name);
    if (!user) return {nullptr, "the roles file has no user " + name};
    if (!user->may_connect(wall_ms())) {
        return {nullptr, "user " + name + " is disabled or out of its time (" + user->place + ")"};
    }
    Identity who;
    who.name = who.principal.user = name;
    who.method = who.principal.method = method;
    who.principal.address = source;
    if (user->validity.until_ms != auth::always_ms) who.principal.expires_ms = user->validity.until_ms;
    who.everything = !guarded();
    return {std::make_shared<const Identity>(std::move(who)), {}};
}

std::optional<std::string> Guard::gone(const Identity& who, const Shown& shown) const {
    const Found now = who.method == "password" ? user(who.name, shown.source) : identify(shown);
    if (!now.who) return now.why.empty() ? "administration asks now who it is" : now.why;
    const bool same = now.who->name == who.name && now.who->everything == who.everything &&
                      now.who->principal.roles == who.principal.roles;
    return same ? std::nullopt : std::optional<std::string>("its rights were given anew");
}

bool Guard::is_open(Permission permission) const {
    if (permission == Permission::anybody) return true;
    return permission == Permission::metrics_read && settings()->metrics_without_token;
}

Guard::Verdict Guard::judge(const Identity& who, Permission permission) const {
    using Is = Verdict::Is;
    if (who.everything || is_open(permission)) return {Is::allowed, {}, {}};
    if (!sources_.access) return {Is::not_allowed, {}, "there is no roles file"};
    const auto access = sources_.access->current();
    const auto roles = access->role_set(who.principal, wall_ms());
    const auth::Decision decision = access->decide(who.principal, *roles, auth::Action::admin,
                                                   auth::name_of(permission), {wall_ms(), nullptr});
    Verdict verdict{Is::not_allowed, {}, access->describe(decision, *roles)};
    if (decision.rule) {
        verdict.is = decision.allowed ? Is::allowed : Is::denied;
        verdict.place = decision.rule->place;
        verdict.text = decision.rule->text;
    }
    return verdict;
}

Response Guard::unidentified(const Shown& shown, const std::string& why) const {
    const Settings settings = this->settings();
    const bool passwords = sources_.people && shown.confidential;
    std::string fix = settings->tokens ? "send Authorization: Bearer TOKEN" : "";
    const auto or_else = [&fix](std::string_view other) { fix += (fix.empty() ? "" : ", or ") + std::string(other); };
    if (settings->certificates && sources_.access) or_else("show a client certificate");
    if (passwords) or_else("log in as a user of the roles file (HTTP Basic)");
    if (fix.empty()) fix = "configure admin.tokens_file, or a roles file that is good";
    Json json = {{"type", "urn:trunkline:problem:not-authorised"}, {"title", "Administration asks who you are"},
                 {"status", 401}, {"detail", why.empty() ? "nothing was sent that says so" : why}, {"fix", fix}};
    Response response = json_response(json, 401);
    response.content_type = "application/problem+json";
    response.headers.emplace_back("WWW-Authenticate",
                                  passwords ? "Bearer, Basic realm=\"trunkline\", charset=\"UTF-8\"" : "Bearer");
    return response;
}

Response Guard::not_admitted(const Found& found) {
    Json json = {{"type", "urn:trunkline:problem:forbidden"},
                 {"title", "The holder of this certificate is nobody here"},
                 {"status", 403}, {"detail", found.why}, {"identity", found.holder},
                 {"fix", "add the user to the roles file, or send a token"}};
    Response response = json_response(json, 403);
    response.content_type = "application/problem+json";
    return response;
}

Response Guard::forbidden(const Identity& who, std::string_view what, const Verdict& verdict) {
    const bool denied = verdict.is == Verdict::Is::denied;
    std::string detail = who.name + ": ";
    if (!denied) detail += verdict.text;
    else detail += "denied by " + (verdict.place.empty() ? "" : verdict.place + " ") + verdict.text;
    Json json = {{"type", "urn:trunkline:problem:forbidden"}, {"title", "This is not allowed: " + std::string(what)},
                 {"status", 403}, {"detail", detail}, {"action", what}, {"identity", who.name}};
    if (!verdict.place.empty()) json["at"] = verdict.place;
    json["fix"] = denied ? "a role that this rule does not deny it to; a deny overrides every allow"
                         : "a role with a rule that allows it";
    Response response = json_response(json, 403);
    response.content_type = "application/problem+json";
    return response;
}

Sight::Sight(const Sources& sources, const Request& request)
    : sources_(sources), who_(request.who), now_ms_(wall_ms()) {
    if (!who_ || who_->everything || !sources.access) return;
    access_ = sources.access->current();
    roles_ = access_->role_set(who_->principal, now_ms_);
    if (sources.broker.governance().current()) model_ = sources.broker.governance().model();
}

auth::Decision Sight::decide(auth::Action action, const std::string& topic) const {
    if (!access_) return {};
    const bool names_one = !uns::has_wildcard(topic);
    const broker::ModelFacts facts(names_one ? model_.get() : nullptr, topic);
    return access_->decide(who_->principal, *roles_, action, topic, {now_ms_, facts.get()});
}

bool Sight::may(auth::Action action, const std::string& topic) const {
    return may(action, std::vector<std::string>{topic}).front();
}

std::vector<bool> Sight::may(auth::Action action, const std::vector<std::string>& topics) const {
    if (!who_ || all()) return std::vector<bool>(topics.size(), all());
    std::vector<bool> allowed, denied;
    for (const std::string& topic : topics) {
        const auth::Decision decision = decide(action, topic);
        allowed.push_back(decision.allowed);
        denied.push_back(decision.rule && !decision.allowed);
    }
    if (!plugins_authorise(sources_)) return allowed;
    struct Answers {
        std::mutex mutex;
        std::condition_variable came;
        std::size_t left = 0;
        std::vector<int> said;                        // -1 deny, 0 nothing, 1 allow
    };
    const auto answers = std::make_shared<Answers>();
    answers->left = topics.size();
    answers->said.assign(topics.size(), -1);          // no answer in time is a no
    for (std::size_t i = 0; i < topics.size(); ++i) {
        sources_.broker.ask_plugins(who_->principal, action, topics[i],
                                    [answers, i](const std::string& rule, bool allows) {
                                        const std::lock_guard lock(answers->mutex);
                                        answers->said[i] = !rule.empty() ? -1 : allows ? 1 : 0;
                                        if (--answers->left == 0) answers->came.notify_one();
                                    });
    }
    std::unique_lock lock(answers->mutex);
    answers->came.wait_for(lock, plugins_wait, [&] { return answers->left == 0; });
    for (std::size_t i = 0; i < topics.size(); ++i) {
        const int said = answers->said[i];
        allowed[i] = !denied[i] && said >= 0 && (allowed[i] || said > 0);
    }
    return allowed;
}

bool Sight::may_see_below(const std::string& level) const {
    return all() || (access_ && access_->may_see_below(who_->principal, *roles_, level, now_ms_));
}

Response Sight::refusal(auth::Action action, const std::string& topic) const {
    Guard::Verdict verdict{Guard::Verdict::Is::not_allowed, {}, "no role"};
    if (access_) {
        const auth::Decision decision = decide(action, topic);
        verdict.text = access_->describe(decision, *roles_);
        if (decision.rule && !decision.allowed) {
            verdict = {Guard::Verdict::Is::denied, decision.rule->place, decision.rule->text};
        } else if (decision.allowed) {
            verdict.text = "a plugin denies it";
        }
    }
    static const Identity nobody;
    return Guard::forbidden(who_ ? *who_ : nobody, std::string(auth::name_of(action)) + " " + topic, verdict);
}

}  // namespace trunkline::admin
