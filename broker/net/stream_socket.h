// A connected descriptor, with or without TLS on it: non-blocking reads and writes and nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

struct ssl_st;
struct ssl_ctx_st;

namespace trunkline::net {

/// What ended an operation.
enum class IoStatus : std::uint8_t {
    ok,            ///< all that was asked for; there may be more
    would_block,   ///< the socket has no more to give or to take for now
    closed,        ///< the peer ended its side in order
    failed,        ///< reset, or a TLS error
};

struct IoResult {
    std::size_t bytes = 0;   ///< done before it ended
    IoStatus status = IoStatus::ok;
};

/// Owns the descriptor and its TLS state. One thread at a time. Idle TLS holds no buffers (SSL_MODE_RELEASE_BUFFERS).
class StreamSocket {
public:
    explicit StreamSocket(int descriptor) : descriptor_(descriptor) {}
    ~StreamSocket() { close(); }
    StreamSocket(const StreamSocket&) = delete;
    StreamSocket& operator=(const StreamSocket&) = delete;

    [[nodiscard]] int descriptor() const { return descriptor_; }
    [[nodiscard]] bool secure() const { return tls_ != nullptr; }

    /// Reads up to `size` bytes. For plain sockets one system call: fewer bytes than asked for count as would_block.
    IoResult receive(char* to, std::size_t size);
    /// Writes up to `size` bytes. After would_block the next call starts with the same bytes, at the same or another
    /// address.
    IoResult send(const char* from, std::size_t size);

    /// Puts TLS (server side) on the descriptor. False when memory runs out.
    [[nodiscard]] bool start_tls(ssl_ctx_st* context);
    /// Goes on with the handshake: ok when done, would_block to be called again when the socket is ready.
    [[nodiscard]] IoStatus handshake();
    /// After a failed handshake: why, for the log.
    [[nodiscard]] std::string tls_error() const;
    /// The verified client certificate in DER, or "".
    [[nodiscard]] std::string client_certificate() const;

    /// Looks at the first bytes without taking them (never under TLS).
    [[nodiscard]] IoResult peek(char* to, std::size_t size) const;
    /// The end of the peer's stream or an error has arrived, though bytes before it may be unread.
    [[nodiscard]] bool peer_has_ended() const;
    /// No more is sent: close_notify under TLS, then the end of the TCP stream.
    void shut_down_sending();
    void close();

private:
    int descriptor_;
    ssl_st* tls_ = nullptr;
};

}  // namespace trunkline::net
