#include "broker/core/memory_pressure.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <sstream>

namespace trunkline::broker {
namespace {

constexpr std::uint64_t way_back_percent = 2;

std::string read_file(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// Where the files of one version of cgroups lie and what they are called.
struct CgroupFiles {
    std::string base;
    const char* limit;
    const char* usage;
    const char* cache_fields[2];
};

bool tighter(const MemoryUse& a, const MemoryUse& b) {
    return b.limit == 0 || static_cast<double>(a.used) / static_cast<double>(a.limit) >
                               static_cast<double>(b.used) / static_cast<double>(b.limit);
}

/// From `group` up to the root of the hierarchy. A container sees its own group as the root while /proc may name the
/// host's path: groups without files are passed over.
MemoryUse tightest_group(const CgroupFiles& files, std::string group, std::uint64_t host_total) {
    MemoryUse found;
    while (true) {
        const std::string folder = files.base + (group == "/" ? "" : group) + "/";
        const auto limit = parse_byte_count(read_file(folder + files.limit));
        const auto usage = parse_byte_count(read_file(folder + files.usage));
        if (limit && usage && *limit > 0 && (host_total == 0 || *limit < host_total)) {  // more than there is: no limit
            std::uint64_t cache = 0;
            const std::string stat = read_file(folder + "memory.stat");
            for (const char* field : files.cache_fields) cache += parse_field(stat, field).value_or(0);
            const MemoryUse use{*usage > cache ? *usage - cache : 0, *limit};
            if (tighter(use, found)) found = use;
        }
        if (group.empty() || group == "/") return found;
        group.resize(group.rfind('/'));
    }
}

}  // namespace

std::optional<std::uint64_t> parse_byte_count(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || (end != text.data() + text.size() && *end != '\n')) return std::nullopt;
    return value;
}

std::optional<std::uint64_t> parse_field(std::string_view text, std::string_view key) {
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        if (!line.starts_with(key)) continue;
        std::string_view rest = line.substr(key.size());
        const auto digit = rest.find_first_not_of(": \t");
        if (digit == 0 || digit == std::string_view::npos) continue;  // a longer key, or nothing behind it
        rest.remove_prefix(digit);
        std::uint64_t value = 0;
        if (std::from_chars(rest.data(), rest.data() + rest.size(), value).ec == std::errc()) return value;
    }
    return std::nullopt;
}

Pressure judge_memory(MemoryUse use, const Limits& limits, Pressure now) {
    if (use.limit == 0) return Pressure::none;
    const double percent = 100.0 * static_cast<double>(use.used) / static_cast<double>(use.limit);
    const auto over = [&](std::uint32_t limit, Pressure level) {
        return percent >= static_cast<double>(limit) - (now >= level ? static_cast<double>(way_back_percent) : 0.0);
    };
    if (over(limits.memory_refuse_percent, Pressure::refuse)) return Pressure::refuse;
    if (over(limits.memory_pause_percent, Pressure::pause)) return Pressure::pause;
    return Pressure::none;
}

MemoryUse read_memory_use(const std::string& root) {
    const std::uint64_t total = parse_field(read_file(root + "/proc/meminfo"), "MemTotal").value_or(0) * 1'024;
    const std::uint64_t held = parse_field(read_file(root + "/proc/self/status"), "VmRSS").value_or(0) * 1'024;
    MemoryUse use{held, total};
    std::istringstream groups(read_file(root + "/proc/self/cgroup"));
    for (std::string line; std::getline(groups, line);) {  // hierarchy:controllers:/path
        const auto first = line.find(':');
        const auto second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        const std::string path = line.substr(second + 1);
        if (!path.starts_with('/')) continue;
        MemoryUse of_group;
        if (controllers == ",,") {
            of_group = tightest_group({root + "/sys/fs/cgroup", "memory.max", "memory.current",
                                       {"inactive_file", "active_file"}}, path, total);
        } else if (controllers.find(",memory,") != std::string::npos) {
            of_group = tightest_group({root + "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                                       {"total_inactive_file", "total_active_file"}}, path, total);
        }
        if (of_group.limit != 0 && tighter(of_group, use)) use = of_group;
    }
    return use;
}

}  // namespace trunkline::broker
