// All of the broker's sockets for MQTT: listeners, the threads of the shards, connections. What main.cpp drives.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "broker/core/config.h"
#include "broker/core/shard_api.h"
#include "broker/net/shard_wakers.h"

namespace trunkline::net {

class Acceptor;
class Admission;
class Listener;
class ShardRunner;

/// A listener as metrics and administration see it.
struct ListenerStatus {
    std::string url;                          // as configured
    std::string address;                      // the URL with the port that is bound
    broker::ListenerKind kind = broker::ListenerKind::tcp;
    std::uint16_t port = 0;                   // 0 for Unix sockets
    std::uint32_t connections = 0;            // open now
    std::uint64_t accepted = 0;
    std::uint64_t refused_limit = 0;          // closed at accept: too many connections
    std::uint64_t refused_rate = 0;           // closed at accept: connect rate
    std::uint64_t handshake_failures = 0;     // TLS, PROXY or WebSocket
    std::uint64_t handshake_timeouts = 0;
    std::int64_t certificate_expiry_s = 0;    // since 1970; 0 without TLS
};

/// In this order: construct, start(), [stop_accepting(), the shards say goodbye,] stop(). Methods are called by one
/// thread unless they say otherwise.
class NetServer {
public:
    /// `shards` and `wakers` (one for each) outlive the server. Nothing is bound yet. Throws std::system_error when
    /// descriptors run out.
    NetServer(const broker::Config& config, std::vector<broker::ShardApi*> shards, ShardWakers& wakers);
    /// Stops if need be.
    ~NetServer();

    /// Binds all listeners, then starts a thread for each shard; connections are served from here on. Throws
    /// std::system_error (bind, listen) or std::runtime_error (TLS files); the text names the listener's URL.
    void start();
    /// Closes the listeners; connections stay. The clients that wait in the backlog are reset.
    void stop_accepting();
    /// Closes all connections, after up to two seconds for goodbyes on their way, and ends the threads.
    void stop();

    /// Loads the TLS files of all listeners again, matched by URL. Open connections go on. Returns one text for each
    /// listener that keeps its old files: the URL and what is wrong. Thread safe.
    [[nodiscard]] std::vector<std::string> reload_tls(const broker::Config& config);
    /// Thread safe, after start().
    [[nodiscard]] std::vector<ListenerStatus> listeners() const;
    /// A connection from `peer` failed to authenticate: see Limits::connect_failures_per_address. Thread safe.
    void connect_failed(const broker::PeerAddress& peer);

private:
    /// Sockets above Limits::max_connections that are still taken, so that their clients are told why in a CONNACK.
    static constexpr std::uint32_t refusable_sockets = 1'000;

    void run_shard(std::uint32_t index);

    const broker::Config config_;
    ShardWakers& wakers_;
    std::unique_ptr<Admission> admission_;
    std::vector<std::unique_ptr<Listener>> listeners_;
    std::vector<std::unique_ptr<ShardRunner>> runners_;
    std::vector<std::unique_ptr<Acceptor>> acceptors_;   // on the thread of the first shard
    std::vector<std::thread> threads_;
    bool accepting_ = false;
};

}  // namespace trunkline::net
