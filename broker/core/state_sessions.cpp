// State: sessions, their subscriptions and their ends.
#include <algorithm>
#include <cassert>

#include "broker/core/state.h"
#include "broker/core/state_keys.h"
#include "namespace/topic.h"

namespace trunkline::broker {

using store::StoreStatus;
using store::Table;

namespace {

constexpr std::uint32_t never_s = 0xFFFFFFFF;
constexpr std::uint64_t sent_at_most = 32'767;  // of what is not acknowledged: half the packet identifiers

std::uint64_t bounded_sent_below(const DurableSession& session) {
    return std::min(session.next_n, session.cursor + sent_at_most);
}

}  // namespace

void State::claim(const store::ClaimOp& op) {
    const auto at = by_client_.find(op.client_id);
    Session* session = at == by_client_.end() ? nullptr : at->second;
    if (session && !session->user.empty() && session->user != op.user) return refuse(Refusal::other_user);
    // [MQTT-3.1.2-4]; of a session that was nobody's, somebody gets the identifier and not the messages.
    if (session && (op.clean_start || session->user != op.user)) {
        end_session(*session);
        session = nullptr;
    }
    const bool present = session != nullptr;
    if (!session && !growth_allowed_) return refuse(Refusal::no_space);
    if (!session) session = &make_session(op.client_id, op.user);
    if (session->connected) {  // taken over before the old connection's detach arrived
        session->sent_below = std::max(session->sent_below, bounded_sent_below(*session));
        if (session->will && session->will->delay_s == 0) will_is_due(*session, false);
    }
    cancel_timers(*session);  // [MQTT-3.1.3-9]
    session->will = op.will;
    session->owner = op.owner;
    session->shard = op.shard;
    if (!session->connected) ++connected_;
    session->connected = true;
    session->expiry_s = op.expiry_s;
    session->live = session->cursor == session->next_n;
    session->deliver_fresh = false;  // what this batch gave to the old connection is fetched by the new one
    touch(*session, Session::record | Session::numbers);
    ClaimResult result = describe(*session);
    result.present = present;
    effects_[op.shard].claims.push_back(std::move(result));
}

ClaimResult State::describe(const Session& session) const {
    ClaimResult result;
    result.owner = session.owner;
    result.session = session.id;
    result.live = session.live;
    result.expiry_s = session.expiry_s;
    result.cursor = session.cursor;
    result.next_n = session.next_n;
    result.sent_below = session.sent_below;
    result.complete = session.complete.ranges();
    result.received = session.received.ranges();
    for (const auto& [filter, one] : session.subscriptions) {
        result.subscriptions.push_back({filter, one.qos, one.no_local, one.retain_as_published, one.retain_handling,
                                        one.identifier});
    }
    result.inbound_ids = session.inbound;
    return result;
}

DurableSession& State::make_session(std::string_view client_id, std::string_view user) {
    auto made = std::make_unique<Session>();
    Session& session = *made;
    session.id = next_session_++;
    session.client_id = client_id;
    session.user = user;
    sessions_.emplace(session.id, std::move(made));
    by_client_.emplace(session.client_id, &session);
    notices_.push_back([id = session.client_id, user = session.user](StateListener& to) {
        to.session_added(id, user);
    });
    return session;
}

void State::detach(const store::DetachOp& op) {
    Session* session = owned(op.session, op.owner);
    if (!session || !session->connected) return;
    session->sent_below = std::clamp(op.sent_below, session->sent_below,
                                     std::max(session->sent_below, session->next_n));
    session->expiry_s = op.expiry_s;
    if (op.drop_will) session->will.reset();  // [MQTT-3.14.4-3]
    disconnect(*session);
}

/// Starts the timers of a session that has no connection any more.
void State::disconnect(Session& session) {
    if (session.connected) --connected_;
    session.connected = false;
    session.live = false;
    session.deliver_fresh = false;
    touch(session, Session::record | Session::numbers);
    if (session.expiry_s == 0) return end_session(session);  // [MQTT-3.1.2-23]
    if (session.expiry_s != never_s) {
        session.expires_at_ms = time_ms_ + std::int64_t{1000} * session.expiry_s;
        expiries_.emplace(session.expires_at_ms, session.id);
    }
    if (!session.will) return;
    if (session.will->delay_s == 0) return will_is_due(session, false);
    session.will_at_ms = time_ms_ + std::int64_t{1000} * std::min(session.will->delay_s, session.expiry_s);
    wills_.emplace(session.will_at_ms, session.id);
}

void State::cancel_timers(Session& session) {
    if (session.expires_at_ms) expiries_.erase({session.expires_at_ms, session.id});
    if (session.will_at_ms) wills_.erase({session.will_at_ms, session.id});
    session.expires_at_ms = session.will_at_ms = 0;
}

/// Hands the will out. It stays with the session until WillSentOp, so that a crash in between repeats it. The next one
/// of the same session waits for that: two shards could otherwise publish them in any order, and which was sent is
/// known by its turn alone.
void State::will_is_due(Session& session, bool session_gone) {
    if (session_gone) {
        effects_[session.shard].wills.push_back({0, session.client_id, *session.will});
    } else {
        session.due_wills.push_back(std::move(*session.will));
        touch(session, Session::record);
        if (session.due_wills.size() == 1) hand_out_will(session);
    }
    session.will.reset();
}

void State::hand_out_will(const Session& session) {
    effects_[session.shard].wills.push_back({session.id, session.client_id, session.due_wills.front()});
}

void State::will_sent(const store::WillSentOp& op) {
    const auto at = sessions_.find(op.session);
    if (at == sessions_.end() || at->second->due_wills.empty()) return;
    at->second->due_wills.erase(at->second->due_wills.begin());
    touch(*at->second, Session::record);
    if (!at->second->due_wills.empty()) hand_out_will(*at->second);
}

void State::drop(const store::DropOp& op) {
    Session* session = nullptr;
    if (op.session != 0) {
        const auto at = sessions_.find(op.session);
        if (at != sessions_.end()) session = at->second.get();
    } else if (const auto at = by_client_.find(op.client_id); at != by_client_.end()) {
        session = at->second;
    }
    if (!session || (op.owner != 0 && op.owner != session->owner)) return;
    if (op.session == 0 && !session->user.empty() && session->user != op.user) return refuse(Refusal::other_user);
    end_session(*session);
}

/// The session and everything of it goes; its will is sent now at the latest [MQTT-3.1.2-8].
void State::end_session(Session& session) {
    cancel_timers(session);
    for (std::size_t i = 1; i < session.due_wills.size(); ++i) {  // the first has been handed out
        effects_[session.shard].wills.push_back({0, session.client_id, session.due_wills[i]});
    }
    if (session.will) will_is_due(session, true);
    effects_[session.shard].ended.emplace_back(session.id, session.client_id);
    while (!session.subscriptions.empty()) {
        const std::string filter = session.subscriptions.begin()->first;
        remove_filter(session, filter);
    }
    if (session.has_shared) reroute(session);
    erase_session(session);
}

void State::erase_session(Session& session) {
    const std::string key = number_key(session.id);
    writes_->remove(Table::sessions, key);
    writes_->remove(Table::cursors, key);
    writes_->remove(Table::inbound, key);
    if (session.queue_keys > 0) writes_->remove_range(Table::queues, key, number_key(session.id + 1));
    for (const Piece& piece : session.young) close_section(piece.position);
    if (session.connected) --connected_;
    queued_ -= session.queued_messages();
    if (session.touched) std::erase(touched_, &session);
    notices_.push_back([id = session.client_id](StateListener& to) { to.session_removed(id); });
    by_client_.erase(session.client_id);
    sessions_.erase(session.id);
}

void State::subscribe(const store::SubscribeOp& op) {
    Session* session = owned(op.session, op.owner);
    if (!session) return;
    if (!growth_allowed_ && session->subscriptions.find(op.filter) == session->subscriptions.end()) {
        return refuse(Refusal::no_space);
    }
    const Subscription subscription{op.qos, op.no_local, op.retain_as_published, op.retain_handling,
                                    op.subscription_identifier};
    // The new one is told before the old one goes: never may a shard see neither and bypass the log.
    notices_.push_back([filter = std::string(op.filter), qos = op.qos](StateListener& to) {
        to.filter_added(filter, qos);
    });
    if (session->subscriptions.find(op.filter) != session->subscriptions.end()) remove_filter(*session, op.filter);
    add_filter(*session, op.filter, subscription);  // [MQTT-3.8.4-3]
    std::string value;
    store::put_le(value, store::record_version);
    store::put_le(value, op.qos);
    store::put_le(value, static_cast<std::uint8_t>((op.no_local ? 1 : 0) | (op.retain_as_published ? 2 : 0)));
    store::put_le(value, op.retain_handling);
    store::put_le(value, op.subscription_identifier);
    writes_->put(Table::subscriptions, subscription_key(session->id, op.filter), value);
}

void State::unsubscribe(const store::UnsubscribeOp& op) {
    Session* session = owned(op.session, op.owner);
    if (!session || session->subscriptions.find(op.filter) == session->subscriptions.end()) return;
    remove_filter(*session, op.filter);
}

/// Puts a subscription into the session and, when it may be owed something, into the tree.
void State::add_filter(Session& session, std::string_view text, const Subscription& subscription) {
    const auto at = session.subscriptions.emplace(text, subscription).first;
    if (subscription.qos == 0) return;
    routes_.clear();
    ++filter_count_;
    const uns::SharedFilter shared = uns::parse_shared(text);
    Filter& filter = filters_.insert(shared.group.empty() ? text : shared.filter).value;
    if (shared.group.empty()) {
        filter.plain.emplace_back(&session, &at->second);
        return;
    }
    SharedGroup& group = groups_[std::string(text)];
    if (group.members.empty()) {
        group.text = text;
        filter.groups.push_back(&group);
    }
    const auto where = std::upper_bound(group.members.begin(), group.members.end(), session.id,
                                        [](SessionId id, const auto& member) { return id < member.session->id; });
    group.members.insert(where, {&session, &at->second});
}

void State::remove_filter(Session& session, std::string_view text) {
    const auto at = session.subscriptions.find(text);
    const std::uint8_t qos = at->second.qos;
    writes_->remove(Table::subscriptions, subscription_key(session.id, text));
    notices_.push_back([filter = std::string(text), qos](StateListener& to) { to.filter_removed(filter, qos); });
    if (qos > 0) {
        routes_.clear();
        --filter_count_;
        const uns::SharedFilter shared = uns::parse_shared(text);
        auto* node = filters_.find(shared.group.empty() ? text : shared.filter);
        assert(node);
        if (shared.group.empty()) {
            std::erase_if(node->value.plain, [&](const auto& one) { return one.second == &at->second; });
        } else {
            const auto group = groups_.find(text);
            std::erase_if(group->second.members, [&](const auto& m) { return m.session == &session; });
            if (group->second.members.empty()) {
                std::erase(node->value.groups, &group->second);
                if (group->second.touched) std::erase(touched_groups_, &group->second);
                writes_->remove(Table::meta, group_key(text));
                groups_.erase(group);
            }
        }
        filters_.prune(*node);
    }
    session.subscriptions.erase(at);
}

void State::acknowledge(const store::AcknowledgeOp& op) {
    Session* session = owned(op.session, op.owner);
    if (!session) return;
    const auto clamp = [session](store::Range range) {
        return store::Range{std::max(range.from, session->cursor), std::min(range.to, session->next_n)};
    };
    const std::uint64_t before = session->queued_messages();
    for (const store::Range& range : op.received) session->received.add(clamp(range));
    for (const store::Range& range : op.complete) session->complete.add(clamp(range));
    const auto& complete = session->complete.ranges();
    if (!complete.empty() && complete.front().from == session->cursor) {
        session->cursor = complete.front().to;
        session->complete.remove_below(session->cursor);
        session->received.remove_below(session->cursor);
        session->sent_below = std::max(session->sent_below, session->cursor);
    }
    queued_ -= before - session->queued_messages();
    touch(*session, Session::numbers);
}

void State::release_inbound(const store::ReleaseInboundOp& op) {
    Session* session = owned(op.session, op.owner);
    if (!session) return;
    const auto at = std::lower_bound(session->inbound.begin(), session->inbound.end(), op.packet_id);
    if (at == session->inbound.end() || *at != op.packet_id) return;
    session->inbound.erase(at);
    touch(*session, Session::ids);
}

void State::restart(const store::RestartOp& op) {
    stamp_.epoch = std::max(stamp_.epoch, op.epoch);
    std::vector<Session*> all;
    for (auto& [id, session] : sessions_) all.push_back(session.get());
    for (auto& [shard, effects] : effects_) {  // what became due while the node was down is handed out below
        std::erase_if(effects.wills, [](const WillDue& due) { return due.session != 0; });
    }
    for (Session* session : all) {
        if (!session->due_wills.empty()) hand_out_will(*session);
        if (!session->connected) continue;
        session->owner = 0;
        session->sent_below = std::max(session->sent_below, bounded_sent_below(*session));
        disconnect(*session);
    }
}

/// What nobody has seen of a dead session's shared messages goes to another member of a group that still matches.
/// QoS 1, and QoS 2 that was never sent: a QoS 2 message that may have been received must not reach anyone else.
void State::reroute(Session& session) {
    std::uint64_t bytes = 0;
    const auto pass_on = [&](std::uint64_t n, const store::OwedEntry& entry, std::string_view op) {
        if (!entry.shared || (entry.qos == 2 && n < session.sent_below)) return true;
        if (session.complete.contains(n) || session.received.contains(n)) return true;
        const auto message = store::read_publish(op);
        if (!message) return true;
        for (SharedGroup* group : route_for(message->topic).groups) {
            Session* to = pick_member(*group, 0);
            if (!to) continue;
            give_shared(*group, *to, *message, entry.retain, op);
            break;
        }
        bytes += op.size();
        return bytes < limits_.reroute_bytes;
    };
    StoreStatus status = for_each_queued(session, pass_on);
    if (!status.ok()) failure_ = status;
    // then what this very batch has gathered for it
    const auto gathered = [&](store::ChunkWriter writer, const Gathered& part) {
        const auto section = writer.add_section(session.id, part.first_n, part.count, part.entries, part.bytes);
        const std::string chunk = writer.take();
        store::OwedReader reader(chunk, section);
        std::uint64_t n = part.first_n;
        for (auto entry = reader.next(); entry; entry = reader.next(), ++n) {
            const std::string_view op = std::string_view(chunk).substr(entry->op_offset);
            pass_on(n, *entry, op.substr(0, store::peek_op(op)->size));
        }
    };
    if (session.fresh.count > 0) gathered(live_chunk_, session.fresh);
    if (session.spool) gathered(session.spool->chunk, session.spool->gathered);
}

void State::give_shared(SharedGroup& group, Session& to, const store::PublishOp& message, bool retain,
                        std::string_view op) {
    group.last = to.id;
    if (!group.touched) touched_groups_.push_back(&group);
    group.touched = true;
    const auto member = std::find_if(group.members.begin(), group.members.end(),
                                     [&to](const auto& m) { return m.session == &to; });
    const Subscription& as = *member->subscription;
    const char* identifier = reinterpret_cast<const char*>(&as.identifier);
    if (to.live) {  // out of its turn in the live chunk: it fetches
        to.live = false;
        effects_[to.shard].spooled.emplace_back(to.id, to.owner);
    }
    owe({&to, std::min(message.qos, as.qos), retain, true, {identifier, as.identifier ? sizeof as.identifier : 0}}, op);
}

}  // namespace trunkline::broker
