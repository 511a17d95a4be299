// Reads a namespace model from a file (config key model.file, flag --model).
#pragma once

#include <string>

#include "namespace/model/model.h"

namespace trunkline::broker {

/// Compiles the model in `file`. What cannot be read, or is above 16 MiB, is a problem like any other.
[[nodiscard]] uns::Model::Result load_model_file(const std::string& file);

}  // namespace trunkline::broker
