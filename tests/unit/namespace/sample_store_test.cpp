// What is kept of traffic for learning and planning.
#include <catch2/catch.hpp>

#include <map>

#include "namespace/live/sample_store.h"

using namespace trunkline::uns;

namespace {

constexpr std::int64_t begin_ms = 1'700'000'000'000;

Observation seen(std::string_view topic, std::string_view payload, std::string_view client = "plc") {
    Observation out;
    out.topic = topic;
    out.payload = payload;
    out.client_id = client;
    out.at_ms = begin_ms;
    return out;
}

std::map<std::string, std::uint64_t> payloads(const SampleStore& store, std::string_view topic = "t") {
    std::map<std::string, std::uint64_t> out;
    store.visit([&](const TrafficSample& sample) {
        if (sample.topic == topic) out[std::string(sample.payload)] += sample.messages;
        return true;
    });
    return out;
}

std::uint64_t messages(const SampleStore& store) {
    std::uint64_t sum = 0;
    store.visit([&](const TrafficSample& sample) {
        sum += sample.messages;
        return true;
    });
    return sum;
}

}  // namespace

TEST_CASE("one rare wrong payload stays among many good ones", "[namespace][live]") {
    SampleStore store(1 << 20);
    for (int i = 0; i < 5'000; ++i) {
        const std::string value = std::to_string(20 + i % 50);
        store.add(seen("t", R"({"value":)" + value + R"(,"timestamp":1})"));
        if (i == 700) store.add(seen("t", R"({"value":"23.5","timestamp":1})"));
        if (i == 800) store.add(seen("t", R"({"value":900,"timestamp":1})"));
        if (i == 900) store.add(seen("t", R"({"value":23,"timestamp":1,"unit":"K"})"));
        if (i == 950) store.add(seen("t", "garbage"));
    }
    const auto kept = payloads(store);
    CHECK(kept.contains(R"({"value":"23.5","timestamp":1})"));
    CHECK(kept.contains(R"({"value":900,"timestamp":1})"));       // an extreme
    CHECK(kept.contains(R"({"value":23,"timestamp":1,"unit":"K"})"));
    CHECK(kept.contains("garbage"));
    CHECK(kept.contains(R"({"value":20,"timestamp":1})"));        // the first, and the least
    CHECK(kept.contains(R"({"value":69,"timestamp":1})"));        // the latest
    CHECK(kept.size() <= SampleStore::samples_max + SampleStore::texts_max);
    CHECK(messages(store) == 5'004);
}

TEST_CASE("texts of an enumeration are all kept, and counted each", "[namespace][live]") {
    SampleStore store(1 << 20);
    const std::vector<std::string> states{"idle", "running", "held", "fault"};
    for (int i = 0; i < 100; ++i) store.add(seen("t", states[static_cast<std::size_t>(i % 4)]));
    const auto kept = payloads(store);
    CHECK(kept == std::map<std::string, std::uint64_t>{{"idle", 25}, {"running", 25}, {"held", 25}, {"fault", 25}});
}

TEST_CASE("texts without end are bounded", "[namespace][live]") {
    SampleStore store(1 << 20);
    for (int i = 0; i < 10'000; ++i) store.add(seen("t", "serial-" + std::to_string(i)));
    CHECK(payloads(store).size() <= SampleStore::samples_max + SampleStore::texts_max);
    CHECK(messages(store) == 10'000);
}

TEST_CASE("each publisher of a topic has a sample and its count", "[namespace][live]") {
    SampleStore store(1 << 20);
    for (int i = 0; i < 30; ++i) store.add(seen("t", R"({"value":1})", i % 3 ? "good" : "bad"));
    std::map<std::string, std::uint64_t> by;
    store.visit([&](const TrafficSample& sample) {
        by[std::string(sample.client_id)] += sample.messages;
        return true;
    });
    CHECK(by == std::map<std::string, std::uint64_t>{{"good", 20}, {"bad", 10}});
}

TEST_CASE("what broke the model is kept beside what did not", "[namespace][live]") {
    SampleStore store(1 << 20);
    for (int i = 0; i < 1'000; ++i) {
        Observation one = seen("t", R"({"value":)" + std::to_string(i % 100) + "}");
        one.violation = i == 500;
        if (one.violation) one.payload = R"({"value":77})";
        store.add(one);
    }
    bool found = false;
    store.visit([&](const TrafficSample& sample) {
        found |= sample.payload == R"({"value":77})" && sample.messages == 1;
        return true;
    });
    CHECK(found);
}

TEST_CASE("topics are visited in order, all samples of one together, until the visitor has enough",
          "[namespace][live]") {
    SampleStore store(1 << 20);
    for (const char* topic : {"b", "a/c", "a", "b", "a"}) store.add(seen(topic, topic));
    store.add(seen("a", "other"));
    std::vector<std::string> order;
    store.visit([&](const TrafficSample& sample) {
        order.emplace_back(sample.topic);
        return order.size() < 3;
    });
    CHECK(order == std::vector<std::string>{"a", "a", "a/c"});
}

TEST_CASE("memory is bounded: topics without samples are counted", "[namespace][live]") {
    SampleStore store(100'000);
    for (int round = 0; round < 2; ++round) {
        for (int i = 0; i < 1'000; ++i) store.add(seen("t/" + std::to_string(i), std::string(200, 'x')));
    }
    const auto numbers = store.numbers();
    CHECK(numbers.bytes <= 100'000);
    CHECK(numbers.topics + numbers.topics_left_out == 1'000);
    CHECK(numbers.messages_left_out == 2 * numbers.topics_left_out);
    CHECK(numbers.topics > 100);
}

TEST_CASE("a long payload is kept as its beginning, and says so", "[namespace][live]") {
    SampleStore store(1 << 20);
    store.add(seen("t", std::string(10'000, 'x')));
    store.visit([&](const TrafficSample& sample) {
        CHECK(sample.payload.size() == SampleStore::payload_bytes_max);
        CHECK(sample.truncated);
        return true;
    });
}
