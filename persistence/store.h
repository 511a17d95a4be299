// Where durable state is kept: ordered tables of bytes, changed by atomic sets of writes. The state machine and the log
// see this interface; RocksDbStore and MemoryStore implement it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "persistence/record.h"

namespace trunkline::store {

/// persistence/README.md has the keys and values of each. The order is part of the format.
enum class Table : std::uint8_t {
    meta, log, queues, sessions, cursors, subscriptions, retained, inbound, quarantine, history, models, audit,
};
inline constexpr std::size_t table_count = 12;
[[nodiscard]] const char* table_name(Table table);

enum class StoreError : std::uint8_t {
    none,
    no_space,     ///< nothing was written; resume() once there is room
    sync_failed,  ///< what was written is in doubt: acknowledge nothing, end the process
    damaged,      ///< bytes on disk are not what was written, or something that was written is missing
    version,      ///< written by a version that this one doesn't know
    locked,       ///< another process has the store open
    failed,       ///< anything else: permissions, I/O error on reading
};

struct [[nodiscard]] StoreStatus {
    StoreError error = StoreError::none;
    std::string detail;   ///< what, where, and where possible the mend
    [[nodiscard]] bool ok() const { return error == StoreError::none; }
};

/// Identifies a batch in the log; kept in the store and beside it (the recovery mark).
struct Stamp {
    std::uint64_t epoch = 0;
    Position position = 0;
    std::uint64_t hash = 0;   ///< chained over all batches up to this one
    bool operator==(const Stamp&) const = default;
};

/// Changes that happen together or not at all, in order. Small values are copied; put_shared() keeps a reference, so
/// that a chunk is copied once, into the store's own buffer. Reusable after clear(). Not thread safe.
class WriteSet {
public:
    enum class Kind : std::uint8_t { put, remove, remove_range };
    struct Entry {
        Kind kind;
        Table table;
        std::string_view key, value;   ///< remove_range: from `key` up to but not including `value`
    };

    void put(Table table, std::string_view key, std::string_view value);
    void put_shared(Table table, std::string_view key, std::shared_ptr<const std::string> value);
    /// A key of `log` is put once and removed once; the store relies on it.
    void remove(Table table, std::string_view key);
    void remove_range(Table table, std::string_view from, std::string_view to);

    [[nodiscard]] bool empty() const { return slots_.empty(); }
    [[nodiscard]] std::size_t size() const { return slots_.size(); }
    [[nodiscard]] std::size_t bytes() const { return bytes_.size() + shared_bytes_; }
    void clear();

    /// The stamp of the batch that these writes are the outcome of; position 0: none.
    Stamp stamp;

    template <class Visit>
    void for_each(Visit&& visit) const {
        for (const Slot& slot : slots_) visit(entry(slot));
    }

private:
    struct Slot {
        Kind kind;
        Table table;
        std::uint32_t key_size;
        std::uint32_t value_size;
        std::size_t at;                        // of the key in bytes_, then the value unless it is shared
        std::int32_t shared = -1;              // index in shared_
    };
    [[nodiscard]] Entry entry(const Slot& slot) const;
    void add(Kind kind, Table table, std::string_view key, std::string_view value);

    std::vector<Slot> slots_;
    std::string bytes_;
    std::vector<std::shared_ptr<const std::string>> shared_;
    std::size_t shared_bytes_ = 0;
};

struct StoreStats {
    std::uint64_t bytes_on_disk = 0;
    std::uint64_t disk_free = 0;    ///< bytes an unprivileged process may still write
    std::uint64_t disk_size = 0;
};

/// Used from one thread; stats() and checkpoint() from any.
class Store {
public:
    virtual ~Store() = default;

    /// All of `writes` or nothing. With `sync` it returns once the device has it.
    virtual StoreStatus write(const WriteSet& writes, bool sync) = 0;

    /// nullopt when absent. Damage is reported through `status`, which may be null for callers that treat it as absent.
    [[nodiscard]] virtual std::optional<std::string> get(Table table, std::string_view key,
                                                         StoreStatus* status) const = 0;

    /// Visits keys from `from` (at least) that start with `prefix`, in order, until `visit` says false.
    using Visit = std::function<bool(std::string_view key, std::string_view value)>;
    virtual StoreStatus scan(Table table, std::string_view prefix, std::string_view from, const Visit& visit) const = 0;

    /// Remembers outside the write-ahead log that everything up to `stamp` is durable, so that a later opening can
    /// tell loss from a torn tail. Asynchronous and coalesced unless `now`.
    virtual void mark(const Stamp& stamp, bool now) = 0;

    /// After no_space: tries to take writes again. The write that failed may be there afterwards: load again, or repeat
    /// exactly that one.
    virtual StoreStatus resume() = 0;

    [[nodiscard]] virtual StoreStats stats() const = 0;

    /// Makes `directory`, which does not exist yet, a store of its own that holds every write up to one moment between
    /// the call and its return; others may write meanwhile. On the same disk files are linked and not copied. What was
    /// made so far is removed when it fails.
    virtual StoreStatus checkpoint(const std::string& directory);
};

}  // namespace trunkline::store
