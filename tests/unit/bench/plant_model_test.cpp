#include "bench/plant_model.h"

#include <map>
#include <regex>
#include <set>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace trunkline::bench;

namespace {

constexpr std::int64_t start_ms = 1'700'000'000'000;

/// Every message of `rounds` seconds of the plant.
std::vector<PlantMessage> live(Plant& plant, int rounds) {
    std::vector<PlantMessage> messages;
    for (int round = 0; round < rounds; ++round) {
        for (const auto& point : plant.points()) {
            Asset& asset = plant.assets()[point.asset];
            asset.advance(start_ms + round * 1000, messages);
            messages.push_back(asset.reading(point.metric));
        }
    }
    return messages;
}

}  // namespace

TEST_CASE("the same seed makes the same plant, another seed another", "[bench]") {
    Plant one(20, 5), same(20, 5), other(20, 6);
    const auto a = live(one, 100), b = live(same, 100), c = live(other, 100);
    REQUIRE(a.size() == b.size());
    bool differs = a.size() != c.size();
    for (std::size_t i = 0; i < a.size(); ++i) {
        REQUIRE(a[i].topic == b[i].topic);
        REQUIRE(a[i].payload == b[i].payload);
        differs = differs || (i < c.size() && a[i].payload != c[i].payload);
    }
    CHECK(differs);
}

TEST_CASE("every level of every topic keeps to the naming rules", "[bench]") {
    Plant plant(200, 1);
    CHECK(plant.assets().size() == 200);
    const std::regex level("[a-z][a-z0-9-]{0,31}"), metric("[a-z][a-z0-9_]{0,47}"), line("line-[0-9]{1,3}");
    std::set<std::string> topics, gateways;
    for (const auto& each : plant.lines()) {
        CHECK(gateways.insert(each.gateway).second);
        CHECK(std::regex_match(each.topic.substr(each.topic.rfind('/') + 1), line));
    }
    for (const auto& asset : plant.assets()) {
        CHECK(topics.insert(asset.topic()).second);
        CHECK(std::regex_match(asset.topic(), std::regex("acme/[a-z-]+/[a-z-]+/line-[0-9]+/[a-z]+-[0-9]+")));
        for (const auto& spec : asset.type().metrics) {
            const std::string path(spec.path);
            const auto slash = path.find('/');
            if (slash != std::string::npos) CHECK(std::regex_match(path.substr(0, slash), level));
            CHECK(std::regex_match(path.substr(slash == std::string::npos ? 0 : slash + 1), metric));
        }
    }
    CHECK(topics.contains("acme/munich/packaging/line-1/filler-1"));
}

TEST_CASE("readings are of their type, in range and stamped; events are batches in a legal order", "[bench]") {
    Plant plant(20, 11);
    std::map<std::string, const MetricSpec*> specs;
    for (const auto& asset : plant.assets()) {
        for (const auto& spec : asset.type().metrics) specs[asset.topic() + "/" + std::string(spec.path)] = &spec;
    }
    std::map<std::string, double> counters;
    std::map<std::string, std::string> batches;
    std::set<std::string> states, batch_states;
    for (const auto& message : live(plant, 2000)) {
        const auto json = nlohmann::json::parse(message.payload);
        REQUIRE(json["timestamp"].get<std::int64_t>() >= start_ms);
        if (message.is_event) {
            const auto state = json["state"].get<std::string>();
            REQUIRE(std::regex_match(json["batch"].get<std::string>(), std::regex("B[0-9]{6}")));
            REQUIRE(json.size() == 3);
            const std::string before = batches[message.topic];
            const bool open = before == "started" || before == "held";
            REQUIRE((state == "started") == !open);
            batches[message.topic] = state;
            batch_states.insert(state);
            continue;
        }
        const MetricSpec& spec = *specs.at(message.topic);
        const auto& value = json["value"];
        switch (spec.kind) {
            case MetricKind::analog:
            case MetricKind::speed:
                REQUIRE(value.get<double>() >= spec.minimum);
                REQUIRE(value.get<double>() <= spec.maximum);
                break;
            case MetricKind::running: REQUIRE(value.is_boolean()); break;
            case MetricKind::state: states.insert(value.get<std::string>()); break;
            case MetricKind::counter:
                REQUIRE(value.get<double>() >= counters[message.topic]);
                counters[message.topic] = value.get<double>();
                break;
        }
    }
    CHECK(states == std::set<std::string>{"idle", "running", "held", "fault"});
    CHECK(batch_states == std::set<std::string>{"started", "held", "completed", "aborted"});
    for (const auto& [topic, count] : counters) CHECK(count > 0);
}

TEST_CASE("a command changes the target rate, and nonsense does not", "[bench]") {
    Plant plant(1, 1);
    Asset& asset = plant.assets()[0];
    CHECK(asset.command(R"({"value":12000,"timestamp":1})"));
    CHECK(asset.target_rate() == 12'000);
    CHECK(asset.command("30000"));
    CHECK(asset.target_rate() == 30'000);
    for (const char* bad : {"", "{", "{}", "\"fast\"", R"({"value":"x"})", "-1", "60001", "[1]", "1e999"}) {
        CAPTURE(bad);
        CHECK_FALSE(asset.command(bad));
    }
    CHECK(asset.target_rate() == 30'000);
    CHECK(asset.command(command_payload(500, 1)));
    CHECK(asset.target_rate() == 500);
}
