// One thread of low priority for what takes long: compiling models, replaying traffic, learning.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace trunkline::admin {

class LongJobs {
public:
    static constexpr std::size_t jobs_max = 8;   ///< that wait

    LongJobs() = default;
    ~LongJobs() { stop(); }
    LongJobs(const LongJobs&) = delete;
    LongJobs& operator=(const LongJobs&) = delete;

    /// Thread safe. False: too many wait already, or it was stopped.
    [[nodiscard]] bool post(std::function<void()> job);
    /// Jobs that run long ask this now and then, and end early.
    [[nodiscard]] bool stopping() const { return stopping_; }
    /// Waits for the job that runs; those that wait are dropped.
    void stop();

private:
    void run();

    std::mutex mutex_;                           // guards what follows
    std::condition_variable wake_;
    std::deque<std::function<void()>> jobs_;
    std::thread thread_;
    std::atomic<bool> stopping_{false};
};

}  // namespace trunkline::admin
