// User and password of people who come without a client identifier: administration.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "auth/backoff.h"
#include "auth/methods.h"

namespace trunkline::auth {

/// Thread safe. What it is given must outlive it. Wrong passwords slow the user name and the address down as those of
/// clients do, together with them.
class PersonLogin {
public:
    struct Answer {
        bool accepted = false;
        bool busy = false;          ///< too many wait: ask again later
        std::string why;            ///< when not accepted; for the log, no secret
    };
    /// `remember_ms`: so long a password that was right from an address is not hashed again.
    PersonLogin(const AccessStore& store, HashPool& pool, Backoff& backoff, std::int64_t remember_ms)
        : method_(store, pool, remember_ms), store_(store), backoff_(backoff) {}

    /// Calls `done` once, on any thread. `now_ms`: UTC, since 1970.
    void check(std::string_view user, std::string_view password, std::string_view address, std::int64_t now_ms,
               std::function<void(Answer)> done);

private:
    PasswordMethod method_;
    const AccessStore& store_;
    Backoff& backoff_;
};

}  // namespace trunkline::auth
