// The event loop of a generator thread: one epoll set, one big read buffer for all connections, one write per
// connection and turn.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trunkline::bench {

class Client;

/// Lives on one thread; clients belong to one loop.
class Loop {
public:
    Loop();
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    /// Sends what clients have to send, waits up to `timeout_ns` (not at all when somebody has more to send) for
    /// sockets, hands what came to their clients, and sends again.
    void turn(std::int64_t timeout_ns);

    /// Asks for the client's on_fill() and one write at the end of this turn.
    void mark_dirty(Client& client);

    /// When what is being handled now was read off the kernel, monotonic nanoseconds.
    [[nodiscard]] std::int64_t event_ns() const { return event_ns_; }

    /// Counters over all clients of the loop.
    struct Counters {
        std::uint64_t ready = 0;    // came to the ready state (CONNACK, and SUBACK where there is a subscription)
        std::uint64_t closed = 0;   // closed or failed without our asking
        std::string last_error;     // of those
    };
    Counters counters;

private:
    friend class Client;
    static constexpr std::size_t read_bytes = 256 * 1024;

    void flush_dirty();
    void ping_idle_clients();
    /// The shared read buffer with room for `kept` bytes left from before and read_bytes more.
    char* read_buffer(std::size_t kept) {
        if (buffer_.size() < kept + read_bytes) buffer_.resize(kept + read_bytes);
        return buffer_.data();
    }

    int epoll_ = -1;
    std::int64_t event_ns_ = 0;
    std::int64_t next_ping_ns_ = 0;
    std::vector<char> buffer_;
    std::vector<Client*> dirty_;
    std::vector<Client*> flushing_;
    std::vector<Client*> with_keep_alive_;
};

}  // namespace trunkline::bench
