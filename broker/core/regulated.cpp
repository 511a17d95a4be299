// What a publish on a regulated topic leaves in the audit trail, and what its publisher is told of it.
#include "auth/principal.h"
#include "broker/core/audit_sink.h"
#include "broker/core/shard.h"
#include "broker/mqtt/encode.h"

namespace trunkline::broker {

namespace audit = auth::audit;

namespace {

constexpr std::int64_t ns_per_ms = 1'000'000;

}  // namespace

Shard::Teller Shard::teller_of(const Client& client) const {
    return {client.user, client.session->client_id, &client};
}

void Shard::leave_leaf(const Teller& who, const MessageView& message, bool acknowledged) {
    store::RegulatedOp op;
    op.utc_ns = now_.wall_ms * ns_per_ms;
    op.monotonic_ns = static_cast<std::uint64_t>(now_.steady_ms * ns_per_ms);
    audit::Digest leaf{};
    if (acknowledged) {
        audit::PublishFacts facts;
        facts.at = {op.utc_ns, op.monotonic_ns};
        facts.principal = who.principal;
        facts.client_id = who.client_id;
        facts.topic = message.topic;
        facts.payload = audit::sha256(message.payload);
        leaf = audit::leaf_of(facts, leaf_scratch_);
        op.leaf = audit::view(leaf);
    }
    std::string source;
    if (message.retain) {  // it may overwrite
        source = who.client ? who.client->peer.to_string() : "administration";
        op.principal = who.principal;
        op.client_id = who.client_id;
        op.source = source;
    }
    submission().ops->add(op);
}

void Shard::note_overwrite(Route& route, const MessageView& message, std::string_view client_id) {
    if (route.model_generation != model_generation_) look_up(route);
    if (route.regulated) leave_leaf({"trunkline", client_id}, message, false);
}

void Shard::audit_command(const Client& client, const MessageView& message) {
    AuditSink* sink = broker_.audit();
    if (!sink) return;
    audit::Record record;
    record.actor = client.user;
    record.method = client.principal ? client.principal->method : "mqtt";
    record.source = client.peer.to_string();
    record.action = audit::action::publish;
    record.object = message.topic;
    record.new_value = audit::Value::hash_of(message.payload);
    record.reason = "command from client " + client.session->client_id;
    sink->note(std::move(record));
}

void Shard::answer_with_receipt(Client& client, const Pending& pending, std::string_view publish_and_after) {
    const auto publish = store::peek_op(publish_and_after);
    const auto op = store::read_regulated(publish_and_after.substr(publish->size));
    mqtt::Ack ack;
    ack.type = pending.qos == 1 ? mqtt::PacketType::puback : mqtt::PacketType::pubrec;
    ack.packet_id = pending.packet_id;
    std::string time, monotonic;
    if (op && broker_.audit()->gives_receipts()) {
        time = audit::utc_text(op->utc_ns);
        monotonic = std::to_string(op->monotonic_ns);
        ack.user_properties = {{"audit-time", time},
                               {"audit-monotonic-ns", monotonic},
                               {"audit-principal", client.user}};
    }
    mqtt::encode(client.out, client.version, ack, client.max_packet_bytes);
    want_flush(client);
}

}  // namespace trunkline::broker
