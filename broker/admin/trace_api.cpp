#include "broker/admin/trace_api.h"

#include "broker/admin/namespace_json.h"
#include "broker/core/audit_sink.h"

namespace trunkline::admin {
namespace {

Json value_json(const broker::TracedValue& value) {
    if (const auto* flag = std::get_if<bool>(&value)) return *flag;
    if (const auto* number = std::get_if<std::uint64_t>(&value)) return *number;
    if (const auto* text = std::get_if<std::string>(&value)) return *text;
    if (const auto* list = std::get_if<std::vector<std::string>>(&value)) return *list;
    Json pairs = Json::array();
    for (const auto& [name, of] : std::get<broker::TracedPairs>(value)) pairs.push_back(Json::array({name, of}));
    return pairs;
}

class TraceStream final : public EventSource {
public:
    TraceStream(broker::Broker& broker, broker::ClientTracePtr trace) : broker_(broker), trace_(std::move(trace)) {}
    ~TraceStream() override {
        if (!trace_->stopped()) broker_.end_trace(trace_);
    }
    Batch take() override {
        Batch batch;
        for (const broker::TracedPacket& packet : trace_->take()) batch.events.push_back(dump(trace_json(packet)));
        return batch;
    }
    void stop() override { broker_.end_trace(trace_); }

private:
    broker::Broker& broker_;
    broker::ClientTracePtr trace_;
};

}  // namespace

Json trace_json(const broker::TracedPacket& packet) {
    Json json = {{"at_ms", packet.at_ms}};
    if (packet.bytes == 0) {
        json["event"] = packet.name;
    } else {
        json["packet"] = packet.name;
        json["direction"] = packet.from_client ? "in" : "out";
        json["packet_bytes"] = packet.bytes;
    }
    if (packet.connection != 0) json["connection"] = packet.connection;
    for (const auto& [name, value] : packet.fields) json[std::string(name)] = value_json(value);
    if (!packet.payload) return json;
    add_payload(json, *packet.payload);
    json["bytes"] = packet.payload_bytes;
    if (packet.payload->size() < packet.payload_bytes) json["truncated"] = true;
    return json;
}

std::shared_ptr<EventSource> open_trace(broker::Broker& broker, const Request& request, std::function<void()> wake,
                                        Response& wrong) {
    const std::string id = request.get("client").value_or("");
    if (id.empty()) {
        wrong = bad_parameter("client", "the client identifier to watch, connected or not");
        return nullptr;
    }
    auto trace = std::make_shared<broker::ClientTrace>(id, std::move(wake));
    if (!broker.begin_trace(trace)) {
        wrong = problem(503, "busy", "Too many clients are watched",
                        "at most " + std::to_string(broker::TraceBook::traces_max) + " at a time; end another one");
        return nullptr;
    }
    if (broker::AuditSink* sink = broker.audit()) {   // payloads are shown: who looked is on record
        auth::audit::Record record;
        record.actor = request.principal.empty() ? "admin" : request.principal;
        record.method = request.known_by;
        record.source = request.source;
        record.action = "client.trace";
        record.object = id;
        record.reason = request.reason;
        sink->note(std::move(record));
    }
    return std::make_shared<TraceStream>(broker, std::move(trace));
}

}  // namespace trunkline::admin
