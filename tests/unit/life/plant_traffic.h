// Recent traffic as tests make it: messages kept in order of their topics, as a live tree would give them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/plant_model.h"
#include "namespace/traffic.h"

namespace trunkline::uns::test {

struct Sent {
    std::string topic, payload, client = "edge-1";
    std::int64_t at_ms = 0;
    bool retain = false;
    std::uint64_t messages = 1;
    std::string user = {};
};

inline Traffic traffic_of(std::vector<Sent> messages) {
    std::stable_sort(messages.begin(), messages.end(), [](const Sent& a, const Sent& b) { return a.topic < b.topic; });
    return [messages = std::move(messages)](const TrafficVisit& visit) {
        for (const Sent& sent : messages) {
            TrafficSample sample;
            sample.topic = sent.topic;
            sample.payload = sent.payload;
            sample.client_id = sent.client;
            sample.user = sent.user;
            sample.at_ms = sent.at_ms;
            sample.messages = sent.messages;
            sample.retain = sent.retain;
            if (!visit(sample)) return;
        }
    };
}

constexpr std::int64_t plant_begin_ms = 1'700'000'000'000;

/// Ten minutes of a simulated plant, every five seconds a reading of each metric.
inline std::vector<Sent> plant_messages(std::size_t assets, std::uint64_t seed = 7, int seconds = 600) {
    bench::Plant plant(assets, seed);
    std::vector<Sent> out;
    std::int64_t now_ms = plant_begin_ms;
    for (int second = 0; second < seconds; second += 5, now_ms += 5'000) {
        for (const bench::Line& line : plant.lines()) {
            if (second % 300 == 0) {
                out.push_back({line.topic + "/edge-status",
                               bench::status_payload(second == 0 ? "offline" : "online", now_ms), line.gateway, now_ms,
                               true});
                out.push_back(
                    {line.topic + "/edge-status", bench::status_payload("online", now_ms), line.gateway, now_ms, true});
            }
            for (const std::size_t index : line.assets) {
                bench::Asset& asset = plant.assets()[index];
                std::vector<bench::PlantMessage> events;
                asset.advance(now_ms, events);
                for (const auto& event : events) out.push_back({event.topic, event.payload, line.gateway, now_ms});
                for (std::size_t i = 0; i < asset.type().metrics.size(); ++i) {
                    bench::PlantMessage reading = asset.reading(i);
                    out.push_back({reading.topic, reading.payload, line.gateway, now_ms, second % 10 == 0});
                }
                if (second % 120 != 60 || asset.type().command.empty()) continue;
                const double rate = asset.type().rate_default * (second % 240 == 60 ? 1.0 : 0.9);
                out.push_back({asset.topic() + "/" + std::string(asset.type().command),
                               bench::command_payload(rate, now_ms), "scada-1", now_ms});
            }
        }
    }
    return out;
}

}  // namespace trunkline::uns::test
