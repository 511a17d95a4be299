#include "tests/sim/visitors.h"

#include <algorithm>

namespace trunkline::sim {

using store::OpKind;

namespace {
constexpr std::uint32_t session_never_ends_s = 0xFFFFFFFF;
constexpr std::string_view will_prefix = "will/";
constexpr std::string_view client_prefix = "visitor";
}  // namespace

// --- the oracle

void VisitorOracle::follow(const std::vector<LoggedBatch>& history) {
    for (; next_ < history.size(); ++next_) read(history[next_]);
}

void VisitorOracle::read(const LoggedBatch& batch) {
    time_ms_ = std::max(time_ms_, batch.info.time_ms);
    run_timers();
    for (const Submission& submission : batch.submissions) {
        const std::string_view all = submission.ops->bytes();
        for (std::size_t at = 0; at < all.size();) {
            const auto header = store::peek_op(all.substr(at));
            const std::string_view bytes = all.substr(at, header->size);
            if (header->kind == OpKind::claim) claim(*store::read_claim(bytes));
            if (header->kind == OpKind::detach) detach(*store::read_detach(bytes));
            if (header->kind == OpKind::publish) publish(*store::read_publish(bytes));
            if (header->kind == OpKind::restart) {
                for (auto& [name, client] : clients_) {
                    if (client.connected) disconnect(client);
                }
            }
            at += header->size;
        }
    }
}

void VisitorOracle::run_timers() {
    for (auto& [name, client] : clients_) {
        if (client.will_at_ms && client.will_at_ms <= time_ms_) release(client);
        if (client.expires_at_ms && client.expires_at_ms <= time_ms_) end(client);
    }
}

void VisitorOracle::claim(const store::ClaimOp& op) {
    if (!op.client_id.starts_with(client_prefix)) return;
    Client& client = clients_[std::string(op.client_id)];
    if (client.exists && op.clean_start) end(client);
    if (const auto answer = answers_.find(op.owner); answer != answers_.end() && answer->second != client.exists) {
        throw Violation(std::string(op.client_id) + (client.exists ? ": its session expired too early or was forgotten"
                                                                   : ": its session should have expired"));
    }
    if (client.connected && client.will && client.will->delay_s == 0) release(client);
    client.exists = client.connected = true;
    client.owner = op.owner;
    client.expiry_s = op.expiry_s;
    client.expires_at_ms = client.will_at_ms = 0;
    client.will.reset();   // [MQTT-3.1.3-9]: back before the delay has passed
    if (op.will) client.will = Will{std::stoull(op.will->payload), op.will->delay_s};
}

void VisitorOracle::detach(const store::DetachOp& op) {
    for (auto& [name, client] : clients_) {
        if (!client.connected || client.owner != op.owner) continue;
        client.expiry_s = op.expiry_s;
        if (op.drop_will) client.will.reset();
        disconnect(client);
    }
}

void VisitorOracle::publish(const store::PublishOp& op) {
    if (!op.topic.starts_with(will_prefix)) return;
    const std::uint64_t uid = std::stoull(std::string(op.payload));
    if (!released_.contains(uid)) {
        throw Violation("will " + std::to_string(uid) + " was published before it was due, or after it was cancelled");
    }
    if (!published_.insert(uid).second) throw Violation("will " + std::to_string(uid) + " was published twice");
    for (auto& [name, client] : clients_) client.due.erase(uid);
}

void VisitorOracle::disconnect(Client& client) {
    client.connected = false;
    if (client.expiry_s == 0) return end(client);
    if (client.expiry_s != session_never_ends_s) client.expires_at_ms = time_ms_ + std::int64_t{1000} * client.expiry_s;
    if (!client.will) return;
    if (client.will->delay_s == 0) return release(client);
    client.will_at_ms = time_ms_ + std::int64_t{1000} * std::min(client.will->delay_s, client.expiry_s);
}

/// The session goes. Its will is due now; a crash may lose it together with the session.
void VisitorOracle::end(Client& client) {
    if (client.will) release(client);
    client = Client();
}

void VisitorOracle::release(Client& client) {
    released_.insert(client.will->uid);
    client.due.insert(client.will->uid);
    client.will.reset();
    client.will_at_ms = 0;
}

void VisitorOracle::expect_all_published() const {
    for (const auto& [name, client] : clients_) {
        if (!client.due.empty()) {
            throw Violation("will " + std::to_string(*client.due.begin()) + " of " + name + " was never published");
        }
    }
}

bool VisitorOracle::any_session() const {
    return std::any_of(clients_.begin(), clients_.end(), [](const auto& entry) { return entry.second.exists; });
}

// --- the clients

Visitors::Visitors(Random& random, std::uint32_t shards, Hooks hooks)
    : random_(random), shards_(shards), hooks_(std::move(hooks)) {
    for (int i = 0; i < 3; ++i) visitors_.push_back({std::string(client_prefix) + std::to_string(i)});
}

void Visitors::turn() {
    Visitor& visitor = visitors_[random_.below(visitors_.size())];
    if (visitor.owner == 0) {
        if (!leaving_) connect(visitor);
    } else if (!leaving_ && random_.chance(15)) {
        connect(visitor);   // takes its own session over
    } else if (visitor.session != 0 && random_.chance(50)) {
        disconnect(visitor, static_cast<std::uint32_t>(random_.below(4)), random_.chance(30));
    }
}

void Visitors::connect(Visitor& visitor) {
    visitor.owner = hooks_.new_owner();
    visitor.session = 0;
    visitor.shard = static_cast<std::uint32_t>(random_.below(shards_));
    store::ClaimOp claim;
    claim.owner = visitor.owner;
    claim.shard = visitor.shard;
    claim.client_id = visitor.client;
    claim.clean_start = random_.chance(15);
    claim.expiry_s = random_.chance(20) ? session_never_ends_s : static_cast<std::uint32_t>(1 + random_.below(3));
    if (random_.chance(70)) {
        store::WillRecord& will = claim.will.emplace();
        will.qos = static_cast<std::uint8_t>(1 + random_.below(2));
        will.delay_s = static_cast<std::uint32_t>(random_.below(4));
        will.topic = std::string(will_prefix) + visitor.client;
        will.payload = std::to_string(hooks_.new_message(will.topic, will.qos));
    }
    hooks_.claim(visitor.shard, claim);
}

void Visitors::disconnect(Visitor& visitor, std::uint32_t expiry_s, bool drop_will) {
    store::DetachOp op;
    op.session = visitor.session;
    op.owner = visitor.owner;
    op.sent_below = visitor.sent_below;
    op.expiry_s = expiry_s;
    op.drop_will = drop_will;
    hooks_.detach(visitor.shard, op);
    visitor.owner = 0;
}

void Visitors::leave() {
    leaving_ = true;
    for (Visitor& visitor : visitors_) {
        if (visitor.owner == 0) connect(visitor);   // one that never expires by itself must say when
        else if (visitor.session != 0) disconnect(visitor, 2, false);
    }
}

void Visitors::crash() {
    for (Visitor& visitor : visitors_) visitor.owner = 0;
}

void Visitors::on_claim(const broker::ClaimResult& claim) {
    for (Visitor& visitor : visitors_) {
        if (visitor.owner != claim.owner) continue;
        oracle.claimed(claim.owner, claim.present);
        visitor.session = claim.session;
        visitor.sent_below = claim.sent_below;
        if (leaving_) return disconnect(visitor, 2, false);
        if (claim.present || !random_.chance(25)) return;
        store::SubscribeOp op;   // its queue has to go with its session
        op.session = claim.session;
        op.owner = claim.owner;
        op.qos = 1;
        op.filter = "plant/pub0/q1";
        return hooks_.subscribe(visitor.shard, op);
    }
}

}  // namespace trunkline::sim
