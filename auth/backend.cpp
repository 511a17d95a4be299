#include "auth/backend.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace trunkline::auth {

void BackendHealth::worked() {
    const std::lock_guard lock(mutex_);
    if (failures_ == 0) return;
    News news{true, {}, std::exchange(failures_, 0)};
    if (say_) say_(news);
}

void BackendHealth::failed(std::string_view what, std::int64_t now_ms) {
    const std::lock_guard lock(mutex_);
    if (++failures_ > 1 && now_ms - said_ms_ < remind_ms_) return;
    said_ms_ = now_ms;
    if (say_) say_({false, std::string(what), failures_});
}

std::int64_t delay_left_ms(const Attempt& attempt) {
    const std::int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                                    std::chrono::system_clock::now().time_since_epoch()).count();
    return std::clamp<std::int64_t>(attempt.now_ms + attempt.delay_ms - now_ms, 0, attempt.delay_ms);
}

MethodAnswer no_judgement(std::string detail) {
    MethodAnswer answer;
    answer.verdict = Verdict::deny;
    answer.outcome = Outcome::unavailable;
    answer.reason = "logins cannot be checked at this moment; try again later";
    answer.detail = std::move(detail);
    return answer;
}

MethodAnswer not_asked(std::string_view reason) {
    MethodAnswer answer;
    answer.verdict = Verdict::deny;
    answer.outcome = Outcome::busy;
    answer.reason = reason;
    return answer;
}

}  // namespace trunkline::auth
