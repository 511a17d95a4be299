// The simulated plant and the model that is shipped for it (deploy/examples/discrete.yaml) fit.
#include <map>
#include <set>

#include "bench/plant_model.h"
#include "tests/unit/namespace/model_fixture.h"

using namespace trunkline;

namespace {

std::shared_ptr<const uns::Model> discrete() {
    return uns::test::compiled(uns::test::read_source("deploy/examples/discrete.yaml"),
                               "deploy/examples/discrete.yaml");
}

uns::Verdict judged(const uns::Model& model, const std::string& topic, const std::string& payload,
                    const std::string& client, bool retain) {
    uns::PublishFacts facts;
    facts.topic = topic;
    facts.payload = payload;
    facts.client_id = client;
    facts.retain = retain;
    return model.judge(model.resolve(topic), facts);
}

}  // namespace

TEST_CASE("everything that the simulated plant says keeps the discrete example", "[bench][model]") {
    const auto model = discrete();
    bench::Plant plant(400, 7);
    std::set<std::string> topics;
    const auto accepted = [&](const std::string& topic, const std::string& payload, const std::string& client,
                              bool retain) {
        const uns::Verdict verdict = judged(*model, topic, payload, client, retain);
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

TEST_CASE("each seeded mistake breaks the discrete example by its rule, and nothing else does", "[bench][model]") {
    const auto model = discrete();
    const std::uint64_t seed = GENERATE(1, 2, 99);
    const std::size_t assets = GENERATE(10, 20, 200);
    bench::Plant plant(assets, seed, true);
    std::map<std::string, std::string> gateway_of;
    for (const bench::Line& line : plant.lines()) {
        for (const std::size_t index : line.assets) gateway_of[plant.assets()[index].topic()] = line.gateway;
    }
    std::set<std::string> found;  // "topic rule"
    std::map<std::string, uns::Verdict> verdicts;
    std::set<std::string> sent;
    std::int64_t now_ms = 1'700'000'000'000;
    for (int second = 0; second < 300; second += 5, now_ms += 5000) {
        for (const auto& point : plant.points()) {
            bench::Asset& asset = plant.assets()[point.asset];
            std::vector<bench::PlantMessage> messages;
            asset.advance(now_ms, messages);
            messages.push_back(plant.reading(point));
            for (const auto& message : messages) {
                sent.insert(message.topic);
                const uns::Verdict verdict =
                    judged(*model, message.topic, message.payload, gateway_of[asset.topic()], !message.is_event);
                if (verdict.outcome == uns::Outcome::accept) continue;
                found.insert(message.topic + " " + verdict.finding->rule);
                verdicts[message.topic] = verdict;
            }
        }
    }
    std::set<std::string> expected;
    std::string silent;
    for (const bench::Mistake& mistake : plant.mistakes()) {
        if (mistake.kind == bench::MistakeKind::silent_asset) {
            silent = mistake.topic;
        } else {
            expected.insert(mistake.topic + " " + std::string(mistake.rule));
        }
    }
    CHECK(plant.mistakes().size() == 8);
    CHECK(expected.size() == 7);  // each on a topic of its own
    CHECK(found == expected);
    for (const bench::Mistake& mistake : plant.mistakes()) {
        INFO(mistake.topic);
        const auto at = verdicts.find(mistake.topic);
        if (at == verdicts.end()) continue;
        CHECK_FALSE(at->second.finding->fix.empty());
        if (mistake.is_extra_tag()) CHECK(at->second.finding->fix.find(mistake.right) != std::string::npos);
        CHECK(gateway_of.at(plant.assets()[mistake.asset].topic()) == mistake.client);
    }
    CHECK(verdicts.at("acme/munich/packaging/line-1/filler-1/temperatur").outcome == uns::Outcome::quarantine);
    REQUIRE_FALSE(silent.empty());
    CHECK(sent.lower_bound(silent + "/") == sent.lower_bound(silent + "0"));  // nothing below it
    bool named = false;  // the model names the silent asset itself, not by a pattern
    model->walk([&](const uns::Model::Entry& entry) {
        named = named || (entry.topic == silent && entry.kind == uns::MemberKind::asset);
        return !named;
    });
    CHECK(named);
}

TEST_CASE("without mistakes a plant says on the same topics what it says with them", "[bench]") {
    bench::Plant plain(20, 3), spoilt(20, 3, true);
    CHECK(plain.mistakes().empty());
    std::set<std::string> without, with;
    for (const auto& point : plain.points()) without.insert(plain.reading(point).topic);
    for (const auto& point : spoilt.points()) with.insert(spoilt.reading(point).topic);
    for (const bench::Mistake& mistake : spoilt.mistakes()) {
        if (mistake.kind == bench::MistakeKind::silent_asset) {
            std::erase_if(without, [&](const std::string& topic) { return topic.starts_with(mistake.topic + "/"); });
        } else if (mistake.is_extra_tag()) {
            CHECK(with.erase(mistake.topic) == 1);
        }
    }
    CHECK(with == without);
}
