// Hands checkpoints to witnesses on a thread of its own: a witness may block for as long as its medium does, and the
// trail must not.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "auth/audit/witness.h"
#include "broker/admin/audit_trail.h"

namespace trunkline::broker {

class AuditWitnesses {
public:
    AuditWitnesses() = default;
    ~AuditWitnesses() { stop(); }
    AuditWitnesses(const AuditWitnesses&) = delete;
    AuditWitnesses& operator=(const AuditWitnesses&) = delete;

    /// Before start().
    void add(std::unique_ptr<auth::audit::Witness> witness);
    void start();
    /// Tries what is left once more, and ends. A witness that blocks is waited for.
    void stop();
    /// A line of auth::audit::witness_line(). Thread safe, never blocks.
    void tell(std::string line);
    [[nodiscard]] std::vector<admin::AuditWitnessNumbers> numbers() const;

private:
    void run();
    void pump();

    mutable std::mutex mutex_;                       // guards what follows
    std::condition_variable wake_;
    std::vector<std::string> news_;
    std::vector<admin::AuditWitnessNumbers> numbers_;
    bool stopping_ = false;

    std::deque<auth::audit::WitnessQueue> queues_;   // of the thread
    std::thread thread_;
};

}  // namespace trunkline::broker
