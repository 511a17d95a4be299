// Connections per second, and what an idle connection costs.
#include <memory>
#include <vector>

#include "bench/clock.h"
#include "bench/modes.h"
#include "bench/traffic.h"

namespace trunkline::bench {

namespace {

struct ConnectCounters {
    std::uint64_t started = 0;
    std::uint64_t connected = 0;
    std::uint64_t failed = 0;
    std::uint64_t limit = 0;
    std::string last_error;
    Histogram connect_ns;
    bool stopping = false;
};

/// Connects, and once connected leaves and connects again, or stays.
class ConnectClient : public Client {
public:
    ConnectClient(Loop& loop, const Endpoint& endpoint, ClientConfig config, ConnectCounters& counters, bool stay)
        : Client(loop, endpoint, std::move(config)), counters_(counters), prefix_(this->config().client_id + "-"),
          stay_(stay) {}

    void start() {
        if (counters_.stopping || counters_.started >= counters_.limit) return;
        // A new id each time: the broker may see the new connection before the end of the one before.
        const std::uint64_t number = ++counters_.started;
        config().client_id = prefix_ + std::to_string(number);
        config().source = static_cast<std::uint32_t>(number);
        start_ns_ = now_ns();
        connect();
    }

protected:
    void on_ready() override {
        ++counters_.connected;
        counters_.connect_ns.record(now_ns() - start_ns_);
        if (stay_) return;
        disconnect();
        start();
    }
    void on_closed(const std::string& why) override {
        ++counters_.failed;
        counters_.last_error = why;
    }

private:
    ConnectCounters& counters_;
    std::string prefix_;
    bool stay_;
    std::int64_t start_ns_ = 0;
};

ClientConfig connect_config(const Options& options, std::uint64_t number) {
    const std::string name = "connect-" + std::to_string(number);
    ClientConfig config = client_config(options, name);
    if (options.subscribe) config.filters = {options.topic_prefix + "/" + name};
    return config;
}

void report_connects(Report& report, const ConnectCounters& counters, double elapsed_s, std::int64_t own_cpu,
                     const BrokerMeter& meter) {
    report.add_seconds("seconds", elapsed_s, "connecting");
    report.add_count("connected", counters.connected, "connected");
    report.add_count("failed", counters.failed, "failed");
    report.add_rate("connects_per_second", static_cast<double>(counters.connected) / std::max(elapsed_s, 1e-9),
                    "connect rate");
    report.add_latency("latency_us.connect", counters.connect_ns, "connect to ready");
    report.add("generator.cpu_seconds", seconds(own_cpu));
    report.add_broker(meter, std::max(elapsed_s, 1e-9), counters.connected, 0);
    if (counters.failed) report.add_failure(exit_connection, counters.last_error);
}

/// Connections that come and go: `inflight` at a time.
void churn(const Options& options, const Endpoint& endpoint, Report& report) {
    Loop loop;
    ConnectCounters counters;
    counters.limit = options.count != 0 ? options.count : UINT64_MAX;
    std::vector<std::unique_ptr<ConnectClient>> clients;
    for (std::uint32_t i = 0; i < options.inflight; ++i) {
        clients.push_back(std::make_unique<ConnectClient>(loop, endpoint, connect_config(options, i), counters, false));
    }
    BrokerMeter meter(options.broker_pid);
    Progress progress(options.progress);
    meter.start();
    const std::int64_t own = own_cpu_ns();
    const std::int64_t start = now_ns();
    const std::int64_t end =
        options.count != 0 ? INT64_MAX : start + static_cast<std::int64_t>(options.duration_s * 1e9);
    for (auto& client : clients) client->start();
    std::int64_t now = start;
    for (; now < end && !Traffic::interrupted; now = now_ns()) {
        if (counters.connected + counters.failed >= counters.limit) break;
        if (counters.failed >= clients.size()) break;  // every client was turned away once: nobody connects any more
        meter.sample(now);
        loop.turn(10 * ns_per_ms);
        if (progress.due(now)) progress.show(with_commas(counters.connected) + " connected");
    }
    meter.finish();
    counters.stopping = true;
    report_connects(report, counters, seconds(now - start), own_cpu_ns() - own, meter);
}

/// Connections that stay: what each costs the broker in memory.
void hold(const Options& options, const Endpoint& endpoint, Report& report) {
    Loop loop;
    ConnectCounters counters;
    counters.limit = options.clients;
    std::vector<std::unique_ptr<ConnectClient>> clients;
    std::vector<Client*> pointers;
    BrokerMeter meter(options.broker_pid);
    Progress progress(options.progress);
    meter.start();
    const std::int64_t own = own_cpu_ns();
    const std::int64_t start = now_ns();
    std::int64_t now = start;
    while (counters.connected + counters.failed < options.clients && !Traffic::interrupted) {
        while (clients.size() < options.clients &&
               clients.size() - counters.connected - counters.failed < options.inflight) {
            clients.push_back(std::make_unique<ConnectClient>(loop, endpoint, connect_config(options, clients.size()),
                                                              counters, true));
            clients.back()->start();
        }
        if (progress.due(now)) progress.show(with_commas(counters.connected) + " connected");
        loop.turn(10 * ns_per_ms);
        now = now_ns();
        if (seconds(now - start) > options.connect_timeout_s) break;
    }
    const std::int64_t cpu = own_cpu_ns() - own;
    const std::int64_t until = now_ns() + static_cast<std::int64_t>(options.hold_s * 1e9);
    const double elapsed = seconds(now - start);
    for (now = now_ns(); now < until && !Traffic::interrupted; now = now_ns()) {
        loop.turn(std::min<std::int64_t>(until - now, 100 * ns_per_ms));
        if (progress.due(now)) progress.show(with_commas(counters.connected - counters.failed) + " connections held");
    }
    meter.finish();
    report_connects(report, counters, elapsed, cpu, meter);
    if (!meter.measured() || counters.connected == 0) return;
    const auto grown = [&](std::uint64_t after, std::uint64_t before) {
        return (static_cast<double>(after) - static_cast<double>(before)) / static_cast<double>(counters.connected);
    };
    const double pss = grown(meter.after().proportional, meter.before().proportional);
    report.add("bytes_per_connection.pss", pss, "broker memory per connection (PSS)", bytes_text(pss));
    report.add("bytes_per_connection.anonymous", grown(meter.after().anonymous, meter.before().anonymous));
}

}  // namespace

void run_connect(const Options& options, const Endpoint& endpoint, Report& report) {
    if (options.hold_s > 0) {
        hold(options, endpoint, report);
    } else {
        churn(options, endpoint, report);
    }
}

}  // namespace trunkline::bench
