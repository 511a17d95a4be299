// The shard's part of the live tree: what was published last on each topic, handed over in portions. It adds no wait,
// no lock and no allocation to a publish on a topic that has been published to within the last second.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "broker/core/client.h"
#include "broker/core/counters.h"
#include "broker/core/live_note.h"
#include "broker/core/router.h"

namespace trunkline::broker {

/// Owned by a shard, used on its thread alone.
class LiveFeed {
public:
    static constexpr std::size_t notes_per_s_max = 200'000;   // more topics in a second: left out, and counted
    static constexpr std::size_t notes_per_turn = 64;
    static constexpr std::size_t portion_max = 1'024;
    static constexpr std::size_t few_notes = 512;
    /// More open notes than that: retained messages leave none, their values are in the retained tree anyway.
    static constexpr std::size_t notes_of_retained_max = 16'384;
    static constexpr std::size_t violations_per_tick_max = 256;   // on different topics

    LiveFeed() = default;
    ~LiveFeed();
    LiveFeed(const LiveFeed&) = delete;
    LiveFeed& operator=(const LiveFeed&) = delete;

    /// Before anything is noted; without it nothing is.
    void attach(LiveSink& sink) { sink_ = &sink; }

    /// A message was accepted. `now_ms`: since 1970.
    void note(Route& route, Client& client, const MessageView& message, std::int64_t now_ms) {
        if (!sink_) return;
        LiveSlot& slot = route.live;
        const std::size_t needs = LiveSlot::needs(message.payload, message.retain);
        if (!slot.fits(needs) || is_news(slot, message)) [[unlikely]] {
            if (!open(route, needs, message.retain)) return;
        }
        slot.set(message.payload, message.qos, message.retain, now_ms);
        if (!client.live_publisher || slot.publisher != client.live_publisher.get()) [[unlikely]] {
            set_publisher(slot, publisher_of(client));
        }
    }
    /// The same for what no client's connection brings: a will, the administration. `publisher` may be empty.
    void note(Route& route, std::string_view publisher, const MessageView& message, std::int64_t now_ms);

    /// A message broke the model; `delivered`: it is noted as a publish, too. `message.topic` as it was published.
    void note_violation(std::string_view client_id, std::string_view user, const MessageView& message, bool delivered,
                        std::int64_t now_ms);

    /// Call every 100 ms, and at the end of each turn: hands over what is due, a bounded part at a time.
    void on_tick(std::int64_t now_ms);
    void end_turn() {
        if (budget_ > 0) hand_over(notes_per_turn);
    }
    /// Before the routes go: everything at once.
    void drop_routes();

    /// Messages that left no note: too many topics, or the browsing thread is behind.
    Counter left_out;

private:
    /// While few topics speak, a payload of another length than the one before has a note of its own: of a burst more
    /// is seen than its end.
    [[nodiscard]] bool is_news(const LiveSlot& slot, const MessageView& message) const {
        return message.payload.size() != slot.payload_bytes && !message.retain && open_.size() - first_ < few_notes;
    }
    [[nodiscard]] bool open(Route& route, std::size_t payload_bytes, bool retain);
    static void set_publisher(LiveSlot& slot, LivePublisherPtr publisher);
    [[nodiscard]] static const LivePublisherPtr& publisher_of(Client& client);
    void hand_over(std::size_t most);

    LiveSink* sink_ = nullptr;
    NoteSlab* slab_ = nullptr;            // for new notes
    LiveNotes open_;                      // in order of their first message; handed over below first_
    std::size_t first_ = 0;
    std::size_t budget_ = 0;              // to be handed over until the next tick
    std::array<std::size_t, 16> due_{};    // by tick: how many are to go then
    std::size_t tick_ = 0, since_tick_ = 0;
    std::size_t opened_ = 0;              // in this second
    std::int64_t second_ = 0;
    LiveNotes violations_;
    boost::unordered_flat_map<std::uint64_t, LiveNote*> violating_;   // by hash of topic and publisher
};

}  // namespace trunkline::broker
