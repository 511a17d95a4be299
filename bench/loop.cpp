#include "bench/loop.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "bench/client.h"
#include "bench/clock.h"

namespace trunkline::bench {

Loop::Loop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    if (epoll_ < 0) throw std::runtime_error("cannot create an epoll set");
    buffer_.resize(read_bytes);
    event_ns_ = now_ns();
}

Loop::~Loop() { close(epoll_); }

void Loop::mark_dirty(Client& client) {
    if (client.dirty_) return;
    client.dirty_ = true;
    dirty_.push_back(&client);
}

void Loop::flush_dirty() {
    flushing_.swap(dirty_);
    for (std::size_t i = 0; i < flushing_.size(); ++i) {  // by index: a client that goes leaves a null behind
        Client* client = flushing_[i];
        if (!client) continue;
        client->dirty_ = false;
        client->fill_and_flush();
    }
    flushing_.clear();
}

void Loop::turn(std::int64_t timeout_ns) {
    flush_dirty();
    if (!dirty_.empty() || timeout_ns < 0) timeout_ns = 0;
    std::array<epoll_event, 512> events;
    const timespec timeout{timeout_ns / ns_per_s, timeout_ns % ns_per_s};
    const int count = epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &timeout, nullptr);
    event_ns_ = now_ns();
    for (int i = 0; i < count; ++i) {
        static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr)
            ->handle_events(events[static_cast<std::size_t>(i)].events);
    }
    if (event_ns_ >= next_ping_ns_) ping_idle_clients();
    flush_dirty();
}

void Loop::ping_idle_clients() {
    next_ping_ns_ = event_ns_ + ns_per_s;
    for (Client* client : with_keep_alive_) client->ping_if_idle(event_ns_);
}

}  // namespace trunkline::bench
