// The roles file that is in force: readers take a snapshot, a reload swaps it or keeps it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "auth/access.h"
#include "namespace/problem.h"

namespace trunkline::auth {

/// Thread safe. Until something good was loaded, everybody is denied everything.
class AccessStore {
public:
    AccessStore();

    /// Never null.
    [[nodiscard]] std::shared_ptr<const Access> current() const;
    /// Generation of current(), cheap: compare before each use of what was computed from a snapshot.
    [[nodiscard]] std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

    struct Outcome {
        bool taken = false;                ///< false: what was in force still is
        std::vector<Problem> problems;
        std::vector<Problem> warnings;
    };
    /// Takes a roles file from memory; `name` is how messages call it.
    [[nodiscard]] Outcome load(std::string_view text, const std::string& name);
    /// The same from disk. A file that others may write is refused; one that others may read is warned about when it
    /// holds password hashes.
    [[nodiscard]] Outcome load_file(const std::string& path);

private:
    mutable std::mutex mutex_;
    std::shared_ptr<const Access> current_;
    std::atomic<std::uint64_t> generation_{1};
};

}  // namespace trunkline::auth
