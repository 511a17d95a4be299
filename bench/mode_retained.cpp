// Stores many retained messages, then times a new subscriber to `#` until it has them all.
#include <algorithm>
#include <memory>
#include <vector>

#include "bench/clock.h"
#include "bench/modes.h"
#include "bench/traffic.h"

namespace trunkline::bench {

namespace {

constexpr std::uint32_t topics_default = 100'000;
constexpr std::size_t writer_bytes_max = 512 * 1024;

/// Topic number `i`: `levels` levels, 100 metrics to a part, 10 of each level above.
std::string retained_topic(const Options& options, std::uint32_t i) {
    std::string end = "/m_" + std::to_string(i % 100);
    std::uint32_t rest = i / 100;
    for (std::uint32_t level = options.levels; level > 2; --level) {
        const bool top = level == 3;
        end.insert(0, "/level" + std::to_string(level - 1) + "-" + std::to_string(top ? rest : rest % 10));
        rest /= 10;
    }
    return options.topic_prefix + (options.levels > 2 ? end : "/m_" + std::to_string(i));
}

struct RetainedCounters {
    std::uint64_t finished = 0;    // acknowledged, or at QoS 0 known to have been read
    std::uint64_t refused = 0;
};

/// Publishes topics first, first+step, ... with a window; at QoS 0 it ends with a ping, to know that all were read.
class RetainedPublisher : public Client {
public:
    RetainedPublisher(Loop& loop, const Endpoint& endpoint, ClientConfig config, const Options& options,
                      RetainedCounters& counters, std::uint32_t first, std::uint32_t step, std::uint32_t total)
        : Client(loop, endpoint, std::move(config)), options_(options), counters_(counters), first_(first),
          step_(step), total_(total), payload_(options.payload_bytes, 'r') {}

    /// With `clear` it removes the topics instead.
    void start(bool clear) {
        clear_ = clear;
        next_ = first_;
        under_way_ = sent_ = 0;
        pinged_ = false;
        mark_dirty();
    }

protected:
    bool on_fill() override {
        const std::uint32_t window = std::min<std::uint32_t>(options_.inflight, receive_maximum());
        while (next_ < total_ && (options_.qos == 0 || under_way_ < window)) {
            if (unsent_bytes() >= writer_bytes_max) return true;
            emit();
        }
        if (next_ >= total_ && options_.qos == 0 && !pinged_) {
            pinged_ = true;
            ping();
        }
        return false;
    }
    void on_acknowledged(std::uint16_t, mqtt::Reason reason) override {
        --under_way_;
        ++counters_.finished;
        if (static_cast<std::uint8_t>(reason) >= 0x80) ++counters_.refused;
        mark_dirty();
    }
    void on_pong() override {
        if (options_.qos == 0 && pinged_) counters_.finished += sent_;
    }

private:
    void emit() {
        const std::string topic = retained_topic(options_, next_);
        const Stamp stamp{stamp_magic(), first_, next_, 0};
        std::memcpy(payload_.data(), &stamp, stamp_bytes);
        mqtt::PublishOut packet;
        packet.qos = static_cast<std::uint8_t>(options_.qos);
        packet.retain = true;
        packet.topic = topic;
        if (!clear_) packet.payload = payload_;
        if (options_.qos != 0) {
            packet_id_ = packet_id_ == 60'000 ? 1 : static_cast<std::uint16_t>(packet_id_ + 1);
            packet.packet_id = packet_id_;
            ++under_way_;
        }
        publish(packet);
        ++sent_;
        next_ += step_;
    }

    const Options& options_;
    RetainedCounters& counters_;
    std::uint32_t first_, step_, total_;
    std::uint32_t next_ = 0;
    std::uint32_t under_way_ = 0;
    std::uint64_t sent_ = 0;
    std::uint16_t packet_id_ = 0;
    bool clear_ = false;
    bool pinged_ = false;
    std::string payload_;
};

/// Subscribes to everything and notes which of ours came.
class RetainedReader : public Client {
public:
    RetainedReader(Loop& loop, const Endpoint& endpoint, ClientConfig config, std::uint32_t total)
        : Client(loop, endpoint, std::move(config)), seen_(total, false) {}

    [[nodiscard]] std::uint64_t distinct() const { return distinct_; }
    [[nodiscard]] std::uint64_t duplicates() const { return duplicates_; }
    [[nodiscard]] std::uint64_t foreign() const { return foreign_; }
    [[nodiscard]] std::uint64_t wrong() const { return wrong_; }
    [[nodiscard]] std::int64_t last_ns() const { return last_ns_; }

protected:
    void on_publish(const Incoming& incoming) override {
        Stamp stamp;
        if (incoming.payload.size() >= stamp_bytes) std::memcpy(&stamp, incoming.payload.data(), stamp_bytes);
        if ((stamp.magic & stamp_magic_mask) != stamp_magic_family || stamp.sequence >= seen_.size()) {
            ++foreign_;
            return;
        }
        if (!incoming.retain) ++wrong_;  // [MQTT-3.3.1-8]
        if (seen_[stamp.sequence]) {
            ++duplicates_;
            return;
        }
        seen_[stamp.sequence] = true;
        ++distinct_;
        last_ns_ = loop().event_ns();
    }

private:
    std::vector<bool> seen_;
    std::uint64_t distinct_ = 0;
    std::uint64_t duplicates_ = 0;
    std::uint64_t foreign_ = 0;
    std::uint64_t wrong_ = 0;
    std::int64_t last_ns_ = 0;
};

class RetainedRun {
public:
    RetainedRun(const Options& options, const Endpoint& endpoint, Report& report)
        : options_(options), endpoint_(endpoint), report_(report), progress_(options.progress),
          total_(options.topics ? options.topics : options.count ? static_cast<std::uint32_t>(options.count)
                                                                 : topics_default) {}

    void run() {
        report_.add_count("topics", total_, "topics");
        std::string why;
        bool alive = true;
        if (!options_.no_store) alive = store(why);
        alive = alive && read(why);
        if (alive && !options_.keep) alive = clear(why);
        if (!alive) report_.add_failure(exit_connection, why);
    }

private:
    bool connect_publishers(std::string& why) {
        if (!publishers_.empty()) return true;
        std::vector<Client*> clients;
        for (std::uint32_t i = 0; i < options_.clients; ++i) {
            publishers_.push_back(std::make_unique<RetainedPublisher>(
                loop_, endpoint_, client_config(options_, "retained-" + std::to_string(i)), options_, counters_, i,
                options_.clients, total_));
            clients.push_back(publishers_.back().get());
        }
        return connect_all(loop_, clients, 100, options_.connect_timeout_s, why);
    }

    /// Turns until `value` reaches `wanted`, nothing moves for the stall time, or a connection is lost.
    template <class Value>
    bool turn_until(Value value, std::uint64_t wanted, BrokerMeter* meter, const char* what, std::string& why) {
        const std::uint64_t closed = loop_.counters.closed;
        std::uint64_t last = value();
        std::int64_t moved_ns = now_ns();
        while (value() < wanted && !Traffic::interrupted) {
            loop_.turn(10 * ns_per_ms);
            const std::int64_t now = now_ns();
            if (meter) meter->sample(now);
            if (progress_.due(now)) progress_.show(with_commas(value()) + " of " + with_commas(wanted) + " " + what);
            if (loop_.counters.closed != closed) {
                why = "connection lost: " + loop_.counters.last_error;
                return false;
            }
            if (value() != last) moved_ns = now;
            last = value();
            if (seconds(now - moved_ns) > options_.stall_s) return true;
        }
        return true;
    }

    bool store(std::string& why) {
        if (!connect_publishers(why)) return false;
        BrokerMeter meter(options_.broker_pid);
        meter.start();
        const std::int64_t start = now_ns();
        for (auto& publisher : publishers_) publisher->start(false);
        const bool alive = turn_until([&] { return counters_.finished; }, total_, &meter, "stored", why);
        const double elapsed = seconds(now_ns() - start);
        meter.finish();
        report_.add_seconds("store.seconds", elapsed, "time to store");
        report_.add_rate("store.per_second", total_ / std::max(elapsed, 1e-9), "store rate");
        report_.add_count("store.refused", counters_.refused, "refused");
        if (counters_.finished < total_) report_.add_failure(exit_lost, "not all topics were acknowledged");
        if (!meter.measured()) return alive;
        const double growth = difference(meter.after().anonymous, meter.before().anonymous) / total_;
        const double each_us = static_cast<double>(meter.cpu_ns()) / 1000 / total_;
        report_.add("store.broker_cpu_us_per_message", each_us, "broker CPU per stored message",
                    text("%.3f us", each_us));
        report_.add("store.broker_bytes_per_topic", growth, "broker memory per topic", bytes_text(growth));
        return alive;
    }

    bool read(std::string& why) {
        ClientConfig config = client_config(options_, "retained-reader");
        config.filters = {"#"};
        RetainedReader reader(loop_, endpoint_, std::move(config), total_);
        BrokerMeter meter(options_.broker_pid);
        meter.start();
        const std::int64_t own = own_cpu_ns();
        const std::int64_t start = now_ns();
        reader.connect();
        const bool alive = turn_until([&] { return reader.distinct(); }, total_, &meter, "read", why);
        const double elapsed = seconds(std::max(start, reader.last_ns()) - start);
        meter.finish();
        report_.add_seconds("read.seconds", elapsed, "time to all retained messages");
        report_.add_count("read.received", reader.distinct(), "received");
        report_.add_rate("read.per_second", static_cast<double>(reader.distinct()) / std::max(elapsed, 1e-9),
                         "read rate");
        report_.add("read.duplicates", reader.duplicates());
        report_.add("read.foreign", reader.foreign());
        report_.add("read.generator_cpu_seconds", seconds(own_cpu_ns() - own));
        if (meter.measured()) {
            const double growth = difference(meter.peak_resident(), meter.before().resident);
            report_.add("read.broker_cpu_seconds", seconds(meter.cpu_ns()), "broker CPU for it",
                        text("%.3f s", seconds(meter.cpu_ns())));
            report_.add("read.broker_rss_growth_peak", growth, "broker RSS growth during it, peak",
                        bytes_text(growth));
        }
        const bool complete = reader.distinct() + counters_.refused >= total_;
        if (!complete && !options_.allow_loss) report_.add_failure(exit_lost, "retained messages are missing");
        if (reader.wrong()) {
            report_.add_failure(exit_lost, with_commas(reader.wrong()) + " came without the RETAIN flag");
        }
        reader.disconnect();
        return alive;
    }

    bool clear(std::string& why) {
        if (!connect_publishers(why)) return false;
        counters_ = {};
        for (auto& publisher : publishers_) publisher->start(true);
        return turn_until([&] { return counters_.finished; }, total_, nullptr, "removed", why);
    }

    static double difference(std::uint64_t after, std::uint64_t before) {
        return static_cast<double>(after) - static_cast<double>(before);
    }

    static std::string text(const char* pattern, double value) {
        char buffer[64];
        std::snprintf(buffer, sizeof buffer, pattern, value);
        return buffer;
    }

    const Options& options_;
    const Endpoint& endpoint_;
    Report& report_;
    Progress progress_;
    std::uint32_t total_;
    Loop loop_;
    RetainedCounters counters_;
    std::vector<std::unique_ptr<RetainedPublisher>> publishers_;
};

}  // namespace

void run_retained(const Options& options, const Endpoint& endpoint, Report& report) {
    RetainedRun(options, endpoint, report).run();
}

}  // namespace trunkline::bench
