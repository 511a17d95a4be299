// Threads that check passwords, here or at a directory, so that no shard does. Bounded in threads (hashing, each needs
// the memory of one hash) and in what waits; fair among addresses.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "auth/fair_queue.h"

namespace trunkline::auth {

/// Thread safe. Jobs must not throw. Those that wait when the pool is destroyed are run as `cancelled`.
class HashPool {
public:
    explicit HashPool(unsigned threads, FairQueueLimits limits = {});
    ~HashPool();
    HashPool(const HashPool&) = delete;
    HashPool& operator=(const HashPool&) = delete;

    /// `run(true)` is called later on a thread of the pool, `delay_ms` from now at the earliest; or `run(false)`, at
    /// the end of the pool. False: too much is waiting, and `run` is not called.
    using Job = std::function<void(bool go)>;
    [[nodiscard]] bool submit(std::string_view address, std::int64_t delay_ms, Job run);

    /// Ends the threads when their jobs have ended, and runs what waits as `run(false)`; what is submitted later is
    /// refused. Not on a thread of the pool.
    void stop();

    [[nodiscard]] std::size_t waiting() const;

private:
    void work();

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    FairQueue<Job> queue_;
    bool ending_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace trunkline::auth
