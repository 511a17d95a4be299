// CPU time and memory of the broker's process, read from /proc, and CPU time of our own.
#pragma once

#include <cstdint>
#include <optional>

#include <sys/types.h>

namespace trunkline::bench {

/// CPU time that all threads of a process have used, in nanoseconds: the scheduler's own account
/// (/proc/PID/task/*/schedstat), or user and system time in clock ticks where that is missing or lower, as it is when
/// threads have ended. Nothing when the process is gone.
std::optional<std::int64_t> process_cpu_ns(pid_t pid);

/// Memory of a process in bytes.
struct ProcessMemory {
    std::uint64_t resident = 0;      // RSS
    std::uint64_t proportional = 0;  // PSS: shared pages divided among those who share them
    std::uint64_t anonymous = 0;     // heap, stacks and other pages without a file behind them
};
/// Exact, from smaps_rollup; takes milliseconds on a big process.
std::optional<ProcessMemory> process_memory(pid_t pid);
/// RSS alone, cheap enough to sample.
std::optional<std::uint64_t> process_resident(pid_t pid);

/// CPU time of this process, all threads, in nanoseconds.
std::int64_t own_cpu_ns();

/// What a run cost the broker: start() before, sample() now and then, finish() after.
class BrokerMeter {
public:
    /// `pid` 0: measures nothing.
    explicit BrokerMeter(pid_t pid) : pid_(pid) {}

    void start();
    /// Notes the peak of the resident size; at most one reading every 20 ms.
    void sample(std::int64_t now);
    void finish();

    [[nodiscard]] bool measured() const { return measured_; }
    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] std::int64_t cpu_ns() const { return cpu_end_ - cpu_start_; }
    [[nodiscard]] const ProcessMemory& before() const { return before_; }
    [[nodiscard]] const ProcessMemory& after() const { return after_; }
    [[nodiscard]] std::uint64_t peak_resident() const { return peak_; }

private:
    pid_t pid_;
    bool measured_ = false;
    std::int64_t cpu_start_ = 0;
    std::int64_t cpu_end_ = 0;
    std::int64_t next_sample_ns_ = 0;
    ProcessMemory before_;
    ProcessMemory after_;
    std::uint64_t peak_ = 0;
};

}  // namespace trunkline::bench
