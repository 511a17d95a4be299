#include "broker/admin/server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "broker/admin/server_impl.h"

namespace trunkline::admin {

asio::awaitable<void> AdminServer::Impl::accept_tcp() {
    while (!stopping) {
        auto [error, socket] = co_await tcp->async_accept(token);
        if (error == asio::error::operation_aborted) co_return;
        if (error) {   // out of descriptors: wait for some to come back
            asio::steady_timer pause(context, 100ms);
            co_await pause.async_wait(token);
            continue;
        }
        error_code ignored;
        const bool from_here = socket.remote_endpoint(ignored).address().is_loopback();
        socket.set_option(asio::ip::tcp::no_delay(true), ignored);
        serve(std::move(socket), from_here);
    }
}

asio::awaitable<void> AdminServer::Impl::accept_unix() {
    while (!stopping) {
        auto [error, socket] = co_await local->async_accept(token);
        if (error == asio::error::operation_aborted) co_return;
        if (error) {
            asio::steady_timer pause(context, 100ms);
            co_await pause.async_wait(token);
            continue;
        }
        serve(std::move(socket), true);
    }
}

asio::awaitable<void> AdminServer::Impl::run_meter(std::uint32_t sys_interval_s) {
    asio::steady_timer timer(context);
    std::uint32_t until_sys = 1;
    while (!stopping) {
        const Totals totals = sum_counters(sources.broker);
        meter.sample(totals, steady_ms());
        if (sys_interval_s != 0 && --until_sys == 0) {
            until_sys = sys_interval_s;
            sys.publish(totals, meter);
        }
        timer.expires_after(1s);
        co_await timer.async_wait(token);
    }
}

AdminServer::AdminServer(Sources& sources, Readiness& readiness) : impl_(std::make_shared<Impl>(sources, readiness)) {}

AdminServer::~AdminServer() {
    stop();
    impl_->context_owner.reset();   // with the coroutines that still wait in it, which share Impl
}

std::string AdminServer::start(const Address& address, const broker::AdminConfig& config,
                               std::uint32_t sys_interval_s) {
    Impl& impl = *impl_;
    for (const Problem& problem : reload(config)) return to_string(problem);
    try {
        if (!address.unix_path.empty()) {
            struct stat found {};
            if (::lstat(address.unix_path.c_str(), &found) == 0 && S_ISSOCK(found.st_mode)) {
                ::unlink(address.unix_path.c_str());   // of an earlier life; the data folder's lock keeps others away
            }
            impl.local.emplace(impl.context, asio::local::stream_protocol::endpoint(address.unix_path));
            impl.unix_path = address.unix_path;
            impl.open_socket_file(!config.unix_users.empty());
            impl.where = "unix:" + address.unix_path;
            asio::co_spawn(impl.context, impl.accept_unix(), asio::detached);
        } else {
            asio::ip::tcp::resolver resolver(impl.context);
            const std::string host = address.host == "*" ? "::" : address.host;
            const auto found = resolver.resolve(host, std::to_string(address.port), asio::ip::resolver_base::passive);
            impl.tcp.emplace(impl.context, found.begin()->endpoint(), true);
            const auto bound = impl.tcp->local_endpoint();
            const std::string text = bound.address().to_string();
            impl.where = (bound.address().is_v6() ? "[" + text + "]" : text) + ":" + std::to_string(bound.port());
            asio::co_spawn(impl.context, impl.accept_tcp(), asio::detached);
        }
    } catch (const boost::system::system_error& error) {
        return "administration cannot listen on " + config.listen + ": " + error.code().message();
    }
    asio::co_spawn(impl.context, impl.run_meter(sys_interval_s), asio::detached);
    impl.thread = std::thread([impl = impl_] { impl->context.run(); });
    return {};
}

std::vector<Problem> AdminServer::reload(const broker::AdminConfig& config) {
    std::vector<Problem> problems;
    GuardSettings settings;
    if (!config.tokens_file.empty()) {
        settings.tokens = std::make_shared<const Tokens>(Tokens::load(config.tokens_file, problems));
    }
    if (!problems.empty()) return problems;
    settings.unix_users = config.unix_users;
    settings.metrics_without_token = config.metrics_without_token;
    impl_->guard.use(std::move(settings));
    impl_->open_socket_file(!config.unix_users.empty());
    return {};
}

void AdminServer::stop() {
    Impl& impl = *impl_;
    if (impl.stopping.exchange(true)) return;
    impl.long_jobs.stop();
    impl.context.stop();
    if (impl.thread.joinable()) impl.thread.join();
    impl.tcp.reset();
    impl.local.reset();
    if (!impl.unix_path.empty()) ::unlink(impl.unix_path.c_str());
}

std::string AdminServer::address() const { return impl_->where; }

}  // namespace trunkline::admin
