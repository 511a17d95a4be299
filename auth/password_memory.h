// Passwords that were right not long ago, so that a thousand devices that come back after a network failure are not
// hashed again all at once. Keeps no password and no hash of it that means anything outside this process.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "auth/password_hash.h"

namespace trunkline::auth {

/// Thread safe. An entry is a hash, keyed by random bytes of this process, over user, address, stored hash and
/// password: a changed password, another address or another user is another entry. Times are milliseconds of any one
/// clock.
class PasswordMemory {
public:
    /// `remember_ms` 0: nothing is ever remembered. At most `entries_max` are kept, the oldest go first.
    explicit PasswordMemory(std::int64_t remember_ms, std::size_t entries_max = 65'536);
    PasswordMemory(const PasswordMemory&) = delete;
    PasswordMemory& operator=(const PasswordMemory&) = delete;
    ~PasswordMemory();

    struct Login {
        std::string_view user, address, password;
        const PasswordHash& stored;
    };
    /// It was right within the last `remember_ms`.
    [[nodiscard]] bool knows(const Login& login, std::int64_t now_ms) const;
    void remember(const Login& login, std::int64_t now_ms);

private:
    using Key = std::array<std::uint64_t, 2>;
    struct First {
        std::size_t operator()(const Key& key) const { return key[0]; }
    };
    using Table = std::unordered_map<Key, std::int64_t, First>;   // until when
    [[nodiscard]] Key key_of(const Login& login) const;

    const std::int64_t remember_ms_;
    const std::size_t half_max_;
    std::array<unsigned char, 32> secret_;
    mutable std::mutex mutex_;   // guards the tables
    Table young_, old_;          // when the young one is full, the old one goes
};

}  // namespace trunkline::auth
