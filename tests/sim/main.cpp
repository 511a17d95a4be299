// trunkline_sim: runs seeds until one breaks an invariant. Exit 0: none did; 1: the seed is printed and replays alone;
// 2: usage.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/sim/queue_world.h"
#include "tests/sim/session_world.h"

namespace {

using namespace trunkline::sim;

constexpr const char* usage =
    "usage: trunkline_sim [--seeds N] [--from S] [--jobs N] [--world sessions|queues|both] [--break NAME]\n"
    "       trunkline_sim --seed S [--lines N] [--world ...] [--break NAME]    one seed, twice, with its story\n";

struct Options {
    std::uint64_t seeds = 1'000, from = 1;
    unsigned jobs = 1;
    std::size_t lines = 60;
    bool one = false, sessions = true, queues = true;
    Broken broken = Broken::nothing;
};

struct Outcome {
    std::string violation;             // empty: nothing broken
    std::uint64_t hash = 0;
    std::uint64_t messages = 0, deliveries = 0;
};

bool parse(int argc, char** argv, Options& options) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view flag = argv[i], value = argv[i + 1];
        const std::uint64_t number = std::strtoull(argv[i + 1], nullptr, 10);
        if (flag == "--seeds") {
            options.seeds = number;
        } else if (flag == "--from") {
            options.from = number;
        } else if (flag == "--seed") {
            options.one = true;
            options.from = number;
        } else if (flag == "--jobs" && number > 0) {
            options.jobs = static_cast<unsigned>(number);
        } else if (flag == "--lines") {
            options.lines = number;
        } else if (flag == "--world" && (value == "sessions" || value == "queues" || value == "both")) {
            options.sessions = value != "queues";
            options.queues = value != "sessions";
        } else if (flag == "--break" && break_named(value)) {
            options.broken = *break_named(value);
        } else {
            return false;
        }
    }
    return argc % 2 == 1;
}

/// One seed in the worlds asked for. `story` keeps the last lines of the sessions' world.
Outcome run(const Options& options, std::uint64_t seed, Story& story) {
    Outcome outcome;
    try {
        if (options.queues) QueueWorld(seed, options.broken).run();
        if (options.sessions) {
            SessionWorld world(seed, options.broken, story);
            world.run();
            outcome.messages = world.oracle().messages();
            outcome.deliveries = world.oracle().deliveries();
        }
    } catch (const Violation& violation) {
        outcome.violation = violation.what();
    }
    outcome.hash = story.hash();
    return outcome;
}

void print_failure(const Options& options, std::uint64_t seed) {
    Story story(options.lines);
    const Outcome outcome = run(options, seed, story);
    for (const std::string& line : story.tail()) std::printf("    %s\n", line.c_str());
    std::printf("seed %llu: %s\nstory hash %016llx\nreplay: trunkline_sim --seed %llu%s%s\n",
                static_cast<unsigned long long>(seed), outcome.violation.c_str(),
                static_cast<unsigned long long>(outcome.hash), static_cast<unsigned long long>(seed),
                options.broken == Broken::nothing ? "" : " --break ",
                options.broken == Broken::nothing ? "" : name_of(options.broken));
}

/// Runs a seed twice and shows what happened; both must tell the same story.
int run_one(const Options& options) {
    Story first, second(options.lines);
    const Outcome one = run(options, options.from, first), other = run(options, options.from, second);
    for (const std::string& line : second.tail()) std::printf("    %s\n", line.c_str());
    std::printf("seed %llu: %s\nstory hash %016llx, and again %016llx\n",
                static_cast<unsigned long long>(options.from),
                one.violation.empty() ? "no invariant broken" : one.violation.c_str(),
                static_cast<unsigned long long>(one.hash), static_cast<unsigned long long>(other.hash));
    if (one.hash != other.hash || one.violation != other.violation) {
        std::printf("a seed must replay: the two runs differ\n");
        return 1;
    }
    return one.violation.empty() ? 0 : 1;
}

int run_many(const Options& options) {
    constexpr std::uint64_t twice_each = 64;   // every so many seeds runs again and must tell the same story
    std::atomic<std::uint64_t> next{options.from}, messages{0}, deliveries{0}, stop_at{UINT64_MAX};
    std::mutex mutex;
    const auto work = [&] {
        for (std::uint64_t seed = next++; seed < options.from + options.seeds && seed < stop_at; seed = next++) {
            Story story;
            const Outcome outcome = run(options, seed, story);
            bool failed = !outcome.violation.empty();
            if (!failed && seed % twice_each == 0) {
                Story again;
                failed = run(options, seed, again).hash != outcome.hash;
            }
            messages += outcome.messages;
            deliveries += outcome.deliveries;
            const std::lock_guard lock(mutex);
            if (failed && seed < stop_at) stop_at = seed;
        }
    };
    const auto begin = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < options.jobs; ++i) threads.emplace_back(work);
    work();
    for (std::thread& thread : threads) thread.join();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    if (stop_at != UINT64_MAX) {
        print_failure(options, stop_at);
        std::printf("found after %llu seeds, %.1f s\n",
                    static_cast<unsigned long long>(stop_at - options.from + 1), took.count());
        return 1;
    }
    std::printf("%llu seeds, no invariant broken, %.1f s; %llu messages published, %llu delivered\n",
                static_cast<unsigned long long>(options.seeds), took.count(),
                static_cast<unsigned long long>(messages.load()), static_cast<unsigned long long>(deliveries.load()));
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    if (!parse(argc, argv, options)) {
        std::fputs(usage, stderr);
        std::fputs("breaks:", stderr);
        for (const BreakName& one : break_names) std::fprintf(stderr, " %s", one.name);
        std::fputs("\n", stderr);
        return 2;
    }
    watch_error_lines();
    return options.one ? run_one(options) : run_many(options);
}
