#include "broker/net/shard_heap.h"

#include <cstddef>

// Why not the C library's heap: that of a thread grows by one page a time, and each growth waits until no other thread
// is about to map memory. Hashing a password maps 19 MiB for some milliseconds, and meanwhile no shard went on.
extern "C" {

// Few heaps for all the other threads; what stays free for 0.1 s goes back to the system.
extern const char* malloc_conf;
const char* malloc_conf = "narenas:2,background_thread:true,dirty_decay_ms:100,muzzy_decay_ms:0";

// NOLINTNEXTLINE(readability-identifier-length): the names of jemalloc(3)
[[gnu::weak]] int mallctl(const char* name, void* oldp, std::size_t* oldlenp, void* newp, std::size_t newlen);
}

namespace trunkline::net {

int use_own_heap() {
    if (!mallctl) return 0;
    unsigned heap = 0;
    std::size_t size = sizeof heap;
    const int error = mallctl("arenas.create", &heap, &size, nullptr, 0);
    return error != 0 ? error : mallctl("thread.arena", nullptr, nullptr, &heap, sizeof heap);
}

}  // namespace trunkline::net
