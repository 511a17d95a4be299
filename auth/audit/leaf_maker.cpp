#include "auth/audit/leaf_maker.h"

#include <cstring>

namespace trunkline::auth::audit {

void LeafMaker::add(const PublishFacts& facts, std::string_view payload, std::uint32_t tag) {
    Waiting& one = waiting_.emplace_back();
    one.tag = tag;
    one.hashed = payload.size() > payload_max;
    one.payload_at = static_cast<std::uint32_t>(bytes_.size());
    one.payload_size = one.hashed ? 0 : static_cast<std::uint32_t>(payload.size());
    if (!one.hashed) bytes_.append(payload);
    one.facts_at = static_cast<std::uint32_t>(bytes_.size());
    append_leaf_data(bytes_, facts);
    one.facts_size = static_cast<std::uint32_t>(bytes_.size()) - one.facts_at;
    if (!one.hashed) return;
    const Digest hash = sha256(payload);
    std::memcpy(bytes_.data() + one.facts_at + leaf_payload_hash_at, hash.data(), hash.size());
}

void LeafMaker::hash_all() {
    const auto put = [this](const Waiting& to, const Digest& hash) {
        std::memcpy(bytes_.data() + to.facts_at + leaf_payload_hash_at, hash.data(), hash.size());
    };
    const Waiting* before = nullptr;
    for (const Waiting& one : waiting_) {
        if (one.hashed) continue;
        if (!before) {
            before = &one;
            continue;
        }
        Digest first, second;
        sha256_two(payload_of(*before), payload_of(one), first, second);
        put(*before, first);
        put(one, second);
        before = nullptr;
    }
    if (before) put(*before, sha256(payload_of(*before)));
    std::size_t i = 0;
    for (; i + 2 <= waiting_.size(); i += 2) {
        sha256_two(facts_of(waiting_[i]), facts_of(waiting_[i + 1]), waiting_[i].leaf, waiting_[i + 1].leaf);
    }
    if (i < waiting_.size()) waiting_[i].leaf = sha256(facts_of(waiting_[i]));
}

}  // namespace trunkline::auth::audit
