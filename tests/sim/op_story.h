// The operations of a batch as lines of the story.
#pragma once

#include <cstdint>

#include "persistence/record.h"
#include "tests/sim/story.h"

namespace trunkline::sim {

void tell_operations(Story& story, std::int64_t now_ms, std::uint64_t position, const store::OpBatch& ops);

}  // namespace trunkline::sim
