#include "auth/audit/denial_sampler.h"

#include <algorithm>

#include "auth/audit/bytes.h"

namespace trunkline::auth::audit {
namespace {

Record summary(std::string_view actor, std::string_view source, std::string_view what, std::string_view reason,
               std::uint64_t count, const Moment& now) {
    Record record;
    record.at = now;
    record.actor = actor;
    record.source = source;
    record.action = action::denial;
    record.object = what;
    record.reason = reason;
    record.outcome = Outcome::denied;
    record.count = count;
    return record;
}

}  // namespace

bool DenialSampler::should_record(std::string_view actor, std::string_view source, std::string_view action,
                                  std::string_view reason, const Moment& now) {
    ++total_;
    std::string key;  // counted texts: no actor can be named so that it looks like another kind
    for (const auto part : {actor, source, action, reason}) put_text(key, part);
    auto found = kinds_.find(key);
    if (found == kinds_.end() && kinds_.size() >= policy_.kinds_max) {
        key.clear();
        actor = source = action = {};
        reason = "many kinds of denials at once: these are not told apart";
        found = kinds_.find(key);
    }
    if (found == kinds_.end()) {
        Kind kind{
            std::string(actor), std::string(source), std::string(action), std::string(reason), now.monotonic_ns, 0, 0,
            next_order_++};
        found = kinds_.emplace(std::move(key), std::move(kind)).first;
    }
    Kind& kind = found->second;
    if (!found->first.empty() && kind.in_full < policy_.full_per_window) return ++kind.in_full, true;
    ++kind.counted;
    return false;
}

std::vector<Record> DenialSampler::collect(const Moment& now, bool all) {
    std::vector<std::pair<std::uint64_t, Record>> found;
    for (auto it = kinds_.begin(); it != kinds_.end();) {
        const Kind& kind = it->second;
        const bool over = all || now.monotonic_ns < kind.window_start_ns ||
                          now.monotonic_ns - kind.window_start_ns >= policy_.window_ns;
        if (!over) {
            ++it;
            continue;
        }
        if (kind.counted > 0)
            found.emplace_back(kind.order,
                               summary(kind.actor, kind.source, kind.action, kind.reason, kind.counted, now));
        it = kinds_.erase(it);
    }
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<Record> records;
    for (auto& [order, record] : found) records.push_back(std::move(record));
    return records;
}

std::vector<Record> DenialSampler::summaries(const Moment& now) { return collect(now, false); }
std::vector<Record> DenialSampler::drain(const Moment& now) { return collect(now, true); }

}  // namespace trunkline::auth::audit
