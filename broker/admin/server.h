// The administration interface over HTTP/1.1: one thread of its own, so that nothing here delays a client's message.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/admin/sources.h"
#include "broker/core/config.h"
#include "namespace/problem.h"

namespace trunkline::admin {

class AdminServer {
public:
    /// `sources` and `readiness` outlive the server.
    AdminServer(Sources& sources, Readiness& readiness);
    ~AdminServer();

    /// Binds and starts the thread. `host` and `port`, or `unix_path`. Returns "" or what is wrong.
    struct Address {
        std::string host, unix_path;
        std::uint16_t port = 0;
    };
    [[nodiscard]] std::string start(const Address& address, const broker::AdminConfig& config,
                                    std::uint32_t sys_interval_s);
    /// Reads the tokens again. Thread safe; on problems the old ones stay.
    [[nodiscard]] std::vector<Problem> reload(const broker::AdminConfig& config);
    /// Reads the certificates again, for connections from now on; those that last are judged by them, too. Returns ""
    /// or what is wrong with which file: then what was in force stays. To begin or end TLS takes a restart. On the
    /// thread of start().
    [[nodiscard]] std::string reload_tls(const broker::TlsConfig& config);
    /// The listener of administration, where it has TLS. Thread safe.
    [[nodiscard]] std::optional<ListenerNumbers> tls_listener() const;
    /// Takes no more requests, waits up to a second for those under way, ends them and the thread. Replies
    /// that shards still owe are dropped, so the server must not be destroyed before the shards have ended.
    void stop();
    /// Where it listens: "127.0.0.1:9883" or "unix:PATH".
    [[nodiscard]] std::string address() const;

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace trunkline::admin
