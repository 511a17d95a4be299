#include "tests/unit/core/script.h"

#include <algorithm>
#include <cstdio>
#include <stdexcept>

namespace trunkline::broker::test {

using mqtt::PacketType;
using mqtt::Reason;

void StepLog::start(std::int64_t time_ms) {
    auto ops = std::make_shared<store::OpBatch>();
    ops->add(store::RestartOp{state_.stamp().epoch + 1});
    const Submission restart{0, 0, std::move(ops)};
    writes_.clear();
    state_.apply({state_.stamp().epoch + 1, state_.stamp().position + 1, time_ms, true}, {&restart, 1}, writes_);
    (void)store_.write(writes_, true);
    for (auto& [shard, effects] : state_.release()) post(shard, std::move(effects));
}

bool StepLog::commit(std::int64_t time_ms) {
    const bool due = state_.next_due_ms() <= time_ms;
    if (submissions_.empty() && fetches_.empty() && !due) return false;
    if (!submissions_.empty() || due) {
        std::vector<Submission> batch;
        batch.swap(submissions_);
        writes_.clear();
        const BatchInfo info{state_.stamp().epoch, state_.stamp().position + 1, time_ms, growth_allowed};
        if (state_.apply(info, batch, writes_) != Applied::yes || !store_.write(writes_, true).ok()) {
            throw std::logic_error("the batch could not be applied");
        }
        ++commits;
        ShardEffects all = state_.release();
        for (const Submission& submission : batch) {
            if (on_commit) on_commit(submission, all[submission.shard].refused);
        }
        for (auto& [shard, effects] : all) post(shard, std::move(effects));
    }
    std::vector<Fetch> fetches;
    fetches.swap(fetches_);
    for (const Fetch& fetch : fetches) {
        Effects effects;
        (void)state_.fetch(fetch.session, fetch.owner, fetch.from_n, fetch.bytes, effects.fetches.emplace_back());
        post(fetch.shard, std::move(effects));
    }
    return true;
}

void StepLog::refuse(Refusal why) {
    std::vector<Submission> batch;
    batch.swap(submissions_);
    for (const Submission& submission : batch) {
        Effects effects;
        const std::string_view bytes = submission.ops->bytes();
        for (std::size_t at = 0; at < bytes.size(); at += store::peek_op(bytes.substr(at))->size) {
            effects.refused.push_back({submission.token, static_cast<std::uint32_t>(at), why});
        }
        effects.committed_through = submission.token;
        post(submission.shard, std::move(effects));
    }
}

void StepLog::post(std::uint32_t shard, Effects&& effects) {
    if (hold_effects) {
        held_.emplace_back(shard, std::move(effects));
    } else {
        sink_.post(shard, std::move(effects));
    }
}

void StepLog::deliver() {
    std::vector<std::pair<std::uint32_t, Effects>> held;
    held.swap(held_);
    for (auto& [shard, effects] : held) sink_.post(shard, std::move(effects));
}

void FakeTransport::flush(mqtt::Buffer& out) {
    const std::size_t size = std::min(takes, out.size());
    received.append(out.view().substr(0, size));
    out.consume(size);
    if (takes != SIZE_MAX) takes -= size;
    blocked = !out.empty();
    output = blocked ? &out : nullptr;
}

void FakeTransport::close(mqtt::Buffer&& out) {
    received.append(out.view());
    out.clear();
    output = nullptr;
    closed = true;
}

void Peer::fail(const char* what) {
    throw std::runtime_error(std::string(what) + " (client on shard " + std::to_string(shard_) + ")");
}

void Peer::send_bytes(std::string_view bytes) {
    if (!client) fail("sends on a connection that has ended");
    unread_.append(bytes);
    ShardApi& shard = script_.broker->shard(shard_);
    const std::size_t used = shard.on_bytes(*client, unread_);
    unread_.erase(0, used);
    if (transport.closed) client = nullptr;
    script_.turn();
}

void Peer::send(const Hello& hello) {
    version_ = hello.version;
    mqtt::Connect packet;
    packet.version = hello.version;
    packet.clean_start = hello.clean;
    packet.client_id = hello.id;
    packet.keep_alive_s = hello.keep_alive_s;
    packet.will = hello.will;
    if (hello.version == mqtt::Version::v5) {
        packet.session_expiry_s = hello.expiry_s;
        packet.has_session_expiry = hello.expiry_s != 0;
        packet.receive_maximum = hello.receive_maximum;
        packet.has_receive_maximum = hello.receive_maximum != 65535;
        packet.topic_alias_maximum = hello.alias_maximum;
        packet.has_topic_alias_maximum = hello.alias_maximum != 0;
        packet.maximum_packet_size = hello.maximum_packet_size;
    }
    mqtt::Buffer out;
    mqtt::encode(out, packet);
    send_bytes(out.view());
}

void Peer::send(const Text& message) {
    mqtt::PublishOut packet;
    packet.topic = message.topic;
    packet.payload = message.payload;
    packet.qos = message.qos;
    packet.packet_id = message.id;
    packet.retain = message.retain;
    packet.dup = message.dup;
    packet.message_expiry_s = message.expiry_s;
    packet.topic_alias = message.alias;
    packet.forwarded_properties = message.properties;
    send_packet(packet);
}

void Peer::ack(PacketType type, std::uint16_t id, Reason reason) {
    mqtt::Ack packet;
    packet.type = type;
    packet.packet_id = id;
    packet.reason = reason;
    send_packet(packet);
}

void Peer::subscribe(std::uint16_t id, std::string_view filter, mqtt::SubscriptionOptions options,
                     std::uint32_t identifier) {
    mqtt::Subscribe packet;
    packet.packet_id = id;
    packet.subscription_identifier = identifier;
    packet.requests.push_back({filter, options});
    send_packet(packet);
}

void Peer::unsubscribe(std::uint16_t id, std::string_view filter) {
    mqtt::Unsubscribe packet;
    packet.packet_id = id;
    packet.filters.push_back(filter);
    send_packet(packet);
}

void Peer::disconnect(Reason reason, std::optional<std::uint32_t> expiry_s) {
    mqtt::Disconnect packet;
    packet.reason = reason;
    packet.session_expiry_s = expiry_s;
    send_packet(packet);
}

void Peer::auth(Reason reason, std::string_view method, std::string_view data) {
    mqtt::Auth packet;
    packet.reason = reason;
    packet.method = method;
    packet.data = data;
    send_packet(packet);
}

void Peer::ping() {
    mqtt::Buffer out;
    mqtt::encode_pingreq(out);
    send_bytes(out.view());
}

void Peer::drop() {
    if (client && !transport.closed) {
        transport.output = nullptr;
        script_.broker->shard(shard_).on_closed(*client);
    }
    client = nullptr;
    script_.turn();
}

std::optional<tests::AnyPacket> Peer::next() {
    if (transport.received.empty()) return std::nullopt;
    const auto frame = mqtt::next_frame(transport.received, UINT32_MAX, version_);
    if (!frame) fail(frame.error().what);
    if (frame->size == 0) return std::nullopt;
    frames_.push_back(transport.received.substr(0, frame->size));
    transport.received.erase(0, frame->size);
    const auto whole = mqtt::next_frame(frames_.back(), UINT32_MAX, version_);
    auto packet = tests::decode_any(*whole, version_);
    if (!packet) {
        std::string what = std::string(packet.error().what) + ":";
        for (const char byte : frames_.back()) {
            char hex[4];
            std::snprintf(hex, sizeof hex, " %02x", static_cast<unsigned char>(byte));
            what += hex;
        }
        fail(what.c_str());
    }
    return *std::move(packet);
}

mqtt::Ack Peer::expect_ack(PacketType type, std::uint16_t id) {
    const auto ack = expect<mqtt::Ack>();
    if (ack.type != type) fail("an acknowledgement of another type came");
    if (ack.packet_id != id) fail("an acknowledgement of another packet identifier came");
    return ack;
}

std::vector<std::string> Peer::payloads() {
    std::vector<std::string> all;
    while (!quiet()) all.emplace_back(expect<mqtt::Publish>().payload);
    return all;
}

Script::Script(std::uint32_t shards, Config config, StateLimits limits)
    : shards(shards), config(std::move(config)), limits(limits), woken_(shards) {
    start();
}

Script::~Script() { stop(); }

void Script::start() {
    broker = std::make_unique<Broker>(config, shards, [this](std::uint32_t shard) { woken_[shard] = true; });
    state = std::make_unique<State>(limits, broker->retained(), broker.get());
    if (!state->load(store).ok()) throw std::logic_error("the store could not be loaded");
    log = std::make_unique<StepLog>(*state, store, *broker);
    broker->attach(*log);
    for (std::uint32_t i = 0; i < shards; ++i) broker->shard(i).set_time(now);
    log->start(now.wall_ms);
    turn();
}

void Script::stop() {
    for (const auto& peer : peers) peer->client = nullptr;
    broker.reset();
    log.reset();
    state.reset();
}

void Script::restart() {
    stop();
    start();
}

Peer& Script::open(std::uint32_t shard, mqtt::Version version) {
    Peer& peer = *peers.emplace_back(std::make_unique<Peer>(*this, shard, version));
    ConnectionInfo info;
    info.local = true;
    info.arrival_ns = static_cast<std::int64_t>(peers.size());
    peer.client = broker->shard(shard).on_open(peer.transport, info);
    return peer;
}

Peer& Script::connect(const Hello& hello, std::uint32_t shard, mqtt::Connack* connack) {
    Peer& peer = open(shard, hello.version);
    peer.send(hello);
    while (peer.quiet() && commit()) {}
    const auto answer = peer.expect<mqtt::Connack>();
    if (answer.reason != Reason::success) peer.fail("the CONNECT was refused");
    if (connack) *connack = answer;
    return peer;
}

void Script::subscribe(Peer& peer, std::string_view filter, std::uint8_t qos, std::uint32_t identifier) {
    mqtt::SubscriptionOptions options;
    options.qos = qos;
    peer.subscribe(9'999, filter, options, identifier);
    while (peer.quiet() && commit()) {}
    const auto answer = peer.expect<mqtt::Suback>();
    if (answer.reasons.at(0) != static_cast<Reason>(qos)) peer.fail("the SUBSCRIBE was refused");
}

void Script::turn() {
    for (bool moved = true; moved;) {
        moved = false;
        for (std::uint32_t i = 0; i < shards; ++i) broker->shard(i).end_turn();
        for (std::uint32_t i = 0; i < shards; ++i) {
            if (!woken_[i]) continue;
            woken_[i] = false;
            moved = true;
            broker->shard(i).set_time(now);
            broker->shard(i).on_mail();
            broker->shard(i).end_turn();
        }
        for (const auto& peer : peers) {
            if (peer->transport.closed) peer->client = nullptr;
        }
    }
}

bool Script::commit() {
    turn();
    const bool any = log->commit(now.wall_ms);
    turn();
    return any;
}

void Script::settle() {
    while (commit()) {}
}

void Script::pass(std::int64_t ms) {
    now.steady_ms += ms;
    now.wall_ms += ms;
    for (std::uint32_t i = 0; i < shards; ++i) {
        broker->shard(i).set_time(now);
        broker->shard(i).on_tick();
    }
    turn();
}

void Script::takes(Peer& peer, std::size_t bytes) {
    peer.transport.takes = bytes;
    if (peer.transport.output) {
        peer.transport.flush(*peer.transport.output);
        if (!peer.transport.blocked && peer.client) broker->shard(peer.shard_).on_writable(*peer.client);
    }
    turn();
}

std::uint64_t Script::dropped(Drop why) const {
    std::uint64_t count = 0;
    for (std::uint32_t i = 0; i < shards; ++i) {
        count += broker->counters(i).dropped[static_cast<std::size_t>(why)].get();
    }
    return count;
}

}  // namespace trunkline::broker::test
