// What administration asks of the audit trail. The service behind it is broker/audit_service.h.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "auth/audit/record.h"

namespace trunkline::admin {

struct AuditWitnessNumbers {
    std::string name;
    std::uint64_t delivered = 0, waiting = 0, dropped = 0;
    std::string last_error;                          ///< of the newest attempt; empty: it went well
};

struct AuditNumbers {
    bool open = false;                               ///< the trail is being written
    std::string alarm;                               ///< why it is not; empty: it is
    std::string origin, key;                         ///< name of the trail; public key that signs
    std::uint64_t records = 0;                       ///< since the start
    std::uint64_t lost = 0;                          ///< records that found the queue full; counted in the trail
    std::uint64_t leaves = 0;                        ///< of publishes, since the start
    std::uint64_t size = 0;                          ///< leaves of the tree on the disk
    std::uint64_t checkpoint_size = 0;               ///< of the newest checkpoint
    std::int64_t checkpoint_utc_ns = 0;
    std::string checkpoint_root;                     ///< Base64
    std::uint64_t waiting = 0;                       ///< leaves not yet in the trail
    std::vector<AuditWitnessNumbers> witnesses;
};

/// Thread safe.
class AuditTrail {
public:
    virtual ~AuditTrail() = default;
    /// False: changes by administration are refused, for they could not be audited.
    [[nodiscard]] virtual bool takes_changes() const = 0;
    /// `done` on the trail's thread once the record is on its disk, or cannot get there now.
    virtual void record(auth::audit::Record record, std::function<void(bool safe)> done) = 0;
    [[nodiscard]] virtual AuditNumbers numbers() const = 0;
    /// Where the trail lies, for reading.
    [[nodiscard]] virtual std::string folder() const = 0;
    /// Signs what is there now; `done` on the trail's thread.
    virtual void checkpoint(std::function<void(AuditNumbers)> done) = 0;
    /// A new key signs from now on; `done("" or what is wrong)` on the trail's thread.
    virtual void rotate_key(std::string actor, std::string reason, std::function<void(std::string wrong)> done) = 0;
};

}  // namespace trunkline::admin
