#include <algorithm>
#include <bit>

#include "bench/clock.h"
#include "bench/traffic.h"

namespace trunkline::bench {

namespace {

constexpr std::uint64_t ring_max = 32'768;          // slots number packet identifiers, which end at 65,535
constexpr std::uint64_t open_loop_ring = 16'384;
constexpr std::size_t unsent_bytes_max = 512 * 1024;  // encoded ahead of what the kernel takes

std::uint64_t ring_size(const Options& options) {
    // Four windows, because a message that is slow to arrive at one subscriber must not hold up its successors.
    return options.rate > 0 ? open_loop_ring : std::min(ring_max, std::bit_ceil(std::uint64_t{options.inflight} * 4));
}

}  // namespace

TrafficCounters operator-(const TrafficCounters& a, const TrafficCounters& b) {
    return {a.published - b.published,       a.delivered - b.delivered, a.expected - b.expected,
            a.acknowledged - b.acknowledged, a.refused - b.refused,     a.foreign - b.foreign};
}

TrafficCounters& operator+=(TrafficCounters& a, const TrafficCounters& b) {
    a.published += b.published;
    a.delivered += b.delivered;
    a.expected += b.expected;
    a.acknowledged += b.acknowledged;
    a.refused += b.refused;
    a.foreign += b.foreign;
    return a;
}

Publisher::Publisher(Loop& loop, const Endpoint& endpoint, ClientConfig config, TrafficShared& shared,
                     const Options& options, std::uint32_t index, std::vector<std::uint32_t> topics)
    : Client(loop, endpoint, std::move(config)), shared_(shared), topics_(std::move(topics)),
      remaining_(ring_size(options)), sent_ns_(ring_size(options)), mask_(ring_size(options) - 1),
      window_(options.inflight), index_(index), qos_(static_cast<std::uint8_t>(options.qos)),
      open_loop_(options.rate > 0) {}

void Publisher::start(std::uint64_t limit) {
    limit_ = limit;
    mark_dirty();
}

bool Publisher::has_room() const {
    const std::uint64_t under_way = sent_ - done_;
    if (!open_loop_ && under_way >= window_) return false;
    if (qos_ != 0 && unacknowledged_ >= receive_maximum()) return false;  // [MQTT-3.3.4-7]
    return sent_ - oldest_ <= mask_ && sent_ < limit_;
}

bool Publisher::on_fill() {
    if (open_loop_ || !has_room()) return false;
    const std::int64_t now = now_ns();
    while (has_room()) {
        if (unsent_bytes() >= unsent_bytes_max) return true;
        emit(now);
    }
    return false;
}

bool Publisher::publish_one(std::int64_t due_ns) {
    if (!has_room() || unsent_bytes() >= unsent_bytes_max) return false;
    emit(due_ns);
    mark_dirty();
    return true;
}

void Publisher::emit(std::int64_t sent_ns) {
    const std::uint64_t slot = sent_ & mask_;
    const std::uint32_t topic = topics_[topic_at_];
    if (++topic_at_ == topics_.size()) topic_at_ = 0;
    const std::uint16_t receivers = shared_.receivers[topic];
    remaining_[slot] = static_cast<std::uint16_t>(receivers + (qos_ != 0));
    sent_ns_[slot] = sent_ns;
    shared_.frames[topic].append_to(out(), static_cast<std::uint16_t>(slot + 1),
                                    {shared_.magic, index_, sent_, sent_ns});
    ++sent_;
    ++shared_.counters.published;
    shared_.counters.expected += receivers;
    if (qos_ != 0) {
        ++unacknowledged_;
    } else if (receivers == 0) {
        complete(1);
    }
}

void Publisher::complete(std::uint64_t count) {
    done_ += count;
    while (oldest_ < sent_ && remaining_[oldest_ & mask_] == 0) ++oldest_;
    if (!open_loop_ && sent_ < limit_) mark_dirty();
}

void Publisher::credit(std::uint64_t sequence) {
    if (sequence < oldest_ || sequence >= sent_) return;
    std::uint16_t& remaining = remaining_[sequence & mask_];
    if (remaining != 0 && --remaining == 0) complete(1);
}

void Publisher::on_acknowledged(std::uint16_t packet_id, mqtt::Reason reason) {
    const std::uint64_t slot = packet_id - 1U;
    if (slot > mask_) return;
    std::uint16_t& remaining = remaining_[slot];
    if (remaining == 0 || unacknowledged_ == 0) return;
    --unacknowledged_;
    ++shared_.counters.acknowledged;
    shared_.acknowledgement_ns.record(loop().event_ns() - sent_ns_[slot]);
    const bool taken = static_cast<std::uint8_t>(reason) < 0x80;
    if (taken == last_refused_) ++switches_;
    last_refused_ = !taken;
    if (taken) {
        if (--remaining == 0) complete(1);
        return;
    }
    const std::uint64_t sequence = oldest_ + ((slot - oldest_) & mask_);
    refused_.push_back(sequence);
    ++shared_.counters.refused;
    shared_.counters.expected -= shared_.receivers[topics_[sequence % topics_.size()]];
    remaining = 0;
    complete(1);
}

std::vector<std::uint64_t> Publisher::refused() const {
    auto sorted = refused_;
    std::sort(sorted.begin(), sorted.end());
    return sorted;
}

Subscriber::Subscriber(Loop& loop, const Endpoint& endpoint, ClientConfig config, TrafficShared& shared,
                       std::uint32_t first, std::uint32_t count, bool sparse)
    : Client(loop, endpoint, std::move(config)), shared_(shared), first_(first),
      trackers_(count, SequenceTracker(sparse)) {}

void Subscriber::on_publish(const Incoming& incoming) {
    Stamp stamp;
    const bool stamped = read_stamp(incoming.payload, stamp);
    const std::uint32_t index = stamp.publisher - first_;
    if (!stamped || stamp.magic != shared_.magic || index >= trackers_.size()) {
        ++shared_.counters.foreign;
        return;
    }
    ++shared_.counters.delivered;
    shared_.delivery_ns.record(loop().event_ns() - stamp.sent_ns);
    Publisher& publisher = *shared_.publishers[stamp.publisher];
    SequenceTracker& tracker = trackers_[index];
    const std::uint64_t expected = tracker.next();
    switch (tracker.observe(stamp.sequence)) {
        case Arrival::gap:  // what was skipped will not come in order any more: nobody waits for it
            for (std::uint64_t skipped = expected; skipped < stamp.sequence; ++skipped) publisher.credit(skipped);
            [[fallthrough]];
        case Arrival::in_order: publisher.credit(stamp.sequence); break;
        case Arrival::late:
        case Arrival::duplicate: break;
    }
}

}  // namespace trunkline::bench
