#include "auth/person_login.h"

namespace trunkline::auth {

void PersonLogin::check(std::string_view user, std::string_view password, std::string_view address,
                        std::int64_t now_ms, std::function<void(Answer)> done) {
    Credentials credentials;
    credentials.user_name = user;
    credentials.password = password;
    credentials.address = address;
    credentials.now_ms = now_ms;
    auto attempt = std::make_shared<Attempt>(credentials);
    attempt->delay_ms = backoff_.delay_ms(user, address, now_ms);
    method_.check(attempt, [this, attempt, done = std::move(done)](MethodAnswer&& found) {
        Answer answer;
        answer.busy = found.verdict != Verdict::allow && found.outcome == Outcome::busy;
        if (found.verdict == Verdict::allow) {
            backoff_.succeeded(*attempt->user, attempt->address, attempt->now_ms);
            const auto access = store_.current();
            const User* known = access->find_user(*attempt->user);
            answer.accepted = known && known->may_connect(attempt->now_ms);
            if (!answer.accepted) answer.why = "user " + *attempt->user + " is disabled or out of its time";
        } else {
            if (!answer.busy) backoff_.failed(*attempt->user, attempt->address, attempt->now_ms);
            answer.why = found.detail.empty() ? found.reason : found.detail;
        }
        done(std::move(answer));
    });
}

}  // namespace trunkline::auth
