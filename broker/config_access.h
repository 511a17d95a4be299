// The keys `authenticators` and `authorizers` of the configuration: reading them, and what must fit with the rest.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "broker/core/config.h"
#include "broker/yaml_reader.h"

namespace trunkline::broker {

/// A list of ways to authenticate, tried in its order.
void read_authenticators(YamlMap& map, YamlContext& context, std::vector<AuthenticatorConfig>& out);
void read_authorizers(YamlMap& map, YamlContext& context, std::vector<AuthorizerConfig>& out);

/// What contradicts itself or the listeners, or cannot be read. `report(rule, place, message, fix)`.
using ReportAccess = std::function<void(std::string, std::string, std::string, std::string)>;
void check_access(const Config& config, const ReportAccess& report);

/// Somebody sends a secret that must not travel in the clear.
[[nodiscard]] bool sends_secrets(const std::vector<AuthenticatorConfig>& authenticators);

/// The ways to authenticate on a listener: its own list, else that of all.
[[nodiscard]] const std::vector<AuthenticatorConfig>& authenticators_of(const Config& config,
                                                                        const ListenerConfig& listener);

}  // namespace trunkline::broker
