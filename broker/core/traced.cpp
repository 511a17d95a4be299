// The shard's side of watching one client (client_trace.h).
#include "broker/core/registry.h"
#include "broker/core/shard.h"

namespace trunkline::broker {

void Shard::begin_trace(Client& client, std::string_view client_id) {
    auto traces = broker_.traces_.of(client_id);
    if (traces.empty()) return;
    Traced& traced = traced_[client.number];
    traced.traces = std::move(traces);
    if (client.traced) return;
    client.traced = true;
    traced.seen = client.out.position();
    traced.queued = std::exchange(client.dirty, false);
}

void Shard::start_trace(const ClientTracePtr& trace) {
    const auto holder = registry_.find(trace->client_id());
    const auto at = holder && holder->shard == index_ ? clients_.find(holder->number) : clients_.end();
    if (at == clients_.end() || at->second->state == ClientState::closed) return;
    begin_trace(*at->second, trace->client_id());
    TracedPacket packet;
    packet.name = "attached";
    packet.fields.emplace_back("address", at->second->peer.to_string());
    tell_trace(*at->second, std::move(packet));
}

void Shard::end_traces() {
    erase_if(traced_, [this](auto& one) {
        auto& [number, traced] = one;
        std::erase_if(traced.traces, [](const ClientTracePtr& trace) { return trace->stopped(); });
        if (!traced.traces.empty()) return false;
        if (const auto client = clients_.find(number); client != clients_.end()) {
            client->second->traced = false;
            client->second->dirty = traced.queued;
        }
        return true;
    });
}

void Shard::tell_trace(const Client& client, TracedPacket&& packet) {
    const auto at = traced_.find(client.number);
    if (at == traced_.end()) return;
    packet.at_ms = now_.wall_ms;
    packet.connection = client.number;
    for (const ClientTracePtr& trace : at->second.traces) trace->add(packet);
}

void Shard::trace_packet(const Client& client, const mqtt::Frame& frame, bool from_client) {
    const auto at = traced_.find(client.number);
    if (at == traced_.end()) return;
    bool room = false;
    for (const ClientTracePtr& trace : at->second.traces) room = trace->has_room(now_.wall_ms) || room;
    if (!room) return;   // counted as missed
    TracedPacket packet = describe_packet(frame, client.version);
    packet.from_client = from_client;
    tell_trace(client, std::move(packet));
}

void Shard::trace_out(Client& client) {
    const auto at = traced_.find(client.number);
    if (at == traced_.end()) return;
    const std::uint32_t fresh = client.out.position() - at->second.seen;
    at->second.seen = client.out.position();
    if (fresh > client.out.size()) return;   // it was given another buffer
    std::string_view bytes = client.out.view().substr(client.out.size() - fresh);
    while (!bytes.empty()) {
        const auto frame = mqtt::next_frame(bytes, 0xFFFFFFFF, client.version);
        if (frame.has_error() || frame->size == 0) return;   // the shard encodes whole packets
        trace_packet(client, *frame, false);
        bytes.remove_prefix(frame->size);
    }
}

void Shard::mark_dirty(Client& client) {
    if (client.traced) {
        // Not marked, so that the next packet comes by here, too.
        trace_out(client);
        const auto at = traced_.find(client.number);
        if (at != traced_.end() && std::exchange(at->second.queued, true)) return;
    } else {
        client.dirty = true;
    }
    dirty_.push_back(&client);
}

void Shard::trace_flushed(Client& client, bool before) {
    const auto at = traced_.find(client.number);
    if (at == traced_.end()) return;
    if (before) {
        trace_out(client);
        at->second.queued = false;
    } else {
        at->second.seen = client.out.position();   // of another buffer, or of none
    }
}

// Before the peer can know: it may come back on another shard, whose lines are to follow these.
void Shard::trace_goodbye(Client& client) {
    trace_out(client);
    end_trace_of(client);
}

void Shard::end_trace_of(Client& client) {
    const auto at = traced_.find(client.number);
    client.traced = false;
    if (at == traced_.end()) return;
    TracedPacket packet;
    packet.name = "closed";
    packet.fields.emplace_back("reason", std::string(mqtt::reason_name(client.ended_by)));
    tell_trace(client, std::move(packet));
    client.dirty = at->second.queued;
    traced_.erase(at);
}

}  // namespace trunkline::broker
