#include "tests/sim/oracle.h"

#include <algorithm>
#include <cstdlib>

#include "namespace/topic.h"

namespace trunkline::sim {

namespace {

constexpr std::int64_t clock_jitter_ms = 25;   // of the log's clock against the world's

std::uint64_t uid_of(std::string_view payload) { return std::strtoull(std::string(payload).c_str(), nullptr, 10); }

/// Calls `visit` with the uid of each PUBLISH in a batch.
template <class Visit>
void for_each_uid(const store::OpBatch& ops, Visit&& visit) {
    std::string_view rest = ops.bytes();
    while (!rest.empty()) {
        const auto header = store::peek_op(rest);
        if (header->kind == store::OpKind::publish) {
            const auto publish = *store::read_publish(rest.substr(0, header->size));
            if (!publish.payload.empty()) visit(uid_of(publish.payload));
        }
        rest.remove_prefix(header->size);
    }
}

}  // namespace

std::size_t Oracle::add_client(std::string name, bool durable, std::vector<Subscribed> filters) {
    Client& client = clients_.emplace_back();
    client.name = std::move(name);
    client.durable = durable;
    client.filters = std::move(filters);
    return clients_.size() - 1;
}

std::string Oracle::describe(const Sent& sent) const {
    return "message " + std::to_string(sent.uid) + " (" + clients_[sent.publisher].name + " to " + sent.topic +
           ", QoS " + std::to_string(sent.qos) + (sent.retain ? ", retained" : "") + ", number " +
           std::to_string(sent.sequence) + ", sent " + std::to_string(sent.times_sent) + " times)";
}

// --- publishers

Sent& Oracle::make(std::size_t publisher, std::string topic, std::uint8_t qos, bool retain, bool removes) {
    Sent& sent = sent_.emplace_back();
    sent.uid = sent_.size() - 1;
    sent.publisher = publisher;
    sent.publisher_session = clients_[publisher].session;
    sent.sequence = ++clients_[publisher].sequences[topic];
    sent.topic = std::move(topic);
    sent.qos = qos;
    sent.retain = retain;
    sent.removes = removes;
    sent.first_sent = ++event_;
    return sent;
}

void Oracle::sending(std::uint64_t uid) {
    Sent& sent = sent_[uid];
    if (++sent.times_sent > 1) return;
    sent.first_sent = ++event_;
    if (sent.removes) {
        retained_[sent.topic].removals.push_back(uid);
    } else if (sent.qos > 0 && !sent.may_expire) {
        owe(sent);
    }
}

bool Oracle::asks_for(const Subscribed& one, const Sent& sent, std::size_t client) {
    return one.confirmed && one.options.qos > 0 && uns::matches(one.filter, sent.topic) &&
           !(one.options.no_local && sent.publisher == client);
}

void Oracle::owe(const Sent& sent) {
    for (std::size_t i = 0; i < clients_.size(); ++i) {
        for (const Subscribed& one : clients_[i].filters) {
            if (!asks_for(one, sent, i)) continue;
            if (one.group.empty()) {
                clients_[i].owed.insert(sent.uid);
            } else if (one.anchored) {
                groups_[one.as_sent].owed.insert(sent.uid);
            }
        }
    }
}

void Oracle::acknowledged(std::uint64_t uid) {
    Sent& sent = sent_[uid];
    if (sent.submitted && !sent.committed) violated(describe(sent) + " was acknowledged before its commit");
    sent.acknowledged = true;
    if (sent.retain) {
        std::uint64_t& newest = retained_[sent.topic].acknowledged;
        newest = std::max(newest, sent.sequence);
    }
}

// --- subscribers

void Oracle::subscribing(std::size_t, Subscribed& filter) {
    filter.possible = true;
    filter.retained_owed = false;
    filter.retained_needed.clear();
    filter.retained_seen.clear();
    if (!filter.group.empty() || filter.options.qos == 0) return;
    if (filter.options.retain_handling != mqtt::RetainHandling::send) return;
    for (const auto& [topic, retained] : retained_) {
        if (retained.acknowledged && uns::matches(filter.filter, topic)) {
            filter.retained_needed[topic] = retained.acknowledged;
        }
    }
}

void Oracle::subscribed(std::size_t client, Subscribed& filter, bool granted) {
    filter.confirmed = filter.retained_owed = granted;
    if (!granted) forgive(client);
}

void Oracle::unsubscribing(std::size_t client, Subscribed& filter) {
    filter.confirmed = filter.retained_owed = false;
    forgive(client);
}

void Oracle::unsubscribed(Subscribed& filter) {
    filter.possible = false;
    filter.ended = ++event_;
}

/// Forgets what no confirmed subscription asks for any more.
void Oracle::forgive(std::size_t index) {
    Client& client = clients_[index];
    std::erase_if(client.owed, [&](std::uint64_t uid) {
        return std::none_of(client.filters.begin(), client.filters.end(), [&](const Subscribed& one) {
            return one.group.empty() && asks_for(one, sent_[uid], index);
        });
    });
}

void Oracle::member_ends(const Client& client) {
    for (const Subscribed& one : client.filters) {
        if (!one.group.empty() && one.possible) groups_[one.as_sent].member_ended = ++event_;
    }
}

void Oracle::session_may_end(std::size_t client) {
    clients_[client].may_have_ended = true;
    member_ends(clients_[client]);
}

void Oracle::session_ended(std::size_t index) {
    Client& client = clients_[index];
    member_ends(client);
    ++client.session;
    client.may_have_ended = false;
    client.owed.clear();
    client.got.clear();
    client.last.clear();
    for (Subscribed& one : client.filters) {
        one.possible = one.confirmed = one.retained_owed = false;
        one.ended = ++event_;
    }
}

void Oracle::received(std::size_t index, const mqtt::Publish& packet) {
    ++deliveries_;
    Client& client = clients_[index];
    if (packet.payload.empty()) return;   // of a retained value that goes: says nothing of who it is
    const std::uint64_t uid = uid_of(packet.payload);
    if (uid == 0 || uid >= sent_.size()) violated(client.name + " got something that nobody sent");
    const Sent& sent = sent_[uid];
    if (sent.topic != packet.topic) violated(describe(sent) + " came on topic " + std::string(packet.topic));
    check_allowed(client, index, sent, packet);
    if (sent.will) check_will(sent);

    Got& got = client.got[uid];
    if (packet.retain) {
        ++got.retained;
    } else {
        ++got.live;
        if (packet.qos == 2 && ++got.exactly_once > 1) violated(describe(sent) + " came twice to " + client.name);
    }
    for (Subscribed& one : client.filters) {
        if (!uns::matches(one.filter, sent.topic)) continue;
        if (!one.group.empty()) check_group(index, sent, packet, one.as_sent);
        if (sent.retain) {
            std::uint64_t& seen = one.retained_seen[sent.topic];
            seen = std::max(seen, sent.sequence);
        }
    }
    // a first copy with RETAIN set may have been live, too, with Retain As Published
    if (!packet.retain) check_order(client, sent, packet.qos, got.live == 1 && got.retained == 0);
}

/// Was it for this client, and may it be seen already?
void Oracle::check_allowed(const Client& client, std::size_t index, const Sent& sent,
                           const mqtt::Publish& packet) const {
    bool subscribed = false, local = false;
    std::uint8_t qos = 0;
    for (const Subscribed& one : client.filters) {
        if (!uns::matches(one.filter, sent.topic) || (!one.possible && one.ended < sent.first_sent)) continue;
        subscribed = true;
        local |= !one.options.no_local;
        qos = std::max(qos, one.options.qos);
    }
    if (!subscribed) violated(describe(sent) + " came to " + client.name + ", which was not subscribed to it");
    if (!local && !sent.will && !packet.retain && sent.publisher == index) {   // what is retained names no publisher
        violated(describe(sent) + " came back to its publisher in spite of No Local");
    }
    if (packet.qos > std::min(qos, sent.qos)) violated(describe(sent) + " came at a higher QoS to " + client.name);
    if (packet.retain && !sent.retain) violated(describe(sent) + " came as a retained one to " + client.name);
    if (sent.refused && sent.times_sent == 1) violated(describe(sent) + " was refused and came to " + client.name);
    if (sent.qos > 0 && sent.submitted && !sent.committed && !sent.bypassed) {
        violated(describe(sent) + " came to " + client.name + " before its commit");
    }
}

void Oracle::check_order(Client& client, const Sent& sent, std::uint8_t qos, bool first) {
    // First sent before it subscribed: a repetition may come after what was sent in between. Refused at first and
    // repeated because the answer was lost: the client changed the order, not the broker.
    if (!first || sent.will || !client.owed.contains(sent.uid) || (sent.times_sent > 1 && refuses_)) return;
    std::uint64_t& last = client.last[{sent.publisher, sent.publisher_session, sent.topic, qos}];
    if (sent.sequence < last) {
        violated("order broken for " + client.name + ": " + describe(sent) + " after number " + std::to_string(last));
    }
    last = sent.sequence;
}

void Oracle::check_group(std::size_t index, const Sent& sent, const mqtt::Publish& packet, const std::string& name) {
    const auto [at, fresh] = groups_[name].first.try_emplace(sent.uid, index, clients_[index].session);
    if (fresh || at->second.first == index) return;
    const auto& [other, session] = at->second;
    const std::string both = " came to " + clients_[other].name + " and to " + clients_[index].name + " of " + name;
    if (packet.qos == 2) violated(describe(sent) + both);
    if (clients_[other].session == session && !clients_[other].may_have_ended && sent.times_sent == 1) {
        violated(describe(sent) + both + ", both there");
    }
}

// --- wills

std::int64_t Oracle::Will::due_ms() const {
    return released_ms + std::int64_t{1'000} * std::min(delay_s, expiry_s.value_or(0));
}

Sent& Oracle::arm_will(std::size_t client, std::string topic, std::uint8_t qos, bool retain, std::uint32_t delay_s,
                       std::optional<std::uint32_t> expiry_s) {
    Sent& sent = make(client, std::move(topic), qos, retain, false);
    sent.will = true;
    Will& will = wills_[sent.uid];
    will.client = client;
    will.delay_s = delay_s;
    will.expiry_s = expiry_s;
    for (const Client& other : clients_) {
        for (const Subscribed& one : other.filters) {
            will.watched |= one.anchored && one.confirmed && one.group.empty() && one.options.qos > 0 && qos > 0 &&
                            uns::matches(one.filter, sent.topic);
        }
    }
    return sent;
}

void Oracle::will_accepted(std::uint64_t uid) {
    if (uid) wills_.at(uid).accepted = true;
}

void Oracle::will_released(std::uint64_t uid, bool cancelled) {
    if (uid == 0) return;
    Will& will = wills_.at(uid);
    if (will.released) return;
    will.released = true;
    will.released_ms = now_ms_;
    will.cancelled = cancelled;
    will.crashes = crashes_;
    wills_not_stored_.push_back(uid);
}

void Oracle::returning(std::size_t client, bool clean) {
    for (auto& [uid, will] : wills_) {
        if (will.client != client) continue;
        const std::int64_t stored_late_ms = will.stored_ms - will.released_ms;
        will.back |= will.stored_ms == 0 || now_ms_ < will.due_ms() + stored_late_ms + 1'000;
        will.ended |= clean;
    }
}

void Oracle::resumed(std::size_t client, std::uint64_t before) {
    clients_[client].may_have_ended = false;
    for (auto& [uid, will] : wills_) {
        will.resumed |= will.client == client && uid <= before && will.released && !will.ended && will.expiry_s &&
                        now_ms_ + clock_jitter_ms < will.due_ms();
    }
}

void Oracle::check_will(const Sent& sent) const {
    const Will& will = wills_.at(sent.uid);
    const std::string what = "the will of " + clients_[will.client].name + ", " + describe(sent) + ",";
    if (!will.released) violated(what + " was sent while it is connected");
    // on a full disk the end of a connection may be stored after the CONNECT that follows it
    if (will.cancelled && will.crashes == crashes_ && !refuses_) violated(what + " was sent after a DISCONNECT");
    if (will.resumed) violated(what + " was sent though its session was resumed in time");
    if (!will.ended && now_ms_ + clock_jitter_ms < will.due_ms()) violated(what + " was sent before it is due");
}

void Oracle::check_wills() const {
    for (const auto& [uid, will] : wills_) {
        const bool due = will.watched && will.accepted && will.released && !will.cancelled && !will.back &&
                         !will.ended && will.expiry_s && *will.expiry_s > 3'600 && now_ms_ > will.due_ms() + 1'000;
        if (!due || refuses_) continue;
        for (const Client& client : clients_) {
            for (const Subscribed& one : client.filters) {
                if (!one.anchored || !one.group.empty() || !uns::matches(one.filter, sent_[uid].topic)) continue;
                if (!client.got.contains(uid)) {
                    violated("the will of " + clients_[will.client].name + ", " + describe(sent_[uid]) +
                             ", never came to " + client.name);
                }
            }
        }
    }
}

// --- the log

void Oracle::submitted(const store::OpBatch& ops) {
    for_each_uid(ops, [this](std::uint64_t uid) {
        Sent& sent = sent_.at(uid);
        sent.bypassed |= sent.times_sent > 1 && !sent.submitted;
        sent.submitted = true;
    });
}

void Oracle::committed(const store::OpBatch& ops) {
    for_each_uid(ops, [this](std::uint64_t uid) { sent_.at(uid).committed = true; });
}

void Oracle::crashed() {
    ++crashes_;
    for (Sent& sent : sent_) sent.submitted &= sent.committed;   // the rest never happened
}

void Oracle::log_idle() {
    for (const std::uint64_t uid : wills_not_stored_) wills_.at(uid).stored_ms = now_ms_;
    wills_not_stored_.clear();
}

// --- the end

bool Oracle::removed_since(const std::string& topic, std::uint64_t sequence) const {
    const auto& removals = retained_.at(topic).removals;
    return std::any_of(removals.begin(), removals.end(), [&](std::uint64_t uid) {
        return sent_[uid].sequence >= sequence || (sent_[uid].times_sent > 1 && refuses_);
    });
}

void Oracle::check_retained(const uns::RetainedTree& tree) const {
    for (const auto& [topic, retained] : retained_) {
        if (retained.acknowledged == 0) continue;
        const auto kept = tree.get(topic);
        if (!kept) {
            if (!removed_since(topic, retained.acknowledged)) violated("the retained value of " + topic + " is gone");
            continue;
        }
        const Sent& sent = sent_.at(uid_of(kept->fields().payload));
        if (sent.times_sent > 1 && refuses_) continue;   // refused at first, repeated after a later one was taken
        if (sent.topic != topic || sent.sequence < retained.acknowledged) {
            violated(describe(sent) + " is retained, number " + std::to_string(retained.acknowledged) +
                     " was acknowledged");
        }
    }
}

void Oracle::check_missing(const Client& client) const {
    for (const std::uint64_t uid : client.owed) {
        if (sent_[uid].acknowledged && !client.got.contains(uid)) {
            violated("acknowledged " + describe(sent_[uid]) + " never came to " + client.name);
        }
    }
    for (const Subscribed& one : client.filters) {
        if (!one.retained_owed || refuses_) continue;   // what was refused and repeated may have replaced it
        for (const auto& [topic, needed] : one.retained_needed) {
            const auto seen = one.retained_seen.find(topic);
            if (seen != one.retained_seen.end() && seen->second >= needed) continue;
            if (!removed_since(topic, needed)) {
                violated("number " + std::to_string(needed) + " retained on " + topic + " never came to " +
                         client.name + " for its subscription to " + one.filter);
            }
        }
    }
}

void Oracle::check_end() const {
    for (const Client& client : clients_) check_missing(client);
    for (const auto& [name, group] : groups_) {
        for (const std::uint64_t uid : group.owed) {
            const Sent& sent = sent_[uid];
            // a member whose session ended may have seen it at QoS 2: nobody else may [MQTT-4.8.2-5]
            if (sent.qos == 2 && group.member_ended > sent.first_sent) continue;
            if (sent.acknowledged && !group.first.contains(uid)) {
                violated("acknowledged " + describe(sent) + " came to no member of " + name);
            }
        }
    }
    check_wills();
}

}  // namespace trunkline::sim
