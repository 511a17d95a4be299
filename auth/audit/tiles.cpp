#include "auth/audit/tiles.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <utility>

#include "auth/audit/bytes.h"

namespace trunkline::auth::audit {
namespace {

constexpr std::string_view tile_start = "tiles-";

}  // namespace

std::string tile_file_name(unsigned level, std::uint64_t file) {
    char name[64];
    std::snprintf(name, sizeof name, "tiles-%u-%06llu.hash", level, static_cast<unsigned long long>(file));
    return name;
}

Result<std::string> read_tile_hashes(const AuditStore& store, unsigned level, std::uint64_t index,
                                     std::uint64_t count) {
    std::string hashes;
    while (count > 0) {
        const std::uint64_t within = index % tile_file_hashes;
        const std::uint64_t part = std::min(count, tile_file_hashes - within);
        const std::string name = tile_file_name(level, index / tile_file_hashes);
        const auto bytes = store.read(name, within * sizeof(Digest), part * sizeof(Digest));
        if (!bytes && bytes.error().kind != Failure::absent) return bytes.error();
        if (!bytes || bytes->size() != part * sizeof(Digest))
            return Error{Failure::damaged, name + ": hashes of the tree are missing"};
        hashes += *bytes;
        index += part;
        count -= part;
    }
    return hashes;
}

NodeSource tile_nodes(const AuditStore& store) {
    return [&store](unsigned height, std::uint64_t index) -> Result<Digest> {
        const unsigned above = height % tile_height;
        const std::uint64_t count = std::uint64_t{1} << above;
        const auto hashes = read_tile_hashes(store, height / tile_height, index * count, count);
        if (!hashes) return hashes.error();
        CompactTree tree;
        for (std::size_t i = 0; i < count; ++i) tree.append(digest_at(*hashes, i));
        return tree.root();
    };
}

Status TileWriter::reset_to(std::uint64_t size) {
    forget();
    std::map<std::string, std::uint64_t> wanted;  // bytes by file
    for (unsigned level = 0; level < 64 / tile_height && size >> (level * tile_height) > 0; ++level) {
        const std::uint64_t hashes = size >> (level * tile_height);
        for (std::uint64_t first = 0; first < hashes; first += tile_file_hashes)
            wanted[tile_file_name(level, first / tile_file_hashes)] =
                std::min(tile_file_hashes, hashes - first) * sizeof(Digest);
    }
    const auto names = store_.list();
    if (!names) return names.error();
    for (const auto& name : *names) {
        if (!name.starts_with(tile_start)) continue;
        const auto found = wanted.find(name);
        const auto bytes = store_.size(name);
        if (!bytes) return bytes.error();
        if (found == wanted.end()) {
            if (auto done = store_.remove(name); !done) return done;
            continue;
        }
        if (*bytes < found->second) return Error{Failure::damaged, name + ": hashes of the tree are missing"};
        if (*bytes > found->second)
            if (auto done = store_.truncate(name, found->second); !done) return done;
        wanted.erase(found);
    }
    if (!wanted.empty()) return Error{Failure::damaged, wanted.begin()->first + ": hashes of the tree are missing"};
    return {};
}

Status TileWriter::clear() {
    forget();
    const auto names = store_.list();
    if (!names) return names.error();
    for (const auto& name : *names)
        if (name.starts_with(tile_start))
            if (auto done = store_.remove(name); !done) return done;
    return {};
}

void TileWriter::forget() {
    for (auto& part : open_) part.bytes.clear();
    full_.clear();
    unsynced_.clear();
}

void TileWriter::on_nodes(unsigned height, std::uint64_t index, std::span<const Digest> hashes) {
    if (height % tile_height) return;
    const unsigned level = height / tile_height;
    Part& part = open_[level];
    while (!hashes.empty()) {
        const std::uint64_t file = index / tile_file_hashes;
        const std::uint64_t room = tile_file_hashes - index % tile_file_hashes;
        const auto here = hashes.first(std::min<std::uint64_t>(hashes.size(), room));
        if (part.file != file && !part.bytes.empty()) full_.push_back(std::exchange(part, {}));
        part.level = level;
        part.file = file;
        part.bytes.append(reinterpret_cast<const char*>(here.data()), here.size_bytes());
        hashes = hashes.subspan(here.size());
        index += here.size();
    }
}

Status TileWriter::write(Part& part) {
    if (part.bytes.empty()) return {};
    const std::string name = tile_file_name(part.level, part.file);
    if (auto done = store_.append(name, part.bytes); !done) return done;
    unsynced_.insert(name);
    part.bytes.clear();
    return {};
}

Status TileWriter::flush() {
    for (auto& part : full_)
        if (auto done = write(part); !done) return done;
    full_.clear();
    for (auto& part : open_)
        if (auto done = write(part); !done) return done;
    return {};
}

Status TileWriter::sync() {
    if (auto done = flush(); !done) return done;
    for (const auto& name : unsynced_)
        if (auto done = store_.sync(name); !done) return done;
    unsynced_.clear();
    return {};
}

}  // namespace trunkline::auth::audit
