// The Merkle tree of RFC 9162, section 2.1 (the same tree as RFC 6962): an append-only root over leaf hashes that needs
// one hash per level as state, and proofs as anybody else can check them. Pure; where hashes are kept is tiles.h.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "auth/audit/error.h"
#include "auth/audit/hash.h"

namespace trunkline::auth::audit {

using Proof = std::vector<Digest>;

/// The roots of the perfect subtrees that a tree of `size` leaves is made of, largest first: one for each set bit of
/// `size`. Appending costs one node hash per leaf on average.
class CompactTree {
public:
    CompactTree() = default;
    /// A state as nodes() gave it. Error: the number of nodes does not fit the size.
    [[nodiscard]] static Result<CompactTree> restore(std::uint64_t size, std::vector<Digest> nodes);

    /// `on_node(height, index, hash)` is called for each perfect subtree that the leaf completes, the leaf first.
    using OnNode = std::function<void(unsigned height, std::uint64_t index, const Digest& hash)>;
    void append(const Digest& leaf) { append_subtree(0, leaf); }
    void append(const Digest& leaf, const OnNode& on_node);
    /// Many at once, level by level, so that nodes are hashed two at a time. `on_nodes(height, first index, hashes)` is
    /// called once for each level on which the leaves complete perfect subtrees, the leaves first.
    using OnNodes = std::function<void(unsigned height, std::uint64_t first, std::span<const Digest> hashes)>;
    void append(std::span<const Digest> leaves, const OnNodes& on_nodes);
    /// Appends a perfect subtree of 2^height leaves; size() must be a multiple of that.
    void append_subtree(unsigned height, const Digest& root);

    [[nodiscard]] std::uint64_t size() const { return size_; }
    [[nodiscard]] const std::vector<Digest>& nodes() const { return nodes_; }
    /// Of the empty tree: SHA-256 of nothing.
    [[nodiscard]] Digest root() const;
    bool operator==(const CompactTree&) const = default;

private:
    std::uint64_t size_ = 0;
    std::vector<Digest> nodes_;
};

/// RFC 9162, section 2.1.3.2: is `leaf` the leaf `index` of the tree with `size` leaves and `root`?
[[nodiscard]] bool verify_inclusion(const Digest& leaf, std::uint64_t index, std::uint64_t size, const Proof& proof,
                                    const Digest& root);
/// RFC 9162, section 2.1.4.2: is the tree (`size`, `root`) the tree (`old_size`, `old_root`) with leaves appended?
[[nodiscard]] bool verify_consistency(std::uint64_t old_size, const Digest& old_root, std::uint64_t size,
                                      const Digest& root, const Proof& proof);

/// Hash of the perfect subtree number `index` of 2^height leaves, wholly within the tree.
using NodeSource = std::function<Result<Digest>(unsigned height, std::uint64_t index)>;

/// RFC 9162, section 2.1.3.1. `index` < `size`. Errors are those of the source.
[[nodiscard]] Result<Proof> inclusion_proof(std::uint64_t index, std::uint64_t size, const NodeSource& nodes);
/// RFC 9162, section 2.1.4.1. `old_size` <= `size`; empty for 0 and for equal sizes.
[[nodiscard]] Result<Proof> consistency_proof(std::uint64_t old_size, std::uint64_t size, const NodeSource& nodes);
/// Root of the first `size` leaves.
[[nodiscard]] Result<Digest> root_of(std::uint64_t size, const NodeSource& nodes);
/// State of the tree of the first `size` leaves.
[[nodiscard]] Result<CompactTree> compact_tree_of(std::uint64_t size, const NodeSource& nodes);

}  // namespace trunkline::auth::audit
