// Jobs by the address they come from: each address that has any gets its turn, so that one that floods delays itself.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace trunkline::auth {

struct FairQueueLimits {
    std::size_t jobs_max = 20'000;
    std::size_t delayed_per_address_max = 16;   ///< that have to wait for their time
};

/// Not thread safe. Times are milliseconds of any one clock.
template <class Job>
class FairQueue {
public:
    explicit FairQueue(FairQueueLimits limits = {}) : limits_(limits) {}

    /// False: too many are waiting; `job` is untouched. It comes out at `not_before_ms` or later.
    [[nodiscard]] bool push(std::string_view address, std::int64_t not_before_ms, std::int64_t now_ms, Job& job) {
        if (size_ >= limits_.jobs_max) return false;
        auto& line = lines_[std::string(address)];
        if (not_before_ms > now_ms) {
            if (line.delayed >= limits_.delayed_per_address_max) return false;
            ++line.delayed;
            delayed_.push_back({not_before_ms, next_++, std::string(address), std::move(job)});
            std::push_heap(delayed_.begin(), delayed_.end(), later);
        } else {
            enqueue(std::string(address), line, std::move(job));
        }
        ++size_;
        return true;
    }

    /// The next job whose time has come, or nullopt.
    [[nodiscard]] std::optional<Job> pop(std::int64_t now_ms) {
        while (!delayed_.empty() && delayed_.front().due_ms <= now_ms) {
            std::pop_heap(delayed_.begin(), delayed_.end(), later);
            Delayed ready = std::move(delayed_.back());
            delayed_.pop_back();
            auto& line = lines_[ready.address];
            --line.delayed;
            enqueue(ready.address, line, std::move(ready.job));
        }
        if (turns_.empty()) return std::nullopt;
        const std::string address = std::move(turns_.front());
        turns_.pop_front();
        const auto at = lines_.find(address);
        std::optional<Job> job(std::move(at->second.ready.front()));
        at->second.ready.pop_front();
        if (!at->second.ready.empty()) turns_.push_back(address);
        else if (at->second.delayed == 0) lines_.erase(at);
        --size_;
        return job;
    }

    /// When the next delayed job is due, or nullopt when none is delayed.
    [[nodiscard]] std::optional<std::int64_t> next_due_ms() const {
        if (delayed_.empty()) return std::nullopt;
        return delayed_.front().due_ms;
    }
    [[nodiscard]] std::size_t size() const { return size_; }

private:
    struct Line {
        std::deque<Job> ready;
        std::size_t delayed = 0;
    };
    struct Delayed {
        std::int64_t due_ms;
        std::uint64_t number;
        std::string address;
        Job job;
    };
    static bool later(const Delayed& a, const Delayed& b) {
        return a.due_ms != b.due_ms ? a.due_ms > b.due_ms : a.number > b.number;
    }
    void enqueue(const std::string& address, Line& line, Job&& job) {
        if (line.ready.empty()) turns_.push_back(address);
        line.ready.push_back(std::move(job));
    }

    FairQueueLimits limits_;
    std::unordered_map<std::string, Line> lines_;
    std::deque<std::string> turns_;     // addresses with ready jobs, each once
    std::vector<Delayed> delayed_;      // a heap, the next due in front
    std::uint64_t next_ = 0;
    std::size_t size_ = 0;
};

}  // namespace trunkline::auth
