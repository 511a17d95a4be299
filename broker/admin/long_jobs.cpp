#include "broker/admin/long_jobs.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <exception>

#include "broker/core/log.h"

namespace trunkline::admin {
namespace {

constexpr int niceness = 10;

}  // namespace

bool LongJobs::post(std::function<void()> job) {
    const std::lock_guard lock(mutex_);
    if (stopping_ || jobs_.size() >= jobs_max) return false;
    jobs_.push_back(std::move(job));
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    wake_.notify_one();
    return true;
}

void LongJobs::stop() {
    std::deque<std::function<void()>> dropped;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        dropped.swap(jobs_);
        wake_.notify_one();
    }
    if (thread_.joinable()) thread_.join();
}

void LongJobs::run() {
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), niceness);   // of this thread, on Linux
    while (true) {
        std::function<void()> job;
        {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
            if (stopping_) return;
            job = std::move(jobs_.front());
            jobs_.pop_front();
        }
        try {
            job();
        } catch (const std::exception& error) {   // out of memory: one request fails, not the broker
            broker::log(broker::Level::error, "admin_job_failed", {{"what", error.what()}});
        }
    }
}

}  // namespace trunkline::admin
