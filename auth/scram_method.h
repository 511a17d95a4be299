// SCRAM-SHA-256 (RFC 5802, RFC 7677) as an enhanced authentication of MQTT 5: the password never travels, the server
// keeps none, and the client learns that it speaks to the server that has the account.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "auth/access_store.h"
#include "auth/method.h"
#include "auth/scram_verifier.h"

namespace trunkline::auth {

/// The server's side of one exchange: client-first, server-first, client-final, server-final. Knows no MQTT.
class ScramServer {
public:
    /// `find` gives the verifier of a user: for unknown ones a made-up one that always is the same, with `known` false.
    struct Account {
        ScramVerifier verifier;
        bool known = false;
    };
    using Find = std::function<Account(std::string_view user)>;
    /// `nonce`: at least 18 random bytes as printable text without commas.
    ScramServer(Find find, std::string nonce) : find_(std::move(find)), nonce_(std::move(nonce)) {}

    enum class Step : std::uint8_t { more, done, failed };
    struct Result {
        Step step = Step::failed;
        std::string data;       ///< for the client
        std::string error;      ///< when failed, for people
    };
    [[nodiscard]] Result next(std::string_view message);
    /// After client-first.
    [[nodiscard]] const std::string& user() const { return user_; }

private:
    [[nodiscard]] Result first(std::string_view message);
    [[nodiscard]] Result final(std::string_view message);

    Find find_;
    std::string nonce_, user_, header_, client_first_bare_, server_first_, full_nonce_;
    Account account_;
    bool began_ = false, ended_ = false;
};

/// Users of the roles file with a `scram` verifier. Who is unknown fails with the proof, like a wrong password.
class ScramMethod : public Method {
public:
    explicit ScramMethod(const AccessStore& store);
    [[nodiscard]] std::string_view name() const override { return "scram-sha-256"; }
    /// Defers: SCRAM is no password.
    void check(std::shared_ptr<const Attempt> attempt, OnMethodAnswer done) override;
    [[nodiscard]] std::unique_ptr<Exchange> begin(const Credentials& credentials, Answer& first) override;

private:
    class ScramExchange;
    [[nodiscard]] ScramServer::Account find(std::string_view user) const;
    const AccessStore& store_;
    std::string secret_;        // makes up what unknown users have
};

}  // namespace trunkline::auth
