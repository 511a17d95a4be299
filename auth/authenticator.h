// The seam of authentication: who a client is, asked once at CONNECT and again with every AUTH of an enhanced
// authentication (OASIS MQTT 5.0, section 4.12). AuthChain (auth/chain.h) is the implementation that has methods;
// without one, clients that may be anonymous are, and every enhanced method is unknown.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "auth/principal.h"

namespace trunkline::auth {

/// What CONNECT and its connection say of a client. Views are valid during the call.
struct Credentials {
    std::string_view client_id;
    std::optional<std::string_view> user_name;
    std::optional<std::string_view> password;
    std::string_view certificate_subject;   ///< of a verified client certificate, or empty
    bool local = false;                     ///< loopback, Unix socket or in-process
    std::string_view method;                ///< enhanced authentication, or empty
    std::string_view data;
    std::string_view address;               ///< of the peer, without its port; empty where there is none
    const CertificateFields* certificate = nullptr;   ///< of a verified client certificate, or null
    std::int64_t now_ms = 0;                ///< UTC milliseconds since 1970
    std::uint32_t shard = 0;                ///< whose thread the connection lives on
    std::uint8_t protocol = 5;              ///< 3 (3.1), 4 (3.1.1), 5
    std::uint64_t connection = 0;           ///< its number
    std::string_view listener;              ///< its URL
    /// Set when nobody waits for the answer any more: what costs much need not be done. May be null.
    std::shared_ptr<const std::atomic<bool>> abandoned = nullptr;
};

enum class Outcome : std::uint8_t {
    accept, more, bad_credentials, not_authorized, bad_method,
    busy,       ///< too much is waiting to be checked: come back later (0x89 Server busy)
    unavailable ///< who should judge it cannot be reached or gives no answer (0x88 Server unavailable)
};

struct Answer {
    Outcome outcome = Outcome::not_authorized;
    std::string user;      ///< with accept: the principal, may be empty for anonymous
    std::string data;      ///< Authentication Data for the client, with accept and more
    std::string reason;    ///< for the Reason String; says what the person at the gateway can do
    std::shared_ptr<const Principal> principal = nullptr;   ///< with accept: all of it; null: `user` is all there is
    std::string detail = {};        ///< without accept: what the log may say beside `reason`; no secret either
    std::string method = {};        ///< the method that decided, as Method::name() has it; empty: none did
};

/// Takes an answer, once, on any thread, perhaps before the call that it was given to returns. It must not throw.
using OnAnswer = std::function<void(Answer&&)>;

/// One exchange of an enhanced authentication; lives as long as its connection, for re-authentication.
class Exchange {
public:
    virtual ~Exchange() = default;
    virtual Answer next(std::string_view data) = 0;
    /// The same for an exchange that has to wait. `data` is read before this returns; the exchange must outlive the
    /// answer.
    virtual void next_async(std::string_view data, OnAnswer done) { done(next(data)); }
};

/// Called on the shards' threads: thread safe and quick.
class Authenticator {
public:
    virtual ~Authenticator() = default;
    /// CONNECT without an enhanced method.
    virtual Answer check(const Credentials& credentials) = 0;
    /// The same without waiting for hashes and other machines: `done` may be called later, from another thread, but is
    /// called once in any case. `credentials` are read before this returns. Call this one on a shard.
    virtual void check_async(const Credentials& credentials, OnAnswer done) { done(check(credentials)); }
    /// CONNECT with a method: null when the method is unknown. The first answer is for `credentials.data`.
    virtual std::unique_ptr<Exchange> begin(const Credentials& credentials, Answer& first) = 0;
};

/// Anonymous where the listener allows it and nothing else: credentials nobody can check are not believed, and a user
/// name without a way to check it is refused off loopback.
class AnonymousOnly : public Authenticator {
public:
    explicit AnonymousOnly(bool allow_remote) : allow_remote_(allow_remote) {}
    Answer check(const Credentials& credentials) override;
    std::unique_ptr<Exchange> begin(const Credentials& credentials, Answer& first) override;

private:
    bool allow_remote_;
};

}  // namespace trunkline::auth
