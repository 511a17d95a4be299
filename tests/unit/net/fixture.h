// A NetServer over a shard that echoes, and blocking clients to talk to it.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "broker/core/config.h"
#include "broker/core/shard_api.h"
#include "broker/net/net_server.h"

namespace trunkline::broker {

/// The echo shard's idea of a client.
class Client {
public:
    Transport* transport = nullptr;
    ConnectionInfo info;
    mqtt::Buffer out;
    bool blocked = false;
};

}  // namespace trunkline::broker

namespace trunkline::net::test {

using namespace std::chrono_literals;

/// Frames of a one-line protocol: four bytes of length, big-endian, then a body, which comes back framed the same. The
/// body "close" answers with `goodbye_bytes` and closes; "pause" stops reading for 600 ms; "kick" closes all
/// others.
class EchoShard final : public broker::ShardApi {
public:
    std::atomic<int> opened{0}, closed{0}, writable_calls{0}, mails{0}, on_bytes_calls{0};
    std::atomic<std::uint64_t> bytes_offered{0};
    std::atomic<std::int64_t> turns{0};
    std::atomic<int> frames{0}, frames_before_when{-1};
    std::size_t goodbye_bytes = 10;
    bool refuse = false;

    void set_time(broker::Now now) override { now_ = now; }
    broker::Client* on_open(broker::Transport& transport, const broker::ConnectionInfo& info) override {
        if (refuse) return nullptr;
        ++opened;
        auto* client = new broker::Client;
        client->transport = &transport;
        client->info = info;
        clients_.insert(client);
        const std::lock_guard lock(mutex_);
        last_info_ = info;
        return client;
    }
    std::size_t on_bytes(broker::Client& client, std::string_view bytes) override {
        ++on_bytes_calls;
        bytes_offered += bytes.size();
        std::size_t used = 0;
        while (bytes.size() - used >= 4) {
            const std::size_t size = frame_size(bytes.substr(used));
            if (bytes.size() - used < size) break;
            const std::string_view frame = bytes.substr(used, size);
            used += size;
            if (!handle(client, frame)) return bytes.size();
        }
        return used;
    }
    void on_writable(broker::Client& client) override {
        ++writable_calls;
        client.blocked = false;
        if (!client.out.empty()) dirty_.insert(&client);
    }
    void on_closed(broker::Client& client) override {
        ++closed;
        forget(client);
    }
    void on_mail() override { ++mails; }
    void on_tick() override {
        for (auto it = paused_.begin(); it != paused_.end();) {
            if (it->second > now_.steady_ms) { ++it; continue; }
            it->first->transport->set_reading(true);
            it = paused_.erase(it);
        }
    }
    void end_turn() override {
        ++turns;
        const auto dirty = std::exchange(dirty_, {});
        for (broker::Client* client : dirty) {
            if (client->blocked) continue;
            client->transport->flush(client->out);
            client->blocked = !client->out.empty();
        }
    }
    broker::ConnectionInfo last_info() {
        const std::lock_guard lock(mutex_);
        return last_info_;
    }
    ~EchoShard() override {
        for (auto* client : clients_) delete client;
    }

private:
    static std::size_t frame_size(std::string_view bytes) {
        std::size_t size = 0;
        for (int i = 0; i < 4; ++i) size = size << 8 | static_cast<std::uint8_t>(bytes[static_cast<std::size_t>(i)]);
        return 4 + size;
    }
    bool handle(broker::Client& client, std::string_view frame) {
        const std::string_view body = frame.substr(4);
        if (body == "close") {
            mqtt::Buffer out = std::move(client.out);
            out.append(std::string(goodbye_bytes, 'g'));
            broker::Transport* transport = client.transport;
            forget(client);
            ++closed;
            transport->close(std::move(out));
            return false;
        }
        ++frames;
        if (body == "let in") client.transport->let_in();
        if (body == "slow") std::this_thread::sleep_for(std::chrono::milliseconds(2));
        if (body == "when") frames_before_when = frames - 1;
        if (body == "pause") {
            client.transport->set_reading(false);
            paused_[&client] = now_.steady_ms + 600;
        }
        if (body == "kick") {
            const auto all = clients_;
            for (broker::Client* other : all) {
                if (other != &client) kick(*other);
            }
        }
        client.out.append(frame);
        dirty_.insert(&client);
        return true;
    }
    void kick(broker::Client& other) {
        broker::Transport* transport = other.transport;
        forget(other);
        ++closed;
        transport->close({});
    }
    void forget(broker::Client& client) {
        clients_.erase(&client);
        dirty_.erase(&client);
        paused_.erase(&client);
        delete &client;
    }

    broker::Now now_;
    std::set<broker::Client*> clients_, dirty_;
    std::unordered_map<broker::Client*, std::int64_t> paused_;
    std::mutex mutex_;
    broker::ConnectionInfo last_info_;
};

/// Waits up to `limit` for a condition that other threads bring about.
template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds limit = 5s) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(2ms);
    }
    return true;
}

inline broker::ListenerConfig tcp_listener() {
    broker::ListenerConfig listener;
    listener.url = "mqtt://127.0.0.1:0";
    listener.host = "127.0.0.1";
    return listener;
}

/// A running server; stopped at the end of the test.
struct Server {
    explicit Server(std::vector<broker::ListenerConfig> listeners, std::uint32_t shards = 1, broker::Limits limits = {})
        : wakers(shards), echoes(shards) {
        config.listeners = std::move(listeners);
        config.limits = limits;
        std::vector<broker::ShardApi*> apis;
        for (auto& echo : echoes) apis.push_back(&echo);
        net = std::make_unique<NetServer>(config, apis, wakers);
        net->start();
    }
    ~Server() { net.reset(); }
    [[nodiscard]] std::uint16_t port(std::size_t listener = 0) const { return net->listeners()[listener].port; }
    EchoShard& echo(std::size_t shard = 0) { return echoes[shard]; }
    [[nodiscard]] int opened() const { return sum(&EchoShard::opened); }
    [[nodiscard]] int closed() const { return sum(&EchoShard::closed); }
    [[nodiscard]] int sum(std::atomic<int> EchoShard::* member) const {
        int total = 0;
        for (const auto& echo : echoes) total += echo.*member;
        return total;
    }

    broker::Config config;
    ShardWakers wakers;
    std::vector<EchoShard> echoes;
    std::unique_ptr<NetServer> net;
};

inline std::string frame(std::string_view body) {
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(body.size() >> shift));
    return bytes.append(body);
}

/// A blocking client socket, 5 s of patience.
class Peer {
public:
    explicit Peer(std::uint16_t port) {
        descriptor_ = ::socket(AF_INET, SOCK_STREAM, 0);
        patience();
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connect_to(reinterpret_cast<sockaddr*>(&address), sizeof address);
    }
    explicit Peer(const std::string& path) {
        descriptor_ = ::socket(AF_UNIX, SOCK_STREAM, 0);
        patience();
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        connect_to(reinterpret_cast<sockaddr*>(&address), sizeof address);
    }
    ~Peer() { if (descriptor_ >= 0) ::close(descriptor_); }
    Peer(Peer&& other) noexcept
        : descriptor_(std::exchange(other.descriptor_, -1)), connected_(other.connected_) {}
    Peer(const Peer&) = delete;

    [[nodiscard]] bool connected() const { return connected_; }
    [[nodiscard]] int descriptor() const { return descriptor_; }
    bool send(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent < 0 && errno == EINTR) continue;
            if (sent <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }
    /// Up to `size` bytes; fewer when the peer ends or patience does. `reset` tells how it ended.
    std::string receive(std::size_t size) {
        std::string bytes;
        while (bytes.size() < size) {
            char part[65536];
            const ssize_t got = ::recv(descriptor_, part, std::min(sizeof part, size - bytes.size()), 0);
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) {
                end_of_stream = got == 0;
                reset = got < 0 && errno == ECONNRESET;
                break;
            }
            bytes.append(part, static_cast<std::size_t>(got));
        }
        return bytes;
    }
    /// True when the other side closes in order (or by reset) before patience ends.
    bool is_closed() {
        receive(1 << 20);
        return end_of_stream || reset;
    }

    bool end_of_stream = false, reset = false;

private:
    // A signal, such as a fuzzer's clock, ends the call but not the connecting.
    void connect_to(const sockaddr* address, socklen_t size) {
        connected_ = ::connect(descriptor_, address, size) == 0;
        if (connected_ || errno != EINTR) return;
        pollfd under_way{descriptor_, POLLOUT, 0};
        while (::poll(&under_way, 1, 5'000) < 0 && errno == EINTR) {}
        int error = ETIMEDOUT;
        socklen_t error_size = sizeof error;
        if (under_way.revents != 0) ::getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &error_size);
        connected_ = error == 0;
    }
    void patience() {
        const timeval limit{5, 0};
        ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        ::setsockopt(descriptor_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    }
    int descriptor_ = -1;
    bool connected_ = false;
};

}  // namespace trunkline::net::test
