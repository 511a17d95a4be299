// A store in memory: for tests, for the simulator (snapshots are what a disk would hold) and for brokers without data.
#pragma once

#include <array>
#include <map>
#include <mutex>

#include "persistence/store.h"

namespace trunkline::store {

/// Thread safe.
class MemoryStore final : public Store {
public:
    using Tables = std::array<std::map<std::string, std::string, std::less<>>, table_count>;

    MemoryStore() = default;
    explicit MemoryStore(Tables tables) : tables_(std::move(tables)) {}

    StoreStatus write(const WriteSet& writes, bool sync) override;
    [[nodiscard]] std::optional<std::string> get(Table table, std::string_view key, StoreStatus* status) const override;
    StoreStatus scan(Table table, std::string_view prefix, std::string_view from, const Visit& visit) const override;
    void mark(const Stamp&, bool) override {}
    StoreStatus resume() override;
    [[nodiscard]] StoreStats stats() const override;

    /// A copy of everything: the disk at this moment.
    [[nodiscard]] Tables snapshot() const;
    /// Writes fail with this until it is set to none.
    void fail_writes(StoreError error);

private:
    mutable std::mutex mutex_;
    Tables tables_;
    StoreError failure_ = StoreError::none;
};

}  // namespace trunkline::store
