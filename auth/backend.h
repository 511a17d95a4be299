// What methods have in common that ask a service elsewhere: an HTTP server, a directory.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "auth/method.h"

namespace trunkline::auth {

/// What becomes of a login while the service that should judge it cannot be reached. One that is there and answers
/// nonsense, or too late, always denies.
enum class WhenUnreachable : std::uint8_t { deny, defer };

/// Whether a service works, told when it changes and while it does not. Thread safe; `say` is called by one thread at a
/// time and must not call back.
class BackendHealth {
public:
    struct News {
        bool works = false;
        std::string what;               ///< without `works`: what is wrong; no secret
        std::uint64_t failures = 0;     ///< logins that could not be judged since it last worked
    };
    using Say = std::function<void(const News&)>;
    /// Says a lasting failure again after `remind_ms`.
    explicit BackendHealth(Say say, std::int64_t remind_ms = 60'000) : say_(std::move(say)), remind_ms_(remind_ms) {}

    void worked();
    /// `now_ms`: milliseconds of any one clock.
    void failed(std::string_view what, std::int64_t now_ms);

private:
    const Say say_;
    const std::int64_t remind_ms_;
    std::mutex mutex_;              // guards what is below, held while it is said: news stay in order
    std::uint64_t failures_ = 0;
    std::int64_t said_ms_ = 0;
};

/// What is left of the delay of an attempt, in milliseconds: a method before may have waited already.
[[nodiscard]] std::int64_t delay_left_ms(const Attempt& attempt);

/// The answer when a service gave none that can be used. `detail` is for the log alone.
[[nodiscard]] MethodAnswer no_judgement(std::string detail);
/// The answer when too much is waiting, when the broker stops, or when nobody waits for it any more.
[[nodiscard]] MethodAnswer not_asked(std::string_view reason);

}  // namespace trunkline::auth
