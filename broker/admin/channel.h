// A connection of administration, with TLS on it or without: a stream that Beast reads and writes. Only server*.cpp
// include it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/basic_stream.hpp>

#include "broker/admin/identity.h"
#include "broker/admin/sources.h"

namespace trunkline::admin {

/// Lives on the server's thread.
class Channel {
public:
    using Socket = boost::asio::generic::stream_protocol::socket;
    using Plain = boost::beast::basic_stream<boost::asio::generic::stream_protocol>;
    using executor_type = Plain::executor_type;
    using Time = std::chrono::steady_clock::duration;
    using error_code = boost::system::error_code;

    explicit Channel(Socket socket) : plain_(std::move(socket)) {}
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    [[nodiscard]] executor_type get_executor() { return plain_.get_executor(); }
    [[nodiscard]] Socket& socket() { return plain_.socket(); }
    [[nodiscard]] bool secure() const { return tls_.has_value(); }
    /// How long the reads and writes that begin from now on may take together.
    void expires_after(Time time) { plain_.expires_after(time); }
    void expires_never() { plain_.expires_never(); }
    /// What is under way ends with an error.
    void cancel() { plain_.cancel(); }

    /// What came of a handshake.
    struct Handshake {
        std::string wrong;                    ///< empty: it went well
        bool spoke = false;                   ///< the client did, but what it said is wrong
        bool spoke_http = false;              ///< it sent a request without TLS
    };
    /// Puts TLS on the connection, as its server. Where that fails, it is one without TLS again, to be lingered on.
    /// Sessions are not resumed: each handshake judges the certificate by the lists and the time of now.
    [[nodiscard]] boost::asio::awaitable<Handshake> accept_tls(std::shared_ptr<ssl_ctx_st> context);
    /// The verified client certificate; null: there is none.
    [[nodiscard]] std::shared_ptr<const ShownCertificate> certificate() const { return certificate_; }
    /// Why a handshake by these settings would fail now, "" when it would not: authorities and lists of what is revoked
    /// change while connections last, and certificates end.
    [[nodiscard]] std::string distrust(const TlsSettings& now, std::int64_t now_ms);

    /// Nothing more is sent; TLS says so, too, and waits for the client to say the same, a second at most.
    [[nodiscard]] boost::asio::awaitable<void> finish();
    /// The same, and reads on for up to a second, so that no reset destroys what was sent last. Not with TLS on it.
    [[nodiscard]] boost::asio::awaitable<void> linger();

    template <class Buffers, class Token>
    auto async_read_some(const Buffers& buffers, Token&& token) {
        return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(Read{*this}, token, buffers);
    }
    template <class Buffers, class Token>
    auto async_write_some(const Buffers& buffers, Token&& token) {
        return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(Write{*this}, token, buffers);
    }

private:
    void trust(std::shared_ptr<ssl_ctx_st> by, std::int64_t now_ms);
    using Tls = boost::asio::ssl::stream<Plain&>;
    struct Read {
        Channel& of;
        template <class Handler, class Buffers>
        void operator()(Handler&& handler, const Buffers& buffers) const {
            if (of.tls_) of.tls_->async_read_some(buffers, std::forward<Handler>(handler));
            else of.plain_.async_read_some(buffers, std::forward<Handler>(handler));
        }
    };
    struct Write {
        Channel& of;
        template <class Handler, class Buffers>
        void operator()(Handler&& handler, const Buffers& buffers) const {
            if (of.tls_) of.tls_->async_write_some(buffers, std::forward<Handler>(handler));
            else of.plain_.async_write_some(buffers, std::forward<Handler>(handler));
        }
    };

    Plain plain_;
    std::optional<Tls> tls_;
    std::shared_ptr<const ShownCertificate> certificate_;
    std::shared_ptr<ssl_ctx_st> trusted_by_;      // the settings by which the client was verified last
    std::int64_t trusted_until_ms_ = 0;           // after that again
};

}  // namespace trunkline::admin
