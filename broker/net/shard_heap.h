// The memory of a shard: out of the way of all other threads'.
#pragma once

namespace trunkline::net {

/// Gives the calling thread a heap of its own where the program is linked with jemalloc, as the broker is; elsewhere
/// nothing changes. Once a thread. Returns 0, or the error number for which it goes on with a heap that it shares.
[[nodiscard]] int use_own_heap();

}  // namespace trunkline::net
