// One MQTT client connection: connects, subscribes, acknowledges what comes, and hands the rest to its subclass.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/endpoint.h"
#include "bench/frames.h"
#include "bench/loop.h"
#include "broker/mqtt/buffer.h"
#include "broker/mqtt/decode.h"
#include "broker/mqtt/packets.h"

namespace trunkline::bench {

struct WillConfig {
    std::string topic;
    std::string payload;
    std::uint8_t qos = 1;
    bool retain = true;
};

struct ClientConfig {
    std::string client_id;
    mqtt::Version version = mqtt::Version::v5;
    bool clean_start = true;
    std::uint32_t session_expiry_s = 0;   // v5 only; before, a session that is not clean lasts
    std::uint16_t keep_alive_s = 0;       // 0: off; otherwise pings are sent when idle
    std::string user;
    std::string password;
    std::uint8_t subscribe_qos = 0;
    std::vector<std::string> filters;     // subscribed to after CONNACK, in order
    std::optional<WillConfig> will;
    std::uint32_t source = 0;             // see Endpoint::open_socket
};

/// Belongs to one loop and its thread. States: idle -> connecting -> handshake -> connack -> suback -> ready -> closed.
class Client {
public:
    Client(Loop& loop, const Endpoint& endpoint, ClientConfig config);
    virtual ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    /// Starts connecting; also again after a close. The outcome is on_ready() or on_closed().
    void connect();
    /// Sends a DISCONNECT (unless `abrupt`) and closes, without on_closed().
    void disconnect(bool abrupt = false);

    [[nodiscard]] bool ready() const { return state_ == State::ready; }
    [[nodiscard]] bool open() const { return state_ != State::idle && state_ != State::closed; }
    [[nodiscard]] bool session_present() const { return session_present_; }
    /// From CONNACK: how many QoS 1 and 2 messages the broker takes before it acknowledges one.
    [[nodiscard]] std::uint16_t receive_maximum() const { return receive_maximum_; }
    /// Bytes encoded and not yet taken by the kernel.
    [[nodiscard]] std::size_t unsent_bytes() const { return out_.size(); }

    ClientConfig& config() { return config_; }

    /// Appends a PUBLISH (cold path; traffic uses PublishFrame).
    void publish(const mqtt::PublishOut& packet);
    /// Asks for a PINGRESP, which comes back as on_pong(): everything sent before has been read by the broker.
    void ping();

protected:
    /// The connection is usable.
    virtual void on_ready() {}
    /// End of a turn in which the client was dirty: append to out(). True: there is more as soon as this has been sent.
    virtual bool on_fill() { return false; }
    /// A PUBLISH came. Its acknowledgement is already on its way; the views end with the call.
    virtual void on_publish(const Incoming&) {}
    /// The exchange of a QoS 1 or 2 message of ours ended. `reason` of 0x80 and above: refused.
    virtual void on_acknowledged(std::uint16_t /*packet_id*/, mqtt::Reason /*reason*/) {}
    virtual void on_pong() {}
    /// The connection was lost or refused, for this reason.
    virtual void on_closed(const std::string& /*why*/) {}

    mqtt::Buffer& out() { return out_; }
    void mark_dirty() { if (!dirty_) loop_.mark_dirty(*this); }
    Loop& loop() { return loop_; }

private:
    friend class Loop;
    enum class State : std::uint8_t { idle, connecting, handshake, connack, suback, ready, closed };

    // Called by the loop.
    void handle_events(std::uint32_t events);
    void fill_and_flush();
    void ping_if_idle(std::int64_t now);

    void advance_connecting();
    void advance_handshake();
    void read_some();
    std::size_t consume(const char* data, std::size_t bytes);
    bool handle_packet(const RawPacket& packet);
    bool handle_publish(const RawPacket& packet);
    bool handle_acknowledgement(mqtt::PacketType type, const RawPacket& packet);
    bool handle_control(mqtt::PacketType type, const RawPacket& packet);
    bool handle_connack(std::string_view body);
    bool handle_suback(std::string_view body);
    void send_connect();
    void send_next_subscribe();
    void become_ready();
    void flush();
    void watch(bool for_writing);
    void fail(const std::string& why);
    void close_socket();

    Loop& loop_;
    const Endpoint& endpoint_;
    ClientConfig config_;
    Stream stream_;
    State state_ = State::idle;
    bool dirty_ = false;
    bool watching_write_ = false;
    bool session_present_ = false;
    std::uint16_t receive_maximum_ = 65535;
    std::size_t filters_sent_ = 0;
    std::int64_t last_sent_ns_ = 0;
    std::uint32_t generation_ = 0;   // one more for each connection, so that a stale event is recognised
    mqtt::Buffer out_;
    mqtt::Buffer partial_;           // an incomplete packet from the last read
};

/// Connects all, at most `at_once` under way at a time, and waits until all are ready. False: `why` says what failed.
bool connect_all(Loop& loop, const std::vector<Client*>& clients, std::size_t at_once, double timeout_s,
                 std::string& why);

}  // namespace trunkline::bench
