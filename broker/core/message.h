// A message that several owners share: queued for transient sessions, or on its way to another shard.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include "namespace/commit_time.h"

namespace trunkline::broker {

/// A message as views: what routing and delivery work on, whoever owns the bytes.
struct MessageView {
    std::uint8_t qos = 0;                 ///< as published
    bool retain = false;                  ///< RETAIN as published
    std::int64_t expires_at_ms = 0;       ///< wall clock; 0: never
    uns::CommitTime committed = 0;        ///< 0: did not go through the log
    std::uint64_t publisher = 0;          ///< Client::identity of who published it, for No Local; 0: the broker itself
    std::string_view topic;
    std::string_view properties;          ///< forwarded MQTT 5 property bytes
    std::string_view payload;
};

/// One allocation, never changed after it was made, reference counted across threads.
class Message {
public:
    static boost::intrusive_ptr<const Message> make(const MessageView& view) {
        const std::size_t bytes = view.topic.size() + view.properties.size() + view.payload.size();
        void* memory = std::malloc(sizeof(Message) + bytes);
        if (!memory) throw std::bad_alloc();
        return boost::intrusive_ptr<const Message>(new (memory) Message(view));
    }
    [[nodiscard]] MessageView view() const {
        const char* at = reinterpret_cast<const char*>(this + 1);
        MessageView view;
        view.qos = qos_;
        view.retain = retain_;
        view.expires_at_ms = expires_at_ms_;
        view.committed = committed_;
        view.publisher = publisher_;
        view.topic = {at, topic_size_};
        view.properties = {at + topic_size_, properties_size_};
        view.payload = {at + topic_size_ + properties_size_, payload_size_};
        return view;
    }
    [[nodiscard]] std::size_t memory_bytes() const {
        return sizeof(Message) + topic_size_ + properties_size_ + payload_size_;
    }

    friend void intrusive_ptr_add_ref(const Message* message) {
        message->references_.fetch_add(1, std::memory_order_relaxed);
    }
    friend void intrusive_ptr_release(const Message* message) {
        if (message->references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
        message->~Message();
        std::free(const_cast<Message*>(message));
    }

private:
    explicit Message(const MessageView& view)
        : qos_(view.qos), retain_(view.retain), topic_size_(static_cast<std::uint32_t>(view.topic.size())),
          properties_size_(static_cast<std::uint32_t>(view.properties.size())),
          payload_size_(static_cast<std::uint32_t>(view.payload.size())), expires_at_ms_(view.expires_at_ms),
          committed_(view.committed), publisher_(view.publisher) {
        char* at = reinterpret_cast<char*>(this + 1);
        for (const std::string_view part : {view.topic, view.properties, view.payload}) {
            if (!part.empty()) std::memcpy(at, part.data(), part.size());
            at += part.size();
        }
    }

    mutable std::atomic<std::uint32_t> references_{0};
    std::uint8_t qos_;
    bool retain_;
    std::uint32_t topic_size_, properties_size_, payload_size_;
    std::int64_t expires_at_ms_;
    uns::CommitTime committed_;
    std::uint64_t publisher_;
};
using MessagePtr = boost::intrusive_ptr<const Message>;

}  // namespace trunkline::broker
