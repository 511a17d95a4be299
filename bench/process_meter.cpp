#include "bench/process_meter.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "bench/clock.h"

namespace trunkline::bench {

namespace {

std::string process_path(pid_t pid, const char* name) { return "/proc/" + std::to_string(pid) + "/" + name; }

std::int64_t scheduler_ns(pid_t pid) {
    const std::string tasks = process_path(pid, "task");
    DIR* directory = opendir(tasks.c_str());
    if (!directory) return 0;
    std::int64_t total = 0;
    while (const dirent* entry = readdir(directory)) {
        if (entry->d_name[0] == '.') continue;
        std::ifstream file(tasks + "/" + entry->d_name + "/schedstat");
        std::int64_t on_cpu = 0;
        if (file >> on_cpu) total += on_cpu;
    }
    closedir(directory);
    return total;
}

std::int64_t tick_ns(pid_t pid) {
    std::ifstream file(process_path(pid, "stat"));
    std::string line;
    if (!std::getline(file, line)) return -1;
    const auto name_end = line.rfind(')');  // the command's name may hold spaces and parentheses
    if (name_end == std::string::npos) return -1;
    std::istringstream fields(line.substr(name_end + 1));
    std::string skipped;
    for (int field = 3; field <= 13; ++field) fields >> skipped;
    std::int64_t user = 0;
    std::int64_t system = 0;
    fields >> user >> system;
    return (user + system) * (ns_per_s / sysconf(_SC_CLK_TCK));
}

}  // namespace

std::optional<std::int64_t> process_cpu_ns(pid_t pid) {
    const std::int64_t ticks = tick_ns(pid);
    if (ticks < 0) return std::nullopt;
    const std::int64_t precise = scheduler_ns(pid);
    const std::int64_t tick_error = 50 * ns_per_ms;  // the two accounts differ by rounding of ticks
    return precise > 0 && precise + tick_error >= ticks ? precise : ticks;
}

std::optional<ProcessMemory> process_memory(pid_t pid) {
    std::ifstream file(process_path(pid, "smaps_rollup"));
    ProcessMemory memory;
    bool found = false;
    std::string line;
    while (std::getline(file, line)) {
        std::istringstream fields(line);
        std::string name;
        std::uint64_t kib = 0;
        if (!(fields >> name >> kib)) continue;
        if (name == "Rss:") memory.resident = kib * 1024;
        if (name == "Pss:") memory.proportional = kib * 1024;
        if (name == "Anonymous:") memory.anonymous = kib * 1024;
        found = found || name == "Rss:";
    }
    if (found) return memory;
    const auto resident = process_resident(pid);  // smaps is readable by the owner only
    if (!resident) return std::nullopt;
    return ProcessMemory{*resident, *resident, *resident};
}

std::optional<std::uint64_t> process_resident(pid_t pid) {
    std::ifstream file(process_path(pid, "statm"));
    std::uint64_t size = 0;
    std::uint64_t resident = 0;
    if (!(file >> size >> resident)) return std::nullopt;
    return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::int64_t own_cpu_ns() { return read_clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

void BrokerMeter::start() {
    if (pid_ == 0) return;
    const auto memory = process_memory(pid_);
    const auto cpu = process_cpu_ns(pid_);
    measured_ = memory && cpu;
    if (!measured_) return;
    before_ = after_ = *memory;
    peak_ = before_.resident;
    cpu_start_ = cpu_end_ = *cpu;
}

void BrokerMeter::sample(std::int64_t now) {
    if (!measured_ || now < next_sample_ns_) return;
    next_sample_ns_ = now + 20 * ns_per_ms;
    if (const auto resident = process_resident(pid_)) peak_ = std::max(peak_, *resident);
}

void BrokerMeter::finish() {
    if (!measured_) return;
    const auto cpu = process_cpu_ns(pid_);
    const auto memory = process_memory(pid_);
    measured_ = memory && cpu;
    if (!measured_) return;
    cpu_end_ = *cpu;
    after_ = *memory;
    peak_ = std::max(peak_, after_.resident);
}

}  // namespace trunkline::bench
