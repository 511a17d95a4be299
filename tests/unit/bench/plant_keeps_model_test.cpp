// The simulated plant and the model that is shipped for it (deploy/examples/discrete.yaml) fit.
#include <set>

#include "bench/plant_model.h"
#include "tests/unit/namespace/model_fixture.h"

using namespace trunkline;

TEST_CASE("everything that the simulated plant says keeps the discrete example", "[bench][model]") {
    const auto model =
        uns::test::compiled(uns::test::read_source("deploy/examples/discrete.yaml"), "deploy/examples/discrete.yaml");
    bench::Plant plant(400, 7);
    std::set<std::string> topics;
    const auto accepted = [&](const std::string& topic, const std::string& payload, const std::string& client,
                              bool retain) {
        uns::PublishFacts facts;
        facts.topic = topic;
        facts.payload = payload;
        facts.client_id = client;
        facts.retain = retain;
        const uns::Verdict verdict = model->judge(model->resolve(topic), facts);
        INFO(topic << " " << payload);
        if (verdict.finding) UNSCOPED_INFO(verdict.finding->rule << " " << verdict.finding->text);
        REQUIRE(verdict.outcome == uns::Outcome::accept);
        topics.insert(topic);
    };
    std::int64_t now_ms = 1'700'000'000'000;
    for (int second = 0; second < 600; second += 5, now_ms += 5000) {
        for (const bench::Line& line : plant.lines()) {
            if (second == 0) {
                accepted(line.topic + "/edge-status", bench::status_payload("online", now_ms), line.gateway, true);
                accepted(line.topic + "/edge-status", bench::status_payload("offline", now_ms), line.gateway, true);
            }
            for (const std::size_t index : line.assets) {
                bench::Asset& asset = plant.assets()[index];
                std::vector<bench::PlantMessage> events;
                asset.advance(now_ms, events);
                for (const auto& event : events) accepted(event.topic, event.payload, line.gateway, false);
                for (std::size_t i = 0; i < asset.type().metrics.size(); ++i) {
                    const bench::PlantMessage reading = asset.reading(i);
                    accepted(reading.topic, reading.payload, line.gateway, second % 10 == 0);
                }
                const std::string command = asset.topic() + "/" + std::string(asset.type().command);
                const std::string rate = bench::command_payload(asset.type().rate_maximum, now_ms);
                if (second % 60 == 0) accepted(command, rate, "scada-1", false);
            }
        }
    }
    CHECK(topics.size() > 2000);
}
