// The seam of the audit trail: what the core tells of those who came, what they changed and what they were denied.
#pragma once

#include <cstdint>
#include <string_view>

#include "auth/audit/record.h"

namespace trunkline::broker {

/// A denial as it happens, which may be very often; views are valid during the call.
struct Denial {
    std::string_view actor;       ///< principal, or empty
    std::string_view method;      ///< how the actor is known
    std::string_view client_id;
    std::string_view source;      ///< address
    std::string_view action;      ///< publish, subscribe, receive, login, takeover, ...
    std::string_view object;      ///< topic, filter, client identifier
    std::string_view reason;      ///< the rule that decided
};

/// Thread safe; called on shards, so it must be quick and must not block.
class AuditSink {
public:
    virtual ~AuditSink() = default;
    /// `record.sequence` and `record.at` are given by the trail.
    virtual void note(auth::audit::Record&& record) = 0;
    /// Sampled, and counted exactly.
    virtual void note(const Denial& denial) = 0;

    /// False while the trail cannot keep what a regulated publish must leave in it: such publishes are refused.
    [[nodiscard]] virtual bool takes_regulated() const { return true; }
    /// Whether a publisher that can be told gets the facts of its leaf with the acknowledgement.
    [[nodiscard]] virtual bool gives_receipts() const { return true; }
    /// Leaves of acknowledged publishes, 32 bytes each, in log order; they are on disk beside their messages. On the
    /// log's thread, and at start for those that the trail is not known to have.
    virtual void leaves(std::uint64_t /*position*/, std::string_view /*leaves*/) {}
};

}  // namespace trunkline::broker
