// The seam of the audit trail: what the core tells of those who came, what they changed and what they were denied.
#pragma once

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
};

}  // namespace trunkline::broker
