#include "auth/hash_pool.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <limits>

namespace trunkline::auth {
namespace {

std::int64_t steady_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

}  // namespace

HashPool::HashPool(unsigned threads, FairQueueLimits limits) : queue_(limits) {
    for (unsigned i = 0; i < std::max(threads, 1U); ++i) threads_.emplace_back([this] { work(); });
}

HashPool::~HashPool() { stop(); }

void HashPool::stop() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) {
        if (thread.joinable()) thread.join();
    }
    std::vector<Job> waiting;   // taken first: whoever is told may submit again
    {
        const std::lock_guard lock(mutex_);
        while (auto job = queue_.pop(std::numeric_limits<std::int64_t>::max())) waiting.push_back(std::move(*job));
    }
    for (const Job& job : waiting) job(false);
}

bool HashPool::submit(std::string_view address, std::int64_t delay_ms, Job run) {
    {
        const std::lock_guard lock(mutex_);
        const std::int64_t now = steady_ms();
        if (ending_ || !queue_.push(address, now + delay_ms, now, run)) return false;
    }
    wake_.notify_one();
    return true;
}

std::size_t HashPool::waiting() const {
    const std::lock_guard lock(mutex_);
    return queue_.size();
}

void HashPool::work() {
    // Behind whoever serves clients that are in already. Linux knows priorities by thread.
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 10);
    std::unique_lock lock(mutex_);
    while (!ending_) {
        const std::int64_t now = steady_ms();
        if (auto job = queue_.pop(now)) {
            lock.unlock();
            (*job)(true);
            job.reset();
            lock.lock();
        } else if (const auto due = queue_.next_due_ms()) {
            wake_.wait_for(lock, std::chrono::milliseconds(*due - now));
        } else {
            wake_.wait(lock);
        }
    }
}

}  // namespace trunkline::auth
