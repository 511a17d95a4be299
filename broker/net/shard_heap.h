// The memory of a shard: out of the way of all other threads'.
#pragma once

namespace trunkline::net {

/// Gives the calling thread a heap of its own where the program is linked with jemalloc, as the broker is; elsewhere
/// nothing changes. Once a thread.
/// Where there is none to be had, the thread goes on with one that it shares.
void use_own_heap();

}  // namespace trunkline::net
