// What a store at rest holds, in figures that two copies of it share: for backups. Reads, and changes nothing on disk.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include "persistence/store.h"

namespace trunkline::store {

struct TableSummary {
    std::uint64_t keys = 0;
    std::uint64_t bytes = 0;   ///< of keys and values
    std::uint64_t hash = 0;    ///< xxh3-64, chained over all keys and values in their order
    bool operator==(const TableSummary&) const = default;
};

struct StoreSummary {
    Stamp stamp;                                  ///< of the last batch; position 0: none yet
    std::int64_t time_ms = 0;                     ///< of that batch, since 1970
    std::array<TableSummary, table_count> tables;
    bool operator==(const StoreSummary&) const = default;
};

/// Reads the whole store in `directory`, which nobody has open, checking every block. `go_on` is asked now and then
/// with the bytes so far; false ends it with an error.
StoreStatus summarise(const std::string& directory, StoreSummary& summary,
                      const std::function<bool(std::uint64_t bytes)>& go_on = {});
/// The stamp and its time alone.
StoreStatus summarise_stamp(const std::string& directory, StoreSummary& summary);

}  // namespace trunkline::store
