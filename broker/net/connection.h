// One accepted socket from its first byte to its last: PROXY header, TLS, then what a derived class does with the bytes
// (plain MQTT or WebSocket), then the orderly end.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <memory>
#include <string_view>

#include "broker/core/shard_api.h"
#include "broker/core/transport.h"
#include "broker/net/stream_socket.h"

namespace trunkline::net {

class Listener;
class ShardRunner;
class TlsContext;
struct AcceptedSocket;

/// What a runner's epoll set holds. `events` as epoll reports them.
class EventSource {
public:
    virtual void on_event(std::uint32_t events) = 0;

protected:
    ~EventSource() = default;
};

/// Owned by its ShardRunner, on whose thread everything happens. Registered once with epoll, edge-triggered: readiness
/// is remembered here, so that pausing, resuming and waiting cost no system call.
class Connection : public broker::Transport,
                   public EventSource,
                   public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
public:
    /// In the order a connection goes through them.
    enum class Stage : std::uint8_t { proxy_header, tls_handshake, upgrade, open, draining, lingering, dead };

    Connection(ShardRunner& runner, const AcceptedSocket& socket);
    ~Connection() override;

    /// Once, after registration with epoll.
    void start();
    void on_event(std::uint32_t events) final;
    /// Goes on with what readiness allows; the runner calls it for scheduled connections.
    void proceed();
    /// The deadline of the stage has passed.
    void on_deadline();
    /// The runner stops: tells the shard, closes at once or, while draining, leaves it the time it has.
    void stop();
    /// False while something outside still refers to the dead connection.
    [[nodiscard]] virtual bool may_be_deleted() const { return true; }

    [[nodiscard]] Stage stage() const { return stage_; }
    [[nodiscard]] std::int64_t deadline_ms() const { return deadline_ms_; }

    void flush(mqtt::Buffer& out) final;
    void close(mqtt::Buffer&& out) final;
    void let_in() final { newcomer_ = false; }
    [[nodiscard]] bool peer_has_ended() const final { return socket_.peer_has_ended(); }
    void set_reading(bool enabled) final;

    /// Not let in by the shard, or not yet: its turn comes after that of those who are.
    [[nodiscard]] bool is_newcomer() const { return newcomer_; }
    bool scheduled = false;   ///< the runner's: stands in its list of connections to proceed with

protected:
    /// PROXY header and TLS are done; a derived class calls open() when it is ready for MQTT.
    virtual void on_secured() = 0;
    /// While open: goes on reading and writing as readiness and the shard allow, a bounded portion of each.
    virtual void proceed_open() = 0;
    /// output_ has been set: writes from it what the socket takes, sets it to null when all is written.
    virtual void write_output() = 0;
    /// Writes what close() left. True when all is written.
    virtual bool finish_output() = 0;
    /// Stage upgrade: go on with a handshake of the derived class.
    virtual void upgrade() {}
    /// The socket is closed: forget what waited for it.
    virtual void on_dead() {}

    /// Tells the shard of the connection. False when it is refused; the connection is then dead.
    bool open();
    /// The peer or the network ended it.
    void lost();
    void die();
    /// Counts and logs a handshake that failed, then closes.
    void fail_handshake(std::string_view what, std::string_view why);
    void count_handshake_failure(std::string_view what, std::string_view why);
    void enter_upgrade() { stage_ = Stage::upgrade; }
    /// Goes on with the orderly end; in stage draining.
    void finish();
    /// Writes rest_ as it is. True when all is written; sets broken_ on an error.
    bool send_rest();
    [[nodiscard]] ShardRunner& runner() { return runner_; }

    StreamSocket socket_;
    broker::Client* client_ = nullptr;   // from open() until close() or lost()
    mqtt::Buffer* output_ = nullptr;     // the shard's, while it waits for the socket or for a write under way
    mqtt::Buffer rest_;                  // what close() left to write
    bool readable_ = false;
    bool writable_ = true;
    bool reading_ = true;                // false: the shard has paused it
    bool peer_ended_ = false;            // end or error reported: a short read does not mean that nothing follows
    bool waiting_ = false;               // the last flush() left something: on_writable() is owed
    bool broken_ = false;                // a write failed; told to the shard outside its own calls

private:
    void read_proxy_header();
    void begin_tls();
    void shake_hands();
    void linger();

    struct Handshake;                    // what is only known until open()
    ShardRunner& runner_;
    Listener& listener_;
    std::unique_ptr<Handshake> handshake_;
    std::int64_t deadline_ms_ = 0;
    Stage stage_ = Stage::proxy_header;
    bool newcomer_ = true;
};

/// MQTT straight on the socket: TCP, TLS, Unix.
class StreamConnection final : public Connection {
public:
    using Connection::Connection;
    void close_after_goodbye(mqtt::Buffer&& out) override;

private:
    void on_secured() override { open(); }
    void proceed_open() override;
    void write_output() override;
    bool finish_output() override;
    void read_input();
    IoResult read_after_small();
    IoResult read_after_large();
    void after_read(const IoResult& got);

    mqtt::Buffer input_;                 // an incomplete packet, else without memory
};

}  // namespace trunkline::net
