// The recovery mark and the stamps in the write-ahead log: how opening a store tells loss from a torn tail.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "persistence/store.h"

namespace rocksdb {
class FileSystem;
}

namespace trunkline::store {

/// What is written with each batch, before and after its records, into the write-ahead log only.
/// Self-contained and checksummed so that it can be found in a damaged log by looking at the bytes.
[[nodiscard]] std::string encode_wal_stamp(const Stamp& stamp, bool synced);

struct WalStamp {
    Stamp stamp;
    bool synced = false;   ///< the batch was written with sync, so all before it had reached the disk
};
/// The highest stamp anywhere in `bytes`, damaged or not around it.
[[nodiscard]] std::optional<WalStamp> find_last_wal_stamp(std::string_view bytes);

/// A pair of small files, written in turn, so that one is whole whatever happens. Thread safe.
class RecoveryMark {
public:
    RecoveryMark(std::shared_ptr<rocksdb::FileSystem> files, std::string directory);

    /// The newer one that is whole. `damaged` when files exist and none is whole.
    StoreStatus read(std::optional<Stamp>& stamp);
    /// Returns once the device has it.
    StoreStatus write(const Stamp& stamp);

private:
    [[nodiscard]] std::string path(std::uint64_t sequence) const;
    std::mutex mutex_;
    const std::shared_ptr<rocksdb::FileSystem> files_;
    const std::string directory_;
    std::uint64_t sequence_ = 0;
};

}  // namespace trunkline::store
