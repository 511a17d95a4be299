#include "broker/core/live_feed.h"

#include <sys/mman.h>

#include <iterator>
#include <new>
#include <utility>

namespace trunkline::broker {

namespace {
constexpr std::size_t hand_over_least = 64;      // between two ticks
constexpr std::size_t late_per_tick_max = 4'096; // of what the turns since the last tick did not come to
constexpr std::size_t few_per_tick = 1'000;
constexpr std::size_t spread_ticks = 4;
constexpr std::size_t late_ticks = 9;
constexpr std::size_t payload_room = 64;         // at the least: values grow by some digits
}  // namespace

NoteSlab* NoteSlab::make() {
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    return new (memory) NoteSlab;
}

void* NoteSlab::take(std::size_t size) {
    if (used_ + size > bytes) return nullptr;
    void* taken = reinterpret_cast<char*>(this) + used_;
    used_ += size;
    users_.fetch_add(1, std::memory_order_relaxed);
    return taken;
}

void NoteSlab::release() {
    if (users_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    this->~NoteSlab();
    ::munmap(this, bytes);
}

LiveNote::LiveNote(NoteSlab& slab, std::string_view topic, std::size_t payload_capacity)
    : capacity(static_cast<std::uint16_t>(payload_capacity)), slab_(slab),
      topic_size_(static_cast<std::uint16_t>(topic.size())) {
    if (!topic.empty()) std::memcpy(text() + capacity, topic.data(), topic.size());
}

LiveNote::Ptr LiveNote::make(NoteSlab*& slab, std::string_view topic, std::size_t capacity) {
    // The payload begins a cache line: a publish writes to as few as there can be.
    const std::size_t bytes = (sizeof(LiveNote) + topic.size() + capacity + alignof(LiveNote) - 1) &
                              ~(alignof(LiveNote) - 1);
    static_assert(sizeof(LiveNote) + UINT16_MAX + payload_bytes_max + alignof(LiveNote) < NoteSlab::bytes);
    void* memory = slab ? slab->take(bytes) : nullptr;
    if (!memory) {
        if (slab) slab->release();
        slab = NoteSlab::make();
        memory = slab->take(bytes);
    }
    return Ptr(new (memory) LiveNote(*slab, topic, capacity));
}

void LiveNote::Free::operator()(LiveNote* note) const {
    NoteSlab& slab = note->slab_;
    note->~LiveNote();
    slab.release();
}

LiveFeed::~LiveFeed() {
    violations_.clear();
    open_.clear();
    if (slab_) slab_->release();
}

const LivePublisherPtr& LiveFeed::publisher_of(Client& client) {
    if (!client.live_publisher) {
        const std::string_view id = client.session ? std::string_view(client.session->client_id) : std::string_view();
        client.live_publisher = new LivePublisher(id, client.user);
    }
    return client.live_publisher;
}

void LiveFeed::set_publisher(LiveSlot& slot, LivePublisherPtr publisher) {
    slot.publisher = publisher.get();
    slot.note->publisher = std::move(publisher);
}

bool LiveFeed::open(Route& route, std::size_t payload_bytes, bool retain) {
    if (retain && open_.size() - first_ >= notes_of_retained_max) {
        sink_->missed_retained();
        return false;
    }
    if (opened_ >= notes_per_s_max || !sink_->has_room()) {
        left_out.add();
        return false;
    }
    ++opened_;
    ++since_tick_;
    route.live.close();   // too small: it goes as it is, the new one after it
    const std::size_t room = payload_bytes == 0 ? 0 : std::max(payload_room, payload_bytes + payload_bytes / 8);
    open_.push_back(LiveNote::make(slab_, route.topic(), std::min(room, LiveNote::payload_bytes_max)));
    route.live.open(*open_.back());
    return true;
}

void LiveFeed::note(Route& route, std::string_view publisher, const MessageView& message, std::int64_t now_ms) {
    if (!sink_) return;
    const std::size_t needs = LiveSlot::needs(message.payload, message.retain);
    if ((!route.live.fits(needs) || is_news(route.live, message)) && !open(route, needs, message.retain)) return;
    route.live.set(message.payload, message.qos, message.retain, now_ms);
    set_publisher(route.live, publisher.empty() ? nullptr : LivePublisherPtr(new LivePublisher(publisher, {})));
}

void LiveFeed::note_violation(std::string_view client_id, std::string_view user, const MessageView& message,
                              bool delivered, std::int64_t now_ms) {
    if (!sink_) return;
    constexpr std::uint64_t spread = 0x9E37'79B9'7F4A'7C15ULL;
    const std::uint64_t key = FilterIndex::hash(message.topic) ^ FilterIndex::hash(client_id) * spread;
    const auto at = violating_.find(key);
    if (at != violating_.end() && at->second->topic() == message.topic) {
        ++at->second->violations;   // the first payload of the period stands for them
        at->second->at_ms = now_ms;
        return;
    }
    if (violations_.size() >= violations_per_tick_max || !sink_->has_room()) return left_out.add();
    const std::size_t needs = LiveSlot::needs(message.payload, false);
    LiveNote::Ptr note = LiveNote::make(slab_, message.topic, needs);
    LiveSlot slot;
    slot.open(*note);
    slot.set(message.payload, message.qos, false, now_ms);
    slot.retain = message.retain;
    slot.close();
    note->publisher = new LivePublisher(client_id, user);
    note->messages = 0;
    note->violations = 1;
    note->delivered = delivered;
    violating_[key] = note.get();
    violations_.push_back(std::move(note));
}

void LiveFeed::on_tick(std::int64_t now_ms) {
    if (!sink_) return;
    if (now_ms / 1'000 != second_) {
        second_ = now_ms / 1'000;
        opened_ = 0;
    }
    if (!violations_.empty()) {
        violating_.clear();
        sink_->put(std::exchange(violations_, {}));
    }
    for (std::size_t late = 0; late < late_per_tick_max; late += portion_max) hand_over(portion_max);
    // What was begun since the last tick goes in equal parts over the next ones; where many topics speak all of it
    // waits as long as it may, so that each of them is looked at less often.
    if (since_tick_ <= few_per_tick) {
        for (std::size_t i = 0; i < spread_ticks; ++i) {
            due_[(tick_ + i) % due_.size()] += (since_tick_ + spread_ticks - 1) / spread_ticks;
        }
    } else {
        due_[(tick_ + late_ticks) % due_.size()] += since_tick_;
    }
    since_tick_ = 0;
    budget_ = std::max(hand_over_least, budget_ + std::exchange(due_[tick_ % due_.size()], 0));
    budget_ = std::min(budget_, open_.size() - first_);
    ++tick_;
}

void LiveFeed::hand_over(std::size_t most) {
    most = std::min({most, budget_, open_.size() - first_});
    if (most == 0) return;
    budget_ -= most;
    LiveNotes portion;
    portion.reserve(most);
    for (std::size_t i = 0; i < most; ++i) {
        LiveNote::Ptr& note = open_[first_ + i];
        if (note->slot) note->slot->close();
        portion.push_back(std::move(note));
    }
    first_ += most;
    if (first_ == open_.size()) {
        open_.clear();
        if (open_.capacity() > 16 * hand_over_least) LiveNotes().swap(open_);
        first_ = 0;
    } else if (first_ > 1'024 && first_ > open_.size() / 2) {
        open_.erase(open_.begin(), std::next(open_.begin(), static_cast<std::ptrdiff_t>(first_)));
        first_ = 0;
    }
    sink_->put(std::move(portion));
}

void LiveFeed::drop_routes() {
    if (open_.empty()) return;
    for (std::size_t i = first_; i < open_.size(); ++i) {
        if (open_[i]->slot) open_[i]->slot->close();
    }
    if (first_ > 0) open_.erase(open_.begin(), std::next(open_.begin(), static_cast<std::ptrdiff_t>(first_)));
    first_ = 0;
    sink_->put(std::exchange(open_, {}));
}

}  // namespace trunkline::broker
