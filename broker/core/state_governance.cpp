// State: the quarantine, and the versions of the namespace's model.
#include <cassert>

#include "broker/core/state.h"
#include "broker/core/state_keys.h"

namespace trunkline::broker {

using store::ByteReader;
using store::StoreError;
using store::StoreStatus;
using store::Table;

namespace {

/// A record is its operation as it came, behind the version of the format.
std::string record_of(std::string_view op) {
    std::string value;
    value.reserve(1 + op.size());
    store::put_le(value, store::record_version);
    return value.append(op);
}

/// The operation in a record; empty when the record is of another version.
std::string_view op_of(std::string_view record) {
    return !record.empty() && static_cast<std::uint8_t>(record[0]) == store::record_version ? record.substr(1)
                                                                                            : std::string_view();
}

std::string version_key(const store::ModelOp& op) { return std::string(op.name).append(" ").append(op.version); }

StoreStatus damaged(Table table, std::string_view key) {
    const std::uint64_t number = key.size() == 8 ? store::load_be64(key.data()) : 0;
    return {StoreError::damaged, std::string("table ") + store::table_name(table) + ": record " +
                                     std::to_string(number) + " is damaged or not of format version " +
                                     std::to_string(store::record_version)};
}

}  // namespace

void State::quarantine(std::string_view bytes) {
    const auto op = store::read_quarantine(bytes);
    assert(op);
    taken_ = false;
    replaced_ = nullptr;
    Session* publisher = nullptr;
    if (op->inbound_id != 0) {
        const auto at = sessions_.find(op->publisher);
        if (at != sessions_.end()) publisher = at->second.get();
        if (publisher && publisher->has_inbound(op->inbound_id)) return;  // as of a PUBLISH [MQTT-4.3.3-10]
    }
    if (!growth_allowed_) return refuse(Refusal::no_space);
    if (quarantine_.size() >= limits_.quarantine_messages ||
        quarantine_bytes_ + bytes.size() > limits_.quarantine_bytes) {
        return refuse(Refusal::quarantine_full);
    }
    taken_ = true;
    if (publisher) {
        auto& ids = publisher->inbound;
        ids.insert(std::lower_bound(ids.begin(), ids.end(), op->inbound_id), op->inbound_id);
        touch(*publisher, Session::ids);
    }
    const std::uint64_t id = next_quarantined_++;
    quarantine_.emplace(id, bytes.size());
    quarantine_bytes_ += bytes.size();
    writes_->put(Table::quarantine, number_key(id), record_of(bytes));
    std::string next;
    store::put_le(next, next_quarantined_);
    writes_->put(Table::meta, meta_quarantine_key, next);
    notices_.push_back([id, op = *op](StateListener& to) { to.quarantine_added(id, op); });  // held_ops_ has the bytes
}

void State::drop_quarantined(const store::DropQuarantinedOp& op) {
    if (op.if_published && refused_) return;
    const auto at = quarantine_.find(op.id);
    if (at == quarantine_.end()) return;
    quarantine_bytes_ -= at->second;
    quarantine_.erase(at);
    writes_->remove(Table::quarantine, number_key(op.id));
    notices_.push_back([id = op.id](StateListener& to) { to.quarantine_removed(id); });
}

void State::apply_model(std::string_view bytes) {
    const auto op = store::read_model(bytes);
    assert(op);
    if (!growth_allowed_) return refuse(Refusal::no_space);
    const auto [at, fresh] = model_hashes_.try_emplace(version_key(*op), op->hash);
    if (!fresh && at->second != op->hash) return refuse(Refusal::version_taken);
    const std::uint64_t sequence = next_model_++;
    writes_->put_shared(Table::models, number_key(sequence), std::make_shared<const std::string>(record_of(bytes)));
    notices_.push_back([sequence, op = *op](StateListener& to) { to.model_applied(sequence, op); });
}

/// `first`: at start, the listener is told of everything.
StoreStatus State::load_governance(bool first) {
    StoreStatus damage, status;
    if (const auto next = store_->get(Table::meta, meta_quarantine_key, &status); next && next->size() == 8) {
        next_quarantined_ = store::load_le<std::uint64_t>(next->data());
    }
    if (!status.ok()) return status;
    status = store_->scan(Table::quarantine, {}, {}, [&](std::string_view key, std::string_view value) {
        const auto op = store::read_quarantine(op_of(value));
        if (key.size() != 8 || !op) return damage = damaged(Table::quarantine, key), false;
        const std::uint64_t id = store::load_be64(key.data());
        quarantine_.emplace_hint(quarantine_.end(), id, value.size() - 1);
        quarantine_bytes_ += value.size() - 1;
        next_quarantined_ = std::max(next_quarantined_, id + 1);
        if (first && listener_) listener_->quarantine_added(id, *op);
        return true;
    });
    if (!status.ok() || !damage.ok()) return status.ok() ? damage : status;
    status = store_->scan(Table::models, {}, {}, [&](std::string_view key, std::string_view value) {
        const auto op = store::read_model(op_of(value));
        if (key.size() != 8 || !op) return damage = damaged(Table::models, key), false;
        const std::uint64_t sequence = store::load_be64(key.data());
        model_hashes_.try_emplace(version_key(*op), op->hash);
        next_model_ = sequence + 1;
        if (first && listener_) listener_->model_applied(sequence, *op);
        return true;
    });
    return status.ok() ? damage : status;
}

}  // namespace trunkline::broker
