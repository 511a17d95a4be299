// Hypothesis: checking a reading of 128 bytes costs less than 200 ns and allocates nothing, so that payload contracts
// stay well below 350 ns a message; a schema of the same members costs at most twice that.
// parse_dom and parse_on_demand compare simdjson's two interfaces on the same bytes, walking every member: the
// contracts use the first, which also checks what it does not look at and reads names with escapes.
#include <benchmark/benchmark.h>
#include <simdjson.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "namespace/payload/contract.h"
#include "namespace/payload/value.h"

namespace {

std::atomic<std::size_t> allocations = 0;

}  // namespace

// Counts what the checks allocate; simdjson and RE2 allocate through these too.
[[gnu::noinline]] void* operator new(std::size_t size) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using namespace trunkline::uns;
using Format = PayloadSpec::Format;

/// Exactly 128 bytes: all members of a reading, and one more.
std::string reading() {
    std::string text = R"({"value":23.5125,"timestamp":1700000000123,"quality":"good","unit":"Cel","source":")";
    text.resize(126, 'x');
    return text + "\"}";
}

PayloadSpec reading_spec() {
    PayloadSpec spec;
    spec.value.kind = ValueType::Kind::number;
    spec.value.min = -20;
    spec.value.max = 120;
    spec.value.unit = "Cel";
    return spec;
}

PayloadSpec schema_spec() {
    PayloadSpec spec;
    spec.format = Format::schema;
    spec.schema_json =
        R"({"type": "object", "required": ["value", "timestamp"], "additionalProperties": false, "properties": {
        "value": {"type": "number", "minimum": -20, "maximum": 120}, "timestamp": {"type": "integer", "minimum": 0},
        "quality": {"enum": ["good", "uncertain", "bad"]}, "unit": {"const": "Cel"},
        "source": {"type": "string", "maxLength": 64}}})";
    return spec;
}

void check(benchmark::State& state, const PayloadSpec& spec, const std::string& payload, bool kept = true) {
    const auto compiled = PayloadContract::compile(spec);
    const auto contract = std::get<std::shared_ptr<const PayloadContract>>(compiled);
    if (contract->check(payload).has_value() == kept) return state.SkipWithError("not the verdict expected");
    const std::size_t before = allocations;
    for (auto _ : state) benchmark::DoNotOptimize(contract->check(payload));
    const std::size_t after = allocations;
    state.counters["allocations"] = static_cast<double>(after - before) / static_cast<double>(state.iterations());
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(payload.size()));
}

void reading_128(benchmark::State& state) { check(state, reading_spec(), reading()); }
BENCHMARK(reading_128);

void reading_plant(benchmark::State& state) {
    check(state, reading_spec(), R"({"value":23.5,"timestamp":1700000000123})");
}
BENCHMARK(reading_plant);

void reading_rfc3339(benchmark::State& state) {
    check(state, reading_spec(), R"({"value":23.5,"timestamp":"2023-11-14T22:13:20.123+01:00","quality":0})");
}
BENCHMARK(reading_rfc3339);

void reading_refused(benchmark::State& state) {
    check(state, reading_spec(), R"({"value":131.4,"timestamp":1700000000123})", false);
}
BENCHMARK(reading_refused);

void umh(benchmark::State& state) {
    PayloadSpec spec = reading_spec();
    spec.format = Format::umh;
    check(state, spec, R"({"timestamp_ms":1700000000123,"value":23.5})");
}
BENCHMARK(umh);

void plain_number(benchmark::State& state) {
    PayloadSpec spec = reading_spec();
    spec.format = Format::plain;
    check(state, spec, "23.5125");
}
BENCHMARK(plain_number);

void plain_pattern(benchmark::State& state) {
    PayloadSpec spec;
    spec.format = Format::plain;
    spec.value.kind = ValueType::Kind::string;
    spec.value.pattern = "B[0-9]{6}";
    check(state, spec, "B123456");
}
BENCHMARK(plain_pattern);

void json_128(benchmark::State& state) {
    PayloadSpec spec;
    spec.format = Format::json;
    check(state, spec, reading());
}
BENCHMARK(json_128);

void schema_128(benchmark::State& state) { check(state, schema_spec(), reading()); }
BENCHMARK(schema_128);

void schema_batch(benchmark::State& state) {
    PayloadSpec spec;
    spec.format = Format::schema;
    spec.schema_json = R"({"type": "object", "required": ["batch", "state", "timestamp"], "additionalProperties": false,
        "properties": {"batch": {"type": "string", "pattern": "^B[0-9]{6}$"},
                       "state": {"enum": ["started", "held", "completed", "aborted"]},
                       "timestamp": {"type": "integer"}}})";
    check(state, spec, R"({"batch":"B123456","state":"held","timestamp":1700000000123})");
}
BENCHMARK(schema_batch);

void sparkplug_metric(benchmark::State& state) {
    PayloadSpec spec;
    spec.format = Format::sparkplug;
    const std::string metric(
        "\x0A\x05"
        "speed"
        "\x18\x80\xD0\x95\xFF\xBC\x31"
        "\x20\x0A"
        "\x69\0\0\0\0\0\0\x37\x40",
        25);
    const std::string payload = std::string("\x08\x80\xD0\x95\xFF\xBC\x31", 7) + "\x12" +
                                std::string(1, static_cast<char>(metric.size())) + metric + std::string("\x18\x07", 2);
    check(state, spec, payload);
}
BENCHMARK(sparkplug_metric);

void json_64k(benchmark::State& state) {
    PayloadSpec spec;
    spec.format = Format::json;
    std::string text = "[1";
    while (text.size() < 60'000) text += ",{\"name\":\"drive\",\"speed\":1480.25}";
    check(state, spec, text + "]");
}
BENCHMARK(json_64k);

void read_value_128(benchmark::State& state) {
    const std::string payload = reading();
    for (auto _ : state) benchmark::DoNotOptimize(read_value(payload, Format::reading));
}
BENCHMARK(read_value_128);

/// Both walk the members of the reading and look at every scalar.
void parse_dom(benchmark::State& state) {
    const std::string payload = reading();
    simdjson::dom::parser parser;
    std::string buffer(4'096 + simdjson::SIMDJSON_PADDING, '\0');
    if (parser.allocate(4'096, 65)) return state.SkipWithError("no memory");
    for (auto _ : state) {
        std::memcpy(buffer.data(), payload.data(), payload.size());
        simdjson::dom::object object;
        if (parser.parse(buffer.data(), payload.size(), false).get(object)) return state.SkipWithError("not JSON");
        std::size_t sum = 0;
        for (const auto field : object) sum += field.key.size() + field.value.is_string();
        benchmark::DoNotOptimize(sum);
    }
}
BENCHMARK(parse_dom);

void parse_on_demand(benchmark::State& state) {
    namespace ondemand = simdjson::ondemand;
    const std::string payload = reading();
    ondemand::parser parser;
    std::string buffer(4'096 + simdjson::SIMDJSON_PADDING, '\0');
    if (parser.allocate(4'096, 65)) return state.SkipWithError("no memory");
    for (auto _ : state) {
        std::memcpy(buffer.data(), payload.data(), payload.size());
        ondemand::document document;
        ondemand::object object;
        if (parser.iterate(buffer.data(), payload.size(), buffer.size()).get(document))
            return state.SkipWithError("not JSON");
        if (document.get_object().get(object)) return state.SkipWithError("no object");
        std::size_t sum = 0;
        for (auto field : object) {
            std::string_view name, text;
            ondemand::value value;
            ondemand::json_type type;
            if (field.unescaped_key().get(name) || field.value().get(value) || value.type().get(type)) break;
            sum += name.size();
            if (type == ondemand::json_type::string) {
                if (value.get_string().get(text)) break;
            } else {
                ondemand::number number;
                if (value.get_number().get(number)) break;
            }
        }
        benchmark::DoNotOptimize(sum);
    }
}
BENCHMARK(parse_on_demand);

}  // namespace

BENCHMARK_MAIN();
