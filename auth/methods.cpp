#include "auth/methods.h"

#include <sodium.h>

namespace trunkline::auth {
namespace {

MethodAnswer deny(Outcome outcome, std::string_view reason, std::string detail = {}) {
    MethodAnswer answer;
    answer.verdict = Verdict::deny;
    answer.outcome = outcome;
    answer.reason = reason;
    answer.detail = std::move(detail);
    return answer;
}

MethodAnswer allow(std::string user) {
    MethodAnswer answer;
    answer.verdict = Verdict::allow;
    answer.principal.user = std::move(user);
    return answer;
}

// The one name that a certificate gives, or "" when there is none or it is not clear which.
std::string name_in(const CertificateFields& certificate, CertificateMethod::Source source) {
    const auto only = [](const std::vector<std::string>& names) { return names.size() == 1 ? names.front() : ""; };
    switch (source) {
        case CertificateMethod::Source::mapping: break;
        case CertificateMethod::Source::common_name: return certificate.common_name;
        case CertificateMethod::Source::dns: return only(certificate.dns);
        case CertificateMethod::Source::email: return only(certificate.email);
        case CertificateMethod::Source::uri: return only(certificate.uri);
    }
    return {};
}

}  // namespace

void AnonymousMethod::check(std::shared_ptr<const Attempt> attempt, OnMethodAnswer done) {
    if (attempt->user || attempt->password || attempt->certificate.present()) return done({});
    if (!attempt->local && !remote_) return done({});
    done(allow({}));
}

CertificateMethod::Holder CertificateMethod::holder(const CertificateFields& certificate) const {
    const auto access = store_.current();
    if (const User* user = access->find_user(certificate)) return {user->name, true};
    std::string name = name_in(certificate, source_);
    const bool known = !known_only_ || access->find_user(name);
    return {std::move(name), known};
}

void CertificateMethod::check(std::shared_ptr<const Attempt> attempt, OnMethodAnswer done) {
    if (!attempt->certificate.present()) return done({});
    const auto [name, known] = holder(attempt->certificate);
    if (name.empty()) return done({});
    if (!known) {
        return done(
            deny(Outcome::not_authorized, "the user of this certificate is not known", "certificate of " + name));
    }
    if (attempt->user && !attempt->user->empty() && *attempt->user != name) {
        return done(deny(Outcome::not_authorized, "the user name is not that of the certificate",
                         "certificate of " + name + ", user name " + *attempt->user));
    }
    done(allow(name));
}

PasswordMethod::PasswordMethod(const AccessStore& store, HashPool& pool, std::int64_t remember_ms)
    : store_(store), pool_(pool), memory_(remember_ms) {
    randombytes_buf(secret_, sizeof secret_);
    fallback_ = *read_password_hash(hash_password("no one has this password"));
}

// So that an unknown name takes as long as some known one does, and always as long as the same one.
const PasswordHash& PasswordMethod::like_one_of(const Access& access, std::string_view user) const {
    const std::vector<std::uint32_t>& with_password = access.users_with_password();
    if (with_password.empty()) return fallback_;
    std::uint64_t hash = 0;
    crypto_shorthash(reinterpret_cast<unsigned char*>(&hash), reinterpret_cast<const unsigned char*>(user.data()),
                     user.size(), secret_);
    return *access.file().users[with_password[hash % with_password.size()]].password;
}

MethodAnswer PasswordMethod::verify(const Attempt& attempt) const {
    const auto access = store_.current();
    const User* user = access->find_user(*attempt.user);
    const bool known = user && user->password;
    const PasswordHash decoy = like_one_of(*access, *attempt.user).decoy();
    const bool fits = verify_password(known ? *user->password : decoy, attempt.password->view());
    if (known && fits) return allow(user->name);
    MethodAnswer answer = deny(Outcome::bad_credentials, wrong_password, "password of " + *attempt.user);
    if (!known) answer.verdict = Verdict::defer;
    return answer;
}

bool PasswordMethod::is_remembered(const Attempt& attempt) const {
    const auto access = store_.current();
    const User* user = access->find_user(*attempt.user);
    const bool known = user && user->password;
    const PasswordHash& stored = known ? *user->password : like_one_of(*access, *attempt.user);
    return memory_.knows({*attempt.user, attempt.address, attempt.password->view(), stored}, attempt.now_ms) && known;
}

void PasswordMethod::remember(const Attempt& attempt) {
    const auto access = store_.current();
    const User* user = access->find_user(*attempt.user);
    if (!user || !user->password) return;   // gone while it was hashed
    memory_.remember({*attempt.user, attempt.address, attempt.password->view(), *user->password}, attempt.now_ms);
}

void PasswordMethod::check(std::shared_ptr<const Attempt> attempt, OnMethodAnswer done) {
    if (!attempt->user || attempt->user->empty() || !attempt->password) return done({});
    if (attempt->delay_ms == 0 && is_remembered(*attempt)) return done(allow(*attempt->user));
    // Held by two: the pool may refuse to take its copy.
    const auto shared_done = std::make_shared<OnMethodAnswer>(std::move(done));
    const bool taken = pool_.submit(attempt->address, attempt->delay_ms, [this, attempt, shared_done](bool go) {
        if (!go) return (*shared_done)(deny(Outcome::busy, "the broker is stopping"));
        // Hashing for those who have given up would starve those who still wait.
        if (attempt->is_abandoned()) return (*shared_done)(deny(Outcome::busy, "nobody waits for it any more"));
        MethodAnswer answer = verify(*attempt);
        if (answer.verdict == Verdict::allow) remember(*attempt);
        (*shared_done)(std::move(answer));
    });
    if (!taken) (*shared_done)(deny(Outcome::busy, "too many log in at this moment; try again later"));
}

}  // namespace trunkline::auth
