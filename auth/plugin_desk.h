// What the parts of the plugin host share: internal.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "auth/plugin_host.h"

namespace trunkline::auth {

/// Where a plugin's threads hand in their answers. It is never freed (keep()): a thread of a plugin that does not end
/// may come at any time, also when the Plugin is gone.
struct Plugin::Desk {
    struct Waiting {
        std::uint64_t deadline_ns;
        Done done;
    };
    std::mutex mutex;
    std::map<std::uint64_t, Waiting> waiting;  ///< by ticket
    std::uint64_t next_ticket = 1;
    std::size_t answering = 0;                 ///< calls of threads of the plugin that are under way in the broker
    std::condition_variable answered;          ///< there is one less
    bool closed = false;
    Log log;
    PluginCounters counters;
    tl_host host{};

    /// The login's callback, which is then nobody else's; empty when the ticket is unknown or answered.
    Done take(std::uint64_t ticket) {
        const std::lock_guard lock(mutex);
        const auto found = waiting.find(ticket);
        if (found == waiting.end()) return {};
        Done done = std::move(found->second.done);
        waiting.erase(found);
        ++answering;
        return done;
    }
    /// After the call of what take() gave.
    void end_answer() {
        const std::lock_guard lock(mutex);
        --answering;
        answered.notify_all();
    }
    void say(int level, std::string_view line) {
        Log to;
        {
            const std::lock_guard lock(mutex);
            if (!closed) to = log;
        }
        if (to) to(level, line);
    }
    static void keep(std::shared_ptr<Desk> desk) {
        static std::mutex guard;
        static auto* kept = new std::vector<std::shared_ptr<Desk>>;
        const std::lock_guard lock(guard);
        kept->push_back(std::move(desk));
    }
    static void on_log(void* context, std::int32_t level, tl_text line);
    static void on_complete(void* context, std::uint64_t ticket, const tl_authenticated* answer);
};

}  // namespace trunkline::auth
