// The methods that need nothing from outside: anonymous, client certificate, password. Tokens are in jwt_method.h,
// SCRAM in scram_method.h.
#pragma once

#include "auth/access_store.h"
#include "auth/hash_pool.h"
#include "auth/method.h"
#include "auth/password_memory.h"

namespace trunkline::auth {

/// Whoever brings no user name, no password and no certificate, where the listener names this method: from this
/// machine, or with `remote` from anywhere.
class AnonymousMethod : public Method {
public:
    explicit AnonymousMethod(bool remote) : remote_(remote) {}
    [[nodiscard]] std::string_view name() const override { return "anonymous"; }
    void check(std::shared_ptr<const Attempt> attempt, OnMethodAnswer done) override;

private:
    bool remote_;
};

/// A client certificate that TLS has verified. Who it is: the user of the roles file whose `certificate` fits; else
/// what `source` says. Denies when CONNECT names another user; defers without a certificate or a name in it.
class CertificateMethod : public Method {
public:
    enum class Source : std::uint8_t { mapping, common_name, dns, email, uri };
    /// `known_only`: a name that the roles file does not have is denied.
    CertificateMethod(const AccessStore& store, Source source, bool known_only)
        : store_(store), source_(source), known_only_(known_only) {}
    [[nodiscard]] std::string_view name() const override { return "certificate"; }
    void check(std::shared_ptr<const Attempt> attempt, OnMethodAnswer done) override;

    /// Whose certificate it is. `known` false: `user` is not in the roles file, and must be. `user` is empty where the
    /// certificate gives no name, or more than one.
    struct Holder {
        std::string user;
        bool known = true;
    };
    [[nodiscard]] Holder holder(const CertificateFields& certificate) const;

private:
    const AccessStore& store_;
    Source source_;
    bool known_only_;
};

/// User name and password of the roles file. Unknown users are deferred after as long as a known one would have taken.
/// Who was right from the same address within `remember_ms` is let in without hashing, unless guesses slow it down.
class PasswordMethod : public Method {
public:
    PasswordMethod(const AccessStore& store, HashPool& pool, std::int64_t remember_ms = 0);
    [[nodiscard]] std::string_view name() const override { return "password"; }
    void check(std::shared_ptr<const Attempt> attempt, OnMethodAnswer done) override;

    /// The work of it, on the calling thread; for the pool, and for measuring.
    [[nodiscard]] MethodAnswer verify(const Attempt& attempt) const;

private:
    [[nodiscard]] bool is_remembered(const Attempt& attempt) const;
    void remember(const Attempt& attempt);
    [[nodiscard]] const PasswordHash& like_one_of(const Access& access, std::string_view user) const;

    const AccessStore& store_;
    HashPool& pool_;
    PasswordMemory memory_;
    PasswordHash fallback_;             // for files without any password
    unsigned char secret_[16];          // chooses whose hash an unknown name resembles
};

}  // namespace trunkline::auth
