// What a publish on a regulated topic leaves in the audit trail, and what its publisher is told of it.
#include "auth/principal.h"
#include "broker/core/audit_sink.h"
#include "broker/core/shard.h"
#include "broker/mqtt/encode.h"

namespace trunkline::broker {

namespace audit = auth::audit;

namespace {

constexpr std::int64_t ns_per_ms = 1'000'000;
constexpr audit::Digest no_leaf{};

}  // namespace

Shard::Teller Shard::teller_of(const Client& client) const {
    return {client.user, client.session->client_id, &client};
}

void Shard::leave_leaf(const Teller& who, const MessageView& message, bool acknowledged) {
    Submission& open = submission();
    if (open.leaves_at == audit::Moment{}) {
        open.leaves_at = {now_.wall_ms * ns_per_ms, static_cast<std::uint64_t>(now_.steady_ms * ns_per_ms)};
    }
    store::RegulatedOp op;
    op.utc_ns = open.leaves_at.utc_ns;
    op.monotonic_ns = open.leaves_at.monotonic_ns;
    if (acknowledged) op.leaf = audit::view(no_leaf);  // make_leaves() follows
    std::string source;
    if (message.retain) {  // it may overwrite
        source = who.client ? who.client->peer.to_string() : "administration";
        op.principal = who.principal;
        op.client_id = who.client_id;
        op.source = source;
    }
    const std::uint32_t offset = open.ops->add(op);
    if (!acknowledged) return;
    audit::PublishFacts facts;
    facts.at = open.leaves_at;
    facts.principal = who.principal;
    facts.client_id = who.client_id;
    facts.topic = message.topic;
    leaves_.add(facts, message.payload, offset);
    if (leaves_.full()) make_leaves();
}

void Shard::make_leaves() {
    store::OpBatch& ops = *submissions_.back().ops;
    leaves_.make([&ops](std::uint32_t offset, const audit::Digest& leaf) { ops.set_leaf(offset, audit::view(leaf)); });
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

void Shard::answer_with_receipt(Client& client, const Pending& pending, const audit::Moment& at) {
    const auto type = pending.qos == 1 ? mqtt::PacketType::puback : mqtt::PacketType::pubrec;
    want_flush(client);
    if (!broker_.audit()->gives_receipts()) return mqtt::encode_ack(client.out, type, pending.packet_id);
    if (receipt_times_ == 0 || !(receipt_at_ == at)) {  // thousands of publishes share the times of their turn
        receipt_.clear();
        mqtt::append_user_property(receipt_, "audit-time", audit::utc_text(at.utc_ns));
        mqtt::append_user_property(receipt_, "audit-monotonic-ns", std::to_string(at.monotonic_ns));
        receipt_times_ = receipt_.size();
        receipt_at_ = at;
    }
    receipt_.resize(receipt_times_);
    mqtt::append_user_property(receipt_, "audit-principal", client.user);
    mqtt::encode_ack(client.out, type, pending.packet_id, receipt_, client.max_packet_bytes);
}

}  // namespace trunkline::broker
