#include "tests/sim/queue_world.h"

#include <algorithm>

#include "namespace/topic.h"

namespace trunkline::sim {

using broker::Refusal;

namespace {

constexpr std::uint32_t shard_count = 3;
constexpr std::size_t send_window = 6;
constexpr int queue_steps = 1200;

broker::StateLimits small_limits(Random& random) {
    broker::StateLimits limits;      // small, so that every branch is met within a thousand steps
    limits.live_messages = 3 + random.below(10);
    limits.young_ms = 30 + static_cast<std::int64_t>(random.below(300));
    limits.young_bytes = 500 + random.below(4000);
    limits.routes = 2 + random.below(4);
    if (random.chance(25)) limits.queue_messages = 10 + random.below(30);
    return limits;
}

}  // namespace

QueueWorld::QueueWorld(std::uint64_t seed, Broken broken)
    : random_(seed), limits_(small_limits(random_)), shards_(shard_count),
      node_(random_, limits_, broken, [this](std::uint32_t shard, Effects&& e) { on_effects(shard, std::move(e)); }),
      visitors_(random_, shard_count, visitor_hooks()) {
    for (std::size_t i = 0; i < 2 + random_.below(2); ++i) {
        publishers_.emplace_back();
        publishers_.back().client = "pub" + std::to_string(i);
    }
    const char* filters[] = {"#", "plant/+/q1", "plant/pub0/#", "plant/+/q2"};
    for (std::size_t i = 0; i < 3 + random_.below(2); ++i) {
        Subscriber subscriber;
        subscriber.client = "sub" + std::to_string(i);
        subscriber.filter = filters[random_.below(4)];
        subscriber.qos = static_cast<std::uint8_t>(1 + random_.below(2));
        subscribers_.push_back(std::move(subscriber));
    }
    for (std::size_t i = 0; i < random_.below(2) * 3; ++i) {
        Subscriber member;
        member.client = "member" + std::to_string(i);
        member.group = "$share/g/plant/#";
        member.filter = "plant/#";
        member.qos = 1;
        subscribers_.push_back(std::move(member));
    }
}

void QueueWorld::run() {
    start();
    for (int i = 0; i < queue_steps; ++i) step();
    settle();
    check_end();
    node_.check_replays();
}

void QueueWorld::step() {
    now_ms_ += static_cast<std::int64_t>(random_.below(5));
    if (random_.below(60) == 0) now_ms_ += static_cast<std::int64_t>(random_.below(1500));   // wills and sessions end
    if (!calm_ && random_.below(150) == 0) crash();
    switch (random_.below(9)) {
        case 0:
        case 1: {
            Publisher& publisher = publishers_[random_.below(publishers_.size())];
            if (!publisher.connected && random_.chance(50)) return connect(publisher);
            if (!calm_ && publisher.connected && random_.below(40) == 0) return connect(publisher);  // once more
            if (!calm_ && publisher.connected && publisher.open.size() < 8) publish(publisher);
            return;
        }
        case 2: {
            Subscriber& subscriber = subscribers_[random_.below(subscribers_.size())];
            if (!subscriber.connection && random_.chance(30)) return connect(subscriber);
            if (calm_ || !subscriber.connection) return;
            if (random_.below(20) == 0) return connect(subscriber);
            if (random_.below(15) == 0) return disconnect(subscriber, random_.chance(60));
            if (!subscriber.group.empty() && random_.below(30) == 0) drop(subscriber);
            return;
        }
        case 3:
        case 4: {
            Subscriber& subscriber = subscribers_[random_.below(subscribers_.size())];
            if (random_.chance(50)) client_turn(subscriber);
            shard_turn(subscriber);
            return;
        }
        case 8: return visitors_.turn();
        case 5: return flush(static_cast<std::uint32_t>(random_.below(shard_count)));
        default: node_.step(now_ms_);   // a slow disk is one that is not picked for long
    }
}

/// Lets everything arrive: no more chaos, all clients on line.
void QueueWorld::settle() {
    calm_ = true;
    visitors_.leave();
    for (int round = 0; round < 20'000; ++round) {
        for (Publisher& publisher : publishers_) {
            if (!publisher.connected && publisher.owner == 0) connect(publisher);
        }
        bool quiet = node_.idle();
        for (Subscriber& subscriber : subscribers_) {
            if (!subscriber.connection) connect(subscriber);
            client_turn(subscriber);
            shard_turn(subscriber);
            const Connection& c = *subscriber.connection;
            quiet &= c.live && c.buffer.empty() && c.inflight.empty() && c.to_client.empty() && c.to_shard.empty();
        }
        for (std::uint32_t shard = 0; shard < shard_count; ++shard) {
            quiet &= shards_[shard].ops->empty() && shards_[shard].waiting.empty();
            flush(shard);
        }
        for (const Publisher& publisher : publishers_) quiet &= publisher.open.empty();
        if (quiet) {
            visitors_.oracle.follow(node_.history());
            visitors_.oracle.expect_all_published();
            if (!visitors_.oracle.any_session()) return;
            now_ms_ += 300;
        }
        now_ms_ += 1;
        while (node_.step(now_ms_)) {}
    }
    violated("the system does not come to rest");
}

void QueueWorld::crash() {
    node_.crash();
    for (Shard& shard : shards_) shard = Shard();
    for (Publisher& publisher : publishers_) {
        publisher.connected = false;
        publisher.owner = 0;
        for (const std::uint64_t uid : publisher.open) {
            if (messages_[uid].at == SimMessage::At::sent) messages_[uid].at = SimMessage::At::to_send;
        }
    }
    for (Subscriber& subscriber : subscribers_) subscriber.connection.reset();
    visitors_.crash();
    now_ms_ += static_cast<std::int64_t>(random_.below(50));
    start();
}

void QueueWorld::start() {
    retained_ = std::make_unique<uns::RetainedTree>();
    node_.start(now_ms_, *retained_, nullptr);
}

template <class Op>
void QueueWorld::submit(std::uint32_t shard, const Op& op, Done done) {
    Shard& to = shards_[shard];
    to.done.emplace_back(to.ops->add(op), std::move(done));
    if (random_.chance(40)) flush(shard);
}

void QueueWorld::flush(std::uint32_t index) {
    Shard& shard = shards_[index];
    if (shard.ops->empty()) return;
    const Token token = ++shard.token;
    shard.waiting.emplace(token, std::exchange(shard.done, {}));
    node_.submit(index, std::exchange(shard.ops, std::make_shared<store::OpBatch>()), token);
}

void QueueWorld::on_effects(std::uint32_t index, Effects&& effects) {
    for (const broker::ClaimResult& claim : effects.claims) on_claim(claim);
    for (const broker::Delivery& delivery : effects.deliveries) on_messages(delivery, 0);
    for (const auto& [session, owner] : effects.spooled) {
        Subscriber* subscriber = subscriber_of(owner);
        if (subscriber && subscriber->connection->session == session) subscriber->connection->live = false;
    }
    for (const broker::FetchResult& fetch : effects.fetches) {
        Subscriber* subscriber = subscriber_of(fetch.owner);
        if (!subscriber) continue;
        subscriber->connection->fetching = false;
        for (const broker::Delivery& chunk : fetch.chunks) on_messages(chunk, subscriber->connection->expect);
        subscriber->connection->live = fetch.live;
    }
    for (const broker::WillDue& due : effects.wills) publish_will(index, due);
    Shard& shard = shards_[index];
    while (!shard.waiting.empty() && shard.waiting.begin()->first <= effects.committed_through) {
        const auto [token, all] = *shard.waiting.begin();
        shard.waiting.erase(shard.waiting.begin());
        for (const auto& [offset, done] : all) {
            const auto same = [t = token, o = offset](const auto& r) { return r.token == t && r.op_offset == o; };
            const auto at = std::find_if(effects.refused.begin(), effects.refused.end(), same);
            if (done) done(at == effects.refused.end() ? Refusal::none : at->why);
        }
    }
}

/// The will and the note that it was sent are one submission: a crash loses both or none.
void QueueWorld::publish_will(std::uint32_t index, const broker::WillDue& due) {
    Shard& shard = shards_[index];
    store::PublishOp op;
    op.qos = due.will.qos;
    op.topic = due.will.topic;
    op.payload = due.will.payload;
    shard.done.emplace_back(shard.ops->add(op), nullptr);
    if (due.session) shard.done.emplace_back(shard.ops->add(store::WillSentOp{due.session}), nullptr);
}

Visitors::Hooks QueueWorld::visitor_hooks() {
    Visitors::Hooks hooks;
    hooks.new_owner = [this] { return ++next_owner_; };
    hooks.new_message = [this](const std::string& topic, std::uint8_t qos) {
        SimMessage message;
        message.uid = messages_.size();
        message.topic = topic;
        message.qos = qos;
        messages_.push_back(message);
        return message.uid;
    };
    hooks.claim = [this](std::uint32_t shard, const store::ClaimOp& op) {
        for (std::uint32_t i = 0; i < shard_count; ++i) flush(i);   // what the old connection sent comes first
        submit(shard, op, nullptr);
    };
    hooks.detach = [this](std::uint32_t shard, const store::DetachOp& op) { submit(shard, op, nullptr); };
    hooks.subscribe = [this](std::uint32_t shard, const store::SubscribeOp& op) { submit(shard, op, nullptr); };
    return hooks;
}

Subscriber* QueueWorld::subscriber_of(std::uint64_t owner) {
    for (Subscriber& subscriber : subscribers_) {
        if (subscriber.connection && subscriber.connection->owner == owner) return &subscriber;
    }
    return nullptr;
}

// --- publishers

void QueueWorld::connect(Publisher& publisher) {
    // a shard submits what the old connection sent before it lets the client go (CommitLog::submit())
    if (publisher.owner) flush(static_cast<std::uint32_t>(publisher.owner % shard_count));
    publisher.owner = ++next_owner_;
    publisher.connected = false;
    for (const std::uint64_t uid : publisher.open) {
        if (messages_[uid].at == SimMessage::At::sent) messages_[uid].at = SimMessage::At::to_send;
    }
    store::ClaimOp claim;
    claim.owner = publisher.owner;
    claim.shard = static_cast<std::uint32_t>(publisher.owner % shard_count);
    claim.expiry_s = 0xFFFFFFFF;
    claim.client_id = publisher.client;
    submit(claim.shard, claim, nullptr);
}

void QueueWorld::on_claim(const broker::ClaimResult& claim) {
    visitors_.on_claim(claim);
    for (Publisher& publisher : publishers_) {
        if (publisher.owner != claim.owner) continue;
        if (publisher.session && !claim.present) violated("the session of " + publisher.client + " is gone");
        publisher.session = claim.session;
        publisher.connected = true;
        for (const std::uint64_t uid : std::vector(publisher.open)) send(publisher, messages_[uid]);
        return;
    }
    Subscriber* subscriber = subscriber_of(claim.owner);
    if (!subscriber) return;
    Connection& connection = *subscriber->connection;
    if (subscriber->subscribed && !claim.present) violated("the session of " + subscriber->client + " is gone");
    connection.session = claim.session;
    connection.claimed = true;
    connection.live = claim.live;
    connection.expect = claim.cursor;
    connection.sent_below = claim.sent_below;
    for (const store::Range& range : claim.complete) {
        for (std::uint64_t n = range.from; n < range.to; ++n) connection.skip.insert(n);
    }
    for (const store::Range& range : claim.received) {
        for (std::uint64_t n = range.from; n < range.to; ++n) {
            if (!connection.skip.insert(n).second) continue;
            connection.inflight.insert(n);
            connection.to_client.push_back({Packet::Kind::pubrel, n});
        }
    }
    if (subscriber->subscribed) return;
    store::SubscribeOp op;
    op.session = claim.session;
    op.owner = claim.owner;
    op.qos = subscriber->qos;
    op.filter = subscriber->group.empty() ? subscriber->filter : subscriber->group;
    submit(connection.shard, op, [subscriber, owner = claim.owner](Refusal) {
        if (subscriber->connection && subscriber->connection->owner == owner) subscriber->subscribed = true;
    });
}

void QueueWorld::publish(Publisher& publisher) {
    SimMessage message;
    message.uid = messages_.size();
    message.qos = static_cast<std::uint8_t>(1 + random_.below(2));
    message.topic = "plant/" + publisher.client + "/q" + std::to_string(message.qos);
    message.sequence = ++publisher.sequence;
    message.retain = random_.chance(20);
    if (message.qos == 2) message.packet_id = publisher.next_packet_id++;
    for (Subscriber& subscriber : subscribers_) {
        const bool matches = uns::matches(subscriber.filter, message.topic);
        if (subscriber.subscribed && matches) subscriber.owed.insert(message.uid);
    }
    messages_.push_back(message);
    publisher.open.push_back(message.uid);
    send(publisher, messages_.back());
}

void QueueWorld::send(Publisher& publisher, SimMessage& message) {
    const auto shard = static_cast<std::uint32_t>(publisher.owner % shard_count);
    const std::uint64_t uid = message.uid, owner = publisher.owner;
    if (message.at == SimMessage::At::received) {   // PUBREL again, never the message
        const store::ReleaseInboundOp op{publisher.session, owner, message.packet_id};
        return submit(shard, op, [this, &publisher, uid, owner](Refusal) {
            if (publisher.owner == owner) finish_message(publisher, uid);
        });
    }
    message.at = SimMessage::At::sent;
    ++message.times_sent;
    const std::string payload = std::to_string(uid);
    store::PublishOp op;
    op.qos = message.qos;
    op.retain = message.retain;
    op.inbound_id = message.packet_id;
    op.publisher = publisher.session;
    op.topic = message.topic;
    op.payload = payload;
    submit(shard, op, [this, &publisher, uid, owner](Refusal why) {
        if (publisher.owner != owner) return;   // the connection is gone, and the answer with it
        SimMessage& answered = messages_[uid];
        answered.acknowledged |= why == Refusal::none;
        answered.refused |= why != Refusal::none;
        if (why == Refusal::none && answered.retain) retained_acknowledged_[answered.topic] = answered.sequence;
        if (why != Refusal::none || answered.qos == 1) return finish_message(publisher, uid);
        answered.at = SimMessage::At::received;
        send(publisher, answered);
    });
}

void QueueWorld::finish_message(Publisher& publisher, std::uint64_t uid) {
    messages_[uid].at = SimMessage::At::done;
    std::erase(publisher.open, uid);
}

// --- subscribers

void QueueWorld::connect(Subscriber& subscriber) {
    if (subscriber.connection) flush(subscriber.connection->shard);
    Connection connection;
    connection.owner = ++next_owner_;
    connection.shard = static_cast<std::uint32_t>(random_.below(shard_count));
    store::ClaimOp claim;
    claim.owner = connection.owner;
    claim.shard = connection.shard;
    claim.expiry_s = 0xFFFFFFFF;
    claim.client_id = subscriber.client;
    subscriber.connection = std::move(connection);
    submit(claim.shard, claim, nullptr);
}

void QueueWorld::disconnect(Subscriber& subscriber, bool detach) {
    const Connection& connection = *subscriber.connection;
    flush(connection.shard);
    if (detach && connection.claimed) {
        store::DetachOp op;
        op.session = connection.session;
        op.owner = connection.owner;
        op.expiry_s = 0xFFFFFFFF;
        op.sent_below = connection.sent_below;
        submit(connection.shard, op, nullptr);
        flush(connection.shard);
    }
    subscriber.connection.reset();
}

/// An administrator ends the session: what it was owed and had not taken goes to the others of its group.
void QueueWorld::drop(Subscriber& subscriber) {
    if (!subscriber.subscribed || !subscriber.connection->claimed) return;
    const bool others = std::any_of(subscribers_.begin(), subscribers_.end(), [&](const Subscriber& other) {
        return &other != &subscriber && other.group == subscriber.group && other.subscribed;
    });
    if (!others) return;
    store::DropOp op;
    op.session = subscriber.connection->session;
    subscriber.subscribed = false;
    submit(subscriber.connection->shard, op, nullptr);
    flush(subscriber.connection->shard);
    subscriber.connection.reset();
}

void QueueWorld::on_messages(const broker::Delivery& delivery, std::uint64_t from_n) {
    Subscriber* subscriber = subscriber_of(delivery.owner);
    if (!subscriber) return;
    Connection& connection = *subscriber->connection;
    store::OwedReader reader(*delivery.chunk, delivery.section_offset);
    std::uint64_t n = reader.first_n();
    for (auto entry = reader.next(); entry; entry = reader.next(), ++n) {
        if (n < from_n) continue;
        // what an earlier connection had acknowledged may have left the queue
        while (connection.expect < n && connection.skip.contains(connection.expect)) ++connection.expect;
        if (n != connection.expect) {
            violated(subscriber->client + " was to get number " + std::to_string(connection.expect) + " and got " +
                     std::to_string(n));
        }
        ++connection.expect;
        const auto message = reader.message(*entry);
        if (!message) violated("a damaged message");
        const std::uint64_t uid = std::stoull(std::string(message->payload));
        const auto [at, fresh] = subscriber->numbers.try_emplace({connection.session, n}, uid);
        if (!fresh && at->second != uid) violated("delivery number " + std::to_string(n) + " was given twice");
        if (connection.skip.contains(n)) continue;
        connection.buffer.push_back({Packet::Kind::publish, n, uid, entry->qos});
    }
}

void QueueWorld::pump(Subscriber& subscriber) {
    Connection& connection = *subscriber.connection;
    while (!connection.buffer.empty() && connection.inflight.size() < send_window) {
        const Packet packet = connection.buffer.front();
        connection.buffer.pop_front();
        connection.inflight.insert(packet.n);
        connection.sent_below = std::max(connection.sent_below, packet.n + 1);
        connection.to_client.push_back(packet);
    }
    if (connection.claimed && !connection.live && !connection.fetching && connection.buffer.size() < 4) {
        connection.fetching = true;
        node_.fetch(connection.shard, connection.session, connection.owner, connection.expect,
                    static_cast<std::uint32_t>(1 + random_.below(500)));
    }
}

void QueueWorld::hand_over(Subscriber& subscriber, std::uint64_t uid) {
    const SimMessage& message = messages_[uid];
    const int times = ++subscriber.got[uid];
    if (message.refused && message.times_sent == 1) violated("a refused message was delivered");
    if (message.qos == 2 && subscriber.qos == 2 && times > 1) {
        violated("QoS 2 message " + std::to_string(uid) + " came twice to " + subscriber.client);
    }
    // first sent before it subscribed: a repetition may come after what was sent in between
    if (times > 1 || !subscriber.group.empty() || !subscriber.owed.contains(uid)) return;
    // sent again after a refusal whose answer was lost, while a later one was taken: not the broker's order
    if (message.times_sent > 1 && limits_.queue_messages < 1000) return;
    std::uint64_t& last = subscriber.last[message.topic];
    if (message.sequence < last) {
        violated("order broken on " + message.topic + " for " + subscriber.client + ": " +
                 std::to_string(message.sequence) + " (uid " + std::to_string(uid) + ", sent " +
                 std::to_string(message.times_sent) + " times) after " + std::to_string(last));
    }
    last = message.sequence;
}

void QueueWorld::client_turn(Subscriber& subscriber) {
    if (!subscriber.connection) return;
    Connection& connection = *subscriber.connection;
    for (std::size_t i = calm_ ? 1000 : 1 + random_.below(5); i > 0 && !connection.to_client.empty(); --i) {
        const Packet packet = connection.to_client.front();
        connection.to_client.pop_front();
        auto& pending = subscriber.pending[connection.session];
        if (packet.kind == Packet::Kind::pubrel) {
            pending.erase(packet.n);
            connection.to_shard.push_back({Packet::Kind::pubcomp, packet.n});
        } else if (packet.qos == 1) {
            hand_over(subscriber, packet.uid);
            connection.to_shard.push_back({Packet::Kind::puback, packet.n});
        } else {
            if (pending.insert(packet.n).second) hand_over(subscriber, packet.uid);
            connection.to_shard.push_back({Packet::Kind::pubrec, packet.n});
        }
    }
}

void QueueWorld::shard_turn(Subscriber& subscriber) {
    if (!subscriber.connection || !subscriber.connection->claimed) return;
    Connection& connection = *subscriber.connection;
    store::AcknowledgeOp op;
    op.session = connection.session;
    op.owner = connection.owner;
    std::vector<std::uint64_t> received;
    while (!connection.to_shard.empty()) {
        const Packet packet = connection.to_shard.front();
        connection.to_shard.pop_front();
        if (packet.kind == Packet::Kind::pubrec) {
            op.received.push_back({packet.n, packet.n + 1});
            received.push_back(packet.n);
        } else {
            op.complete.push_back({packet.n, packet.n + 1});
            connection.inflight.erase(packet.n);
        }
    }
    if (!op.complete.empty() || !op.received.empty()) {
        submit(connection.shard, op, [&subscriber, received, owner = connection.owner](Refusal) {
            if (!subscriber.connection || subscriber.connection->owner != owner) return;
            for (const std::uint64_t n : received) {   // PUBREL only once the PUBREC is safe
                subscriber.connection->to_client.push_back({Packet::Kind::pubrel, n});
            }
        });
    }
    pump(subscriber);
}

void QueueWorld::check_end() {
    for (const Subscriber& subscriber : subscribers_) {
        for (const std::uint64_t uid : subscriber.owed) {
            const SimMessage& message = messages_[uid];
            if (!message.acknowledged) continue;
            bool arrived = subscriber.got.contains(uid);
            for (const Subscriber& other : subscribers_) {
                arrived |= !subscriber.group.empty() && other.group == subscriber.group && other.got.contains(uid);
            }
            if (!arrived) {
                violated("acknowledged message " + std::to_string(uid) + " never reached " + subscriber.client);
            }
        }
        const auto* session = node_.state().find_session(subscriber.client);
        if (session->queued_messages() != 0 || session->queued_bytes != 0 || session->queue_keys != 0) {
            violated("the queue of " + subscriber.client + " is not empty when all is acknowledged");
        }
    }
    for (const char* client : {"visitor0", "visitor1", "visitor2"}) {
        if (node_.state().find_session(client)) violated(std::string(client) + " is known after its session expired");
    }
    if (node_.state().young_bytes() != 0) violated("a log record is left when all is acknowledged");
    for (const auto& [topic, sequence] : retained_acknowledged_) {
        const auto message = retained_->get(topic);
        if (!message) violated("the retained value of " + topic + " is gone");
        const SimMessage& kept = messages_[std::stoull(std::string(message->fields().payload))];
        if (kept.times_sent > 1 && limits_.queue_messages < 1000) continue;   // sent again after a refusal
        if (kept.topic != topic || kept.sequence < sequence) violated("an older retained value of " + topic);
    }
}

}  // namespace trunkline::sim
