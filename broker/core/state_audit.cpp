// State: leaves of the audit tree, which lie beside their messages until the audit trail has them on its own disk.
#include "broker/core/state.h"
#include "broker/core/state_keys.h"

namespace trunkline::broker {

using store::ByteReader;
using store::StoreError;
using store::StoreStatus;
using store::Table;

void State::regulated(const store::RegulatedOp& op) {
    if (!taken_) return;
    taken_ = false;  // one leaf a publish
    if (leaves_.empty() && !op.leaf.empty()) store::put_le(leaves_, store::record_version);
    leaves_.append(op.leaf);
    if (!replaced_) return;
    const std::string_view payload = last_publish_.payload;  // held_ops_ has the bytes
    if (replaced_->fields().payload == payload) return;
    notices_.push_back([op, payload, topic = last_publish_.topic, old = replaced_](StateListener& to) {
        to.regulated_overwritten(op, topic, old->fields().payload, payload);
    });
}

void State::keep_leaves(const store::LeavesKeptOp& op) {
    if (op.through < leaves_kept_.through) return;
    if (op.through > leaves_kept_.through) {
        writes_->remove_range(Table::audit, number_key(leaves_kept_.through + 1), number_key(op.through + 1));
    }
    leaves_kept_ = op;
    std::string value;
    store::put_le(value, op.through);
    store::put_le(value, op.trail_size);
    writes_->put(Table::meta, meta_audit_key, value);
}

void State::put_leaves() {
    if (leaves_.empty()) return;
    const std::size_t size = leaves_.size();
    writes_->put(Table::audit, number_key(stamp_.position), leaves_);
    notices_.push_back([position = stamp_.position, leaves = std::move(leaves_)](StateListener& to) {
        to.leaves_added(position, std::string_view(leaves).substr(sizeof store::record_version));
    });
    leaves_.clear();
    leaves_.reserve(size);  // the next batch is about as large
}

/// `first`: at start, the listener is told of everything that the trail is not known to have.
StoreStatus State::load_audit(bool first) {
    StoreStatus damage, status;
    const auto kept = store_->get(Table::meta, meta_audit_key, &status);
    if (!status.ok()) return status;
    if (kept) {
        ByteReader in(*kept);
        leaves_kept_.through = in.take<std::uint64_t>();
        leaves_kept_.trail_size = in.take<std::uint64_t>();
        if (!in.done()) return {StoreError::damaged, "table meta: record audit is damaged"};
    }
    status = store_->scan(Table::audit, {}, {}, [&](std::string_view key, std::string_view value) {
        const bool whole = key.size() == 8 && !value.empty() &&
                           static_cast<std::uint8_t>(value[0]) == store::record_version &&
                           (value.size() - 1) % store::RegulatedOp::leaf_bytes == 0;
        if (!whole) {
            const std::uint64_t number = key.size() == 8 ? store::load_be64(key.data()) : 0;
            damage = {StoreError::damaged, "table audit: record " + std::to_string(number) +
                                               " is damaged or not of format version " +
                                               std::to_string(store::record_version)};
            return false;
        }
        if (first && listener_) listener_->leaves_added(store::load_be64(key.data()), value.substr(1));
        return true;
    });
    return status.ok() ? damage : status;
}

}  // namespace trunkline::broker
