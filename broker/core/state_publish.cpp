// State: what a PUBLISH is owed to. The hot path: one route look-up, one copy of the operation, no allocation.
#include <algorithm>
#include <cassert>

#include "broker/core/state.h"
#include "broker/core/state_keys.h"

namespace trunkline::broker {

using store::PublishOp;
using store::Table;

void State::publish(std::string_view bytes) {
    const auto op = store::read_publish(bytes);
    assert(op);
    Session* publisher = nullptr;
    if (op->inbound_id != 0) {
        const auto at = sessions_.find(op->publisher);
        if (at != sessions_.end()) publisher = at->second.get();
        // the same id again before its PUBREL is the same message [MQTT-4.3.3-10]
        if (publisher && publisher->has_inbound(op->inbound_id)) return;
    }
    if (leaves_a_leaf_ && op->qos > 0 && !growth_allowed_) return refuse(Refusal::no_space);
    owed_.clear();
    picks_.clear();
    replaced_ = nullptr;
    last_publish_ = *op;
    if (!op->no_queue && op->qos > 0 && filter_count_ > 0) {
        collect_owed(route_for(op->topic), *op, bytes.size());
        const bool full = std::any_of(owed_.begin(), owed_.end(), [&](const Owed& owed) {
            return !owed.session || !has_room(*owed.session, bytes.size());
        });
        if (full) return refuse(Refusal::queue_full);
        if (!owed_.empty() && !growth_allowed_) return refuse(Refusal::no_space);
    }
    if (op->retain) {
        if (const Refusal why = retain(*op); why != Refusal::none) return refuse(why);
    }
    taken_ = true;
    if (publisher) {
        auto& ids = publisher->inbound;
        ids.insert(std::lower_bound(ids.begin(), ids.end(), op->inbound_id), op->inbound_id);
        touch(*publisher, Session::ids);
    }
    for (auto& [group, session] : picks_) {
        group->last = session;
        if (!group->touched) touched_groups_.push_back(group);
        group->touched = true;
    }
    // sessions that read from the one live chunk share its copy of the operation
    std::uint32_t live_offset = 0;
    for (const Owed& owed : owed_) {
        Session& session = *owed.session;
        if (session.live && (session.next_n - session.cursor >= limits_.live_messages ||
                             session.young_bytes >= limits_.live_bytes) && session.fresh.count == 0) {
            session.live = false;
            effects_[session.shard].spooled.emplace_back(session.id, session.owner);
        }
        if (!session.live) {
            owe(owed, bytes);
            continue;
        }
        if (live_offset == 0) live_offset = live_chunk_.add_op(bytes);
        touch(session, Session::numbers);
        if (session.fresh.count == 0) {
            session.fresh.first_n = session.next_n;
            session.deliver_fresh = true;
        }
        store::put_owed(session.fresh.entries, live_offset, {owed.qos, owed.retain, owed.shared}, owed.identifiers);
        ++session.fresh.count;
        ++session.next_n;
        ++queued_;
        session.fresh.bytes += bytes.size();
        session.queued_bytes += bytes.size();
        session.has_shared |= owed.shared;
    }
}

void State::owe(const Owed& owed, std::string_view bytes) {
    Session& session = *owed.session;
    touch(session, Session::numbers);
    if (!session.spool) {
        session.spool = std::make_unique<SpoolBuffer>();
        session.spool->chunk.start(time_ms_);
        session.spool->gathered.first_n = session.next_n;
    }
    Gathered& gathered = session.spool->gathered;
    const std::uint32_t offset = session.spool->chunk.add_op(bytes);
    store::put_owed(gathered.entries, offset, {owed.qos, owed.retain, owed.shared}, owed.identifiers);
    ++gathered.count;
    ++session.next_n;
    ++queued_;
    gathered.bytes += bytes.size();
    session.queued_bytes += bytes.size();
    session.has_shared |= owed.shared;
}

bool State::has_room(const Session& session, std::size_t size) const {
    return session.next_n - session.cursor < limits_.queue_messages + session.complete.total() &&
           session.queued_bytes + size <= limits_.queue_bytes;
}

void State::collect_owed(const Route& route, const PublishOp& op, std::size_t size) {
    for (const Target& target : route.targets) {
        const Merged& as = op.publisher == target.session->id ? target.own : target.all;  // [MQTT-3.8.3-3]
        if (as.qos == 0) continue;
        owed_.push_back({target.session, std::min(op.qos, as.qos), op.retain && as.retain_as_published, false,
                         as.identifiers});
    }
    for (SharedGroup* group : route.groups) {
        Session* session = pick_member(*group, size);
        if (!session) {
            owed_.push_back({nullptr, 0, false, true, {}});
            continue;
        }
        const auto member = std::find_if(group->members.begin(), group->members.end(),
                                         [session](const auto& m) { return m.session == session; });
        const Subscription& subscription = *member->subscription;
        const char* identifier = reinterpret_cast<const char*>(&subscription.identifier);
        owed_.push_back({session, std::min(op.qos, subscription.qos), op.retain && subscription.retain_as_published,
                         true, {identifier, subscription.identifier ? sizeof subscription.identifier : 0}});
        picks_.emplace_back(group, session->id);
    }
}

/// The next one in turn after the last, connected ones first; null when every queue is full. `size` 0: room or not, for
/// what lies on the disk already and only changes hands.
DurableSession* State::pick_member(const SharedGroup& group, std::size_t size) const {
    const auto& members = group.members;
    const auto first = std::upper_bound(members.begin(), members.end(), group.last,
                                        [](SessionId id, const auto& m) { return id < m.session->id; });
    const auto start = static_cast<std::size_t>(first - members.begin());
    Session* away = nullptr;
    for (std::size_t i = 0; i < members.size(); ++i) {
        Session* session = members[(start + i) % members.size()].session;
        if (size > 0 && !has_room(*session, size)) continue;
        if (session->connected) return session;
        if (!away) away = session;
    }
    return away;
}

void State::Merged::add(const Subscription& one) {
    qos = std::max(qos, one.qos);
    retain_as_published |= one.retain_as_published;
    if (one.identifier) store::put_le(identifiers, one.identifier);  // [MQTT-3.3.4-3]
}

const State::Route& State::route_for(std::string_view topic) {
    const auto at = routes_.find(topic);
    if (at != routes_.end()) return at->second;
    if (routes_.size() >= limits_.routes) routes_.clear();
    return routes_.emplace(std::string(topic), make_route(topic)).first->second;
}

State::Route State::make_route(std::string_view topic) const {
    Route route;
    std::vector<std::pair<Session*, const Subscription*>> plain;
    filters_.match(topic, [&](const Filter& filter) {
        plain.insert(plain.end(), filter.plain.begin(), filter.plain.end());
        route.groups.insert(route.groups.end(), filter.groups.begin(), filter.groups.end());
    });
    std::stable_sort(plain.begin(), plain.end(),
                     [](const auto& a, const auto& b) { return a.first->id < b.first->id; });
    std::sort(route.groups.begin(), route.groups.end(),
              [](const SharedGroup* a, const SharedGroup* b) { return a->text < b->text; });
    for (const auto& [session, subscription] : plain) {
        if (route.targets.empty() || route.targets.back().session != session) {
            route.targets.push_back({});
            route.targets.back().session = session;
        }
        Target& target = route.targets.back();  // one copy of a message for all of them [MQTT-3.3.4-2]
        target.all.add(*subscription);
        if (!subscription->no_local) target.own.add(*subscription);
    }
    return route;
}

uns::RetainedPtr State::retained_now(std::string_view topic) const {
    const auto at = retained_index_.find(topic);
    return at != retained_index_.end() ? retained_changes_[at->second].message : retained_.get(topic);
}

Refusal State::retain(const PublishOp& op) {
    if (op.payload.empty()) {  // [MQTT-3.3.1-6]
        replaced_ = retained_now(op.topic);
        change_retained(op.topic, nullptr);
        return Refusal::none;
    }
    if (!growth_allowed_) return Refusal::no_space;
    auto message = uns::RetainedMessage::make({op.qos, op.expires_at_ms, commit_time_, op.properties, op.payload});
    const uns::RetainedPtr before = retained_now(op.topic);
    const std::uint64_t old_bytes = before ? before->memory_bytes() + op.topic.size() : 0;
    const std::uint64_t count = retained_count_ + (before ? 0 : 1);
    const std::uint64_t bytes = retained_bytes_ - old_bytes + message->memory_bytes() + op.topic.size();
    if (count > limits_.retained_messages || bytes > limits_.retained_bytes) return Refusal::retained_full;
    replaced_ = before;
    if (op.expires_at_ms > 0) retained_expiries_.push({op.expires_at_ms, std::string(op.topic)});
    change_retained(op.topic, std::move(message));
    return Refusal::none;
}

void State::change_retained(std::string_view topic, uns::RetainedPtr message) {
    const auto account = [&](const uns::RetainedPtr& one, bool add) {
        if (!one) return;
        const std::uint64_t size = one->memory_bytes() + topic.size();
        retained_count_ += add ? 1 : std::uint64_t(-1);
        retained_bytes_ += add ? size : -size;
    };
    const auto [at, fresh] = retained_index_.try_emplace(topic, retained_changes_.size());
    uns::RetainedPtr before = fresh ? retained_.get(topic) : retained_changes_[at->second].message;
    account(before, false);
    account(message, true);
    if (fresh) {
        retained_changes_.push_back({topic, std::move(message)});
    } else {
        retained_changes_[at->second].message = std::move(message);
    }
}

void State::expire_retained() {
    while (!retained_expiries_.empty() && retained_expiries_.top().at_ms <= time_ms_) {
        swept_.push_back(retained_expiries_.top());
        retained_expiries_.pop();
        const uns::RetainedPtr now = retained_now(swept_.back().topic);
        if (!now || now->fields().expires_at_ms != swept_.back().at_ms) continue;  // replaced since
        change_retained(retained_topics_.emplace_back(swept_.back().topic), nullptr);
    }
}

void State::put_retained() {
    std::string value;
    for (const auto& [topic, message] : retained_changes_) {
        if (!message) {
            writes_->remove(Table::retained, topic);
            continue;
        }
        const uns::RetainedMessage::Fields fields = message->fields();
        value.clear();
        store::put_le(value, store::record_version);
        store::put_le(value, fields.qos);
        store::put_le(value, fields.expires_at_ms);
        store::put_le(value, uns::commit_time_ms(fields.stored_at));
        store::put_text(value, fields.properties);
        value.append(fields.payload);
        writes_->put(Table::retained, topic, value);
    }
}

}  // namespace trunkline::broker
