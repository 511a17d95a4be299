// Loading YAML from outside without the traps of yaml-cpp.
#pragma once

#include <optional>
#include <string_view>

#include <yaml-cpp/yaml.h>

namespace trunkline::auth {

struct YamlDocument {
    YAML::Node root;                     ///< of the first document; null when the text holds none
    std::optional<YAML::Mark> second;    ///< where another document begins, which was not loaded
};

/// Loads the first document of `text`. Throws YAML::Exception where it is not YAML.
[[nodiscard]] YamlDocument load_yaml_document(std::string_view text);

}  // namespace trunkline::auth
