// The leaves of many publishes, hashed two at a time, which is nearly twice as fast as one after the other. Owned by
// whoever tells of the publishes, on its thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "auth/audit/record.h"

namespace trunkline::auth::audit {

class LeafMaker {
public:
    /// Takes a copy of what it needs. `facts.payload` is ignored: it is the hash of `payload`. `tag` comes back with
    /// the leaf.
    void add(const PublishFacts& facts, std::string_view payload, std::uint32_t tag);
    [[nodiscard]] bool empty() const { return waiting_.empty(); }
    /// There is enough to hash: more would only leave the caches of the processor.
    [[nodiscard]] bool full() const { return waiting_.size() >= waiting_max || bytes_.size() >= bytes_max; }
    /// Calls `take(tag, leaf)` for each, in the order of add(), and forgets them.
    template <class Take>
    void make(Take&& take) {
        hash_all();
        for (const Waiting& one : waiting_) take(one.tag, one.leaf);
        waiting_.clear();
        bytes_.clear();
    }

private:
    static constexpr std::size_t waiting_max = 32, bytes_max = 16 * 1024;
    static constexpr std::size_t payload_max = 2048;  // a longer one is hashed at once, not copied

    struct Waiting {
        std::uint32_t payload_at, payload_size;       // in bytes_; no payload when it is hashed already
        std::uint32_t facts_at, facts_size;
        std::uint32_t tag;
        bool hashed;
        Digest leaf;
    };
    void hash_all();
    [[nodiscard]] std::string_view payload_of(const Waiting& one) const {
        return std::string_view(bytes_).substr(one.payload_at, one.payload_size);
    }
    [[nodiscard]] std::string_view facts_of(const Waiting& one) const {
        return std::string_view(bytes_).substr(one.facts_at, one.facts_size);
    }

    std::string bytes_;
    std::vector<Waiting> waiting_;
};

}  // namespace trunkline::auth::audit
