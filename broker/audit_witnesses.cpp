#include "broker/audit_witnesses.h"

#include <chrono>

#include "broker/core/log.h"
#include "broker/steady_time.h"

namespace trunkline::broker {
namespace {

constexpr std::chrono::milliseconds turn{500};

}  // namespace

void AuditWitnesses::add(std::unique_ptr<auth::audit::Witness> witness) {
    queues_.emplace_back(std::move(witness));
    numbers_.push_back({queues_.back().name(), 0, 0, 0, {}});
}

void AuditWitnesses::start() {
    if (!queues_.empty()) thread_ = std::thread([this] { run(); });
}

void AuditWitnesses::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void AuditWitnesses::tell(std::string line) {
    if (queues_.empty()) return;
    {
        const std::lock_guard lock(mutex_);
        if (news_.size() >= auth::audit::WitnessQueue::lines_max) news_.erase(news_.begin());
        news_.push_back(std::move(line));
    }
    wake_.notify_one();
}

std::vector<admin::AuditWitnessNumbers> AuditWitnesses::numbers() const {
    const std::lock_guard lock(mutex_);
    return numbers_;
}

void AuditWitnesses::run() {
    for (bool last = false; !last;) {
        std::vector<std::string> news;
        {
            std::unique_lock lock(mutex_);
            wake_.wait_for(lock, turn, [this] { return stopping_ || !news_.empty(); });
            news.swap(news_);
            last = stopping_;
        }
        for (const std::string& line : news) {
            for (auto& queue : queues_) queue.add(line);
        }
        pump();
    }
}

void AuditWitnesses::pump() {
    std::vector<admin::AuditWitnessNumbers> numbers;
    for (auto& queue : queues_) {
        const std::string before = queue.last_error();
        queue.pump(steady_ns());
        if (!queue.last_error().empty() && before.empty()) {
            log(Level::error, "audit_witness_failed", {{"witness", queue.name()}, {"what", queue.last_error()}});
        } else if (queue.last_error().empty() && !before.empty()) {
            log(Level::info, "audit_witness_recovered", {{"witness", queue.name()}});
        }
        numbers.push_back({queue.name(), queue.delivered(), queue.waiting(), queue.dropped(), queue.last_error()});
    }
    const std::lock_guard lock(mutex_);
    numbers_ = std::move(numbers);
}

}  // namespace trunkline::broker
