// The methods of a listener in order: the first that allows or denies decides; if all defer, nobody comes in.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "auth/access_store.h"
#include "auth/authenticator.h"
#include "auth/backoff.h"
#include "auth/method.h"

namespace trunkline::auth {

/// Thread safe. What it is given must outlive it, and it must outlive every attempt under way (so end the hash pool
/// first). Whoever is let in is somebody who may connect now with this client identifier.
class AuthChain : public Authenticator {
public:
    AuthChain(std::vector<std::shared_ptr<Method>> methods, const AccessStore& store, Backoff& backoff);

    /// Waits until check_async has an answer: for tools and tests, never on a shard.
    Answer check(const Credentials& credentials) override;
    void check_async(const Credentials& credentials, OnAnswer done) override;
    std::unique_ptr<Exchange> begin(const Credentials& credentials, Answer& first) override;

private:
    struct Run;
    class ChainExchange;
    void ask(std::shared_ptr<Run> run, std::size_t index);
    [[nodiscard]] Answer admit(Principal&& principal, std::string_view method, const Attempt& attempt) const;
    [[nodiscard]] Answer refuse(const MethodAnswer& answer, const Attempt& attempt, std::string_view method);

    std::vector<std::shared_ptr<Method>> methods_;
    const AccessStore& store_;
    Backoff& backoff_;
};

}  // namespace trunkline::auth
