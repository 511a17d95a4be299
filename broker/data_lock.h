// One process a data folder.
#pragma once

#include <string>

namespace trunkline::broker {

/// Holds an exclusive lock on DIR/LOCK.trunkline until destroyed or until the process ends, however it ends.
class DataLock {
public:
    DataLock() = default;
    ~DataLock();
    DataLock(const DataLock&) = delete;
    DataLock& operator=(const DataLock&) = delete;

    /// Makes the folder (mode 0700) where it is missing and takes the lock. Returns "" or what is wrong and the mend.
    [[nodiscard]] std::string take(const std::string& directory);

private:
    int descriptor_ = -1;
};

}  // namespace trunkline::broker
