#include "broker/admin/process_stats.h"

#include <sys/resource.h>
#include <sys/time.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace trunkline::admin {

ProcessStats process_stats() {
    ProcessStats stats;
    rusage usage{};
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        const auto seconds = [](const timeval& time) {
            return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
        };
        stats.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    }
    std::ifstream status("/proc/self/status");
    for (std::string key; status >> key;) {
        if (key == "VmRSS:") status >> stats.resident_bytes;
        else if (key == "VmHWM:") status >> stats.peak_resident_bytes;
        else if (key == "VmSize:") status >> stats.virtual_bytes;
        else if (key == "Threads:") status >> stats.threads;
        status.ignore(4'096, '\n');
    }
    stats.resident_bytes *= 1'024;
    stats.peak_resident_bytes *= 1'024;
    stats.virtual_bytes *= 1'024;
    std::error_code error;
    const std::filesystem::directory_iterator descriptors("/proc/self/fd", error);
    if (!error) stats.open_descriptors = static_cast<std::uint64_t>(std::distance(begin(descriptors), end(descriptors)));
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) stats.max_descriptors = limit.rlim_cur;
    return stats;
}

}  // namespace trunkline::admin
