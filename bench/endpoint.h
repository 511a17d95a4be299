// Where the broker is, and a non-blocking byte stream to it: TCP, TLS or a Unix socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <sys/socket.h>

struct ssl_ctx_st;
struct ssl_st;

namespace trunkline::bench {

struct TlsOptions {
    std::string ca_file;   // empty: the system's
    std::string cert_file;
    std::string key_file;
    bool insecure = false;  // do not verify the server
};

/// A broker address, resolved once.
class Endpoint {
public:
    /// `url`: mqtt://host[:1883], mqtts://host[:8883] or unix:/path. Throws std::runtime_error saying what is wrong.
    Endpoint(const std::string& url, const TlsOptions& tls, bool nodelay);

    [[nodiscard]] bool is_unix() const { return address_.ss_family == AF_UNIX; }
    [[nodiscard]] bool is_tls() const { return context_ != nullptr; }
    [[nodiscard]] bool is_loopback() const;
    [[nodiscard]] const std::string& host() const { return host_; }
    [[nodiscard]] ssl_ctx_st* tls_context() const { return context_.get(); }
    [[nodiscard]] bool verifies() const { return verify_; }

    /// Starts a connection and returns its non-blocking descriptor, or -1 with errno set. `source` spreads connections
    /// over the addresses 127.0.0.1 to 127.0.0.250 when the broker is on IPv4 loopback, so that more of them than there
    /// are ephemeral ports can exist or linger at the same time; 0: the system's choice.
    [[nodiscard]] int open_socket(std::uint32_t source) const;

private:
    void resolve(const std::string& host, const std::string& port);
    void make_context(const TlsOptions& tls);

    std::string host_;
    bool nodelay_;
    bool verify_ = true;
    sockaddr_storage address_{};
    socklen_t address_bytes_ = 0;
    std::shared_ptr<ssl_ctx_st> context_;
};

enum class Io : std::uint8_t { ok, again, closed };

/// A connected or connecting descriptor, with TLS when the endpoint has it. Owns the descriptor.
class Stream {
public:
    Stream() = default;
    ~Stream() { close(); }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    void open(const Endpoint& endpoint, int descriptor);
    void close();
    [[nodiscard]] int descriptor() const { return descriptor_; }
    [[nodiscard]] bool is_tls() const { return tls_ != nullptr; }

    /// TLS handshake; `ok` at once without TLS. After `again`, wants_write() says what to wait for.
    Io handshake();
    Io read(char* to, std::size_t bytes_max, std::size_t& bytes);
    Io write(const char* from, std::size_t bytes_max, std::size_t& bytes);
    [[nodiscard]] bool wants_write() const { return wants_write_; }
    /// Why the last call said `closed`.
    [[nodiscard]] std::string error() const;

private:
    Io tls_result(int result);

    int descriptor_ = -1;
    ssl_st* tls_ = nullptr;
    bool wants_write_ = false;
    int error_ = 0;
    unsigned long tls_error_ = 0;
};

}  // namespace trunkline::bench
