#include "auth/backoff.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <sodium.h>

namespace trunkline::auth {

Backoff::Backoff(BackoffLimits limits) : limits_(limits) { randombytes_buf(secret_, sizeof secret_); }

std::uint64_t Backoff::key(std::string_view first, std::string_view second) const {
    static_assert(crypto_shorthash_KEYBYTES == sizeof secret_ && crypto_shorthash_BYTES == sizeof(std::uint64_t));
    std::string text(first);
    text += '\0';
    text += second;
    std::uint64_t hash = 0;
    crypto_shorthash(reinterpret_cast<unsigned char*>(&hash), reinterpret_cast<const unsigned char*>(text.data()),
                     text.size(), secret_);
    return hash;
}

std::int64_t Backoff::delay(const Table& table, std::uint64_t key, std::uint32_t free, std::int64_t most,
                            std::int64_t now_ms) const {
    const auto at = table.find(key);
    if (at == table.end() || at->second.count < free || now_ms - at->second.last_ms > limits_.forget_ms) return 0;
    const std::uint32_t doublings = std::min<std::uint32_t>(at->second.count - free, 20);
    return std::min(limits_.first_delay_ms << doublings, most);
}

std::int64_t Backoff::delay_ms(std::string_view user, std::string_view address, std::int64_t now_ms) const {
    const std::lock_guard lock(mutex_);
    if (const auto at = trusted_.find(key(user, address)); at != trusted_.end()) {
        if (now_ms - at->second.last_ms <= limits_.trusted_ms) return 0;
    }
    return std::max(delay(addresses_, key({}, address), limits_.free_failures, limits_.delay_ms_max, now_ms),
                    delay(users_, key(user, {}), limits_.free_failures_of_user, limits_.user_delay_ms_max, now_ms));
}

void Backoff::note(Table& table, std::uint64_t key, std::int64_t now_ms) {
    if (table.size() >= limits_.entries_max && !table.contains(key)) {
        std::vector<std::int64_t> times;
        times.reserve(table.size());
        for (const auto& [unused, entry] : table) times.push_back(entry.last_ms);
        const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
        std::nth_element(times.begin(), middle, times.end());
        const std::int64_t oldest_kept = *middle;
        std::erase_if(table, [&](const auto& entry) { return entry.second.last_ms < oldest_kept; });
        if (table.size() >= limits_.entries_max) table.clear();  // all of the same moment
    }
    Failures& entry = table[key];
    if (now_ms - entry.last_ms > limits_.forget_ms) entry.count = 0;
    ++entry.count;
    entry.last_ms = now_ms;
}

void Backoff::failed(std::string_view user, std::string_view address, std::int64_t now_ms) {
    const std::lock_guard lock(mutex_);
    note(addresses_, key({}, address), now_ms);
    note(users_, key(user, {}), now_ms);
    // Somebody at a trusted address who has begun to guess is treated like everybody.
    if (const auto at = trusted_.find(key(user, address)); at != trusted_.end()) {
        if (++at->second.count > limits_.free_failures) trusted_.erase(at);
    }
}

void Backoff::succeeded(std::string_view user, std::string_view address, std::int64_t now_ms) {
    const std::lock_guard lock(mutex_);
    const std::uint64_t pair = key(user, address);
    note(trusted_, pair, now_ms);
    trusted_[pair].count = 0;   // of failures since
}

}  // namespace trunkline::auth
