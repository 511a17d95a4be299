// Hypothesis: with 1,000 roles and 10,000 rules a decision that no route has cached costs a few microseconds, whether
// the rules lie on different topics or all on the same ones, so that a change of roles under load is not felt.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "auth/access.h"

namespace {

using namespace trunkline::auth;

constexpr int roles_count = 1000;
constexpr int rules_per_role = 10;

std::string file_of(bool crowded) {
    std::string text = "trunkline: 1\nroles:\n";
    for (int role = 0; role < roles_count; ++role) {
        const std::string line = crowded ? "line-1" : "line-" + std::to_string(role);
        text += "  r" + std::to_string(role) + ":\n    rules:\n";
        for (int rule = 0; rule < rules_per_role; ++rule) {
            text += "      - {" + std::string(rule == 9 ? "deny: publish" : "allow: [publish, subscribe]") +
                    ", topic: [\"acme/munich/" + line + "/cell-" + std::to_string(rule) +
                    (rule % 3 == 0 ? "/%c/#" : "/+/#") + "\"]}\n";
        }
    }
    return text;
}

std::shared_ptr<const Access> access_of(bool crowded) {
    auto parsed = parse_roles(file_of(crowded), "bench.yaml");
    if (!parsed.file) {
        std::fprintf(stderr, "%s\n", to_string(parsed.problems.front()).c_str());
        std::abort();
    }
    return std::make_shared<const Access>(std::move(*parsed.file), 2);
}

Principal somebody(int roles) {
    Principal who;
    who.user = "gateway";
    who.client_id = "edge-7";
    for (int i = 0; i < roles; ++i) who.roles.push_back("r" + std::to_string(i * 37 % roles_count));
    return who;
}

void decide(benchmark::State& state, bool crowded, Action action, const char* topic) {
    const auto access = access_of(crowded);
    const Principal who = somebody(static_cast<int>(state.range(0)));
    const auto roles = access->role_set(who, 0);
    for (auto _ : state)
        benchmark::DoNotOptimize(access->decide(who, *roles, action, topic, {1'800'000'000'000, nullptr}));
    state.SetItemsProcessed(state.iterations());
}

void permissions(benchmark::State& state, bool crowded) {
    const auto access = access_of(crowded);
    const auto roles = access->role_set(somebody(3), 0);
    for (auto _ : state) {
        benchmark::DoNotOptimize(access->permissions(*roles, "acme/munich/line-1/cell-4/filler-1/temperature",
                                                     {1'800'000'000'000, nullptr}));
    }
}

void find_role_set(benchmark::State& state) {
    const auto access = access_of(false);
    const Principal who = somebody(5);
    for (auto _ : state) benchmark::DoNotOptimize(access->role_set(who, 0));
}

void compile(benchmark::State& state) {
    const std::string text = file_of(false);
    for (auto _ : state) {
        auto parsed = parse_roles(text, "bench.yaml");
        benchmark::DoNotOptimize(std::make_shared<const Access>(std::move(*parsed.file), 2));
    }
}

constexpr const char* topic = "acme/munich/line-1/cell-3/edge-7/temperature";
BENCHMARK_CAPTURE(decide, publish_spread, false, Action::publish, topic)->Arg(3)->Arg(50);
BENCHMARK_CAPTURE(decide, publish_crowded, true, Action::publish, topic)->Arg(3)->Arg(1000);
BENCHMARK_CAPTURE(decide, subscribe_spread, false, Action::subscribe, "acme/munich/line-1/cell-4/+/temperature")
    ->Arg(3);
BENCHMARK_CAPTURE(decide, subscribe_all, false, Action::subscribe, "#")->Arg(3);
BENCHMARK_CAPTURE(permissions, spread, false);
BENCHMARK_CAPTURE(permissions, crowded, true);
BENCHMARK(find_role_set);
BENCHMARK(compile)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
