#include "broker/core/state.h"

#include <cassert>
#include <limits>

#include <xxhash.h>

#include "broker/core/state_keys.h"

namespace trunkline::broker {

using store::OpKind;
using store::StoreStatus;
using store::Table;

std::size_t State::TopicHash::operator()(std::string_view text) const { return XXH3_64bits(text.data(), text.size()); }

State::State(const StateLimits& limits, uns::RetainedTree& retained, StateListener* listener)
    : limits_(limits), retained_(retained), listener_(listener) {}

State::~State() = default;

const DurableSession* State::find_session(SessionId id) const {
    const auto at = sessions_.find(id);
    return at == sessions_.end() ? nullptr : at->second.get();
}

const DurableSession* State::find_session(std::string_view client_id) const {
    const auto at = by_client_.find(client_id);
    return at == by_client_.end() ? nullptr : at->second;
}

DurableSession* State::owned(SessionId id, std::uint64_t owner) {
    const auto at = sessions_.find(id);
    return at == sessions_.end() || at->second->owner != owner ? nullptr : at->second.get();
}

void State::touch(Session& session, std::uint8_t what) {
    if (!session.touched) touched_.push_back(&session);
    session.touched |= static_cast<std::uint8_t>(what | Session::in_list);
}

void State::refuse(Refusal why) {
    refused_ = true;
    effects_[origin_.shard].refused.push_back({origin_.token, origin_.offset, why});
}

Applied State::apply(const BatchInfo& batch, std::span<const Submission> submissions, store::WriteSet& writes) {
    assert(effects_.empty() && touched_.empty());  // release() or rollback() came before
    if (batch.epoch < stamp_.epoch) return Applied::fenced;
    if (batch.position <= stamp_.position) return Applied::repeated;
    if (batch.position != stamp_.position + 1) return Applied::gap;
    writes_ = &writes;
    growth_allowed_ = batch.growth_allowed;
    time_ms_ = std::max(time_ms_, batch.time_ms);  // time never runs backwards, whatever the clock does
    commit_time_ = std::max(uns::commit_time(time_ms_), commit_time_ + 1);
    chain(batch, submissions);
    live_chunk_.start(time_ms_);
    run_timers();
    for (const Submission& submission : submissions) apply_ops(submission);
    finish();
    writes.stamp = stamp_;
    writes_ = nullptr;
    return failure_.ok() ? Applied::yes : Applied::damaged;
}

void State::chain(const BatchInfo& batch, std::span<const Submission> submissions) {
    const std::uint64_t head[] = {stamp_.hash, batch.epoch, batch.position, static_cast<std::uint64_t>(batch.time_ms),
                                  batch.growth_allowed};
    std::uint64_t hash = XXH3_64bits(head, sizeof head);
    for (const Submission& submission : submissions) {
        const std::string_view bytes = submission.ops->bytes();
        hash = XXH3_64bits_withSeed(bytes.data(), bytes.size(), hash);
    }
    stamp_ = {batch.epoch, batch.position, hash};
}

void State::apply_ops(const Submission& submission) {
    held_ops_.push_back(submission.ops);
    const std::string_view bytes = submission.ops->bytes();
    for (std::size_t at = 0; at < bytes.size();) {
        const auto header = store::peek_op(bytes.substr(at));
        origin_ = {submission.shard, submission.token, static_cast<std::uint32_t>(at)};
        assert(header);  // our own encoder made these bytes; a log that ships them has checked their checksum
        if (header->kind == OpKind::publish) {
            refused_ = taken_ = false;
            const std::size_t next = at + header->size;
            leaves_a_leaf_ = next < bytes.size() && bytes[next] == static_cast<char>(OpKind::regulated);
            publish(bytes.substr(at, header->size));
        } else {
            apply_op(*header, bytes.substr(at, header->size));
        }
        at += header->size;
    }
    Token& through = effects_[submission.shard].committed_through;
    through = std::max(through, submission.token);
}

void State::apply_op(store::OpHeader header, std::string_view bytes) {
    const auto run = [this](const auto& op, auto method) {
        assert(op);
        (this->*method)(*op);
    };
    switch (header.kind) {
        case OpKind::publish: break;
        case OpKind::claim: return run(store::read_claim(bytes), &State::claim);
        case OpKind::detach: return run(store::read_detach(bytes), &State::detach);
        case OpKind::drop: return run(store::read_drop(bytes), &State::drop);
        case OpKind::subscribe: return run(store::read_subscribe(bytes), &State::subscribe);
        case OpKind::unsubscribe: return run(store::read_unsubscribe(bytes), &State::unsubscribe);
        case OpKind::acknowledge: return run(store::read_acknowledge(bytes), &State::acknowledge);
        case OpKind::release_inbound: return run(store::read_release_inbound(bytes), &State::release_inbound);
        case OpKind::will_sent: return run(store::read_will_sent(bytes), &State::will_sent);
        case OpKind::restart: return run(store::read_restart(bytes), &State::restart);
        case OpKind::drop_retained:
            return change_retained(store::read_drop_retained(bytes)->topic, nullptr);
        case OpKind::quarantine: return quarantine(bytes);
        case OpKind::drop_quarantined: return run(store::read_drop_quarantined(bytes), &State::drop_quarantined);
        case OpKind::model: return apply_model(bytes);
        case OpKind::regulated: return run(store::read_regulated(bytes), &State::regulated);
        case OpKind::leaves_kept: return run(store::read_leaves_kept(bytes), &State::keep_leaves);
    }
}

void State::run_timers() {
    while (!wills_.empty() && wills_.begin()->first <= time_ms_) {
        Session& session = *sessions_.at(wills_.begin()->second);
        wills_.erase(wills_.begin());
        session.will_at_ms = 0;
        will_is_due(session, false);
    }
    while (!expiries_.empty() && expiries_.begin()->first <= time_ms_) {
        end_session(*sessions_.at(expiries_.begin()->second));
        ++expired_;
    }
    expire_retained();
}

void State::finish() {
    for (Session* session : touched_) {
        if (session->touched & Session::numbers) retire(*session);
    }
    write_live_chunk();
    for (Session* session : touched_) {
        if (session->spool) write_spooled(*session);
    }
    move_old_records();
    // moving may touch further sessions, hence by index
    for (std::size_t i = 0; i < touched_.size(); ++i) {
        Session& session = *touched_[i];
        if (session.touched & Session::record) put_session(session);
        if (session.touched & Session::numbers) put_cursor(session);
        if (session.touched & Session::ids) put_inbound(session);
        session.touched = 0;
    }
    touched_.clear();
    for (SharedGroup* group : touched_groups_) {
        std::string last;
        store::put_le(last, group->last);
        writes_->put(Table::meta, group_key(group->text), last);
        group->touched = false;
    }
    touched_groups_.clear();
    put_retained();
    put_leaves();
    put_meta();
}

void State::put_meta() {
    std::string value;
    store::put_le(value, store::record_version);
    store::put_le(value, stamp_.epoch);
    store::put_le(value, stamp_.position);
    store::put_le(value, stamp_.hash);
    store::put_le(value, time_ms_);
    store::put_le(value, next_session_);
    writes_->put(Table::meta, meta_state_key, value);
}

ShardEffects State::release() {
    if (!retained_changes_.empty()) {
        retained_.apply(retained_changes_.data(), retained_changes_.size(), commit_time_);
    }
    released_at_ = commit_time_;
    for (auto& [shard, effects] : effects_) effects.commit_time = commit_time_;
    retained_changes_.clear();
    retained_index_.clear();
    retained_topics_.clear();
    swept_.clear();
    if (listener_) {
        for (const auto& notice : notices_) notice(*listener_);
    }
    notices_.clear();
    replaced_ = nullptr;
    held_ops_.clear();
    return std::exchange(effects_, {});
}

StoreStatus State::rollback() {
    for (RetainedExpiry& expiry : swept_) retained_expiries_.push(std::move(expiry));
    clear();
    StoreStatus status = load_all(false);
    for (const auto& [id, session] : sessions_) {  // what was live is not known any more: everyone fetches
        if (session->connected) effects_[session->shard].spooled.emplace_back(id, session->owner);
    }
    return status;
}

std::int64_t State::next_due_ms() const {
    std::int64_t due = std::numeric_limits<std::int64_t>::max();
    if (!wills_.empty()) due = std::min(due, wills_.begin()->first);
    if (!expiries_.empty()) due = std::min(due, expiries_.begin()->first);
    if (!retained_expiries_.empty()) due = std::min(due, retained_expiries_.top().at_ms);
    if (!log_.empty()) due = std::min(due, log_.front().time_ms + limits_.young_ms);
    return due;
}

}  // namespace trunkline::broker
