#include "auth/password_memory.h"

#include <algorithm>

#include <sodium.h>

namespace trunkline::auth {

PasswordMemory::PasswordMemory(std::int64_t remember_ms, std::size_t entries_max)
    : remember_ms_(remember_ms), half_max_(std::max<std::size_t>(entries_max / 2, 1)) {
    randombytes_buf(secret_.data(), secret_.size());
}

PasswordMemory::~PasswordMemory() { sodium_memzero(secret_.data(), secret_.size()); }

PasswordMemory::Key PasswordMemory::key_of(const Login& login) const {
    crypto_generichash_state state;
    crypto_generichash_init(&state, secret_.data(), secret_.size(), sizeof(Key));
    // Each with its length: no two logins read the same.
    for (const std::string_view part : {login.user, login.address, std::string_view(login.stored.text),
                                        std::string_view(login.stored.salt), std::string_view(login.stored.digest),
                                        login.password}) {
        const std::uint64_t size = part.size();
        crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(&size), sizeof size);
        crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(part.data()), part.size());
    }
    Key key{};
    crypto_generichash_final(&state, reinterpret_cast<unsigned char*>(key.data()), sizeof key);
    sodium_memzero(&state, sizeof state);
    return key;
}

bool PasswordMemory::knows(const Login& login, std::int64_t now_ms) const {
    if (remember_ms_ == 0) return false;
    const Key key = key_of(login);
    const std::lock_guard lock(mutex_);
    for (const Table* table : {&young_, &old_}) {
        const auto at = table->find(key);
        if (at != table->end() && at->second > now_ms) return true;
    }
    return false;
}

void PasswordMemory::remember(const Login& login, std::int64_t now_ms) {
    if (remember_ms_ == 0) return;
    const Key key = key_of(login);
    const std::lock_guard lock(mutex_);
    if (young_.size() >= half_max_ && !young_.contains(key)) {
        old_ = std::move(young_);
        young_.clear();
    }
    young_[key] = now_ms + remember_ms_;
}

}  // namespace trunkline::auth
