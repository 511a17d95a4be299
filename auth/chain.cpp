#include "auth/chain.h"

#include <algorithm>
#include <future>

#include "auth/client_identity.h"

namespace trunkline::auth {

/// One CONNECT on its way through the methods. Held by whoever has to answer next.
struct AuthChain::Run {
    std::shared_ptr<const Attempt> attempt;
    OnAnswer done;
    MethodAnswer last;      // of a method that deferred and had something to say
    std::string_view last_method;
};

/// An exchange of a method, whose principal must pass what every principal passes, and stay the same one when it
/// authenticates again (OASIS MQTT 5.0, section 4.12.1).
class AuthChain::ChainExchange : public Exchange {
public:
    ChainExchange(AuthChain& chain, std::string_view method, const Credentials& credentials,
                  std::unique_ptr<Exchange> inner)
        : chain_(chain), method_(method), attempt_(credentials), inner_(std::move(inner)) {
        attempt_.password.reset();
    }

    Answer next(std::string_view data) override { return conclude(inner_->next(data)); }
    void next_async(std::string_view data, OnAnswer done) override {
        inner_->next_async(data,
                           [this, done = std::move(done)](Answer&& answer) { done(conclude(std::move(answer))); });
    }

    Answer conclude(Answer&& answer) {
        if (answer.outcome == Outcome::more) return std::move(answer);
        if (answer.outcome != Outcome::accept || !answer.principal) {
            MethodAnswer refused;
            refused.outcome = answer.outcome == Outcome::accept ? Outcome::not_authorized : answer.outcome;
            refused.reason = std::move(answer.reason);
            refused.detail = std::move(answer.detail);
            return chain_.refuse(refused, attempt_, method_);
        }
        if (known_ && user_ != answer.principal->user) {
            Answer refused{Outcome::not_authorized, {}, {}, "this connection belongs to another user"};
            refused.method = method_;
            return refused;
        }
        Answer admitted = chain_.admit(Principal(*answer.principal), method_, attempt_);
        admitted.data = std::move(answer.data);
        if (admitted.outcome == Outcome::accept) {
            known_ = true;
            user_ = admitted.user;
        } else {
            admitted.data.clear();
        }
        return admitted;
    }

private:
    AuthChain& chain_;
    std::string method_;
    Attempt attempt_;
    std::unique_ptr<Exchange> inner_;
    bool known_ = false;
    std::string user_;
};

AuthChain::AuthChain(std::vector<std::shared_ptr<Method>> methods, const AccessStore& store, Backoff& backoff)
    : methods_(std::move(methods)), store_(store), backoff_(backoff) {}

Answer AuthChain::check(const Credentials& credentials) {
    std::promise<Answer> promise;
    auto future = promise.get_future();
    check_async(credentials, [&promise](Answer&& answer) { promise.set_value(std::move(answer)); });
    return future.get();
}

void AuthChain::check_async(const Credentials& credentials, OnAnswer done) {
    auto attempt = std::make_shared<Attempt>(credentials);
    if (attempt->user) attempt->delay_ms = backoff_.delay_ms(*attempt->user, attempt->address, attempt->now_ms);
    auto run = std::make_shared<Run>();
    run->attempt = std::move(attempt);
    run->done = std::move(done);
    run->last.outcome = Outcome::not_authorized;
    run->last.reason = "no way to authenticate that this listener has fits what the client sent";
    ask(std::move(run), 0);
}

void AuthChain::ask(std::shared_ptr<Run> run, std::size_t index) {
    if (index == methods_.size()) return run->done(refuse(run->last, *run->attempt, run->last_method));
    Method& method = *methods_[index];
    method.check(run->attempt, [this, run, index, &method](MethodAnswer&& answer) {
        if (answer.verdict == Verdict::defer) {
            if (!answer.reason.empty()) {
                run->last = std::move(answer);
                run->last_method = method.name();
            }
            return ask(run, index + 1);
        }
        if (answer.verdict == Verdict::deny) return run->done(refuse(answer, *run->attempt, method.name()));
        const Attempt& attempt = *run->attempt;
        Answer admitted = admit(std::move(answer.principal), method.name(), attempt);
        if (attempt.user && attempt.password) backoff_.succeeded(*attempt.user, attempt.address, attempt.now_ms);
        run->done(std::move(admitted));
    });
}

Answer AuthChain::refuse(const MethodAnswer& answer, const Attempt& attempt, std::string_view method) {
    if (answer.outcome == Outcome::bad_credentials) {
        backoff_.failed(attempt.user.value_or(std::string()), attempt.address, attempt.now_ms);
    }
    Answer refused;
    refused.outcome = answer.outcome;
    refused.reason = answer.reason;
    refused.detail = answer.detail;
    refused.method = method;
    return refused;
}

Answer AuthChain::admit(Principal&& principal, std::string_view method, const Attempt& attempt) const {
    principal.client_id = attempt.client_id;
    principal.address = attempt.address;
    principal.certificate = attempt.certificate;
    if (principal.method.empty()) principal.method = method;

    Answer answer;
    answer.method = principal.method;
    const auto access = store_.current();
    const User* user = principal.anonymous() ? nullptr : access->find_user(principal.user);
    if (user && !user->may_connect(attempt.now_ms)) {
        answer.reason = "this user may not connect now";
        answer.detail = "user " + user->name + " is disabled or out of its time (" + user->place + ")";
        return answer;
    }
    if (user && user->validity.until_ms != always_ms) {
        const std::int64_t until_ms = user->validity.until_ms;
        principal.expires_ms = principal.expires_ms == 0 ? until_ms : std::min(principal.expires_ms, until_ms);
    }
    if (principal.expires_ms != 0 && principal.expires_ms <= attempt.now_ms) {
        answer.reason = "what the client showed has expired";
        return answer;
    }
    answer.detail = refuse_client_id(*access, principal, *access->role_set(principal, attempt.now_ms));
    if (!answer.detail.empty()) {
        answer.reason = "this client identifier is not for this user";
        return answer;
    }
    answer.outcome = Outcome::accept;
    answer.user = principal.user;
    answer.principal = std::make_shared<const Principal>(std::move(principal));
    return answer;
}

std::unique_ptr<Exchange> AuthChain::begin(const Credentials& credentials, Answer& first) {
    for (const auto& method : methods_) {
        Answer answer;
        auto inner = method->begin(credentials, answer);
        if (!inner) continue;
        auto exchange = std::make_unique<ChainExchange>(*this, method->name(), credentials, std::move(inner));
        first = exchange->conclude(std::move(answer));
        return exchange;
    }
    first = {Outcome::bad_method, {}, {}, "this listener does not have the authentication method"};
    return nullptr;
}

}  // namespace trunkline::auth
