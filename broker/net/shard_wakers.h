// How other threads wake the loop of a shard: one eventfd and one set of reasons per shard. A loop that is awake is
// never written to, so waking a busy shard costs one atomic operation.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace trunkline::net {

class ShardWakers {
public:
    /// Why a loop is woken; bits of one word.
    static constexpr unsigned mail = 1;    ///< ShardApi::on_mail() is due
    static constexpr unsigned inbox = 2;   ///< the runner's own inbox holds something

    /// Throws std::system_error when descriptors run out.
    explicit ShardWakers(std::uint32_t shards);
    ~ShardWakers();
    ShardWakers(const ShardWakers&) = delete;
    ShardWakers& operator=(const ShardWakers&) = delete;

    /// Any thread: on_mail() of the shard runs soon, once for any number of calls before it.
    void wake(std::uint32_t shard) { raise(shard, mail); }
    /// Any thread.
    void raise(std::uint32_t shard, unsigned reasons);

    [[nodiscard]] std::uint32_t count() const { return count_; }

    /// The loop's thread: the descriptor that becomes readable (watch it edge-triggered, never read it).
    [[nodiscard]] int descriptor(std::uint32_t shard) const { return wakers_[shard].descriptor; }
    /// The loop's thread, before it waits: false when there is something to do at once.
    [[nodiscard]] bool may_sleep(std::uint32_t shard);
    /// The loop's thread, after it waited: the reasons collected since the last call.
    [[nodiscard]] unsigned take(std::uint32_t shard);

private:
    struct alignas(64) Waker {
        std::atomic<unsigned> reasons{0};
        std::atomic<bool> asleep{false};
        int descriptor = -1;
    };
    std::uint32_t count_;
    std::unique_ptr<Waker[]> wakers_;
};

}  // namespace trunkline::net
