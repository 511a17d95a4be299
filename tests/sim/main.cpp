// trunkline_sim: runs seeds until one breaks an invariant. Exit 0: none did; 1: the seed is printed and replays alone.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "tests/sim/world.h"

int main(int argc, char** argv) {
    std::uint64_t seeds = 1000, from = 1;
    auto broken = trunkline::sim::Broken::nothing;
    for (int i = 1; i < argc; ++i) {
        const std::string_view flag = argv[i];
        const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
        if (flag == "--seeds" && value) {
            seeds = std::strtoull(value, nullptr, 10);
        } else if (flag == "--from" && value) {
            from = std::strtoull(value, nullptr, 10);
        } else if (flag == "--break" && value && std::string_view(value) == "ack-before-commit") {
            broken = trunkline::sim::Broken::ack_before_commit;
        } else {
            std::fprintf(stderr, "usage: trunkline_sim [--seeds N] [--from S] [--break ack-before-commit]\n");
            return 2;
        }
        ++i;
    }
    const auto begin = std::chrono::steady_clock::now();
    for (std::uint64_t seed = from; seed < from + seeds; ++seed) {
        try {
            trunkline::sim::World(seed, broken).run();
        } catch (const trunkline::sim::Violation& violation) {
            std::printf("seed %llu: %s\nreplay: trunkline_sim --seeds 1 --from %llu%s\n",
                        static_cast<unsigned long long>(seed), violation.what(), static_cast<unsigned long long>(seed),
                        broken == trunkline::sim::Broken::nothing ? "" : " --break ack-before-commit");
            return 1;
        }
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::printf("%llu seeds, no invariant broken, %.1f s\n", static_cast<unsigned long long>(seeds), took.count());
    return 0;
}
