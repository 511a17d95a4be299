#include "broker/core/live_feed.h"

#include <iterator>
#include <utility>

namespace trunkline::broker {

namespace {
constexpr std::size_t hand_over_least = 64;      // between two ticks
constexpr std::size_t late_per_tick_max = 4'096; // of what the turns since the last tick did not come to
constexpr std::size_t payload_room = 64;         // at the least: values grow by some digits
}  // namespace

LiveNote::LiveNote(std::string_view topic, std::size_t payload_capacity)
    : capacity(static_cast<std::uint16_t>(payload_capacity)), topic_size_(static_cast<std::uint16_t>(topic.size())) {
    if (!topic.empty()) std::memcpy(text() + capacity, topic.data(), topic.size());
}

LiveNote::Ptr LiveNote::make(std::string_view topic, std::size_t capacity) {
    capacity = std::min(capacity, payload_bytes_max);
    // The payload begins a cache line: a publish writes to as few as there can be.
    const std::size_t bytes = sizeof(LiveNote) + topic.size() + capacity;
    void* memory = std::aligned_alloc(alignof(LiveNote), (bytes + alignof(LiveNote) - 1) & ~(alignof(LiveNote) - 1));
    if (!memory) throw std::bad_alloc();
    return Ptr(new (memory) LiveNote(topic, capacity));
}

void LiveNote::Free::operator()(LiveNote* note) const {
    note->~LiveNote();
    std::free(note);
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

bool LiveFeed::open(Route& route, std::size_t payload_bytes) {
    if (opened_ >= notes_per_s_max || !sink_->has_room()) {
        left_out.add();
        return false;
    }
    ++opened_;
    ++since_tick_;
    route.live.close();   // too small: it goes as it is, the new one after it
    open_.push_back(LiveNote::make(route.topic(), std::max(payload_room, payload_bytes + payload_bytes / 8)));
    route.live.open(*open_.back());
    return true;
}

void LiveFeed::note(Route& route, std::string_view publisher, const MessageView& message, std::int64_t now_ms) {
    if (!sink_) return;
    if (!route.live.fits(message.payload.size()) && !open(route, message.payload.size())) return;
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
    LiveNote::Ptr note = LiveNote::make(message.topic, message.payload.size());
    LiveSlot slot;
    slot.open(*note);
    slot.set(message.payload, message.qos, message.retain, now_ms);
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
    hand_over(late_per_tick_max);
    // What was begun since the last tick goes in equal parts over the next ones.
    for (std::size_t& due : due_) due += (since_tick_ + due_.size() - 1) / due_.size();
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
