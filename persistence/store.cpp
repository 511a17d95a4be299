#include "persistence/store.h"

#include <cassert>

namespace trunkline::store {

const char* table_name(Table table) {
    static constexpr const char* names[table_count] = {"meta",          "log",      "queues",  "sessions",
                                                       "cursors",       "subscriptions", "retained", "inbound",
                                                       "quarantine",    "history",  "models",  "audit"};
    return names[static_cast<std::size_t>(table)];
}

StoreStatus Store::checkpoint(const std::string& directory) {
    return {StoreError::failed, directory + ": this store keeps nothing on a disk"};
}

void WriteSet::put(Table table, std::string_view key, std::string_view value) { add(Kind::put, table, key, value); }

void WriteSet::put_shared(Table table, std::string_view key, std::shared_ptr<const std::string> value) {
    add(Kind::put, table, key, {});
    slots_.back().shared = static_cast<std::int32_t>(shared_.size());
    shared_bytes_ += value->size();
    shared_.push_back(std::move(value));
}

void WriteSet::remove(Table table, std::string_view key) { add(Kind::remove, table, key, {}); }

void WriteSet::remove_range(Table table, std::string_view from, std::string_view to) {
    assert(from < to);
    add(Kind::remove_range, table, from, to);
}

void WriteSet::clear() {
    slots_.clear();
    bytes_.clear();
    shared_.clear();
    shared_bytes_ = 0;
    stamp = {};
}

WriteSet::Entry WriteSet::entry(const Slot& slot) const {
    const std::string_view all = bytes_;
    return {slot.kind, slot.table, all.substr(slot.at, slot.key_size),
            slot.shared >= 0 ? std::string_view(*shared_[static_cast<std::size_t>(slot.shared)])
                             : all.substr(slot.at + slot.key_size, slot.value_size)};
}

void WriteSet::add(Kind kind, Table table, std::string_view key, std::string_view value) {
    slots_.push_back({kind, table, static_cast<std::uint32_t>(key.size()), static_cast<std::uint32_t>(value.size()),
                      bytes_.size()});
    bytes_.append(key).append(value);
}

}  // namespace trunkline::store
