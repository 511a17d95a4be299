// What a publish leaves for browsing: the shard keeps the last one of each topic and hands it over about once a second.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <boost/smart_ptr/intrusive_ptr.hpp>

namespace trunkline::broker {

/// Who published. Made once a connection, shared with what it left; never changed.
class LivePublisher {
public:
    LivePublisher(std::string_view id, std::string_view name) : client_id(id), user(name) {}
    const std::string client_id, user;

    friend void intrusive_ptr_add_ref(const LivePublisher* publisher) {
        publisher->references_.fetch_add(1, std::memory_order_relaxed);
    }
    friend void intrusive_ptr_release(const LivePublisher* publisher) {
        if (publisher->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete publisher;
    }

private:
    mutable std::atomic<std::uint32_t> references_{0};
};
using LivePublisherPtr = boost::intrusive_ptr<const LivePublisher>;

struct LiveSlot;

/// Memory for notes: taken from the system in one piece and given back when the last note in it is gone, so that a
/// moment in which many topics speak leaves nothing behind. One thread makes notes in it, any thread ends them.
class NoteSlab {
public:
    static constexpr std::size_t bytes = 256 * 1024;
    static NoteSlab* make();
    /// Null when there is not enough left. Counts as a user until release().
    [[nodiscard]] void* take(std::size_t size);
    void release();

private:
    NoteSlab() = default;
    std::atomic<std::uint32_t> users_{1};   // notes, and who makes them
    std::size_t used_ = 64;                 // from the start of the slab, which is this
};

/// The last message of a topic and how many there were, in one allocation. Belongs to the shard while it is open, then
/// to whom it was handed over.
class alignas(64) LiveNote {
public:
    static constexpr std::size_t payload_bytes_max = 4'096;   // a longer payload is cut, and says so
    struct Free { void operator()(LiveNote* note) const; };
    using Ptr = std::unique_ptr<LiveNote, Free>;
    /// In `slab`, which is replaced when it is full.
    static Ptr make(NoteSlab*& slab, std::string_view topic, std::size_t capacity);

    [[nodiscard]] std::string_view topic() const { return {text() + capacity, topic_size_}; }
    [[nodiscard]] std::string_view payload() const { return {text(), size}; }
    /// Room for `capacity` bytes of payload.
    [[nodiscard]] char* text() const { return reinterpret_cast<char*>(const_cast<LiveNote*>(this) + 1); }
    [[nodiscard]] std::size_t memory_bytes() const { return sizeof(LiveNote) + topic_size_ + capacity; }

    LiveSlot* slot = nullptr;           ///< what is written to it; null: it is closed
    LivePublisherPtr publisher;         ///< null: the broker itself
    std::int64_t at_ms = 0;             ///< of the last message, since 1970
    std::uint64_t messages = 0;         ///< 0: a note of violations
    std::uint64_t violations = 0;       ///< messages that broke the model
    bool delivered = false;             ///< those have notes of their own, too
    std::uint8_t qos = 0;
    bool retain = false;
    bool truncated = false;
    bool cleared = false;               ///< RETAIN with an empty payload
    std::uint16_t size = 0;             ///< of the payload; that of a retained message is in the retained tree
    const std::uint16_t capacity;

private:
    LiveNote(NoteSlab& slab, std::string_view topic, std::size_t payload_capacity);
    NoteSlab& slab_;
    const std::uint16_t topic_size_;
};

/// The part of an open note that changes with each message. It lies in the route, which a publish has at hand: the note
/// itself is only written to, which nobody waits for.
struct LiveSlot {
    LiveNote* note = nullptr;                  ///< null: there was no message since the last hand-over
    const LivePublisher* publisher = nullptr;  ///< the note holds it
    std::int64_t at_ms = 0;
    std::uint32_t messages = 0;
    std::uint32_t payload_bytes = 0;           ///< of the last message, also what was not copied
    std::uint16_t capacity = 0, size = 0;
    std::uint8_t qos = 0;
    bool retain = false;
    bool truncated = false;
    bool cleared = false;

    LiveSlot() = default;
    LiveSlot(const LiveSlot&) = delete;
    LiveSlot& operator=(const LiveSlot&) = delete;
    ~LiveSlot() { close(); }

    /// What has to be copied of a payload.
    [[nodiscard]] static std::size_t needs(std::string_view payload, bool retain) {
        return retain ? 0 : std::min(payload.size(), LiveNote::payload_bytes_max);
    }
    /// `payload` fits: fits() was asked.
    void set(std::string_view payload, std::uint8_t message_qos, bool message_retain, std::int64_t now_ms) {
        ++messages;
        at_ms = now_ms;
        qos = message_qos;
        retain = message_retain;
        cleared = message_retain && payload.empty();
        payload_bytes = static_cast<std::uint32_t>(payload.size());
        truncated = payload.size() > LiveNote::payload_bytes_max;
        size = static_cast<std::uint16_t>(needs(payload, message_retain));
        if (size) std::memcpy(note->text(), payload.data(), size);
    }
    [[nodiscard]] bool fits(std::size_t payload_bytes) const { return note && payload_bytes <= capacity; }
    void open(LiveNote& fresh) {
        note = &fresh;
        fresh.slot = this;
        capacity = fresh.capacity;
        publisher = nullptr;
        messages = 0;
    }
    /// The note gets everything and is written to no more.
    void close() {
        if (!note) return;
        note->at_ms = at_ms;
        note->messages = messages;
        note->qos = qos;
        note->retain = retain;
        note->truncated = truncated;
        note->cleared = cleared;
        note->size = size;
        note->slot = nullptr;
        note = nullptr;
    }
};

/// Notes on their way from a shard to the browsing thread.
using LiveNotes = std::vector<LiveNote::Ptr>;

/// Who takes them. Any thread.
class LiveSink {
public:
    virtual ~LiveSink() = default;
    /// False: it is so far behind that new notes are not to be begun.
    [[nodiscard]] virtual bool has_room() const = 0;
    virtual void put(LiveNotes&& notes) = 0;
    /// Retained messages left no note: what is retained is to be looked through.
    virtual void missed_retained() {}
};

}  // namespace trunkline::broker
