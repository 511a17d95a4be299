#include "broker/resource_watch.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <unistd.h>

#include "broker/core/log.h"

using namespace trunkline::broker;

namespace {

constexpr std::uint64_t gib = std::uint64_t{1} << 30;

/// A tree of files like /proc and /sys, thrown away in the end.
class FakeSystem {
public:
    FakeSystem() {
        std::string name = (std::filesystem::temp_directory_path() / "trunkline-watch-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()));
        root = name;
    }
    ~FakeSystem() { std::filesystem::remove_all(root); }
    void write(const std::string& path, const std::string& text) const {
        const std::filesystem::path file = root + path;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << text;
    }
    std::string root;
};

std::string kib(std::uint64_t bytes) { return std::to_string(bytes / 1'024) + " kB\n"; }

/// "level event" and, of alarms, which.
struct Lines final : LogSink {
    std::vector<std::string> events;
    void write(Level level, std::string_view event, std::initializer_list<LogField> fields) override {
        std::string line = std::string(level_name(level)) + " " + std::string(event);
        for (const auto& [name, value] : fields) {
            if (name == "alarm") line += " " + std::string(value);
        }
        events.push_back(std::move(line));
    }
};

}  // namespace

TEST_CASE("memory is measured against the tightest of host and cgroups", "[config][limits]") {
    const FakeSystem system;
    const auto check = [&](std::uint64_t used, std::uint64_t limit) {
        const MemoryUse use = read_memory_use(system.root);
        CHECK(use.used == used);
        CHECK(use.limit == limit);
    };
    check(0, 0);   // neither
    system.write("/proc/meminfo", "MemTotal: " + kib(16 * gib) + "MemFree: 1 kB\n");
    system.write("/proc/self/status", "Name: x\nVmRSS:\t" + kib(gib));
    check(gib, 16 * gib);
    system.write("/proc/self/cgroup", "0::/system.slice/trunkline.service\n");
    const std::string slice = "/sys/fs/cgroup/system.slice", service = slice + "/trunkline.service";
    system.write(service + "/memory.max", "max\n");
    system.write(service + "/memory.current", std::to_string(3 * gib));
    check(gib, 16 * gib);
    system.write(service + "/memory.max", std::to_string(4 * gib) + "\n");
    check(3 * gib, 4 * gib);
    system.write(service + "/memory.stat", "anon 1\nfile 9\ninactive_file " + std::to_string(gib) + "\n");
    check(2 * gib, 4 * gib);   // the page cache is the kernel's to take back
    system.write(slice + "/memory.max", std::to_string(5 * gib));
    system.write(slice + "/memory.current", std::to_string(4 * gib));
    check(4 * gib, 5 * gib);   // the slice is nearer its end
    system.write("/proc/self/cgroup", "7:cpu,memory:/docker/abc\n1:name=systemd:/\n");
    const std::string v1 = "/sys/fs/cgroup/memory";
    system.write(v1 + "/memory.limit_in_bytes", "9223372036854771712\n");
    system.write(v1 + "/memory.usage_in_bytes", std::to_string(2 * gib) + "\n");
    check(gib, 16 * gib);      // version 1 without a limit
    system.write(v1 + "/memory.limit_in_bytes", std::to_string(2 * gib) + "\n");
    system.write(v1 + "/memory.stat", "total_inactive_file 1024\ntotal_active_file 1024\n");
    check(2 * gib - 2'048, 2 * gib);   // in a container: its own group is the root
}

TEST_CASE("the running system's memory can be read", "[config][limits]") {
    const MemoryUse use = read_memory_use();
    CHECK(use.used > 0);
    CHECK(use.limit > use.used);
}

TEST_CASE("alarms are raised at their limits, logged once and again while they last, and end", "[config][limits]") {
    Config config;   // disk_warn_percent 15, memory_pause_percent 70, memory_refuse_percent 85
    Broker broker(config, 1, [](std::uint32_t) {});
    ResourceWatch watch(broker);
    Lines lines;
    set_log_sink(&lines);
    watch.look({}, 0);   // nothing is known
    watch.look({{69, 100}, 15, 100}, 250);
    CHECK(lines.events.empty());
    CHECK_FALSE(watch.disk_alarm());
    CHECK_FALSE(watch.memory_alarm());
    watch.look({{69, 100}, 14, 100}, 500);
    watch.look({{69, 100}, 14, 100}, 750);
    CHECK(watch.disk_alarm());
    CHECK(lines.events == std::vector<std::string>{"warn alarm disk"});
    watch.look({{69, 100}, 14, 100}, 500 + ResourceWatch::repeat_ms);
    CHECK(lines.events.size() == 2);
    lines.events.clear();
    watch.look({{90, 100}, 20, 100}, 700'000);
    CHECK(broker.memory_pressure() == Pressure::refuse);
    CHECK(watch.memory_alarm());
    CHECK_FALSE(watch.disk_alarm());
    watch.look({{75, 100}, 20, 100}, 700'250);
    CHECK(broker.memory_pressure() == Pressure::pause);
    CHECK(watch.memory_alarm());
    watch.look({{10, 100}, 20, 100}, 700'500);
    CHECK(broker.memory_pressure() == Pressure::none);
    CHECK_FALSE(watch.memory_alarm());
    CHECK(lines.events == std::vector<std::string>{"warn memory_pressure", "warn alarm memory", "info alarm_ended disk",
                                                   "info memory_pressure", "info memory_pressure",
                                                   "info alarm_ended memory"});
    set_log_sink(nullptr);
}
