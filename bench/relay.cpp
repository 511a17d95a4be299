#include "bench/relay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/frames.h"
#include "broker/mqtt/decode.h"
#include "broker/mqtt/encode.h"

namespace trunkline::bench {

namespace {

struct Peer {
    int descriptor = -1;
    mqtt::Version version = mqtt::Version::v5;
    mqtt::Buffer partial;
    mqtt::Buffer out;
    bool dirty = false;
    bool blocked = false;
};

class Relay {
public:
    explicit Relay(int listener) : listener_(listener), epoll_(epoll_create1(EPOLL_CLOEXEC)), buffer_(1024 * 1024) {
        watch(listener_, &listener_, EPOLL_CTL_ADD, EPOLLIN);
    }

    void stop_with(int descriptor) {
        stop_ = descriptor;
        watch(stop_, &stop_, EPOLL_CTL_ADD, EPOLLIN);
    }

    void run() {
        std::array<epoll_event, 256> events;
        for (;;) {
            const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
            for (int i = 0; i < count; ++i) {
                const epoll_event& event = events[static_cast<std::size_t>(i)];
                if (event.data.ptr == &stop_) return;
                if (event.data.ptr == &listener_) {
                    accept_one();
                    continue;
                }
                Peer& peer = *static_cast<Peer*>(event.data.ptr);
                if (event.events & EPOLLOUT) mark(peer);
                if (event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read(peer);
            }
            for (Peer* peer : dirty_) flush(*peer);
            dirty_.clear();
        }
    }

private:
    void watch(int descriptor, void* tag, int operation, std::uint32_t events) {
        epoll_event event{};
        event.events = events;
        event.data.ptr = tag;
        epoll_ctl(epoll_, operation, descriptor, &event);
    }

    void accept_one() {
        const int descriptor = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor < 0) return;
        const int on = 1;
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        peers_.push_back(std::make_unique<Peer>());
        peers_.back()->descriptor = descriptor;
        watch(descriptor, peers_.back().get(), EPOLL_CTL_ADD, EPOLLIN);
    }

    void mark(Peer& peer) {
        if (peer.dirty) return;
        peer.dirty = true;
        dirty_.push_back(&peer);
    }

    void flush(Peer& peer) {
        peer.dirty = false;
        if (peer.descriptor < 0 || peer.out.empty()) return;
        const ssize_t sent = send(peer.descriptor, peer.out.data(), peer.out.size(), MSG_NOSIGNAL);
        if (sent > 0) peer.out.consume(static_cast<std::size_t>(sent));
        if (peer.blocked == !peer.out.empty()) return;
        peer.blocked = !peer.out.empty();
        watch(peer.descriptor, &peer, EPOLL_CTL_MOD, peer.blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }

    void read(Peer& peer) {
        if (peer.descriptor < 0) return;
        const std::size_t kept = peer.partial.size();
        if (kept) std::memcpy(buffer_.data(), peer.partial.data(), kept);
        const ssize_t got = recv(peer.descriptor, buffer_.data() + kept, buffer_.size() / 2, 0);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) {
            close(peer.descriptor);
            peer.descriptor = -1;
            return;
        }
        peer.partial.clear();
        const char* at = buffer_.data();
        const char* end = at + kept + got;
        RawPacket packet;
        for (const char* start = at; split_packet(at, end, packet) == Split::packet; start = at) {
            handle(peer, packet, {start, static_cast<std::size_t>(at - start)});
        }
        if (at != end) peer.partial.append({at, static_cast<std::size_t>(end - at)});
    }

    void handle(Peer& peer, const RawPacket& packet, std::string_view whole) {
        switch (static_cast<mqtt::PacketType>(packet.first >> 4)) {
            case mqtt::PacketType::publish: return relay(peer, packet, whole);
            case mqtt::PacketType::connect: return greet(peer, {packet.body, packet.body_bytes});
            case mqtt::PacketType::subscribe: return subscribe(peer, {packet.body, packet.body_bytes});
            default: return;
        }
    }

    /// The packet goes on unchanged, packet identifier and all: nobody here keeps track of what was acknowledged.
    void relay(Peer& peer, const RawPacket& packet, std::string_view whole) {
        Incoming incoming;
        if (!read_publish(packet, peer.version, incoming)) return;
        if (incoming.qos != 0) {
            mqtt::encode_ack(peer.out, mqtt::PacketType::puback, incoming.packet_id);
            mark(peer);
        }
        std::string_view branch = incoming.topic;
        for (auto slash = branch.rfind('/'); slash != std::string_view::npos; slash = branch.rfind('/')) {
            branch = branch.substr(0, slash);
            const auto found = branches_.find(branch);
            if (found == branches_.end()) continue;
            for (Peer* subscriber : found->second) {
                subscriber->out.append(whole);
                mark(*subscriber);
            }
            return;
        }
    }

    void greet(Peer& peer, std::string_view body) {
        const auto connect = mqtt::decode_connect(body);
        if (!connect) return;
        peer.version = connect->version;
        mqtt::encode(peer.out, peer.version, mqtt::Connack{});
        mark(peer);
    }

    void subscribe(Peer& peer, std::string_view body) {
        const auto request = mqtt::decode_subscribe(body, peer.version);
        if (!request) return;
        mqtt::Suback answer;
        answer.packet_id = request->packet_id;
        for (const auto& each : request->requests) {
            answer.reasons.push_back(static_cast<mqtt::Reason>(each.options.qos));
            branches_[std::string(each.filter.substr(0, each.filter.rfind('/')))].push_back(&peer);  // "branch/#"
        }
        mqtt::encode(peer.out, peer.version, answer);
        mark(peer);
    }

    int listener_;
    int stop_ = -1;
    int epoll_;
    std::vector<char> buffer_;
    std::vector<std::unique_ptr<Peer>> peers_;
    std::vector<Peer*> dirty_;
    std::map<std::string, std::vector<Peer*>, std::less<>> branches_;
};

}  // namespace

void run_relay(int report_port, int until_closed) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    const bool ok = bind(listener, reinterpret_cast<sockaddr*>(&address), bytes) == 0 && listen(listener, 1024) == 0 &&
                    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &bytes) == 0;
    const std::uint16_t port = ok ? ntohs(address.sin_port) : 0;
    if (write(report_port, &port, sizeof port) == sizeof port && ok) {
        Relay relay(listener);
        relay.stop_with(until_closed);
        relay.run();
    }
    std::_Exit(ok ? 0 : 1);
}

}  // namespace trunkline::bench
