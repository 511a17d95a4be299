// Publishers and subscribers under load on one loop: closed loop with a window for each publisher, or open loop at a
// rate; every message accounted for at every subscriber.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/client.h"
#include "bench/frames.h"
#include "bench/histogram.h"
#include "bench/options.h"
#include "bench/plan.h"
#include "bench/process_meter.h"
#include "bench/report.h"
#include "bench/sequence.h"

namespace trunkline::bench {

class Publisher;
class Subscriber;

/// Running totals since the traffic began.
struct TrafficCounters {
    std::uint64_t published = 0;   // handed to a connection
    std::uint64_t delivered = 0;   // ours, arrived at subscribers, duplicates included
    std::uint64_t expected = 0;    // deliveries that the published messages should make
    std::uint64_t acknowledged = 0;
    std::uint64_t refused = 0;     // acknowledged with a reason of 0x80 and above
    std::uint64_t foreign = 0;     // messages that are not of this run
};
TrafficCounters operator-(const TrafficCounters& a, const TrafficCounters& b);
TrafficCounters& operator+=(TrafficCounters& a, const TrafficCounters& b);

/// What became of the messages, over the whole run.
struct DeliveryVerdict {
    std::uint64_t lost = 0;
    std::uint64_t duplicated = 0;
    std::uint64_t reordered = 0;
    std::uint64_t unacknowledged = 0;  // QoS 1 and 2: no answer when the run ended
    std::uint64_t switches_fewest = 0, switches_most = 0;  // of a publisher's answers, from taken to refused and back
};

/// What Publisher and Subscriber share; everything on one thread.
struct TrafficShared {
    TrafficCounters counters;
    Histogram delivery_ns;             // publish (at a rate: when it was due) to delivery
    Histogram acknowledgement_ns;      // publish to PUBACK or PUBCOMP
    Histogram lag_ns;                  // at a rate: how late the generator itself published
    std::vector<PublishFrame> frames;  // by topic
    std::vector<std::uint16_t> receivers;
    std::vector<Publisher*> publishers;
    std::uint32_t magic = 0;
};

class Publisher : public Client {
public:
    Publisher(Loop& loop, const Endpoint& endpoint, ClientConfig config, TrafficShared& shared, const Options& options,
              std::uint32_t index, std::vector<std::uint32_t> topics);

    /// Closed loop: publishes on its own, up to `limit` messages in all, while fewer than the window are under way.
    void start(std::uint64_t limit);
    void stop() { limit_ = sent_; }
    /// Open loop: publishes one message that was due at `due_ns`; false: as many are under way as can be.
    bool publish_one(std::int64_t due_ns);
    /// A subscriber has message `sequence`, or it is known not to come.
    void credit(std::uint64_t sequence);

    [[nodiscard]] std::uint64_t sent() const { return sent_; }
    [[nodiscard]] bool finished() const { return sent_ >= limit_ && done_ == sent_; }
    [[nodiscard]] std::uint64_t unacknowledged() const { return unacknowledged_; }
    /// How often the broker's answers changed from taken to refused or back.
    [[nodiscard]] std::uint64_t switches() const { return switches_; }
    /// Sequence numbers the broker refused, ascending.
    [[nodiscard]] std::vector<std::uint64_t> refused() const;

protected:
    bool on_fill() override;
    void on_acknowledged(std::uint16_t packet_id, mqtt::Reason reason) override;

private:
    void emit(std::int64_t sent_ns);
    void complete(std::uint64_t count);
    [[nodiscard]] bool has_room() const;

    TrafficShared& shared_;
    std::vector<std::uint32_t> topics_;
    std::vector<std::uint16_t> remaining_;  // ring by sequence: acknowledgement and deliveries still to come
    std::vector<std::int64_t> sent_ns_;     // the same ring
    std::vector<std::uint64_t> refused_;
    std::uint64_t mask_;
    std::uint64_t window_;
    std::uint64_t sent_ = 0;
    std::uint64_t done_ = 0;
    std::uint64_t oldest_ = 0;              // below it everything is done
    std::uint64_t unacknowledged_ = 0;
    std::uint64_t switches_ = 0;            // from taken to refused and back, in the order of the acknowledgements
    bool last_refused_ = false;
    std::uint64_t limit_ = 0;
    std::size_t topic_at_ = 0;
    std::uint32_t index_;
    std::uint8_t qos_;
    bool open_loop_;
};

class Subscriber : public Client {
public:
    /// Hears publishers first to first+count-1.
    Subscriber(Loop& loop, const Endpoint& endpoint, ClientConfig config, TrafficShared& shared, std::uint32_t first,
               std::uint32_t count, bool sparse);

    [[nodiscard]] const std::vector<SequenceTracker>& trackers() const { return trackers_; }
    [[nodiscard]] std::uint32_t first() const { return first_; }

protected:
    void on_publish(const Incoming& incoming) override;

private:
    TrafficShared& shared_;
    std::uint32_t first_;
    std::vector<SequenceTracker> trackers_;
};

/// One thread's part of a traffic run.
class Traffic {
public:
    /// `names` distinguishes the client ids of several parts.
    Traffic(const Options& options, const Endpoint& endpoint, TrafficPlan plan, const std::string& names);
    ~Traffic();

    bool connect(std::string& why);
    bool connect_publishers(std::string& why);
    bool connect_subscribers(std::string& why);

    /// Deliveries are not waited for (the subscribers are away): a message is done when acknowledged.
    void expect_no_deliveries();

    /// Warm-up, measurement, drain. `meter` and `progress` may be null. False: a connection was lost; `why` names it.
    bool run(BrokerMeter* meter, Progress* progress, std::string& why);
    /// Waits until subscribers have `deliveries` in all, or nothing comes for the stall time.
    bool drain(std::uint64_t deliveries, BrokerMeter* meter, Progress* progress, std::string& why);

    [[nodiscard]] DeliveryVerdict verdict() const;
    [[nodiscard]] const TrafficShared& shared() const { return shared_; }
    [[nodiscard]] const TrafficCounters& measured() const { return measured_; }
    [[nodiscard]] double measured_s() const { return measured_s_; }
    /// When drain() had what it waited for, or else when the last message came.
    [[nodiscard]] std::int64_t drained_ns() const { return drained_ns_; }
    [[nodiscard]] std::int64_t measured_own_cpu_ns() const { return own_cpu_ns_; }
    [[nodiscard]] std::vector<std::unique_ptr<Subscriber>>& subscribers() { return subscribers_; }
    Loop& loop() { return loop_; }

    /// Set from a signal handler: the run ends early, with what there is.
    static std::atomic<bool> interrupted;

private:
    void begin_publishing();
    void issue_due(std::int64_t now);
    [[nodiscard]] std::int64_t wait_ns(std::int64_t now, std::int64_t phase_end) const;
    [[nodiscard]] bool all_finished() const;
    bool turn(std::int64_t phase_end, BrokerMeter* meter, Progress* progress, std::string& why);
    bool stalled(std::int64_t now);
    void begin_measuring(BrokerMeter* meter);
    void end_measuring(BrokerMeter* meter);

    const Options& options_;
    Loop loop_;
    TrafficShared shared_;
    TrafficPlan plan_;
    std::vector<std::unique_ptr<Publisher>> publishers_;
    std::vector<std::unique_ptr<Subscriber>> subscribers_;

    std::int64_t start_ns_ = 0;        // open loop: when message 0 is due
    double interval_ns_ = 0;
    std::uint64_t issued_ = 0;
    bool issuing_ = false;

    TrafficCounters at_start_;
    TrafficCounters measured_;
    TrafficCounters shown_;
    std::int64_t measure_start_ns_ = 0;
    double measured_s_ = 0;
    std::int64_t own_cpu_ns_ = 0;
    std::uint64_t last_progress_ = 0;
    std::int64_t last_progress_ns_ = 0;
    std::int64_t drained_ns_ = 0;
};

}  // namespace trunkline::bench
