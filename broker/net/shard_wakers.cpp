#include "broker/net/shard_wakers.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace trunkline::net {

ShardWakers::ShardWakers(std::uint32_t shards) : count_(shards), wakers_(new Waker[shards]) {
    for (std::uint32_t i = 0; i < shards; ++i) {
        wakers_[i].descriptor = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (wakers_[i].descriptor < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
    }
}

ShardWakers::~ShardWakers() {
    for (std::uint32_t i = 0; i < count_; ++i) ::close(wakers_[i].descriptor);
}

// Sequentially consistent on purpose: either this thread sees the loop asleep, or the loop sees the reason before it
// sleeps. Weaker orders would allow both to miss.
void ShardWakers::raise(std::uint32_t shard, unsigned reasons) {
    Waker& waker = wakers_[shard];
    if ((waker.reasons.fetch_or(reasons) & reasons) == reasons) return;
    if (!waker.asleep.load()) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(waker.descriptor, &one, sizeof one);
}

bool ShardWakers::may_sleep(std::uint32_t shard) {
    Waker& waker = wakers_[shard];
    waker.asleep.store(true);
    if (waker.reasons.load() == 0) return true;
    waker.asleep.store(false);
    return false;
}

unsigned ShardWakers::take(std::uint32_t shard) {
    Waker& waker = wakers_[shard];
    if (waker.asleep.load(std::memory_order_relaxed)) waker.asleep.store(false);
    if (waker.reasons.load(std::memory_order_relaxed) == 0) return 0;
    return waker.reasons.exchange(0);
}

}  // namespace trunkline::net
