// Hypothesis: framing and decoding a PUBLISH without properties costs less than 30 ns at a topic of 60 bytes, encoding
// one less than 30 ns, so that the codec stays a tenth of what a message may cost in all.
#include <benchmark/benchmark.h>

#include <string>

#include "broker/mqtt/decode.h"
#include "broker/mqtt/encode.h"

namespace {

using namespace trunkline::mqtt;

std::string topic_of(std::int64_t size) {
    std::string topic = "acme/munich/packaging/line-1/filler-1/temperature/";
    while (topic.size() < static_cast<std::size_t>(size)) topic += "level/";
    topic.resize(static_cast<std::size_t>(size));
    return topic;
}

/// One PUBLISH of 128 bytes of payload. QoS 1 with `state.range(1)`.
std::string publish_bytes(Version version, std::int64_t topic_size, std::uint8_t qos, std::string_view properties = {},
                          std::uint16_t alias = 0) {
    const std::string topic = alias ? "" : topic_of(topic_size);
    const std::string payload(128, 'x');
    PublishOut packet;
    packet.qos = qos;
    packet.packet_id = qos ? 7 : 0;
    packet.topic = topic;
    packet.topic_alias = alias;
    packet.forwarded_properties = properties;
    packet.payload = payload;
    Buffer out;
    encode(out, version, packet);
    return std::string(out.view());
}

void decode_stream(benchmark::State& state, Version version, const std::string& one) {
    std::string stream;
    for (int i = 0; i < 100; ++i) stream += one;
    for (auto _ : state) {
        std::string_view rest = stream;
        while (!rest.empty()) {
            const auto frame = next_frame(rest, 1 << 20, version);
            auto publish = decode_publish(frame->flags, frame->body, version);
            benchmark::DoNotOptimize(publish);
            rest.remove_prefix(frame->size);
        }
    }
    state.SetItemsProcessed(state.iterations() * 100);
    state.counters["per_packet"] = benchmark::Counter(static_cast<double>(state.iterations()) * 100,
                                                      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void decode_v5(benchmark::State& state) {
    decode_stream(state, Version::v5,
                  publish_bytes(Version::v5, state.range(0), static_cast<std::uint8_t>(state.range(1))));
}
BENCHMARK(decode_v5)->ArgNames({"topic", "qos"})->Args({20, 0})->Args({60, 0})->Args({60, 1})->Args({200, 0});

void decode_v311(benchmark::State& state) {
    decode_stream(state, Version::v311,
                  publish_bytes(Version::v311, state.range(0), static_cast<std::uint8_t>(state.range(1))));
}
BENCHMARK(decode_v311)->ArgNames({"topic", "qos"})->Args({60, 0})->Args({60, 1});

void decode_alias(benchmark::State& state) {
    decode_stream(state, Version::v5, publish_bytes(Version::v5, 0, 0, {}, 3));
}
BENCHMARK(decode_alias);

void decode_properties(benchmark::State& state) {
    std::string properties("\x01\x01\x03\x00\x10" "application/json", 21);
    append_user_property(properties, "site", "munich");
    append_user_property(properties, "trace", "0af7651916cd43dd8448eb211c80319c");
    decode_stream(state, Version::v5, publish_bytes(Version::v5, 60, 0, properties));
}
BENCHMARK(decode_properties);

void encode_stream(benchmark::State& state) {
    const std::string topic = topic_of(state.range(0));
    const std::string payload(128, 'x');
    PublishOut packet;
    packet.qos = static_cast<std::uint8_t>(state.range(1));
    packet.packet_id = packet.qos ? 7 : 0;
    packet.topic = topic;
    packet.payload = payload;
    Buffer out;
    for (auto _ : state) {
        for (int i = 0; i < 100; ++i) benchmark::DoNotOptimize(encode(out, Version::v5, packet));
        benchmark::ClobberMemory();
        out.clear();
    }
    state.SetItemsProcessed(state.iterations() * 100);
    state.counters["per_packet"] = benchmark::Counter(static_cast<double>(state.iterations()) * 100,
                                                      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(encode_stream)->ArgNames({"topic", "qos"})->Args({20, 0})->Args({60, 0})->Args({60, 1})->Args({200, 0});

void validate_payload(benchmark::State& state) {
    const std::string payload(static_cast<std::size_t>(state.range(0)), 'x');
    for (auto _ : state) benchmark::DoNotOptimize(is_valid_utf8_payload(payload));
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(validate_payload)->Arg(128)->Arg(65'536);

}  // namespace

BENCHMARK_MAIN();
