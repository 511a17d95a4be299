#include "broker/net/acceptor.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "broker/core/log.h"
#include "broker/net/listener.h"
#include "broker/net/socket_address.h"

namespace trunkline::net {
namespace {

constexpr int accepts_per_event = 4;
constexpr std::int64_t pause_ms = 100;

}  // namespace

Acceptor::Acceptor(ShardRunner& runner, Listener& listener, int descriptor, std::uint32_t sockets_max,
                   const std::vector<std::unique_ptr<ShardRunner>>& runners)
    : runner_(runner), listener_(listener), descriptor_(descriptor), sockets_max_(sockets_max), runners_(runners) {
    runner_.watch(descriptor_, *this);
    watching_ = true;
}

void Acceptor::on_event(std::uint32_t) {
    if (!watching_) return;
    for (int i = 0; i < accepts_per_event; ++i) {
        sockaddr_storage address{};
        socklen_t size = sizeof address;
        const int descriptor =
            ::accept4(descriptor_, reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor >= 0) {
            accepted(descriptor, to_peer_address(address));
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            return pause(errno);
        }   // all others are errors of the connection that was about to be accepted
    }
}

void Acceptor::accepted(int descriptor, const broker::PeerAddress& peer) {
    listener_.accepted.fetch_add(1, std::memory_order_relaxed);
    const auto least_loaded = std::min_element(runners_.begin(), runners_.end(),
                                               [](const auto& a, const auto& b) { return a->load() < b->load(); });
    std::uint64_t sockets = 0;
    for (const auto& runner : runners_) sockets += runner->load();
    const std::uint32_t of_listener = listener_.config().max_connections;
    const bool full = of_listener > 0 && listener_.connections.load(std::memory_order_relaxed) >= of_listener;
    if (full || sockets >= sockets_max_) {
        listener_.refused_limit.fetch_add(1, std::memory_order_relaxed);
        ::close(descriptor);
        return;
    }
    // Behind a PROXY header the address is the balancer's: the rate is that of who it speaks for, once known.
    if (!listener_.config().proxy_protocol && !runner_.admit(listener_, peer)) {
        ::close(descriptor);
        return;
    }
    listener_.connections.fetch_add(1, std::memory_order_relaxed);
    const auto arrival = std::chrono::steady_clock::now().time_since_epoch();
    const AcceptedSocket socket{descriptor, peer, &listener_, std::chrono::nanoseconds(arrival).count()};
    if (least_loaded->get() == &runner_) {
        runner_.adopt_here(socket);
    } else {
        (*least_loaded)->adopt(socket);
    }
}

void Acceptor::pause(int error) {
    broker::log(broker::Level::error, "accept_paused",
                {{"listener", listener_.config().url}, {"why", ::strerror(error)},
                 {"mend", "raise the limit of open files (LimitNOFILE, ulimit -n) or lower limits.max_connections"}});
    runner_.unwatch(descriptor_);   // level-triggered: it would report the waiting connection without end
    watching_ = false;
    resume_ms_ = runner_.now_ms() + pause_ms;
}

void Acceptor::on_tick(std::int64_t now_ms) {
    if (watching_ || stopped_ || now_ms < resume_ms_) return;
    runner_.watch(descriptor_, *this);
    watching_ = true;
}

void Acceptor::stop() {
    if (watching_) runner_.unwatch(descriptor_);
    watching_ = false;
    stopped_ = true;
}

}  // namespace trunkline::net
