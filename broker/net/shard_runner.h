// The loop of one shard: one thread that waits for sockets, mail and time, and drives the shard with what happened.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "broker/core/limits.h"
#include "broker/net/admission.h"
#include "broker/net/connection.h"
#include "broker/net/shard_wakers.h"

namespace trunkline::net {

class Listener;
class WebSocketContext;

/// A socket on its way from the acceptor to its shard.
struct AcceptedSocket {
    int descriptor = -1;
    broker::PeerAddress peer;
    Listener* listener = nullptr;
    std::int64_t arrival_ns = 0;   ///< steady
};

/// Lives as long as its NetServer. run() is the shard's thread; what is not marked "any thread" belongs to it.
class ShardRunner {
public:
    /// Lists by what a connection's deadline is; each is in order of its deadlines, as all of a kind get the same time.
    enum class Phase : std::uint8_t { handshaking, open, draining, lingering };

    ShardRunner(broker::ShardApi& shard, std::uint32_t index, ShardWakers& wakers, Admission& admission,
                const broker::Limits& limits);
    ~ShardRunner();
    ShardRunner(const ShardRunner&) = delete;
    ShardRunner& operator=(const ShardRunner&) = delete;

    /// Any thread: the loop, until stop() was called and its connections are gone.
    void run();

    /// Any thread.
    void adopt(const AcceptedSocket& socket);
    /// The same on the shard's own thread, without the detour.
    void adopt_here(const AcceptedSocket& socket);
    /// Any thread: `task` runs on the shard's thread soon.
    void post(std::function<void()> task);
    /// Any thread: closes what is open (the shard hears of it), lets goodbyes leave for a moment, ends run().
    void stop();
    /// Any thread: sockets given to this runner and not closed yet.
    [[nodiscard]] std::uint32_t load() const { return load_.load(std::memory_order_relaxed); }

    /// Watches a descriptor of somebody else's, level-triggered for reading. unwatch() before it is closed.
    void watch(int descriptor, EventSource& source);
    void unwatch(int descriptor);
    /// Calls `task` with every tick.
    void on_each_tick(std::function<void(std::int64_t now_ms)> task) { tick_task_ = std::move(task); }

    // For connections
    [[nodiscard]] broker::ShardApi& shard() { return shard_; }
    /// The one big buffer to read into; its content is gone with the next read of any connection.
    [[nodiscard]] std::span<char> read_buffer() { return {read_buffer_.get(), read_buffer_bytes}; }
    [[nodiscard]] std::int64_t now_ms() const { return now_.steady_ms; }
    [[nodiscard]] bool admit(Listener& listener, const broker::PeerAddress& peer);
    void connect_failed(const broker::PeerAddress& peer) { admission_.failed(peer, now_.steady_ms); }
    /// Moves the connection to the list of a phase; returns its deadline there, steady milliseconds, 0: none.
    std::int64_t enter(Connection& connection, Phase phase);
    /// proceed() is called once more: in the next turn of the loop, a newcomer's when its turn in the line comes.
    void schedule(Connection& connection);
    /// The connection is dead: it is deleted when the turn ends.
    void bury(Connection& connection);
    void count_input(std::size_t bytes) { input_bytes_ += bytes; }
    /// The surroundings that WebSocket connections share, made for the first of them.
    [[nodiscard]] WebSocketContext& web_socket_context();

private:
    using List = boost::intrusive::list<Connection, boost::intrusive::constant_time_size<false>>;
    static constexpr std::size_t read_buffer_bytes = 64 * 1'024;
    /// The shard writes and submits at least this often, so that what it collects stays in the caches and below its
    /// limits.
    static constexpr std::size_t input_bytes_per_turn = 256 * 1'024;

    void wait_and_dispatch();
    void read_clock();
    [[nodiscard]] int wait_ms();
    void handle_wake(unsigned reasons);
    void dispatch(EventSource& source, std::uint32_t events);
    void proceed_scheduled();
    void proceed_newcomers(bool others_wait);
    void proceed_web_sockets();
    void yield_to_shard();
    void tick();
    void expire(List& list);
    void take_inbox();
    void start_connection(const AcceptedSocket& socket);
    void begin_stop();
    void bury_all();
    [[nodiscard]] bool idle() const;

    broker::ShardApi& shard_;
    const std::uint32_t index_;
    ShardWakers& wakers_;
    Admission& admission_;
    const std::int64_t connect_timeout_ms_;
    int epoll_ = -1;
    std::unique_ptr<char[]> read_buffer_;
    broker::Now now_;
    std::int64_t next_tick_ms_ = 0;
    std::size_t input_bytes_ = 0;
    List handshaking_, open_, draining_, lingering_;
    std::vector<Connection*> scheduled_, proceeding_, dead_;
    std::deque<Connection*> newcomers_;
    std::unique_ptr<WebSocketContext> web_sockets_;
    std::function<void(std::int64_t)> tick_task_;
    bool stopping_ = false;
    std::int64_t stop_deadline_ms_ = 0;

    std::atomic<std::uint32_t> load_{0};
    std::mutex inbox_mutex_;
    std::vector<AcceptedSocket> inbox_sockets_;
    std::vector<std::function<void()>> inbox_tasks_;
};

}  // namespace trunkline::net
