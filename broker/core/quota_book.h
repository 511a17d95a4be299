// What the branches of the namespace have taken of their quotas, over all shards.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include "namespace/model/model.h"

namespace trunkline::broker {

/// Thread safe. Messages and bytes are taken from buckets that hold a second's worth; topics are those that were
/// published on since the start, or since the model changed.
class QuotaBook {
public:
    uns::QuotaCounter::Finding take(std::string_view scope, const uns::Quota& quota, std::string_view topic,
                                    std::size_t bytes, std::int64_t now_ms);
    /// Another model has other scopes.
    void clear();

private:
    struct Scope {
        boost::unordered_flat_set<std::uint64_t> topics;   // by hash
        double messages = 0, bytes = 0;                    // left in the buckets
        std::int64_t filled_ms = -1;
    };
    static constexpr std::size_t scopes_max = 100'000;     // of patterns: publishers choose names
    std::mutex mutex_;
    boost::unordered_flat_map<std::string, Scope> scopes_;
};

/// A QuotaBook at one moment, as Model::judge() asks it.
class QuotaNow final : public uns::QuotaCounter {
public:
    QuotaNow(QuotaBook& book, std::int64_t now_ms) : book_(book), now_ms_(now_ms) {}
    Finding take(std::string_view scope, const uns::Quota& quota, std::string_view topic, std::size_t bytes) override {
        return book_.take(scope, quota, topic, bytes, now_ms_);
    }

private:
    QuotaBook& book_;
    std::int64_t now_ms_;
};

}  // namespace trunkline::broker
