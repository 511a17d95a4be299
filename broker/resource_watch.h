// Memory and disk against their limits: tells the broker of memory pressure, raises alarms in the log and for
// administration. Owned by Daemon; look() on its thread, the rest from any.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "broker/core/broker.h"
#include "broker/core/memory_pressure.h"

namespace trunkline::broker {

class ResourceWatch {
public:
    static constexpr std::int64_t interval_ms = 250;        ///< between looks
    static constexpr std::int64_t repeat_ms = 600'000;      ///< an alarm that lasts is logged again after this

    /// What one look sees. Sizes in bytes; a size or limit of 0 is not known and raises nothing.
    struct Seen {
        MemoryUse memory;
        std::uint64_t disk_free = 0, disk_size = 0;
    };

    explicit ResourceWatch(Broker& broker) : broker_(broker) {}

    /// `now_ms` is monotonic. What the allocator keeps is given back to the system while memory is short, or the
    /// pressure would outlast its cause.
    void look(const Seen& seen, std::int64_t now_ms);
    [[nodiscard]] bool memory_alarm() const { return memory_.on.load(std::memory_order_relaxed); }
    [[nodiscard]] bool disk_alarm() const { return disk_.on.load(std::memory_order_relaxed); }

private:
    struct Alarm {
        std::atomic<bool> on{false};
        std::int64_t logged_ms = 0;
    };
    static void set(Alarm& alarm, bool on, const char* name, const std::string& detail, std::int64_t now_ms);

    Broker& broker_;
    Alarm memory_, disk_;
};

}  // namespace trunkline::broker
