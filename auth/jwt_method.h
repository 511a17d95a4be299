// Tokens as a method: in the password of a CONNECT, or as the enhanced authentication "JWT", with which a client renews
// its token on a live connection.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "auth/jwt.h"
#include "auth/method.h"

namespace trunkline::auth {

/// The keys in force; a reload that is no good keeps the old ones. Thread safe. Without keys no token is good.
class JwksStore {
public:
    [[nodiscard]] std::shared_ptr<const Jwks> current() const;
    /// False: kept what was there. `problems` gets what is wrong, also with keys that were left out of a good set.
    bool load(std::string_view text, const std::string& name, std::vector<Problem>& problems);
    bool load_file(const std::string& path, std::vector<Problem>& problems);

private:
    mutable std::mutex mutex_;
    std::shared_ptr<const Jwks> current_ = std::make_shared<const Jwks>();
};

/// Defers what is no token. The user name of CONNECT, when it has one, is not looked at: the token says who it is.
/// A signature is checked in 20 to 150 microseconds on the caller's thread.
class JwtMethod : public Method {
public:
    JwtMethod(const JwksStore& keys, JwtOptions options) : keys_(keys), options_(std::move(options)) {}
    [[nodiscard]] std::string_view name() const override { return "jwt"; }
    void check(std::shared_ptr<const Attempt> attempt, OnMethodAnswer done) override;
    [[nodiscard]] std::unique_ptr<Exchange> begin(const Credentials& credentials, Answer& first) override;

private:
    class JwtExchange;
    const JwksStore& keys_;
    const JwtOptions options_;
};

}  // namespace trunkline::auth
