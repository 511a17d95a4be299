#include "broker/resource_watch.h"

#include "broker/core/log.h"

namespace trunkline::broker {
namespace {

std::string in_mib(std::uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

const char* consequence(Pressure pressure) {
    switch (pressure) {
        case Pressure::none: return "none";
        case Pressure::pause: return "clients that publish are not read from";
        case Pressure::refuse: return "new clients are refused, publishers wait, QoS 0 is dropped for slow clients";
    }
    return "";
}

}  // namespace

void ResourceWatch::set(Alarm& alarm, bool on, const char* name, const std::string& detail, std::int64_t now_ms) {
    const bool was = alarm.on.exchange(on, std::memory_order_relaxed);
    if (!on && was) log(Level::info, "alarm_ended", {{"alarm", name}, {"detail", detail}});
    if (!on || (was && now_ms - alarm.logged_ms < repeat_ms)) return;
    alarm.logged_ms = now_ms;
    log(Level::warn, "alarm", {{"alarm", name}, {"detail", detail}});
}

void ResourceWatch::look(const Seen& seen, std::int64_t now_ms) {
    const Limits& limits = broker_.config().limits;
    const Pressure before = broker_.memory_pressure();
    const Pressure pressure = judge_memory(seen.memory, limits, before);
    const std::string memory = in_mib(seen.memory.used) + " of " + in_mib(seen.memory.limit) + " in use";
    if (pressure != before) {
        broker_.set_memory_pressure(pressure);
        log(pressure > before ? Level::warn : Level::info, "memory_pressure",
            {{"detail", memory}, {"consequence", consequence(pressure)}});
    }
    set(memory_, pressure != Pressure::none, "memory", memory, now_ms);
    const double free_percent = seen.disk_size == 0 ? 100.0 : 100.0 * static_cast<double>(seen.disk_free) /
                                                                   static_cast<double>(seen.disk_size);
    set(disk_, seen.disk_size != 0 && free_percent < limits.disk_warn_percent, "disk",
        in_mib(seen.disk_free) + " of " + in_mib(seen.disk_size) + " free where the store is", now_ms);
}

}  // namespace trunkline::broker
