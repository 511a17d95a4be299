// What changes when one model takes the place of another: by meaning, not by text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "namespace/model/model.h"

namespace trunkline::uns {

struct ModelChange {
    enum class Kind : std::uint8_t { added, removed, changed };
    Kind kind = Kind::changed;
    std::string subject;  ///< "type filler@2", "acme/munich/packaging/line-1", "defaults", "exempt"
    std::string what;     ///< "metric temperature", "max"; empty: the subject itself
    std::string before, after;
    /// Messages that were accepted may not be any more.
    bool breaking = false;
    std::size_t places = 0;  ///< of a type: how many nodes are of it
};

/// Every difference in meaning between two models, in the order of the subjects. Models of equal hash have none.
/// A type that keeps its name is compared as one type, whatever its versions, and told once, not for each instance.
[[nodiscard]] std::vector<ModelChange> diff(const Model& before, const Model& after);

/// One line for people: `changed  type filler@2: metric temperature: max 120 -> 100  (breaking, 14 places)`.
[[nodiscard]] std::string to_string(const ModelChange& change);

}  // namespace trunkline::uns
