// Which client identifier somebody may use, and whose session may be taken over. Pure functions.
#pragma once

#include <cstdint>
#include <string>

#include "auth/access.h"

namespace trunkline::auth {

/// Empty: `principal` may connect with its client identifier. Else why not, for the log and the person who asks. The
/// rules: `client_ids` of its user names it, or is not there; every role with a `client_id` fits it; and it is not
/// reserved by the `client_ids` of others alone.
[[nodiscard]] std::string refuse_client_id(const Access& access, const Principal& principal, const RoleSet& roles);

enum class Takeover : std::uint8_t {
    allow,      ///< the same principal: it gets its session
    as_new,     ///< the old connection was nobody's: it goes, and its session with it
    refuse      ///< another principal's: the newcomer goes (0x87), the holder stays undisturbed
};

/// Two principals with the same client identifier: `holder` has the connection or the stored session, `newcomer` has
/// just been authenticated. The same principal is the same user; of those without a user, all are the same.
[[nodiscard]] Takeover take_over(const Principal& holder, const Principal& newcomer);

}  // namespace trunkline::auth
