#include "auth/audit/merkle.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace trunkline::auth::audit {
namespace {

/// The largest power of two below `size`, which is at least 2 (k of RFC 9162, section 2.1.1).
std::uint64_t split_of(std::uint64_t size) { return std::bit_floor(size - 1); }

/// Root of the leaves [begin, end), where `begin` is a multiple of the power of two that covers the range.
Result<Digest> range_root(std::uint64_t begin, std::uint64_t end, const NodeSource& nodes) {
    const std::uint64_t size = end - begin;
    if (std::has_single_bit(size)) return nodes(static_cast<unsigned>(std::countr_zero(size)), begin / size);
    const std::uint64_t middle = begin + split_of(size);
    const auto left = range_root(begin, middle, nodes);
    if (!left) return left;
    const auto right = range_root(middle, end, nodes);
    if (!right) return right;
    return hash_node(*left, *right);
}

Status add_root(Proof& proof, std::uint64_t begin, std::uint64_t end, const NodeSource& nodes) {
    const auto root = range_root(begin, end, nodes);
    if (!root) return root.error();
    proof.push_back(*root);
    return {};
}

/// PATH(m, D[n]) of RFC 9162, section 2.1.3.1.
Status add_path(Proof& proof, std::uint64_t index, std::uint64_t begin, std::uint64_t end, const NodeSource& nodes) {
    if (end - begin == 1) return {};
    const std::uint64_t middle = begin + split_of(end - begin);
    const bool left = index < middle;
    if (auto done = add_path(proof, index, left ? begin : middle, left ? middle : end, nodes); !done) return done;
    return add_root(proof, left ? middle : begin, left ? end : middle, nodes);
}

/// SUBPROOF(m, D[n], b) of RFC 9162, section 2.1.4.1; `old_end` is the end of the older tree.
Status add_subproof(Proof& proof, std::uint64_t old_end, std::uint64_t begin, std::uint64_t end, bool complete,
                    const NodeSource& nodes) {
    if (old_end == end) return complete ? Status() : add_root(proof, begin, end, nodes);
    const std::uint64_t middle = begin + split_of(end - begin);
    if (old_end <= middle) {
        if (auto done = add_subproof(proof, old_end, begin, middle, complete, nodes); !done) return done;
        return add_root(proof, middle, end, nodes);
    }
    if (auto done = add_subproof(proof, old_end, middle, end, false, nodes); !done) return done;
    return add_root(proof, begin, middle, nodes);
}

}  // namespace

Result<CompactTree> CompactTree::restore(std::uint64_t size, std::vector<Digest> nodes) {
    if (nodes.size() != static_cast<std::size_t>(std::popcount(size)))
        return invalid("a tree of " + std::to_string(size) + " leaves has another number of subtrees than " +
                       std::to_string(nodes.size()));
    CompactTree tree;
    tree.size_ = size;
    tree.nodes_ = std::move(nodes);
    return tree;
}

void CompactTree::append_subtree(unsigned height, const Digest& root) {
    assert(height < 64 && size_ % (std::uint64_t{1} << height) == 0);
    Digest hash = root;
    for (std::uint64_t bit = std::uint64_t{1} << height; size_ & bit; bit <<= 1) {
        hash = hash_node(nodes_.back(), hash);
        nodes_.pop_back();
    }
    nodes_.push_back(hash);
    size_ += std::uint64_t{1} << height;
}

void CompactTree::append(const Digest& leaf, const OnNode& on_node) {
    Digest hash = leaf;
    unsigned height = 0;
    on_node(0, size_, hash);
    for (; size_ >> height & 1; ++height) {
        hash = hash_node(nodes_.back(), hash);
        nodes_.pop_back();
        on_node(height + 1, size_ >> (height + 1), hash);
    }
    nodes_.push_back(hash);
    ++size_;
}

void CompactTree::append(std::span<const Digest> leaves, const OnNodes& on_nodes) {
    std::vector<Digest> row(1 + leaves.size()), ends;  // a place for the left sibling of the first; smallest first
    std::copy(leaves.begin(), leaves.end(), row.begin() + 1);
    std::size_t count = leaves.size();
    std::uint64_t first = size_;
    for (unsigned height = 0; count > 0; ++height) {
        on_nodes(height, first, {row.data() + 1, count});
        const bool sibling = first % 2;
        if (sibling) {
            row[0] = nodes_.back();
            nodes_.pop_back();
            ++count;
        }
        const Digest* children = row.data() + (sibling ? 0 : 1);
        if (count % 2) ends.push_back(children[count - 1]);
        hash_nodes(children, count / 2, row.data() + 1);
        count /= 2;
        first /= 2;
    }
    nodes_.insert(nodes_.end(), ends.rbegin(), ends.rend());
    size_ += leaves.size();
}

Digest CompactTree::root() const {
    if (nodes_.empty()) return sha256("");
    Digest hash = nodes_.back();
    for (std::size_t i = nodes_.size() - 1; i-- > 0;) hash = hash_node(nodes_[i], hash);
    return hash;
}

bool verify_inclusion(const Digest& leaf, std::uint64_t index, std::uint64_t size, const Proof& proof,
                      const Digest& root) {
    if (index >= size) return false;
    std::uint64_t fn = index, sn = size - 1;
    Digest hash = leaf;
    for (const Digest& sibling : proof) {
        if (sn == 0) return false;
        if (fn & 1 || fn == sn) {
            hash = hash_node(sibling, hash);
            while (!(fn & 1) && fn != 0) fn >>= 1, sn >>= 1;
        } else {
            hash = hash_node(hash, sibling);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && hash == root;
}

bool verify_consistency(std::uint64_t old_size, const Digest& old_root, std::uint64_t size, const Digest& root,
                        const Proof& proof) {
    if (old_size > size) return false;
    if (old_size == size) return proof.empty() && old_root == root;
    if (old_size == 0) return proof.empty() && old_root == sha256("");  // any tree continues the empty one
    const bool power = std::has_single_bit(old_size);                   // then the old root itself starts the path
    if (!power && proof.empty()) return false;
    std::uint64_t fn = old_size - 1, sn = size - 1;
    while (fn & 1) fn >>= 1, sn >>= 1;
    Digest old_hash = power ? old_root : proof.front();
    Digest hash = old_hash;
    for (std::size_t i = power ? 0 : 1; i < proof.size(); ++i) {
        if (sn == 0) return false;
        if (fn & 1 || fn == sn) {
            old_hash = hash_node(proof[i], old_hash);
            hash = hash_node(proof[i], hash);
            while (!(fn & 1) && fn != 0) fn >>= 1, sn >>= 1;
        } else {
            hash = hash_node(hash, proof[i]);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && old_hash == old_root && hash == root;
}

Result<Proof> inclusion_proof(std::uint64_t index, std::uint64_t size, const NodeSource& nodes) {
    if (index >= size) return invalid("leaf " + std::to_string(index) + " is not in a tree of " + std::to_string(size));
    Proof proof;
    if (auto done = add_path(proof, index, 0, size, nodes); !done) return done.error();
    return proof;
}

Result<Proof> consistency_proof(std::uint64_t old_size, std::uint64_t size, const NodeSource& nodes) {
    if (old_size > size) return invalid("a tree of " + std::to_string(size) + " leaves has no state with more");
    Proof proof;
    if (old_size == 0 || old_size == size) return proof;
    if (auto done = add_subproof(proof, old_size, 0, size, true, nodes); !done) return done.error();
    return proof;
}

Result<Digest> root_of(std::uint64_t size, const NodeSource& nodes) {
    return size ? range_root(0, size, nodes) : Result<Digest>(sha256(""));
}

Result<CompactTree> compact_tree_of(std::uint64_t size, const NodeSource& nodes) {
    std::vector<Digest> found;
    std::uint64_t begin = 0;
    for (int bit = 63; bit >= 0; --bit) {
        const std::uint64_t part = std::uint64_t{1} << bit;
        if (!(size & part)) continue;
        const auto node = nodes(static_cast<unsigned>(bit), begin / part);
        if (!node) return node.error();
        found.push_back(*node);
        begin += part;
    }
    return CompactTree::restore(size, std::move(found));
}

}  // namespace trunkline::auth::audit
