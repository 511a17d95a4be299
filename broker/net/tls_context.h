// A listener's TLS settings as OpenSSL holds them: loaded whole, replaced whole.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "broker/core/config.h"

struct ssl_ctx_st;

namespace trunkline::net {

/// Immutable once loaded; connections keep what they need of it alive by themselves. Thread safe.
class TlsContext {
public:
    /// Reads and checks all files. Null on an error; `error` then names the file and what is wrong with it.
    /// `websocket` selects the application protocol offered by ALPN (http/1.1 instead of mqtt).
    [[nodiscard]] static std::shared_ptr<TlsContext> load(const broker::TlsConfig& config, bool websocket,
                                                          std::string& error);
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

    [[nodiscard]] ssl_ctx_st* native() const { return context_; }
    /// When the certificate ends, seconds since 1970.
    [[nodiscard]] std::int64_t expires_s() const { return expires_s_; }

private:
    explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
    ssl_ctx_st* context_;
    std::int64_t expires_s_ = 0;
};

}  // namespace trunkline::net
