#include "broker/core/quota_book.h"

#include <algorithm>

#include <xxhash.h>

namespace trunkline::broker {

using Finding = uns::QuotaCounter::Finding;

Finding QuotaBook::take(std::string_view scope, const uns::Quota& quota, std::string_view topic, std::size_t bytes,
                        std::int64_t now_ms) {
    const std::lock_guard lock(mutex_);
    if (scopes_.size() >= scopes_max) scopes_.clear();
    Scope& taken = scopes_[std::string(scope)];
    const std::uint64_t hash = XXH3_64bits(topic.data(), topic.size());
    const bool fresh = quota.topics && !taken.topics.contains(hash);
    if (fresh && taken.topics.size() >= *quota.topics) return Finding::topics;

    const double messages_max = std::max(quota.messages_per_s.value_or(0), 1.0);
    const auto bytes_max = static_cast<double>(quota.bytes_per_s.value_or(0));
    if (taken.filled_ms < 0) {
        taken.messages = messages_max;
        taken.bytes = bytes_max;
    } else {
        const double seconds = static_cast<double>(std::max<std::int64_t>(now_ms - taken.filled_ms, 0)) / 1'000;
        taken.messages = std::min(messages_max, taken.messages + seconds * quota.messages_per_s.value_or(0));
        taken.bytes = std::min(bytes_max, taken.bytes + seconds * bytes_max);
    }
    taken.filled_ms = now_ms;
    if (quota.messages_per_s && taken.messages < 1) return Finding::messages;
    // A message larger than a second's worth passes when the bucket is full, and is paid for afterwards.
    if (quota.bytes_per_s && taken.bytes < std::min(static_cast<double>(bytes), bytes_max)) return Finding::bytes;
    if (quota.messages_per_s) taken.messages -= 1;
    if (quota.bytes_per_s) taken.bytes -= static_cast<double>(bytes);
    if (fresh) taken.topics.insert(hash);
    return Finding::within;
}

void QuotaBook::clear() {
    const std::lock_guard lock(mutex_);
    scopes_.clear();
}

}  // namespace trunkline::broker
