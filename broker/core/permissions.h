// What authorisation (authorize.h) leaves on routes and with clients, so that the next message is not asked about.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include <boost/unordered/unordered_flat_map.hpp>

#include "auth/access.h"
#include "auth/principal.h"

namespace trunkline::broker {

class Route;

/// What clients with the same roles may do on a topic: the part of a route that authorisation has. One word a role set:
/// epoch << 32 | role set << 16 | bits.
class Permissions {
public:
    static constexpr std::uint64_t bits_mask = 0xFF;
    static constexpr std::uint64_t none = 0;

    /// The word of `key`, which has its bits clear; `none` when it is not known.
    [[nodiscard]] std::uint64_t find(std::uint64_t key) const {
        for (const std::uint64_t word : first_) {
            if ((word & ~bits_mask) == key) return word;
        }
        return more_ ? find_more(key) : none;
    }
    void set(std::uint64_t key, std::uint64_t bits);

private:
    [[nodiscard]] std::uint64_t find_more(std::uint64_t key) const;
    static std::uint32_t role_set(std::uint64_t key) { return static_cast<std::uint32_t>(key) >> 16; }
    std::array<std::uint64_t, 2> first_{};
    std::unique_ptr<boost::unordered_flat_map<std::uint32_t, std::uint64_t>> more_;   // by role set
};

/// What a client carries for it.
struct ClientRights {
    std::uint64_t key = 0;                  ///< epoch and role set, as Permissions are asked; 0: not asked yet
    std::shared_ptr<const auth::Principal> principal;
    std::shared_ptr<const auth::RoleSet> roles;
    std::uint32_t subscriptions_epoch = 0;  ///< in which its subscriptions were judged
    bool receives_all = false;              ///< all that its subscriptions bring, in that epoch
    bool has_left_filters = false;          ///< unsubscribed from something: what is still queued of it is asked for

    enum class Opinion : std::uint8_t { unknown, none, allow, deny };
    /// Of one topic, by action: publish, receive.
    struct Personal {
        std::array<Opinion, 2> roles{}, plugins{};
        std::array<std::int64_t, 2> plugins_until_ms{};
        std::string plugin_rule;            // of a deny by a plugin
    };
    struct Own {
        std::uint64_t key = 0, router_epoch = 0;
        boost::unordered_flat_map<const Route*, Personal> by_route;
    };
    std::unique_ptr<Own> own;               ///< null: nothing that depends on this client alone
};

}  // namespace trunkline::broker
