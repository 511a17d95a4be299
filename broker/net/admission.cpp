#include "broker/net/admission.h"

#include <algorithm>
#include <cstring>

namespace trunkline::net {
namespace {

bool take(double& tokens, std::int64_t& filled_ms, double rate, std::int64_t now_ms) {
    const double elapsed_ms = static_cast<double>(std::max<std::int64_t>(0, now_ms - filled_ms));
    tokens = std::min(rate, tokens + rate * elapsed_ms / 1'000.0);
    filled_ms = now_ms;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
}

bool exempt(const broker::PeerAddress& peer) { return peer.family == 0 || peer.is_loopback(); }

}  // namespace

std::uint64_t Admission::key_of(const broker::PeerAddress& peer) {
    std::uint64_t key = 0;
    std::memcpy(&key, peer.ip.data(), peer.family == 4 ? 4 : 8);
    return peer.family == 4 ? key | (std::uint64_t{1} << 63) : key;   // at worst two addresses share a bucket
}

Admit Admission::admit(const broker::PeerAddress& peer, std::int64_t now_ms) {
    if (exempt(peer)) return Admit::yes;
    const std::lock_guard lock(mutex_);
    if (rate_after_failure_ > 0) {
        const auto found = failures_.find(key_of(peer));
        if (found != failures_.end()) {
            Failures& entry = found->second;
            if (now_ms - entry.failed_ms > forget_after_ms) {
                oldest_first_.erase(entry.position);
                failures_.erase(found);
            } else if (!take(entry.tokens, entry.filled_ms, rate_after_failure_, now_ms)) {
                return Admit::address;
            }
        }
    }
    if (rate_ > 0 && !take(tokens_, filled_ms_, rate_, now_ms)) return Admit::rate;
    return Admit::yes;
}

void Admission::failed(const broker::PeerAddress& peer, std::int64_t now_ms) {
    if (exempt(peer) || rate_after_failure_ <= 0) return;
    const std::lock_guard lock(mutex_);
    const std::uint64_t key = key_of(peer);
    auto found = failures_.find(key);
    if (found == failures_.end()) {
        if (failures_.size() >= addresses_max) {
            failures_.erase(oldest_first_.front());
            oldest_first_.pop_front();
        }
        oldest_first_.push_back(key);
        const Failures entry{rate_after_failure_, now_ms, now_ms, std::prev(oldest_first_.end())};
        found = failures_.emplace(key, entry).first;
    }
    found->second.failed_ms = now_ms;
    oldest_first_.splice(oldest_first_.end(), oldest_first_, found->second.position);
}

}  // namespace trunkline::net
