// Hypotheses: a publish of a regulated topic costs the audit trail well under 1 us in all (its leaf hash, its part of
// the tree, of the tiles and of the segment); 10 million leaves verify in under 60 s on two cores.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <string>
#include <vector>

#include "auth/audit/log.h"
#include "auth/audit/prove.h"
#include "auth/audit/verify.h"

namespace {

using namespace trunkline::auth::audit;

SigningKey key() { return *SigningKey::generate("bench/audit"); }

void leaf_of_publish(benchmark::State& state) {
    const std::string payload(static_cast<std::size_t>(state.range(0)), 'x');
    PublishFacts facts{
        {1, 2}, "edge-line-1", "edge-line-1-client", "acme/munich/packaging/line-1/filler-1/temperature", {}};
    std::string scratch;
    for (auto _ : state) {
        ++facts.at.utc_ns;
        facts.payload = sha256(payload);
        benchmark::DoNotOptimize(leaf_of(facts, scratch));
    }
}
BENCHMARK(leaf_of_publish)->Arg(16)->Arg(128)->Arg(1024);

/// Batches of leaves into a trail in memory, committed each time: everything but the disk.
void append_leaves(benchmark::State& state) {
    const auto size = static_cast<std::size_t>(state.range(0));
    std::vector<Digest> leaves(size);
    for (std::size_t i = 0; i < size; ++i) leaves[i] = hash_leaf(std::to_string(i));
    for (auto _ : state) {
        state.PauseTiming();
        MemoryAuditStore store;
        auto log = std::move(*AuditLog::open(store, key(), {}));
        state.ResumeTiming();
        for (int i = 0; i < 100; ++i) {
            if (!log->append_leaves(leaves, {})) std::abort();
        }
        if (!log->commit({}, true)) std::abort();
    }
    state.counters["per_leaf"] =
        benchmark::Counter(static_cast<double>(state.iterations()) * 100 * static_cast<double>(size),
                           benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(append_leaves)->Arg(64)->Arg(1024)->Unit(benchmark::kMillisecond)->MinTime(0.2);

void append_record(benchmark::State& state) {
    MemoryAuditStore store;
    auto log = std::move(*AuditLog::open(store, key(), {}));
    Record record;
    record.actor = "operator-1", record.method = "password", record.source = "10.0.0.1:4711";
    record.action = "role.change", record.object = "roles/operator", record.reason = "new shift";
    for (auto _ : state) {
        if (!log->append(record)) std::abort();
        if (log->size() % 1000 == 0 && !log->commit({})) std::abort();
    }
}
BENCHMARK(append_record);

void sign_checkpoint(benchmark::State& state) {
    const SigningKey signer = key();
    const std::string text = to_text(Checkpoint{"bench/audit", 10'000'000, sha256("root"), {}});
    for (auto _ : state) benchmark::DoNotOptimize(sign_note(text, {&signer}));
}
BENCHMARK(sign_checkpoint);

void verify_signature(benchmark::State& state) {
    const SigningKey signer = key();
    const auto note = *parse_note(sign_note(to_text(Checkpoint{"bench/audit", 1, {}, {}}), {&signer}));
    for (auto _ : state) benchmark::DoNotOptimize(note.is_signed_by(signer.verify_key()));
}
BENCHMARK(verify_signature);

/// A trail on disk of so many leaves of publishes, a checkpoint every 10,000, verified; and one proof from it.
void verify_trail(benchmark::State& state) {
    char name[] = "/tmp/trunkline-audit-bench-XXXXXX";
    const std::string folder = mkdtemp(name);
    const SigningKey signer = key();
    {
        auto store = std::move(*FileAuditStore::open(folder, FileAuditStore::Mode::write));
        auto log = std::move(*AuditLog::open(*store, signer, {}));
        std::vector<Digest> leaves(1000);
        for (std::int64_t done = 0; done < state.range(0); done += 1000) {
            for (std::size_t i = 0; i < leaves.size(); ++i)
                leaves[i] = hash_leaf(std::to_string(done + static_cast<std::int64_t>(i)));
            if (!log->append_leaves(leaves, {}) || !log->commit({})) std::abort();
        }
        if (!log->commit({}, true)) std::abort();
    }
    const auto store = std::move(*FileAuditStore::open(folder, FileAuditStore::Mode::read));
    for (auto _ : state) {
        VerifyOptions options;
        options.key = signer.verify_key();
        const auto report = verify(*store, options);
        if (!report || !report->good() || report->size < static_cast<std::uint64_t>(state.range(0))) std::abort();
        state.counters["checkpoints"] = static_cast<double>(report->checkpoints);
    }
    if (std::system(("rm -rf " + folder).c_str()) != 0) std::abort();
}
BENCHMARK(verify_trail)->Arg(1'000'000)->Arg(10'000'000)->Iterations(1)->Unit(benchmark::kSecond)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
