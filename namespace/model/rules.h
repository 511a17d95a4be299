// The rules of the namespace: what a publish may break (TL-1 to TL-5) and what a model file may (TL-91). The one list
// that the documentation is compared with; those of payloads are in namespace/payload/rules.h.
#pragma once

#include <span>
#include <string_view>

namespace trunkline::uns {

struct ModelRule {
    std::string_view id;       ///< stable: dashboards and scripts count by it
    std::string_view name;     ///< in a few words
    std::string_view meaning;  ///< when it is broken
    std::string_view mend;     ///< what usually helps
};

/// All rules but those of payloads, sorted by id.
[[nodiscard]] std::span<const ModelRule> model_rules();
/// The rule named `id`, or nullptr.
[[nodiscard]] const ModelRule* find_model_rule(std::string_view id);

}  // namespace trunkline::uns
