// The hashes of the tree, kept so that proofs need not hash everything again: every eighth level of it, which is what
// C2SP's tlog-tiles calls tiles of 256 hashes, one after the other in files. Level n holds the roots of the perfect
// subtrees of 256^n leaves. All of it can be made again from the segments; it says nothing that they do not.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "auth/audit/merkle.h"
#include "auth/audit/store.h"

namespace trunkline::auth::audit {

inline constexpr unsigned tile_height = 8;
inline constexpr std::uint64_t tile_file_hashes = std::uint64_t{1} << 20;  ///< 32 MiB a file

/// "tiles-0-000042.hash": level, and which file of that level.
[[nodiscard]] std::string tile_file_name(unsigned level, std::uint64_t file);

/// Hashes [index, index + count) of a level, one after the other. Error: damaged, when not all of them are there.
[[nodiscard]] Result<std::string> read_tile_hashes(const AuditStore& store, unsigned level, std::uint64_t index,
                                                   std::uint64_t count);
/// Nodes of the tree from the tiles: at most 128 of their hashes are hashed for one.
[[nodiscard]] NodeSource tile_nodes(const AuditStore& store);

class TileWriter {
public:
    explicit TileWriter(AuditStore& store) : store_(store) {}

    /// Cuts every level to a tree of `size` leaves. Error damaged: hashes are missing, the tiles must be made again.
    [[nodiscard]] Status reset_to(std::uint64_t size);
    /// Removes all tiles.
    [[nodiscard]] Status clear();
    /// For CompactTree::append(): keeps what belongs to a tile.
    void on_node(unsigned height, std::uint64_t index, const Digest& hash) { on_nodes(height, index, {&hash, 1}); }
    /// The same for many of one height, the first of which is number `index`.
    void on_nodes(unsigned height, std::uint64_t index, std::span<const Digest> hashes);
    /// Writes what on_node() collected; what could not be written stays for the next time.
    [[nodiscard]] Status flush();
    /// flush() and sync of every file written since the last sync.
    [[nodiscard]] Status sync();

private:
    struct Part {
        unsigned level = 0;
        std::uint64_t file = 0;
        std::string bytes;
    };
    [[nodiscard]] Status write(Part& part);
    void forget();

    AuditStore& store_;
    std::array<Part, 64 / tile_height> open_;  ///< what goes to the newest file of each level
    std::vector<Part> full_;                   ///< what goes to files before those
    std::set<std::string> unsynced_;
};

}  // namespace trunkline::auth::audit
