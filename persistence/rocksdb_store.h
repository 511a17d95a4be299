// The store on disk. The only place, with its .cpp, that knows RocksDB.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "persistence/store.h"

namespace rocksdb {
class FileSystem;
}

namespace trunkline::store {

/// Directory layout: `db/` is RocksDB's, `mark.0` and `mark.1` are the recovery mark. See persistence/README.md for
/// what opening detects.
class RocksDbStore final : public Store {
public:
    /// Wraps the file system that everything is written through; for the fault tests.
    using FileWrapper = std::function<std::shared_ptr<rocksdb::FileSystem>(std::shared_ptr<rocksdb::FileSystem>)>;
    struct Options {
        std::string directory;
        std::uint64_t memory_bytes = 32 << 20;   ///< write buffers of all tables together
        std::uint64_t cache_bytes = 16 << 20;    ///< blocks read
        FileWrapper wrap_files;
    };
    struct Opened {
        std::unique_ptr<RocksDbStore> store;     ///< null when refused
        StoreStatus status;
    };
    /// Opens or creates. Refuses, and names the gap, when something is missing that was acknowledged.
    [[nodiscard]] static Opened open(const Options& options);

    /// For every store that is opened without a wrapper of its own. The program that tests the whole broker under
    /// faults sets it before main(); nothing that is shipped does.
    static void wrap_all_files(FileWrapper wrapper);

    ~RocksDbStore() override;

    StoreStatus write(const WriteSet& writes, bool sync) override;
    [[nodiscard]] std::optional<std::string> get(Table table, std::string_view key, StoreStatus* status) const override;
    StoreStatus scan(Table table, std::string_view prefix, std::string_view from, const Visit& visit) const override;
    void mark(const Stamp& stamp, bool now) override;
    StoreStatus resume() override;
    [[nodiscard]] StoreStats stats() const override;
    StoreStatus checkpoint(const std::string& directory) override;

    /// Of the last stamped write that the store holds.
    [[nodiscard]] Stamp stamp() const;

private:
    struct Impl;
    explicit RocksDbStore(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace trunkline::store
