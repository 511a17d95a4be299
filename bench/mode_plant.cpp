// The plant simulator's I/O: a gateway per line, a SCADA client that sends commands, reconnecting as gateways do.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <random>
#include <unordered_map>

#include <nlohmann/json.hpp>

#include "bench/clock.h"
#include "bench/modes.h"
#include "bench/plant_model.h"
#include "bench/traffic.h"

namespace trunkline::bench {

namespace {

constexpr std::int64_t backoff_first_ns = 250 * ns_per_ms;
constexpr std::int64_t backoff_last_ns = 15 * ns_per_s;
constexpr std::size_t gateway_bytes_max = 256 * 1024;  // a gateway drops new readings while the broker does not read
constexpr double command_period_s = 5;

struct PlantCounters {
    std::uint64_t readings = 0;
    std::uint64_t events = 0;
    std::uint64_t commands_sent = 0;
    std::uint64_t commands_taken = 0;
    std::uint64_t commands_refused = 0;
    std::uint64_t acknowledged = 0;
    std::uint64_t refused = 0;
    std::uint64_t skipped = 0;       // readings not sent: connection away or full
    std::uint64_t reconnects = 0;
    std::string last_refusal;
};

/// A client that comes back by itself, and tracks how many of its messages are under way.
class PlantClient : public Client {
public:
    PlantClient(Loop& loop, const Endpoint& endpoint, ClientConfig config, PlantCounters& counters)
        : Client(loop, endpoint, std::move(config)), counters_(counters) {}

    /// Connects when it is time to.
    void keep_connected(std::int64_t now) {
        if (open() || now < retry_ns_) return;
        connect();
    }
    /// False: not connected, or as much under way as may be.
    bool send(const std::string& topic, const std::string& payload, std::uint8_t qos, bool retain) {
        const bool full = under_way_ >= std::min<std::uint32_t>(receive_maximum(), 1000);
        if (!ready() || full || unsent_bytes() > gateway_bytes_max) return false;
        mqtt::PublishOut packet;
        packet.qos = qos;
        packet.retain = retain;
        packet.topic = topic;
        packet.payload = payload;
        if (qos != 0) {
            packet_id_ = packet_id_ >= 60'000 ? 1 : static_cast<std::uint16_t>(packet_id_ + 1);
            packet.packet_id = packet_id_;
            ++under_way_;
        }
        publish(packet);
        return true;
    }

protected:
    void on_ready() override {
        if (was_ready_) ++counters_.reconnects;
        was_ready_ = true;
        backoff_ns_ = backoff_first_ns;
        under_way_ = 0;
    }
    void on_closed(const std::string&) override {
        // A fifth more or less, so that a broker that comes back does not meet every gateway at once.
        retry_ns_ = now_ns() + static_cast<std::int64_t>(static_cast<double>(backoff_ns_) * jitter_(random_));
        backoff_ns_ = std::min(backoff_ns_ * 2, backoff_last_ns);
    }
    void on_acknowledged(std::uint16_t, mqtt::Reason reason) override {
        if (under_way_ > 0) --under_way_;
        ++counters_.acknowledged;
        if (static_cast<std::uint8_t>(reason) < 0x80) return;
        ++counters_.refused;
        counters_.last_refusal = std::string(mqtt::reason_name(reason));
    }
    PlantCounters& counters() { return counters_; }

private:
    PlantCounters& counters_;
    std::minstd_rand random_{static_cast<unsigned>(std::hash<std::string>{}(config().client_id))};
    std::uniform_real_distribution<double> jitter_{0.8, 1.2};
    std::int64_t backoff_ns_ = backoff_first_ns;
    std::int64_t retry_ns_ = 0;
    std::uint32_t under_way_ = 0;
    std::uint16_t packet_id_ = 0;
    bool was_ready_ = false;
};

/// The edge node of one line: publishes what its assets say, tells them what they are commanded, and has a will.
class Gateway : public PlantClient {
public:
    Gateway(Loop& loop, const Endpoint& endpoint, ClientConfig config, PlantCounters& counters, Plant& plant,
            const Line& line)
        : PlantClient(loop, endpoint, std::move(config), counters), plant_(plant), line_(line) {}

    void say_goodbye() {
        send(line_.topic + "/edge-status", status_payload("offline", wall_ms()), 1, true);
    }

protected:
    void on_ready() override {
        PlantClient::on_ready();
        send(line_.topic + "/edge-status", status_payload("online", wall_ms()), 1, true);
    }
    void on_publish(const Incoming& incoming) override {
        for (const std::size_t index : line_.assets) {
            Asset& asset = plant_.assets()[index];
            if (!incoming.topic.starts_with(asset.topic() + "/")) continue;
            ++(asset.command(incoming.payload) ? counters().commands_taken : counters().commands_refused);
        }
    }

private:
    Plant& plant_;
    const Line& line_;
};

ClientConfig gateway_config(const Options& options, const Line& line, const std::vector<Asset>& assets) {
    ClientConfig config = client_config(options, line.gateway);
    if (options.client_prefix == Options{}.client_prefix) config.client_id = line.gateway;
    config.will = WillConfig{line.topic + "/edge-status", status_payload("offline", wall_ms()), 1, true};
    config.subscribe_qos = 1;
    for (const std::size_t index : line.assets) {
        const Asset& asset = assets[index];
        if (!asset.type().command.empty()) {
            config.filters.push_back(asset.topic() + "/" + std::string(asset.type().command));
        }
    }
    return config;
}

nlohmann::ordered_json mistakes_json(const std::vector<Mistake>& mistakes) {
    auto list = nlohmann::ordered_json::array();
    for (const Mistake& mistake : mistakes) {
        list.push_back({{"mistake", mistake_name(mistake.kind)}, {"topic", mistake.topic}, {"right", mistake.right},
                        {"client", mistake.client}, {"what", mistake.what}, {"rule", mistake.rule}});
    }
    return list;
}

/// Nothing when there are none.
void print_mistakes(const Options& options, const Plant& plant) {
    if (plant.mistakes().empty()) return;
    if (options.json) {
        std::printf("%s\n", nlohmann::ordered_json{{"mistakes", mistakes_json(plant.mistakes())}}.dump().c_str());
    } else {
        std::size_t width = 0;
        for (const Mistake& mistake : plant.mistakes()) width = std::max(width, mistake.topic.size());
        const int columns = static_cast<int>(width);
        std::printf("%-18s  %-7s  %-*s  %s\n", "MISTAKE", "RULE", columns, "TOPIC", "WHAT");
        for (const Mistake& mistake : plant.mistakes()) {
            std::printf("%-18s  %-7s  %-*s  %s\n", mistake_name(mistake.kind).data(),
                        mistake.rule.empty() ? "-" : mistake.rule.data(), columns, mistake.topic.c_str(),
                        mistake.what.c_str());
        }
    }
    std::fflush(stdout);
}

/// Plant, gateways and SCADA together.
class Simulation {
public:
    Simulation(const Options& options, const Endpoint& endpoint)
        : options_(options), plant_(options.assets, options.seed, options.mistakes), random_(options.seed ^ 0x5CADA),
          progress_(options.progress) {
        for (const Line& line : plant_.lines()) {
            gateways_.push_back(std::make_unique<Gateway>(
                loop_, endpoint, gateway_config(options, line, plant_.assets()), counters_, plant_, line));
            for (const std::size_t asset : line.assets) gateway_of_[asset] = gateways_.back().get();
        }
        ClientConfig scada = client_config(options, "scada");
        if (options.client_prefix == Options{}.client_prefix) scada.client_id = "scada-1";
        scada_ = std::make_unique<PlantClient>(loop_, endpoint, std::move(scada), counters_);
    }

    [[nodiscard]] const Plant& plant() const { return plant_; }

    /// Connects everybody once; false when the broker cannot be reached or does not let them in.
    bool connect(std::string& why) {
        std::vector<Client*> clients{scada_.get()};
        for (auto& gateway : gateways_) clients.push_back(gateway.get());
        return connect_all(loop_, clients, 100, options_.connect_timeout_s, why);
    }

    void run() {
        const std::int64_t start = now_ns();
        const std::int64_t end =
            options_.duration_s > 0 ? start + static_cast<std::int64_t>(options_.duration_s * 1e9) : INT64_MAX;
        next_command_ns_ = start;
        start_ns_ = start;
        for (std::int64_t now = start; now < end && !Traffic::interrupted; now = now_ns()) {
            for (auto& gateway : gateways_) gateway->keep_connected(now);
            scada_->keep_connected(now);
            publish_due(now);
            if (now >= next_command_ns_) send_command(now);
            if (progress_.due(now)) show();
            loop_.turn(std::min<std::int64_t>(end - now, wait_ns(now)));
        }
        elapsed_s_ = seconds(now_ns() - start);
        finish();
    }

    void report(Report& report) const {
        report.add("assets", plant_.points().empty() ? 0 : options_.assets);
        report.add("lines", plant_.lines().size());
        report.add_seconds("seconds", elapsed_s_, "ran");
        report.add_count("readings", counters_.readings, "readings published");
        report.add_rate("readings_per_second", static_cast<double>(counters_.readings) / std::max(elapsed_s_, 1e-9),
                        "readings rate");
        report.add_count("events", counters_.events, "events published");
        report.add_count("commands.sent", counters_.commands_sent, "commands sent");
        report.add_count("commands.taken", counters_.commands_taken, "commands taken by assets");
        report.add_count("commands.refused", counters_.commands_refused, "commands refused by assets");
        report.add_count("acknowledged", counters_.acknowledged, "acknowledged");
        report.add_count("refused", counters_.refused, "refused by the broker");
        const std::string& last = counters_.last_refusal;
        if (!last.empty()) report.add("last_refusal", last, "last refusal", last);
        report.add_count("skipped", counters_.skipped, "readings skipped (broker away or slow)");
        report.add_count("reconnects", counters_.reconnects, "reconnects");
        if (!plant_.mistakes().empty()) report.add("mistakes", mistakes_json(plant_.mistakes()));
    }

private:
    [[nodiscard]] double interval_ns() const { return 1e9 / options_.rate; }

    std::int64_t wait_ns(std::int64_t now) const {
        const auto due = start_ns_ + static_cast<std::int64_t>(static_cast<double>(issued_) * interval_ns());
        return std::clamp<std::int64_t>(due - now, 0, 50 * ns_per_ms);
    }

    void publish_due(std::int64_t now) {
        const std::int64_t now_wall = wall_ms();
        const auto& points = plant_.points();
        for (;;) {
            const auto due = start_ns_ + static_cast<std::int64_t>(static_cast<double>(issued_) * interval_ns());
            if (due > now) return;
            const auto point = points[issued_++ % points.size()];
            Asset& asset = plant_.assets()[point.asset];
            PlantClient& gateway = *gateway_of_.at(point.asset);
            events_.clear();
            asset.advance(now_wall, events_);
            for (const PlantMessage& event : events_) {
                if (gateway.send(event.topic, event.payload, 1, false)) ++counters_.events;
            }
            const PlantMessage reading = plant_.reading(point);
            const bool sent = gateway.send(reading.topic, reading.payload, static_cast<std::uint8_t>(options_.qos),
                                           options_.retain);
            ++(sent ? counters_.readings : counters_.skipped);
        }
    }

    void send_command(std::int64_t now) {
        next_command_ns_ = now + static_cast<std::int64_t>(command_period_s * 1e9);
        const Asset& asset = plant_.assets()[random_() % plant_.assets().size()];
        if (asset.type().command.empty()) return;
        const double share = std::uniform_real_distribution<double>(0.3, 0.95)(random_);
        const double rate = std::round(asset.type().rate_maximum * share);
        const std::string topic = asset.topic() + "/" + std::string(asset.type().command);
        if (scada_->send(topic, command_payload(rate, wall_ms()), 1, false)) ++counters_.commands_sent;
    }

    void show() {
        progress_.show(with_commas(counters_.readings) + " readings, " + with_commas(counters_.events) + " events, " +
                       with_commas(counters_.commands_taken) + " commands, " + with_commas(counters_.refused) +
                       " refused, " + with_commas(counters_.skipped) + " skipped, " +
                       with_commas(counters_.reconnects) + " reconnects");
    }

    /// A gateway that leaves in order says so itself: its will is not sent.
    void finish() {
        for (auto& gateway : gateways_) gateway->say_goodbye();
        const std::int64_t until = now_ns() + 500 * ns_per_ms;
        while (now_ns() < until) loop_.turn(50 * ns_per_ms);
        for (auto& gateway : gateways_) gateway->disconnect();
        scada_->disconnect();
    }

    const Options& options_;
    Loop loop_;
    Plant plant_;
    PlantCounters counters_;
    std::vector<std::unique_ptr<Gateway>> gateways_;
    std::unordered_map<std::size_t, Gateway*> gateway_of_;
    std::unique_ptr<PlantClient> scada_;
    std::vector<PlantMessage> events_;
    std::mt19937_64 random_;
    Progress progress_;
    std::int64_t start_ns_ = 0;
    std::int64_t next_command_ns_ = 0;
    std::uint64_t issued_ = 0;
    double elapsed_s_ = 0;
};

}  // namespace

void run_plant(const Options& options, const Endpoint& endpoint, Report& report) {
    Simulation simulation(options, endpoint);
    std::string why;
    print_mistakes(options, simulation.plant());
    if (!simulation.connect(why)) return report.add_failure(exit_connection, why);
    simulation.run();
    simulation.report(report);
}

void print_plant_topics(const Options& options) {
    Plant plant(options.assets, options.seed, options.mistakes);
    auto topics = nlohmann::ordered_json::array();
    const auto put = [&](const char* kind, const std::string& topic) {
        if (options.json) {
            topics.push_back({{"kind", kind}, {"topic", topic}});
        } else {
            std::printf("%-7s  %s\n", kind, topic.c_str());
        }
    };
    for (const Line& line : plant.lines()) {
        put("status", line.topic + "/edge-status");
        for (const std::size_t index : line.assets) {
            const Asset& asset = plant.assets()[index];
            for (const MetricSpec& metric : asset.type().metrics) {
                put("metric", asset.topic() + "/" + std::string(metric.path));
            }
            if (asset.type().has_batches) put("event", asset.topic() + "/batch");
            if (!asset.type().command.empty()) {
                put("command", asset.topic() + "/" + std::string(asset.type().command));
            }
        }
    }
    if (options.json) {
        nlohmann::ordered_json document{{"topics", std::move(topics)}};
        if (options.mistakes) document["mistakes"] = mistakes_json(plant.mistakes());
        std::printf("%s\n", document.dump(1).c_str());
    } else {
        print_mistakes(options, plant);
    }
}

}  // namespace trunkline::bench
