// What broke the model on one shard: counts for all of it, and the most recent with all that a person needs to mend it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "broker/core/governance.h"

namespace trunkline::auth {
struct Principal;
}

namespace trunkline::broker {

/// Who sent a message that is being judged. Views.
struct Sender {
    std::string_view client_id, user;
    std::string address;
    const auth::Principal* principal = nullptr;   ///< null: not known, or nobody asks
    std::vector<std::string> roles = {};          ///< where the model asks for them
};

/// Written by its shard, read by any thread. Bounded: a flood of violations costs a count each.
class ViolationLog {
public:
    static constexpr std::size_t records_max = 512;
    static constexpr std::uint32_t records_per_s = 100;
    /// The same rule on the same topic from the same client within this time is one record, and a count.
    static constexpr std::int64_t repeat_ms = 10'000;

    /// `fill` completes a new record; it is not called for what is only counted. Returns whether there is a new one.
    template <class Fill>
    bool note(std::string_view rule, std::string_view topic, std::string_view client_id, std::int64_t now_ms,
              Fill&& fill) {
        const std::lock_guard lock(mutex_);
        ViolationRecord* record = count(rule, topic, client_id, now_ms);
        if (!record) return false;
        record->topic = topic;
        record->client_id = client_id;
        record->rule = rule;
        fill(*record);
        return true;
    }

    /// The most recent, newest first, after what is in `into`.
    void newest(std::size_t most, std::vector<ViolationRecord>& into) const;
    void add_counts(std::map<std::string, std::uint64_t, std::less<>>& rules) const;

private:
    /// Null when there is a record of this already or there are too many.
    ViolationRecord* count(std::string_view rule, std::string_view topic, std::string_view client_id,
                           std::int64_t now_ms);

    struct Seen {
        std::uint64_t sequence = 0;
        std::int64_t at_ms = 0;
    };
    mutable std::mutex mutex_;
    std::deque<ViolationRecord> records_;                      // in order of their sequence, one after the other
    std::uint64_t next_sequence_ = 1;                          // of this log
    boost::unordered_flat_map<std::uint64_t, Seen> seen_;      // by hash of rule, topic and client
    std::map<std::string, std::uint64_t, std::less<>> rules_;
    std::int64_t second_ = 0;
    std::uint32_t this_second_ = 0;
};

/// The event on `$UNS/violations`: JSON.
[[nodiscard]] std::string to_json(const ViolationRecord& record);

}  // namespace trunkline::broker
