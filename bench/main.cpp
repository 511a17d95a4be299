// trunkbench: load generator and plant simulator for any MQTT broker.
#include <sys/prctl.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <exception>

#include "bench/endpoint.h"
#include "bench/modes.h"
#include "bench/options.h"
#include "bench/report.h"
#include "bench/traffic.h"

namespace {

using namespace trunkline::bench;

void stop_on_signals() {
    struct sigaction action {};
    action.sa_handler = [](int) { Traffic::interrupted = true; };
    action.sa_flags = static_cast<int>(SA_RESETHAND);  // a second one ends the program at once
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
}

void raise_limits() {
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);  // waits at a rate end when they should, not up to 50 us later
}

void run_mode(const Options& options, Report& report) {
    if (options.mode == Mode::selftest) return run_selftest(options, report);
    const Endpoint endpoint(options.url, options.tls, options.nodelay);
    switch (options.mode) {
        case Mode::durable: return run_durable(options, endpoint, report);
        case Mode::connect: return run_connect(options, endpoint, report);
        case Mode::retained: return run_retained(options, endpoint, report);
        case Mode::plant: return run_plant(options, endpoint, report);
        default: return run_traffic(options, endpoint, report);
    }
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    int exit_code = exit_ok;
    if (!parse_options(argc, argv, options, exit_code)) return exit_code;
    if (options.mode == Mode::plant && options.print_topics) {
        print_plant_topics(options);
        return exit_ok;
    }
    stop_on_signals();
    raise_limits();
    try {
        Report report(options);
        run_mode(options, report);
        return report.print();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "trunkbench: %s\n", error.what());
        return exit_connection;
    }
}
