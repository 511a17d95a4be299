// Logins that an HTTP service judges: what it is asked, what its answers mean. Who carries question and answer is
// behind HttpPost (broker/auth_http.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "auth/backend.h"
#include "auth/method.h"
#include "auth/secret.h"

namespace trunkline::auth {

/// What came of one question.
struct HttpReply {
    enum class Kind : std::uint8_t {
        answered,       ///< `status` and `body` are there
        unreachable,    ///< no name, no way, refused, lost before it had the question
        failed,         ///< too slow, too large, no HTTP, no answer, a certificate that is not good
        busy,           ///< too much is waiting
        dropped         ///< the client has gone, or the broker stops
    };
    Kind kind = Kind::failed;
    unsigned status = 0;
    std::string body;
    std::string what;   ///< unless answered: why, for the log; no secret
};

/// Carries questions. Thread safe, does not block.
class HttpPost {
public:
    virtual ~HttpPost() = default;
    using OnReply = std::function<void(HttpReply&&)>;
    /// Sends login_question(*attempt), `delay_ms` of the attempt from now at the earliest, unless it is abandoned
    /// before. Calls `done` once, on any thread, perhaps before it returns.
    virtual void post(std::shared_ptr<const Attempt> attempt, OnReply done) = 0;
};

/// The JSON object that is sent: `client_id`, `user`, `password` (or `password_base64` where it is no UTF-8),
/// `address`, `listener`, `protocol` and `tls`, all of them always, null where CONNECT says nothing.
[[nodiscard]] Secret login_question(const Attempt& attempt);

/// What an answer with status 200 says. Whatever is not as it must be is `good` false with `what`, for the log.
struct HttpJudgement {
    bool good = false;
    std::string what;
    MethodAnswer answer;    ///< with `good`
};
/// `body`: `result` is "allow", "deny" or "defer"; with allow `user` (else CONNECT's), `roles`, `expires_at` (seconds
/// since 1970) and `bind_client_id`; with deny `reason`, which goes to the client. Other members mean nothing.
[[nodiscard]] HttpJudgement judge_login(std::string_view body, const Attempt& attempt);

/// Asks about every CONNECT that has no enhanced method.
class HttpMethod : public Method {
public:
    /// `post` and `health` must outlive it.
    HttpMethod(HttpPost& post, BackendHealth& health, WhenUnreachable when_unreachable)
        : post_(post), health_(health), when_unreachable_(when_unreachable) {}
    [[nodiscard]] std::string_view name() const override { return "http"; }
    void check(std::shared_ptr<const Attempt> attempt, OnMethodAnswer done) override;

private:
    [[nodiscard]] MethodAnswer answer_of(HttpReply&& reply, const Attempt& attempt);

    HttpPost& post_;
    BackendHealth& health_;
    const WhenUnreachable when_unreachable_;
};

}  // namespace trunkline::auth
