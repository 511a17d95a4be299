// Carries the questions of auth::HttpMethod over HTTP/1.1, with and without TLS.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "auth/http_method.h"
#include "broker/listener_url.h"

namespace trunkline::broker {

/// One thread, started by the constructor, does all of it: keeps connections, asks at most `requests_max` at once,
/// fair among the addresses of clients, and lets the others wait. Follows no redirect, uses no proxy.
class HttpLoginClient : public auth::HttpPost {
public:
    struct Options {
        ServiceUrl url;
        std::string ca_file;                        ///< empty: the system's authorities
        std::string token;                          ///< bearer token; empty: none
        std::uint32_t timeout_ms = 5'000;           ///< for all of one question, from when its turn has come
        std::uint32_t requests_max = 16;            ///< at once
        std::size_t waiting_max = 20'000;
        std::uint64_t answer_bytes_max = 64 * 1'024;
    };
    explicit HttpLoginClient(Options options);
    ~HttpLoginClient() override;
    HttpLoginClient(const HttpLoginClient&) = delete;
    HttpLoginClient& operator=(const HttpLoginClient&) = delete;

    void post(std::shared_ptr<const auth::Attempt> attempt, OnReply done) override;
    /// Reads the authorities again and takes another token, for questions from now on. Returns "" or what is wrong
    /// with the file; then all stays as it is.
    [[nodiscard]] std::string reload(const std::string& token);
    /// Answers all that are under way and all that come later as dropped. Ends the thread.
    void stop();

private:
    class Worker;
    std::unique_ptr<Worker> worker_;
};

}  // namespace trunkline::broker
