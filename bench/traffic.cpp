#include "bench/traffic.h"

#include <algorithm>

#include "bench/clock.h"

namespace trunkline::bench {

std::atomic<bool> Traffic::interrupted{false};

namespace {

constexpr std::size_t connects_at_once = 100;

template <class T>
std::vector<Client*> pointers(const std::vector<std::unique_ptr<T>>& clients) {
    std::vector<Client*> all;
    for (const auto& client : clients) all.push_back(client.get());
    return all;
}

}  // namespace

Traffic::Traffic(const Options& options, const Endpoint& endpoint, TrafficPlan plan, const std::string& names)
    : options_(options), plan_(std::move(plan)) {
    shared_.magic = stamp_magic();
    const PayloadForm form = options.readings ? PayloadForm::reading : PayloadForm::filler;
    for (const auto& topic : plan_.topics) {
        const auto value = static_cast<std::uint32_t>(20'000 + shared_.frames.size() % 10'000);
        shared_.frames.emplace_back(options.version, topic.name, static_cast<std::uint8_t>(options.qos), false,
                                    options.payload_bytes, form, value);
        shared_.receivers.push_back(topic.receivers);
    }
    const auto publisher_count = static_cast<std::uint32_t>(plan_.publisher_topics.size());
    for (std::uint32_t i = 0; i < publisher_count; ++i) {
        auto config = client_config(options, names + "pub-" + std::to_string(i));
        publishers_.push_back(std::make_unique<Publisher>(loop_, endpoint, std::move(config), shared_, options, i,
                                                          plan_.publisher_topics[i]));
        shared_.publishers.push_back(publishers_.back().get());
    }
    for (std::uint32_t i = 0; i < plan_.subscriber_filters.size(); ++i) {
        auto config = client_config(options, names + "sub-" + std::to_string(i));
        config.filters = plan_.subscriber_filters[i];
        subscribers_.push_back(std::make_unique<Subscriber>(loop_, endpoint, std::move(config), shared_,
                                                            plan_.paired ? i : 0, plan_.paired ? 1 : publisher_count,
                                                            plan_.sparse));
    }
    if (options.rate > 0) interval_ns_ = 1e9 / options.rate * std::max(1.0, static_cast<double>(options.threads));
}

Traffic::~Traffic() {
    for (auto& client : publishers_) client->disconnect();
    for (auto& client : subscribers_) client->disconnect();
}

bool Traffic::connect_publishers(std::string& why) {
    return connect_all(loop_, pointers(publishers_), connects_at_once, options_.connect_timeout_s, why);
}

bool Traffic::connect_subscribers(std::string& why) {
    return connect_all(loop_, pointers(subscribers_), connects_at_once, options_.connect_timeout_s, why);
}

bool Traffic::connect(std::string& why) { return connect_subscribers(why) && connect_publishers(why); }

void Traffic::expect_no_deliveries() { std::fill(shared_.receivers.begin(), shared_.receivers.end(), 0); }

bool Traffic::all_finished() const {
    return std::all_of(publishers_.begin(), publishers_.end(), [](const auto& p) { return p->finished(); });
}

void Traffic::begin_publishing() {
    const std::uint64_t count = options_.count;
    for (std::size_t i = 0; i < publishers_.size(); ++i) {
        const std::uint64_t share = count * (i + 1) / publishers_.size() - count * i / publishers_.size();
        publishers_[i]->start(count != 0 ? share : UINT64_MAX);
    }
    start_ns_ = now_ns();
    issuing_ = options_.rate > 0;
    last_progress_ns_ = start_ns_;
}

void Traffic::issue_due(std::int64_t now) {
    while (issuing_) {
        if (options_.count != 0 && issued_ >= options_.count) return;
        const std::int64_t due = start_ns_ + static_cast<std::int64_t>(static_cast<double>(issued_) * interval_ns_);
        if (due > now || !publishers_[issued_ % publishers_.size()]->publish_one(due)) return;
        shared_.lag_ns.record(now - due);
        ++issued_;
    }
}

std::int64_t Traffic::wait_ns(std::int64_t now, std::int64_t phase_end) const {
    std::int64_t until = std::min(phase_end, now + 20 * ns_per_ms);
    if (issuing_) {
        const auto next = start_ns_ + static_cast<std::int64_t>(static_cast<double>(issued_) * interval_ns_);
        until = std::min(until, next > now ? next : now + ns_per_ms / 10);  // overdue: a publisher has no room yet
    }
    return std::max<std::int64_t>(0, until - now);
}

bool Traffic::stalled(std::int64_t now) {
    const std::uint64_t progress =
        shared_.counters.delivered + shared_.counters.acknowledged + shared_.counters.published;
    if (progress != last_progress_) {
        last_progress_ = progress;
        last_progress_ns_ = now;
    }
    return now - last_progress_ns_ > static_cast<std::int64_t>(options_.stall_s * 1e9);
}

bool Traffic::turn(std::int64_t phase_end, BrokerMeter* meter, Progress* progress, std::string& why) {
    const std::uint64_t closed = loop_.counters.closed;
    const std::int64_t now = now_ns();
    issue_due(now);
    loop_.turn(wait_ns(now, phase_end));
    if (meter) meter->sample(now);
    if (progress && progress->due(now)) {
        const TrafficCounters delta = shared_.counters - shown_;
        shown_ = shared_.counters;
        progress->show(with_commas(delta.published) + " published/s, " + with_commas(delta.delivered) +
                       " delivered/s, " + with_commas(shared_.counters.delivered) + " so far");
    }
    if (loop_.counters.closed == closed) return true;
    why = "connection lost: " + loop_.counters.last_error;
    return false;
}

void Traffic::begin_measuring(BrokerMeter* meter) {
    if (meter) meter->start();
    at_start_ = shared_.counters;
    shared_.delivery_ns.clear();
    shared_.acknowledgement_ns.clear();
    shared_.lag_ns.clear();
    own_cpu_ns_ = own_cpu_ns();
    measure_start_ns_ = now_ns();
}

void Traffic::end_measuring(BrokerMeter* meter) {
    measured_s_ = seconds(now_ns() - measure_start_ns_);
    own_cpu_ns_ = own_cpu_ns() - own_cpu_ns_;
    if (meter) meter->finish();
    measured_ = shared_.counters - at_start_;
}

bool Traffic::run(BrokerMeter* meter, Progress* progress, std::string& why) {
    begin_publishing();
    const std::int64_t warm = start_ns_ + static_cast<std::int64_t>(options_.warmup_s * 1e9);
    while (now_ns() < warm && !interrupted) {
        if (!turn(warm, meter, progress, why)) return false;
    }
    begin_measuring(meter);
    const std::int64_t end =
        options_.count != 0 ? INT64_MAX : measure_start_ns_ + static_cast<std::int64_t>(options_.duration_s * 1e9);
    bool alive = true;
    while (alive && now_ns() < end && !interrupted && !stalled(now_ns()) && !(options_.count != 0 && all_finished())) {
        alive = turn(end, meter, progress, why);
    }
    end_measuring(meter);
    issuing_ = false;
    for (auto& publisher : publishers_) publisher->stop();
    while (alive && !all_finished() && !stalled(now_ns())) alive = turn(INT64_MAX, meter, progress, why);
    return alive;
}

bool Traffic::drain(std::uint64_t deliveries, BrokerMeter* meter, Progress* progress, std::string& why) {
    last_progress_ns_ = now_ns();
    begin_measuring(meter);
    bool alive = true;
    while (alive && shared_.counters.delivered < deliveries && !interrupted && !stalled(now_ns())) {
        alive = turn(INT64_MAX, meter, progress, why);
    }
    drained_ns_ = shared_.counters.delivered < deliveries ? last_progress_ns_ : now_ns();
    end_measuring(meter);
    return alive;
}

DeliveryVerdict Traffic::verdict() const {
    DeliveryVerdict verdict;
    std::uint64_t received = 0;
    for (const auto& subscriber : subscribers_) {
        const auto& trackers = subscriber->trackers();
        for (std::size_t i = 0; i < trackers.size(); ++i) {
            const Publisher& publisher = *publishers_[subscriber->first() + i];
            verdict.duplicated += trackers[i].duplicates();
            verdict.reordered += trackers[i].reordered();
            received += trackers[i].received();
            if (!plan_.sparse) verdict.lost += trackers[i].lost(publisher.sent(), publisher.refused());
        }
    }
    const std::uint64_t expected = shared_.counters.expected;
    if (plan_.sparse) verdict.lost = expected > received ? expected - received : 0;
    verdict.switches_fewest = publishers_.empty() ? 0 : UINT64_MAX;
    for (const auto& publisher : publishers_) {
        verdict.unacknowledged += publisher->unacknowledged();
        verdict.switches_fewest = std::min(verdict.switches_fewest, publisher->switches());
        verdict.switches_most = std::max(verdict.switches_most, publisher->switches());
    }
    return verdict;
}

}  // namespace trunkline::bench
