#include "broker/net/net_server.h"

#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <ctime>
#include <future>

#include "broker/core/log.h"
#include "broker/net/acceptor.h"
#include "broker/net/admission.h"
#include "broker/net/listener.h"
#include "broker/net/shard_heap.h"
#include "broker/net/shard_runner.h"
#include "broker/net/tls_context.h"

namespace trunkline::net {
namespace {

// A descriptor for each connection: distributions start processes with 1024 and allow many more on demand.
void raise_open_files_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

// Signals are for main's thread. SIGPIPE goes to the thread that wrote: blocked, a write to a closed socket through
// OpenSSL is an error like any other.
void block_signals() {
    sigset_t all;
    ::sigfillset(&all);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) ::sigdelset(&all, fault);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

NetServer::NetServer(const broker::Config& config, std::vector<broker::ShardApi*> shards, ShardWakers& wakers)
    : config_(config), wakers_(wakers), admission_(std::make_unique<Admission>(config_.limits)) {
    for (std::uint32_t i = 0; i < shards.size(); ++i) {
        runners_.push_back(std::make_unique<ShardRunner>(*shards[i], i, wakers_, *admission_, config_.limits));
    }
}

NetServer::~NetServer() { stop(); }

void NetServer::start() {
    raise_open_files_limit();
    for (std::size_t i = 0; i < config_.listeners.size(); ++i) {
        listeners_.push_back(std::make_unique<Listener>(config_.listeners[i], static_cast<std::uint16_t>(i)));
    }
    const std::uint32_t sockets_max = config_.limits.max_connections + refusable_sockets;
    for (const auto& listener : listeners_) {
        for (const int descriptor : listener->descriptors()) {
            acceptors_.push_back(
                std::make_unique<Acceptor>(*runners_[0], *listener, descriptor, sockets_max, runners_));
        }
        broker::log(broker::Level::info, "listening", {{"address", listener->describe()}});
    }
    runners_[0]->on_each_tick([this](std::int64_t now_ms) {
        for (const auto& acceptor : acceptors_) acceptor->on_tick(now_ms);
    });
    accepting_ = true;
    for (std::uint32_t i = 0; i < runners_.size(); ++i) threads_.emplace_back([this, i] { run_shard(i); });
}

void NetServer::run_shard(std::uint32_t index) {
    block_signals();
    ::pthread_setname_np(::pthread_self(), ("shard-" + std::to_string(index)).c_str());
    if (const int error = use_own_heap(); error != 0) {
        broker::log(broker::Level::warn, "shard_heap_shared",
                    {{"why", ::strerror(error)}, {"consequence", "logins of many delay messages by milliseconds"},
                     {"mend", "give the broker more memory and start it again"}});
    }
    runners_[index]->run();
}

void NetServer::stop_accepting() {
    if (!accepting_) return;
    accepting_ = false;
    std::promise<void> done;
    runners_[0]->post([this, &done] {
        for (const auto& acceptor : acceptors_) acceptor->stop();
        for (const auto& listener : listeners_) listener->close();
        done.set_value();
    });
    done.get_future().wait();
}

void NetServer::stop() {
    stop_accepting();
    if (threads_.empty()) return;
    for (const auto& runner : runners_) runner->stop();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
}

std::vector<std::string> NetServer::reload_tls(const broker::Config& config) {
    std::vector<std::string> problems;
    for (const auto& listener : listeners_) {
        const auto found = std::find_if(config.listeners.begin(), config.listeners.end(),
                                        [&](const auto& fresh) { return fresh.url == listener->config().url; });
        if (found == config.listeners.end()) continue;
        const std::string problem = listener->reload_tls(found->tls);
        if (!problem.empty()) problems.push_back(found->url + ": " + problem);
    }
    return problems;
}

std::vector<ListenerStatus> NetServer::listeners() const {
    std::vector<ListenerStatus> all;
    for (const auto& listener : listeners_) {
        ListenerStatus status;
        status.url = listener->config().url;
        status.address = listener->describe();
        status.kind = listener->config().kind;
        status.port = listener->port();
        status.connections = listener->connections.load(std::memory_order_relaxed);
        status.accepted = listener->accepted.load(std::memory_order_relaxed);
        status.refused_limit = listener->refused_limit.load(std::memory_order_relaxed);
        status.refused_rate = listener->refused_rate.load(std::memory_order_relaxed);
        status.handshake_failures = listener->handshake_failures.load(std::memory_order_relaxed);
        status.handshake_timeouts = listener->handshake_timeouts.load(std::memory_order_relaxed);
        if (const auto tls = listener->tls()) status.certificate_expiry_s = tls->expires_s();
        all.push_back(std::move(status));
    }
    return all;
}

void NetServer::connect_failed(const broker::PeerAddress& peer) {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    admission_->failed(peer, std::int64_t{now.tv_sec} * 1'000 + now.tv_nsec / 1'000'000);
}

}  // namespace trunkline::net
