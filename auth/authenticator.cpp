#include "auth/authenticator.h"

namespace trunkline::auth {

Answer AnonymousOnly::check(const Credentials& credentials) {
    if (credentials.local || allow_remote_) {
        Answer answer{Outcome::accept, std::string(credentials.certificate_subject), {}, {}};
        answer.method = answer.user.empty() ? "anonymous" : "certificate";
        return answer;
    }
    return {Outcome::not_authorized, {}, {}, "anonymous clients are welcome from loopback only; see allow_anonymous"};
}

std::unique_ptr<Exchange> AnonymousOnly::begin(const Credentials&, Answer& first) {
    first = {Outcome::bad_method, {}, {}, "this listener knows no enhanced authentication method"};
    return nullptr;
}

}  // namespace trunkline::auth
