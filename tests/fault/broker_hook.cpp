// Linked into trunkline_fault, the broker as it is with the fault layer under its store: TRUNKLINE_FAULTS says which.
#include "persistence/rocksdb_store.h"
#include "tests/fault/fault_files.h"

namespace {

const bool hooked = [] {
    auto faults = trunkline::fault::faults_from_environment();
    if (!faults) return false;
    trunkline::store::RocksDbStore::wrap_all_files([faults](std::shared_ptr<rocksdb::FileSystem> base) {
        return trunkline::fault::wrap_files(std::move(base), faults);
    });
    return true;
}();

}  // namespace
