// Proposes a model from what is published: a human reads it, corrects it, and applies it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "namespace/model/model.h"
#include "namespace/traffic.h"

namespace trunkline::uns {

struct LearnOptions {
    std::string name;  ///< of the namespace; empty: the first level, where there is one
    std::string version = "0.1.0";
    Mode mode = Mode::observe;  ///< of the proposal: nothing is refused until someone has read it
    /// Instances of one type side by side become one pattern from so many on; 0: each is named.
    std::size_t patterns_from = 0;
    std::size_t topics_max = 200'000;  ///< what is beyond is left out, and told in the notes
};

struct LearnResult {
    std::string yaml;                ///< compiles; all of the traffic keeps it. Empty: nothing was heard
    std::vector<std::string> notes;  ///< doubts and what was left out, for the person who reads it
    std::uint64_t messages = 0, topics = 0, assets = 0, types = 0, members = 0;
    std::uint64_t loosened = 0;  ///< members that had to be loosened until the traffic kept them
};

/// The same traffic gives the same text. Visits the traffic several times; a topic that turns up between visits may be
/// missing from the proposal.
[[nodiscard]] LearnResult learn(const Traffic& traffic, const LearnOptions& options = {});

}  // namespace trunkline::uns
