// A script of bytes, closings, commits, ticks and slow sockets over three clients and two shards. What must hold: no
// broken invariant in the broker, only well-formed packets of a server come out, no packet identifier is in use twice,
// and nothing is acknowledged before its commit.
#include <array>
#include <cstdlib>
#include <map>
#include <set>
#include <string>

#include "broker/core/client.h"
#include "persistence/record.h"
#include "tests/unit/core/script.h"

using namespace trunkline;
using namespace trunkline::broker;
using namespace trunkline::broker::test;
using mqtt::PacketType;
using mqtt::Version;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

class Input {
public:
    Input(const unsigned char* data, std::size_t size) : at_(data), end_(data + size) {}
    [[nodiscard]] bool empty() const { return at_ == end_; }
    std::uint8_t byte() { return at_ == end_ ? 0 : *at_++; }
    std::uint8_t below(std::uint8_t bound) { return static_cast<std::uint8_t>(byte() % bound); }
    std::string bytes() {
        const std::size_t size = std::min<std::size_t>(byte(), static_cast<std::size_t>(end_ - at_));
        std::string text(reinterpret_cast<const char*>(at_), size);
        at_ += size;
        return text;
    }

private:
    const unsigned char* at_;
    const unsigned char* end_;
};

constexpr std::array topics = {"a", "a/b", "a/b/c", "$SYS/x", "b", "will"};
constexpr std::array filters = {"#", "a/+", "a/#",   "a/b",      "$share/g/a/#", "$share/g/a/b",
                                "+", "b",   "a/#/b", "$share//x"};

struct Slot {
    Peer* peer = nullptr;
    bool greeted = false;                              // sent a CONNECT
    bool own_bytes = false;                            // sent raw bytes: its packets are its own affair
    std::set<std::uint16_t> in_use;                    // of messages to it
    std::map<std::uint16_t, std::string> unanswered;   // retained publishes: identifier and payload
    std::vector<mqtt::Ack> owed;                       // acknowledgements it could send
};

StateLimits small_state() {
    StateLimits limits;
    limits.queue_messages = 16;
    limits.live_messages = 4;
    limits.young_ms = 500;
    limits.retained_messages = 4;
    return limits;
}

Config small_config() {
    Config config;
    config.limits.receive_maximum = 8;
    config.limits.write_buffer_bytes = 512;
    config.limits.transient_queue_messages = 4;
    config.limits.max_subscriptions_per_client = 4;
    config.limits.log_backlog_bytes = 2'000;
    return config;
}

class Run {
public:
    explicit Run(Input input) : input_(input), script_(2, small_config(), small_state()) {
        script_.log->on_commit = [this](const Submission& submission, const std::vector<RefusedOp>& refused) {
            const std::string_view bytes = submission.ops->bytes();
            for (std::size_t at = 0; at < bytes.size();) {
                const auto header = store::peek_op(bytes.substr(at));
                bool taken = true;
                for (const RefusedOp& one : refused) {
                    if (one.token == submission.token && one.op_offset == at) taken = false;
                }
                if (header->kind == store::OpKind::publish && taken) {
                    committed_.emplace(store::read_publish(bytes.substr(at))->payload);
                }
                at += header->size;
            }
        };
    }

    void run() {
        for (int steps = 0; !input_.empty() && steps < 400; ++steps) {
            step();
            for (Slot& slot : slots_) read(slot);
        }
        for (Slot& slot : slots_) {
            if (slot.peer && input_.below(2)) slot.peer->drop();
        }
        script_.log->hold_effects = false;
        script_.log->deliver();
        script_.settle();
        for (Slot& slot : slots_) read(slot);
    }

private:
    void step() {
        const std::uint8_t what = input_.byte();
        Slot& slot = slots_[what % 3];
        switch ((what / 3) % 16) {
            case 0: return raw(slot);
            case 1: case 2: return connect(slot);
            case 3: case 4: case 5: return publish(slot);
            case 6: return subscribe(slot);
            case 7: return unsubscribe(slot);
            case 8: case 9: return acknowledge(slot);
            case 10: return end(slot);
            case 11: case 12: script_.commit(); return;
            case 13: return script_.pass(std::int64_t{100} << input_.below(10));
            case 14: return flow(slot);
            default: return trouble();
        }
    }

    Peer& peer(Slot& slot) {
        if (!slot.peer || !slot.peer->client) {
            slot = {};
            slot.peer = &script_.open(input_.below(2), Version::v5);
        }
        return *slot.peer;
    }
    bool connected(const Slot& slot) const { return slot.peer && slot.peer->client; }

    void raw(Slot& slot) {
        Peer& to = peer(slot);
        slot.own_bytes = true;
        to.send_bytes(input_.bytes());
        if (to.client) to.set_version(to.client->version);
    }

    void connect(Slot& slot) {
        Hello hello;
        const std::uint8_t flags = input_.byte();
        hello.id = flags & 1 ? "x" : flags & 2 ? "y" : "z";
        hello.clean = flags & 4;
        hello.expiry_s = flags & 8 ? 5 : 0;
        hello.version = flags & 16 ? Version::v311 : Version::v5;
        hello.receive_maximum = flags & 32 ? 1 : 3;
        hello.alias_maximum = flags & 64 ? 2 : 0;
        if (flags & 128) {
            mqtt::Will will;
            will.topic = topics[input_.below(topics.size())];
            will.payload = "w";
            will.qos = input_.below(3);
            will.retain = input_.below(2);
            will.delay_s = hello.version == Version::v5 ? input_.below(4) : 0;
            hello.will = will;
        }
        if (input_.below(8) == 0) hello.maximum_packet_size = 1U + input_.byte();
        Peer& to = peer(slot);
        if (slot.greeted) hello.version = to.version();  // a second CONNECT is refused in the version of the first
        slot.greeted = true;
        to.send(hello);
    }

    void publish(Slot& slot) {
        if (!connected(slot)) return;
        const std::uint8_t flags = input_.byte();
        Text text;
        text.topic = topics[input_.below(topics.size())];
        text.qos = static_cast<std::uint8_t>(flags % 3);
        text.retain = flags & 4;
        if (text.qos) text.id = ++next_id_;
        text.payload = std::to_string(++number_) + std::string(flags & 8 ? 200 : 0, 'x');
        if (slot.peer->version() == Version::v5) {
            if (flags & 16) text.expiry_s = flags & 32 ? 0 : 2;
            if (flags & 64) text.alias = input_.below(70);
            if (text.alias && flags & 128) text.topic.clear();
        }
        const bool alias_alone = text.topic.empty();
        if (text.retain && text.qos && !slot.own_bytes && !alias_alone) slot.unanswered[text.id] = text.payload;
        slot.peer->send(text);
    }

    void subscribe(Slot& slot) {
        if (!connected(slot)) return;
        const std::uint8_t flags = input_.byte();
        mqtt::SubscriptionOptions options;
        options.qos = flags % 3;
        if (slot.peer->version() == Version::v5) {
            options.no_local = flags & 4;
            options.retain_as_published = flags & 8;
            options.retain_handling = static_cast<mqtt::RetainHandling>(flags / 16 % 3);
        }
        const char* filter = filters[input_.below(filters.size())];
        slot.peer->subscribe(++next_id_, filter, options, slot.peer->version() == Version::v5 && flags & 128 ? 7 : 0);
    }

    void unsubscribe(Slot& slot) {
        if (connected(slot)) slot.peer->unsubscribe(++next_id_, filters[input_.below(filters.size())]);
    }

    void acknowledge(Slot& slot) {
        if (!connected(slot)) return;
        if (slot.owed.empty()) {
            return slot.peer->ack(static_cast<PacketType>(4 + input_.below(4)),
                                  static_cast<std::uint16_t>(input_.byte()));
        }
        const std::size_t at = input_.below(static_cast<std::uint8_t>(std::min<std::size_t>(slot.owed.size(), 255)));
        const mqtt::Ack ack = slot.owed[at];
        slot.owed.erase(slot.owed.begin() + static_cast<std::ptrdiff_t>(at));
        const bool refuses =
            ack.type == PacketType::pubrec && slot.peer->version() == Version::v5 && input_.below(8) == 0;
        if (ack.type != PacketType::pubrec || refuses) slot.in_use.erase(ack.packet_id);
        slot.peer->ack(ack.type, ack.packet_id, refuses ? mqtt::Reason::unspecified_error : mqtt::Reason::success);
    }

    void end(Slot& slot) {
        if (!connected(slot)) return;
        const std::uint8_t how = input_.below(4);
        if (how < 2 || slot.peer->version() != Version::v5) return slot.peer->drop();
        slot.peer->disconnect(how == 2 ? mqtt::Reason::success : mqtt::Reason::disconnect_with_will,
                              input_.below(2) ? std::optional<std::uint32_t>(input_.below(4)) : std::nullopt);
    }

    void flow(Slot& slot) {
        if (!connected(slot)) return;
        const std::uint8_t much = input_.byte();
        script_.takes(*slot.peer, much == 255 ? SIZE_MAX : much);
    }

    void trouble() {
        switch (input_.below(6)) {
            case 0: script_.log->hold_effects = true; return;
            case 1:
                script_.log->hold_effects = false;
                script_.log->deliver();
                return script_.turn();
            case 2: script_.log->growth_allowed = input_.below(2); return;
            case 3: return script_.broker->kick("x", [](bool) {});
            case 4: return script_.broker->publish("b", "own", input_.below(2), input_.below(3));
            default: return script_.settle();
        }
    }

    /// Everything that came to a client is well-formed and in its place.
    void read(Slot& slot) {
        if (!slot.peer) return;
        // what raw bytes were taken for shows in the CONNACK, which has properties in 5.0 alone
        if (slot.own_bytes && slot.peer->transport.received.starts_with("\x20\x02")) {
            slot.peer->set_version(Version::v311);
        }
        while (auto packet = slot.peer->next()) {
            if (const auto* publish = std::get_if<mqtt::Publish>(&*packet)) {
                on_publish(slot, *publish);
            } else if (const auto* ack = std::get_if<mqtt::Ack>(&*packet)) {
                on_ack(slot, *ack);
            } else {
                require(std::holds_alternative<mqtt::Connack>(*packet) ||
                        std::holds_alternative<mqtt::Suback>(*packet) ||
                        std::holds_alternative<mqtt::Unsuback>(*packet) ||
                        std::holds_alternative<mqtt::Disconnect>(*packet) ||
                        std::holds_alternative<mqtt::Auth>(*packet) || std::holds_alternative<tests::Ping>(*packet));
            }
        }
    }

    void on_publish(Slot& slot, const mqtt::Publish& publish) {
        if (publish.qos == 0 || slot.own_bytes) return;
        require(slot.in_use.insert(publish.packet_id).second);  // [MQTT-2.2.1-4]
        slot.owed.push_back({publish.qos == 1 ? PacketType::puback : PacketType::pubrec, publish.packet_id,
                             mqtt::Reason::success, {}, {}});
    }

    void on_ack(Slot& slot, const mqtt::Ack& ack) {
        if (ack.type == PacketType::pubrel) {
            slot.owed.push_back({PacketType::pubcomp, ack.packet_id, mqtt::Reason::success, {}, {}});
            return;
        }
        if (ack.type == PacketType::pubrec && static_cast<int>(ack.reason) < 0x80) {
            slot.owed.push_back({PacketType::pubrel, ack.packet_id, mqtt::Reason::success, {}, {}});
        }
        const auto at = slot.unanswered.find(ack.packet_id);
        if (ack.type == PacketType::pubcomp || at == slot.unanswered.end()) return;
        // v3 acknowledges what it refuses for its topic or form
        const bool good = slot.peer->version() == Version::v5 && static_cast<int>(ack.reason) < 0x80;
        require(!good || committed_.contains(at->second));
        slot.unanswered.erase(at);
    }

    Input input_;
    Script script_;
    std::array<Slot, 3> slots_;
    std::set<std::string, std::less<>> committed_;
    std::uint16_t next_id_ = 0;
    std::uint32_t number_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size > 4'096) return 0;
    Run(Input(data, size)).run();
    return 0;
}
