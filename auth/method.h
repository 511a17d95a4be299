// One way to find out who a client is: password, certificate, token ... A chain of them is an Authenticator.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "auth/authenticator.h"
#include "auth/principal.h"
#include "auth/secret.h"

namespace trunkline::auth {

/// Credentials that outlive the call they came with.
struct Attempt {
    explicit Attempt(const Credentials& credentials);

    std::string client_id;
    std::optional<std::string> user;
    std::optional<Secret> password;
    CertificateFields certificate;          ///< present() false: there is none
    std::string address;
    std::string listener;
    std::uint32_t shard = 0;
    std::uint8_t protocol = 5;
    std::uint64_t connection = 0;
    std::shared_ptr<const std::atomic<bool>> abandoned;     ///< may be null
    bool local = false;
    std::int64_t now_ms = 0;
    std::int64_t delay_ms = 0;              ///< to wait before a password is checked, see Backoff

    [[nodiscard]] bool is_abandoned() const { return abandoned && abandoned->load(std::memory_order_relaxed); }
};

enum class Verdict : std::uint8_t {
    defer,      ///< not for this method: ask the next one
    allow,
    deny        ///< nobody else is asked
};

struct MethodAnswer {
    Verdict verdict = Verdict::defer;
    Principal principal;                    ///< with allow; the chain adds client identifier, address, certificate
    Outcome outcome = Outcome::bad_credentials;     ///< with deny
    std::string reason;                     ///< with deny; goes to the client: tells no secret and no name
    std::string detail;                     ///< with deny; for the log: no secret either
};
using OnMethodAnswer = std::function<void(MethodAnswer&&)>;

/// What a client is told whenever user name and password do not fit, whoever it is.
inline constexpr std::string_view wrong_password = "user name or password is wrong";

/// Thread safe; called on shards, so it must not block: what takes time is done elsewhere and answered later.
class Method {
public:
    virtual ~Method() = default;
    /// Stable name for configuration, metrics, audit: "password".
    [[nodiscard]] virtual std::string_view name() const = 0;
    /// CONNECT without an enhanced method. Calls `done` once, on any thread; never throws.
    virtual void check(std::shared_ptr<const Attempt> attempt, OnMethodAnswer done) = 0;
    /// CONNECT with an enhanced method: null when it is not this one's. Answers with accept carry a principal.
    [[nodiscard]] virtual std::unique_ptr<Exchange> begin(const Credentials& credentials, Answer& first);
};

}  // namespace trunkline::auth
