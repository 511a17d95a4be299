// What is wrong with the broker now, and what to do about it: the part of the status that people at night read first.
#pragma once

#include <string>
#include <vector>

#include "broker/admin/api.h"

namespace trunkline::admin {

struct Advice {
    enum class Severity { critical, warning, note } severity = Severity::warning;
    std::string name;   ///< stable, such as "disk"
    std::string what;   ///< what is the matter, with figures
    std::string fix;    ///< what to do, commands included
};

/// The worst first. Empty: all is well.
[[nodiscard]] std::vector<Advice> advice(const ApiContext& context);
[[nodiscard]] Json advice_json(const std::vector<Advice>& list);

}  // namespace trunkline::admin
