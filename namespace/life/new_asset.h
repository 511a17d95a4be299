// Adds an asset to the text of a model: one line in the right place, everything else as it was.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "namespace/model/model.h"

namespace trunkline::uns {

struct NewAssetOptions {
    std::string version;      ///< of the new text; empty: the last number of the old one plus one
    std::string kind;         ///< `$kind` of the asset; empty: none is written
    std::string description;  ///< `$description`; empty: none
};

struct NewAsset {
    std::string yaml;  ///< compiles, and differs from the old one by this asset alone. Empty: see problems
    std::vector<Problem> problems;
    std::size_t line = 0;    ///< from 1, where the asset stands in `yaml`
    bool was_there = false;  ///< the model has this asset already, by name or by a pattern; `yaml` is as it was
    std::string text;        ///< what was done, in a sentence
};

/// `type` as the model names it: filler, filler@2. `path` is the asset's topic.
[[nodiscard]] NewAsset new_asset(std::string_view yaml, std::string_view file, std::string_view path,
                                 std::string_view type, const NewAssetOptions& options = {});

/// 1.4.9 -> 1.4.10; empty when the version does not end in a number.
[[nodiscard]] std::string next_version(std::string_view version);

}  // namespace trunkline::uns
