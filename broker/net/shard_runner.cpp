#include "broker/net/shard_runner.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <system_error>

#include "broker/net/listener.h"
#include "broker/net/web_socket.h"

namespace trunkline::net {
namespace {

constexpr int events_per_wait = 256;
constexpr std::int64_t tick_ms = 100;
constexpr std::int64_t drain_timeout_ms = 5'000;
constexpr std::int64_t linger_timeout_ms = 1'000;
constexpr std::int64_t stop_timeout_ms = 2'000;

// A turn's time for those who are not in yet, one at least. TLS handshakes and CONNECTs take 20 to 1,000 us each.
constexpr std::int64_t newcomers_us_per_turn = 100;
constexpr std::int64_t newcomers_us_when_busy = 50;

std::int64_t read_us(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
}

std::int64_t read_ms(clockid_t clock) { return read_us(clock) / 1'000; }

}  // namespace

ShardRunner::ShardRunner(broker::ShardApi& shard, std::uint32_t index, ShardWakers& wakers, Admission& admission,
                         const broker::Limits& limits)
    : shard_(shard), index_(index), wakers_(wakers), admission_(admission),
      connect_timeout_ms_(limits.connect_timeout_ms), read_buffer_(new char[read_buffer_bytes]) {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.ptr = nullptr;   // the waker: what it means is in wakers_
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, wakers_.descriptor(index_), &event) != 0) {
        throw std::system_error(errno, std::generic_category(), "epoll_ctl");
    }
    read_clock();
}

ShardRunner::~ShardRunner() {
    for (List* list : {&handshaking_, &open_, &draining_, &lingering_}) {
        list->clear_and_dispose([](Connection* connection) { delete connection; });
    }
    for (Connection* connection : dead_) delete connection;
    for (const AcceptedSocket& socket : inbox_sockets_) ::close(socket.descriptor);
    ::close(epoll_);
}

void ShardRunner::run() {
    read_clock();
    next_tick_ms_ = now_.steady_ms + tick_ms;
    while (!stopping_ || !idle()) wait_and_dispatch();
}

void ShardRunner::wait_and_dispatch() {
    std::array<epoll_event, events_per_wait> events;
    const int count = ::epoll_wait(epoll_, events.data(), events_per_wait, wait_ms());
    read_clock();
    shard_.set_time(now_);
    handle_wake(wakers_.take(index_));
    proceed_scheduled();   // before the events: what they schedule comes after the shard's end of this turn
    for (int i = 0; i < count; ++i) {
        if (events[static_cast<std::size_t>(i)].data.ptr) {
            const epoll_event& event = events[static_cast<std::size_t>(i)];
            dispatch(*static_cast<EventSource*>(event.data.ptr), event.events);
        }
    }
    proceed_newcomers(count == events_per_wait);
    if (web_sockets_) proceed_web_sockets();
    if (now_.steady_ms >= next_tick_ms_) tick();
    yield_to_shard();
    bury_all();
}

void ShardRunner::read_clock() {
    now_.steady_ms = read_ms(CLOCK_MONOTONIC);
    now_.wall_ms = read_ms(CLOCK_REALTIME);
}

int ShardRunner::wait_ms() {
    if (!scheduled_.empty() || !newcomers_.empty() || !dead_.empty()) return 0;
    if (web_sockets_ && web_sockets_->has_work()) return 0;
    const std::int64_t left = next_tick_ms_ - read_ms(CLOCK_MONOTONIC);
    if (left <= 0 || !wakers_.may_sleep(index_)) return 0;
    return static_cast<int>(left);
}

void ShardRunner::handle_wake(unsigned reasons) {
    if (reasons & ShardWakers::mail) shard_.on_mail();
    if (reasons & ShardWakers::inbox) take_inbox();
}

void ShardRunner::dispatch(EventSource& source, std::uint32_t events) {
    source.on_event(events);
    if (input_bytes_ >= input_bytes_per_turn) yield_to_shard();
}

void ShardRunner::proceed_scheduled() {
    proceeding_.swap(scheduled_);   // what is scheduled meanwhile has its turn after everybody else
    for (Connection* connection : proceeding_) {
        connection->scheduled = false;
        if (connection->stage() == Connection::Stage::dead) continue;
        connection->proceed();
        if (input_bytes_ >= input_bytes_per_turn) yield_to_shard();
    }
    proceeding_.clear();
}

// When a whole hall comes back at once, those who are in do not notice: thousands of handshakes, CONNECTs and refusals
// are dealt with a little in each turn, and hardly at all while epoll has more to tell than one turn takes.
void ShardRunner::proceed_newcomers(bool others_wait) {
    const std::int64_t share = others_wait ? newcomers_us_when_busy : newcomers_us_per_turn;
    const std::int64_t until = newcomers_.empty() ? 0 : read_us(CLOCK_MONOTONIC) + share;
    std::size_t waiting = newcomers_.size();   // who joins the line again meanwhile has to let the shard answer first
    while (waiting-- > 0) {
        Connection* connection = newcomers_.front();
        newcomers_.pop_front();
        connection->scheduled = false;
        if (connection->stage() == Connection::Stage::dead) continue;
        connection->proceed();
        if (input_bytes_ >= input_bytes_per_turn) yield_to_shard();
        if (read_us(CLOCK_MONOTONIC) >= until) return;
    }
}

void ShardRunner::proceed_web_sockets() {
    web_sockets_->run();
    if (input_bytes_ >= input_bytes_per_turn) yield_to_shard();
}

void ShardRunner::yield_to_shard() {
    input_bytes_ = 0;
    shard_.end_turn();
}

void ShardRunner::tick() {
    next_tick_ms_ = now_.steady_ms + tick_ms;
    shard_.on_tick();
    expire(handshaking_);
    expire(draining_);
    expire(lingering_);
    if (stopping_ && now_.steady_ms >= stop_deadline_ms_) {
        for (List* list : {&handshaking_, &draining_, &lingering_}) {
            while (!list->empty()) list->front().on_deadline();
        }
    }
    if (tick_task_) tick_task_(now_.steady_ms);
}

void ShardRunner::expire(List& list) {
    while (!list.empty() && list.front().deadline_ms() <= now_.steady_ms) list.front().on_deadline();
}

std::int64_t ShardRunner::enter(Connection& connection, Phase phase) {
    if (connection.is_linked()) connection.unlink();
    switch (phase) {
        case Phase::handshaking: handshaking_.push_back(connection); return now_.steady_ms + connect_timeout_ms_;
        case Phase::open: open_.push_back(connection); return 0;
        case Phase::draining: draining_.push_back(connection); return now_.steady_ms + drain_timeout_ms;
        case Phase::lingering: lingering_.push_back(connection); return now_.steady_ms + linger_timeout_ms;
    }
    return 0;
}

void ShardRunner::schedule(Connection& connection) {
    if (connection.scheduled) return;
    connection.scheduled = true;
    if (connection.is_newcomer()) {
        newcomers_.push_back(&connection);
    } else {
        scheduled_.push_back(&connection);
    }
}

void ShardRunner::bury(Connection& connection) {
    if (connection.is_linked()) connection.unlink();
    load_.fetch_sub(1, std::memory_order_relaxed);
    dead_.push_back(&connection);
}

void ShardRunner::bury_all() {
    std::erase_if(dead_, [](Connection* connection) {
        if (connection->scheduled || !connection->may_be_deleted()) return false;
        delete connection;
        return true;
    });
}

bool ShardRunner::admit(Listener& listener, const broker::PeerAddress& peer) {
    if (admission_.admit(peer, now_.steady_ms) == Admit::yes) return true;
    listener.refused_rate.fetch_add(1, std::memory_order_relaxed);
    return false;
}

void ShardRunner::adopt(const AcceptedSocket& socket) {
    load_.fetch_add(1, std::memory_order_relaxed);
    {
        const std::lock_guard lock(inbox_mutex_);
        inbox_sockets_.push_back(socket);
    }
    wakers_.raise(index_, ShardWakers::inbox);
}

void ShardRunner::adopt_here(const AcceptedSocket& socket) {
    load_.fetch_add(1, std::memory_order_relaxed);
    start_connection(socket);
}

void ShardRunner::post(std::function<void()> task) {
    {
        const std::lock_guard lock(inbox_mutex_);
        inbox_tasks_.push_back(std::move(task));
    }
    wakers_.raise(index_, ShardWakers::inbox);
}

void ShardRunner::take_inbox() {
    std::vector<AcceptedSocket> sockets;
    std::vector<std::function<void()>> tasks;
    {
        const std::lock_guard lock(inbox_mutex_);
        sockets.swap(inbox_sockets_);
        tasks.swap(inbox_tasks_);
    }
    for (const AcceptedSocket& socket : sockets) start_connection(socket);
    for (const auto& task : tasks) task();
}

void ShardRunner::start_connection(const AcceptedSocket& socket) {
    Connection* connection = socket.listener->uses_websocket() ? make_web_socket_connection(*this, socket)
                                                               : new StreamConnection(*this, socket);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = static_cast<EventSource*>(connection);
    connection->start();
    if (connection->stage() == Connection::Stage::dead) return;
    if (stopping_ || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, socket.descriptor, &event) != 0) connection->stop();
}

void ShardRunner::stop() {
    post([this] { begin_stop(); });
}

void ShardRunner::begin_stop() {
    stopping_ = true;
    stop_deadline_ms_ = now_.steady_ms + stop_timeout_ms;
    for (List* list : {&handshaking_, &open_}) {
        while (!list->empty()) list->front().stop();
    }
}

bool ShardRunner::idle() const {
    return handshaking_.empty() && open_.empty() && draining_.empty() && lingering_.empty() && dead_.empty();
}

void ShardRunner::watch(int descriptor, EventSource& source) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &source;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) != 0) {
        throw std::system_error(errno, std::generic_category(), "epoll_ctl");
    }
}

void ShardRunner::unwatch(int descriptor) { ::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr); }

}  // namespace trunkline::net
