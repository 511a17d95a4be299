// One configured listener: its sockets, what it counts, its TLS context.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "broker/core/config.h"

namespace trunkline::net {

class TlsContext;

/// Sockets bound at construction, closed by close(). Counters are thread safe.
class Listener {
public:
    /// Binds and listens; throws std::system_error that names the URL. Loads TLS files where the kind needs them and
    /// throws std::runtime_error with what is wrong with them.
    Listener(const broker::ListenerConfig& config, std::uint16_t index);
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    [[nodiscard]] const broker::ListenerConfig& config() const { return config_; }
    [[nodiscard]] std::uint16_t index() const { return index_; }
    /// The port bound, also where the configuration says 0; 0 for Unix sockets.
    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] const std::vector<int>& descriptors() const { return descriptors_; }
    [[nodiscard]] bool uses_tls() const;
    [[nodiscard]] bool uses_websocket() const;
    /// Where it listens, for logs: the URL with the actual port.
    [[nodiscard]] std::string describe() const;

    /// The current TLS context; null for listeners without TLS. Thread safe.
    [[nodiscard]] std::shared_ptr<TlsContext> tls() const;
    /// Loads the files again; on an error the old context stays and the text says what is wrong. Thread safe.
    [[nodiscard]] std::string reload_tls(const broker::TlsConfig& config);

    /// The accepting thread, once nothing watches the descriptors: closes them and removes the Unix socket's file.
    void close();

    std::atomic<std::uint32_t> connections{0};          ///< open now
    std::atomic<std::uint64_t> accepted{0};
    std::atomic<std::uint64_t> refused_limit{0};        ///< closed at accept: too many connections
    std::atomic<std::uint64_t> refused_rate{0};         ///< closed at accept: connect rate, also per address
    std::atomic<std::uint64_t> handshake_failures{0};   ///< TLS, PROXY or WebSocket handshakes that failed
    std::atomic<std::uint64_t> handshake_timeouts{0};   ///< and those that took too long

private:
    void bind_unix();
    void bind_inet();
    [[noreturn]] void fail(int error, const char* what);

    const broker::ListenerConfig config_;
    const std::uint16_t index_;
    std::uint16_t port_ = 0;
    std::vector<int> descriptors_;
    mutable std::mutex tls_mutex_;
    std::shared_ptr<TlsContext> tls_;
};

}  // namespace trunkline::net
