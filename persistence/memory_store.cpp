#include "persistence/memory_store.h"

namespace trunkline::store {

StoreStatus MemoryStore::write(const WriteSet& writes, bool) {
    const std::lock_guard lock(mutex_);
    if (failure_ != StoreError::none) return {failure_, "the memory store was told to fail"};
    writes.for_each([this](const WriteSet::Entry& entry) {
        auto& table = tables_[static_cast<std::size_t>(entry.table)];
        if (entry.kind == WriteSet::Kind::put) {
            table.insert_or_assign(std::string(entry.key), std::string(entry.value));
        } else if (entry.kind == WriteSet::Kind::remove) {
            if (auto at = table.find(entry.key); at != table.end()) table.erase(at);
        } else {
            table.erase(table.lower_bound(entry.key), table.lower_bound(entry.value));
        }
    });
    return {};
}

std::optional<std::string> MemoryStore::get(Table table, std::string_view key, StoreStatus*) const {
    const std::lock_guard lock(mutex_);
    const auto& rows = tables_[static_cast<std::size_t>(table)];
    const auto at = rows.find(key);
    return at == rows.end() ? std::nullopt : std::optional(at->second);
}

StoreStatus MemoryStore::scan(Table table, std::string_view prefix, std::string_view from, const Visit& visit) const {
    const std::lock_guard lock(mutex_);
    const auto& rows = tables_[static_cast<std::size_t>(table)];
    for (auto at = rows.lower_bound(std::max(prefix, from)); at != rows.end(); ++at) {
        if (!std::string_view(at->first).starts_with(prefix) || !visit(at->first, at->second)) break;
    }
    return {};
}

StoreStatus MemoryStore::resume() {
    const std::lock_guard lock(mutex_);
    return {failure_, failure_ == StoreError::none ? "" : "the memory store was told to fail"};
}

StoreStats MemoryStore::stats() const {
    const std::lock_guard lock(mutex_);
    std::uint64_t bytes = 0;
    for (const auto& rows : tables_) {
        for (const auto& [key, value] : rows) bytes += key.size() + value.size();
    }
    return {bytes, std::uint64_t{1} << 40, std::uint64_t{1} << 40};
}

MemoryStore::Tables MemoryStore::snapshot() const {
    const std::lock_guard lock(mutex_);
    return tables_;
}

void MemoryStore::fail_writes(StoreError error) {
    const std::lock_guard lock(mutex_);
    failure_ = error;
}

}  // namespace trunkline::store
