// What rules about `admin` speak of: the closed set of permissions that administration asks for.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace trunkline::auth {

/// Each route of administration needs one of them; the names, such as `model/apply`, are those of the roles file.
enum class AdminAction : std::uint8_t {
    anybody,            ///< none: the probes, and the description of the interface
    metrics_read,
    status_read,
    namespace_read,     ///< topics and values, as far as they may be received
    namespace_publish,  ///< messages, as far as they may be published
    retained_delete,    ///< the same
    model_read,         ///< with what is learned from traffic, and explain
    model_apply,        ///< and to propose, withdraw, roll back
    model_approve,      ///< as the second person
    quarantine_read,    ///< with violations
    quarantine_replay,
    quarantine_delete,
    clients_read,
    clients_write,      ///< disconnect them, end sessions
    clients_trace,      ///< their packets with the payloads, whatever may be received
    access_read,
    access_write,
    audit_read,
    audit_write,        ///< sign now, change the key
    audit_witness,      ///< keep another broker's checkpoints here
    backup_take,
    config_read,        ///< and to check one
    config_reload,
    broker_drain,
};

/// How many there are.
inline constexpr std::size_t admin_actions = static_cast<std::size_t>(AdminAction::broker_drain) + 1;

/// As rules name it: "model/apply"; "" for `anybody`.
[[nodiscard]] std::string_view name_of(AdminAction action);
/// All names but that of `anybody`.
[[nodiscard]] std::span<const std::string_view> admin_action_names();

}  // namespace trunkline::auth
