// How long an attempt to log in has to wait because of those before it that failed. It slows guessing down and never
// shuts anybody out: attempts wait, they are not refused, and whoever has got in before from the same address does not
// wait.
#pragma once

#include <cstdint>
#include <mutex>
#include <string_view>
#include <unordered_map>

namespace trunkline::auth {

struct BackoffLimits {
    std::uint32_t free_failures = 5;            ///< of an address, before it has to wait
    std::uint32_t free_failures_of_user = 10;   ///< of a user name, from wherever
    std::int64_t first_delay_ms = 100;          ///< doubles with each failure
    std::int64_t delay_ms_max = 10'000;         ///< for an address
    std::int64_t user_delay_ms_max = 4'000;     ///< for a user name
    std::int64_t forget_ms = 600'000;           ///< after this long without a failure
    std::int64_t trusted_ms = 7 * 86'400'000LL; ///< a success from an address counts this long
    std::size_t entries_max = 65'536;           ///< of each table; beyond, the oldest half is forgotten
};

/// Thread safe. Names and addresses are kept as keyed hashes. Times are milliseconds of any one clock.
class Backoff {
public:
    explicit Backoff(BackoffLimits limits = {});

    /// Milliseconds to wait before an attempt of `user` from `address` is judged; 0: at once.
    [[nodiscard]] std::int64_t delay_ms(std::string_view user, std::string_view address, std::int64_t now_ms) const;
    void failed(std::string_view user, std::string_view address, std::int64_t now_ms);
    void succeeded(std::string_view user, std::string_view address, std::int64_t now_ms);

private:
    struct Failures {
        std::uint32_t count = 0;
        std::int64_t last_ms = 0;
    };
    using Table = std::unordered_map<std::uint64_t, Failures>;
    [[nodiscard]] std::uint64_t key(std::string_view first, std::string_view second) const;
    [[nodiscard]] std::int64_t delay(const Table& table, std::uint64_t key, std::uint32_t free, std::int64_t most,
                                     std::int64_t now_ms) const;
    void note(Table& table, std::uint64_t key, std::int64_t now_ms);

    const BackoffLimits limits_;
    unsigned char secret_[16];
    mutable std::mutex mutex_;      // guards the tables
    Table addresses_, users_, trusted_;
};

}  // namespace trunkline::auth
