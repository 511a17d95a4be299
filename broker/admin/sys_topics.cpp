#include "broker/admin/sys_topics.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "broker/admin/process_stats.h"

namespace trunkline::admin {
namespace {

std::string two_digits(double number) {
    char text[48];
    std::snprintf(text, sizeof text, "%.2f", number);
    return text;
}

}  // namespace

std::map<std::string, std::string> SysTopics::values(const Totals& totals, const Meter& meter) const {
    const auto text = [](std::uint64_t number) { return std::to_string(number); };
    broker::Broker& broker = sources_.broker;
    const std::uint64_t durable = broker.durable_session_count();
    const ProcessStats process = process_stats();
    std::map<std::string, std::string> values = {
        {"version", "trunkline version " + sources_.version},
        {"uptime", std::to_string((steady_ms() - sources_.started_steady_ms) / 1'000) + " seconds"},
        {"clients/connected", text(totals.connections)},
        {"clients/active", text(totals.connections)},
        // Who is connected with a durable session is in both figures; a lower bound of all sessions known.
        {"clients/total", text(std::max(totals.connections, durable))},
        {"clients/maximum", text(meter.most_connections())},
        {"messages/received", text(totals.received())},
        {"messages/sent", text(totals.sent())},
        {"publish/messages/received", text(totals.received())},
        {"publish/messages/sent", text(totals.sent())},
        {"publish/messages/dropped", text(totals.all_dropped())},
        {"publish/bytes/received", text(totals.payload_bytes_received)},
        {"publish/bytes/sent", text(totals.payload_bytes_sent)},
        {"clients/expired", text(sources_.commits ? sources_.commits().sessions_expired : 0)},
        {"shared_subscriptions/count", text(totals.shared_subscriptions)},
        {"bytes/received", text(totals.bytes_received)},
        {"bytes/sent", text(totals.bytes_sent)},
        {"retained messages/count", text(broker.retained().count())},
        {"messages/stored", text(broker.retained().count())},
        {"store/messages/count", text(broker.retained().count())},
        {"store/messages/bytes", text(broker.retained().bytes())},
        {"subscriptions/count", text(broker.subscription_count())},
        {"heap/current", text(process.resident_bytes)},
        {"heap/maximum", text(process.peak_resident_bytes)},
        {"durability", broker.config().durability == broker::Durability::strict ? "strict" : "relaxed"},
    };
    const std::uint64_t total = std::max(totals.connections, durable);
    values["clients/disconnected"] = values["clients/inactive"] = text(total - totals.connections);
    constexpr std::array<std::pair<Meter::Load, const char*>, Meter::load_count> loads = {
        {{Meter::received, "messages/received"},
         {Meter::sent, "messages/sent"},
         {Meter::publish_received, "publish/received"},
         {Meter::publish_sent, "publish/sent"},
         {Meter::publish_dropped, "publish/dropped"},
         {Meter::bytes_in, "bytes/received"},
         {Meter::bytes_out, "bytes/sent"},
         {Meter::sockets, "sockets"},
         {Meter::connections, "connections"}}};
    for (const auto& [which, name] : loads) {
        const Meter::Averages average = meter.load(which);
        const std::string topic = "load/" + std::string(name) + "/";
        values[topic + "1min"] = two_digits(average.one);
        values[topic + "5min"] = two_digits(average.five);
        values[topic + "15min"] = two_digits(average.fifteen);
    }
    return values;
}

void SysTopics::publish(const Totals& totals, const Meter& meter) {
    for (auto& [name, value] : values(totals, meter)) {
        std::string& last = published_[name];
        if (last == value) continue;
        last = value;
        sources_.broker.publish("$SYS/broker/" + name, value, true, 0);
    }
}

}  // namespace trunkline::admin
