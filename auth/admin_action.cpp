#include "auth/admin_action.h"

#include <array>

namespace trunkline::auth {
namespace {

constexpr std::array<std::string_view, admin_actions> action_names = {
    "",              "metrics/read",      "status/read",       "namespace/read", "namespace/publish", "retained/delete",
    "model/read",    "model/apply",       "model/approve",     "quarantine/read", "quarantine/replay",
    "quarantine/delete", "clients/read",  "clients/write",     "clients/trace",  "access/read",       "access/write",
    "audit/read",    "audit/write",       "audit/witness",     "backup/take",    "config/read",       "config/reload",
    "broker/drain"};

}  // namespace

std::string_view name_of(AdminAction action) { return action_names[static_cast<std::size_t>(action)]; }

std::span<const std::string_view> admin_action_names() { return std::span(action_names).subspan(1); }

}  // namespace trunkline::auth
