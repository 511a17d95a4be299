// trunkline: reads the configuration, starts the broker, waits for signals.
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <optional>

#include "broker/config_check.h"
#include "broker/config_file.h"
#include "broker/core/log.h"
#include "broker/daemon.h"
#include "broker/log_sink.h"
#include "broker/notify.h"
#include "broker/options.h"

namespace {

using namespace trunkline;
using namespace trunkline::broker;
using Clock = std::chrono::steady_clock;

constexpr int exit_start_failed = 1;
constexpr int exit_store_failed = 3;
constexpr int exit_forced = 4;
constexpr auto goodbye_time = std::chrono::seconds(30);

void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/// Blocked in every thread, so that this one alone takes them.
sigset_t block_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, number);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    return signals;
}

/// The next signal, 0 when none came within `ms`.
int wait_signal(const sigset_t& signals, int ms) {
    const timespec time{ms / 1'000, (ms % 1'000) * 1'000'000L};
    const int number = sigtimedwait(&signals, nullptr, &time);
    return number > 0 ? number : 0;
}

/// Ends at once, without destructors: the store has said that what it holds is in doubt, or somebody insists.
[[noreturn]] void end_now(int code) { _exit(code); }

/// Until SIGTERM or SIGINT.
void serve(Daemon& daemon, const sigset_t& signals) {
    const std::uint64_t beat_ms = watchdog_interval_ms();
    auto next_beat = Clock::now();
    while (true) {
        const int number = wait_signal(signals, 100);
        if (daemon.failed()) end_now(exit_store_failed);
        if (number == SIGHUP) daemon.reload_by_signal();
        daemon.look_around();
        if (number == SIGTERM || number == SIGINT) return;
        if (beat_ms != 0 && Clock::now() >= next_beat) {
            notify_supervisor("WATCHDOG=1");
            next_beat = Clock::now() + std::chrono::milliseconds(beat_ms);
        }
    }
}

int run(Config config, const Options& options) {
    StderrLog sink(config.log_format == "json", STDERR_FILENO);
    set_log_sink(&sink);
    const sigset_t signals = block_signals();
    int result = 0;
    {
        Daemon daemon(std::move(config), options);
        if (const std::string wrong = daemon.start(); !wrong.empty()) {
            std::cerr << "trunkline: " << wrong << std::endl;
            result = exit_start_failed;
        } else {
            std::cerr << "trunkline: ready" << std::endl;
            notify_supervisor("READY=1");
            serve(daemon, signals);
            notify_supervisor("STOPPING=1");
            const auto deadline = Clock::now() + goodbye_time;
            const bool clean = daemon.stop([&] {
                if (daemon.failed()) end_now(exit_store_failed);
                const int number = wait_signal(signals, 0);
                return number == SIGTERM || number == SIGINT || Clock::now() > deadline;
            });
            if (!clean) {
                log(Level::error, "stop_forced", {{"why", "a second signal, or clients and disk took over 30 s"}});
                end_now(exit_forced);
            }
        }
    }
    set_log_sink(nullptr);
    return result;
}

}  // namespace

int main(int argc, char** argv) {
    umask(077);
    std::optional<int> exit_code;
    const Options options = read_options(argc, argv, exit_code);
    if (exit_code) return *exit_code;
    try {
        ConfigResult loaded = load_config(options);
        if (options.check_config && loaded.ok()) loaded.problems = check_named_files(loaded.config);
        for (const Problem& problem : loaded.problems) std::cerr << to_string(problem) << '\n';
        if (options.check_config && loaded.ok()) std::cout << "the configuration is good\n";
        if (options.check_config || !loaded.ok()) return loaded.ok() ? 0 : exit_start_failed;
        raise_descriptor_limit();
        return run(std::move(loaded.config), options);
    } catch (const std::exception& error) {
        std::cerr << "trunkline: " << error.what() << std::endl;
        return exit_start_failed;
    }
}
