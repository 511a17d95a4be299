// What a durable message costs in the log: trunkline_log_bench DIRECTORY [online|offline|retained|load] [MESSAGES]
// Hypothesis: under 1 us of the log thread's CPU per QoS 1 message of 128 bytes, under 4 us per retained topic.
#include <sys/resource.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "broker/core/embedded_log.h"
#include "persistence/rocksdb_store.h"

namespace {

using namespace trunkline;
using namespace trunkline::broker;

double process_cpu_s() {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

long resident_kib() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/// Acknowledges what it is delivered, at once; fetches when it fell behind.
struct Sink final : EffectSink {
    EmbeddedLog* log = nullptr;
    std::atomic<Token> through{0};
    std::atomic<SessionId> session{0};
    std::atomic<std::uint64_t> delivered{0};
    std::atomic<std::uint64_t> refused{0};
    Token token = 1'000'000'000;
    std::uint64_t next = 1;
    void acknowledge(std::uint64_t to) {
        if (to == next) return;
        store::AcknowledgeOp op;
        op.session = session;
        op.owner = 1;
        op.complete = {{next, to}};
        auto batch = std::make_shared<store::OpBatch>();
        batch->add(op);
        log->submit(1, std::move(batch), ++token);
        delivered += to - next;
        next = to;
    }
    static std::uint64_t end_of(const Delivery& delivery) {
        const store::OwedReader reader(*delivery.chunk, delivery.section_offset);
        return reader.first_n() + reader.count();
    }
    void post(std::uint32_t shard, Effects&& effects) override {
        for (const ClaimResult& claim : effects.claims) session = claim.session;
        std::uint64_t to = next;
        for (const Delivery& delivery : effects.deliveries) to = end_of(delivery);
        for (const FetchResult& fetch : effects.fetches) {
            for (const Delivery& chunk : fetch.chunks) to = end_of(chunk);
            if (!fetch.live) effects.spooled.emplace_back(fetch.session, fetch.owner);
        }
        acknowledge(to);
        if (!effects.spooled.empty()) log->fetch(1, session, 1, next, 4 << 20);
        refused += effects.refused.size();
        if (shard == 0 && effects.committed_through > through) through = effects.committed_through;
    }
};

template <class Op>
void submit(EmbeddedLog& log, Sink& sink, Token token, const Op& op) {
    auto batch = std::make_shared<store::OpBatch>();
    batch->add(op);
    log.submit(0, std::move(batch), token);
    while (sink.through < token) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: trunkline_log_bench DIRECTORY online|offline|retained|load [MESSAGES]\n");
        return 2;
    }
    const std::string_view mode = argv[2];
    const std::uint64_t count = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 2'000'000;
    store::RocksDbStore::Options options;
    options.directory = argv[1];
    const auto load_begin = std::chrono::steady_clock::now();
    auto opened = store::RocksDbStore::open(options);
    if (!opened.store) return std::fprintf(stderr, "%s\n", opened.status.detail.c_str()), 1;
    uns::RetainedTree retained;
    StateLimits limits;
    State state(limits, retained, nullptr);
    if (auto status = state.load(*opened.store); !status.ok()) {
        return std::fprintf(stderr, "%s\n", status.detail.c_str()), 1;
    }
    std::printf("opened and loaded in %.2f s: %llu retained, %zu sessions\n",
                std::chrono::duration<double>(std::chrono::steady_clock::now() - load_begin).count(),
                static_cast<unsigned long long>(retained.count()), state.session_count());
    if (mode == "load") return 0;
    Sink sink;
    EmbeddedLog log({}, state, *opened.store, sink);
    sink.log = &log;
    if (auto status = log.start(); !status.ok()) return std::fprintf(stderr, "%s\n", status.detail.c_str()), 1;
    Token token = 0;
    if (mode != "retained") {
        store::ClaimOp claim;
        claim.owner = 1;
        claim.shard = 1;
        claim.clean_start = true;
        claim.expiry_s = 0xFFFFFFFF;
        claim.client_id = "bench";
        submit(log, sink, ++token, claim);
        store::SubscribeOp subscribe;
        subscribe.session = sink.session;
        subscribe.owner = 1;
        subscribe.qos = 1;
        subscribe.filter = "#";
        submit(log, sink, ++token, subscribe);
        if (mode == "offline") submit(log, sink, ++token, store::DetachOp{sink.session, 1, 0, 0xFFFFFFFF, true});
    }
    // 50 publishers with 100 messages in flight each: 5,000 outstanding, submitted 250 at a time
    const std::string payload(128, 'x');
    std::vector<std::string> topics;
    for (int i = 0; i < 50; ++i) {
        topics.push_back("acme/munich/packaging/line-1/filler-" + std::to_string(i) + "/temperature");
    }
    constexpr std::uint64_t turn = 250, outstanding = 5000;
    const Token first = token;
    const double cpu = process_cpu_s();
    const auto begin = std::chrono::steady_clock::now();
    double submit_cpu = 0;
    for (std::uint64_t sent = 0; sent < count;) {
        timespec a{}, b{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
        auto batch = std::make_shared<store::OpBatch>();
        batch->reserve(turn * 220);
        for (std::uint64_t i = 0; i < turn; ++i, ++sent) {
            store::PublishOp op;
            op.qos = 1;
            op.payload = payload;
            std::string topic;
            if (mode == "retained") {
                topic = "acme/munich/line-" + std::to_string(sent / 1000) + "/cell/unit/device/metric-" +
                        std::to_string(sent % 1000);
                op.retain = true;
                op.topic = topic;
            } else {
                op.topic = topics[i % topics.size()];
            }
            batch->add(op);
        }
        log.submit(0, std::move(batch), ++token);
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
        submit_cpu += static_cast<double>(b.tv_sec - a.tv_sec) + 1e-9 * static_cast<double>(b.tv_nsec - a.tv_nsec);
        while ((token - sink.through) * turn >= outstanding) {
            std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
    }
    while (sink.through < token) std::this_thread::sleep_for(std::chrono::microseconds(100));
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const double used = process_cpu_s() - cpu - submit_cpu;
    const auto& stats = log.stats();
    std::printf("%s: %.0f messages/s, %.2f us CPU a message (log and store), %.2f us to encode; %llu commits, "
                "mean %.0f operations, mean write %.2f ms; %llu refused, peak RSS %ld MiB\n",
                argv[2], static_cast<double>((token - first) * turn) / took, 1e6 * used / static_cast<double>(count),
                1e6 * submit_cpu / static_cast<double>(count), static_cast<unsigned long long>(stats.commits),
                static_cast<double>(stats.operations) / static_cast<double>(stats.commits),
                1e-3 * static_cast<double>(stats.commit_us) / static_cast<double>(stats.commits),
                static_cast<unsigned long long>(sink.refused), resident_kib() / 1024);
    if (mode == "offline") {
        store::ClaimOp claim;
        claim.owner = 1;
        claim.shard = 1;
        claim.expiry_s = 0xFFFFFFFF;
        claim.client_id = "bench";
        const auto again = std::chrono::steady_clock::now();
        submit(log, sink, ++token, claim);
        log.fetch(1, sink.session, 1, 1, 4 << 20);
        while (sink.delivered < count) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        const std::chrono::duration<double> drain = std::chrono::steady_clock::now() - again;
        std::printf("drained at %.0f messages/s, peak RSS %ld MiB\n", static_cast<double>(count) / drain.count(),
                    resident_kib() / 1024);
    } else if (mode == "online") {
        while (sink.delivered < count) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    log.stop();
    std::printf("store %llu MiB\n", static_cast<unsigned long long>(opened.store->stats().bytes_on_disk >> 20));
    return 0;
}
