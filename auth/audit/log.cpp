#include "auth/audit/log.h"

#include <algorithm>

namespace trunkline::auth::audit {
namespace {

constexpr std::uint64_t frame_overhead = 24;

}  // namespace

AuditLog::AuditLog(AuditStore& store, SigningKey key, const LogOptions& options)
    : store_(store), key_(std::move(key)), options_(options), tiles_(store) {
    on_node_ = [this](unsigned height, std::uint64_t index, const Digest& hash) {
        tiles_.on_node(height, index, hash);
    };
    on_nodes_ = [this](unsigned height, std::uint64_t first, std::span<const Digest> hashes) {
        tiles_.on_nodes(height, first, hashes);
    };
}

void AuditLog::take_leaf(const Digest& leaf) { tree_.append(leaf, on_node_); }

void AuditLog::start_segment() {
    SegmentHeader header{key_.verify_key().name, signer_, tree_};
    Pending next;
    next.name = segment_name(tree_.size());
    next.first = tree_.size();
    next.bytes = encode(header);
    next.starts = true;
    segment_ = next.name;
    segment_first_ = next.first;
    segment_bytes_ = header_bytes_ = next.bytes.size();
    pending_bytes_ += next.bytes.size();
    pending_.push_back(std::move(next));
}

void AuditLog::put(FrameType type, std::string_view body) {
    constexpr std::uint64_t checkpoint_room = 1024;  // a segment ends with a checkpoint over all of it
    if (segment_bytes_ + body.size() + frame_overhead + checkpoint_room > options_.segment_bytes_max &&
        segment_bytes_ > header_bytes_) {
        if (unsigned_leaves_ > 0) put_checkpoint(last_at_);
        start_segment();
    }
    put_here(type, body);
}

void AuditLog::put_here(FrameType type, std::string_view body) {
    if (pending_.empty()) pending_.push_back({segment_, segment_first_, {}, false});
    put_frame(pending_.back().bytes, type, tree_.size(), body);
    segment_bytes_ += body.size() + frame_overhead;
    pending_bytes_ += body.size() + frame_overhead;
}

Status AuditLog::may_append() const {
    if (failure_) return *failure_;
    if (pending_bytes_ >= options_.pending_bytes_max)
        return Error{Failure::no_space, segment_ + ": " + std::to_string(pending_bytes_) +
                                            " bytes of the audit trail wait for room on the disk"};
    return {};
}

void AuditLog::note_unsigned(const Moment& at, std::uint64_t leaves) {
    if (unsigned_leaves_ == 0) oldest_unsigned_ns_ = at.monotonic_ns;
    unsigned_leaves_ += leaves;
    last_at_ = at;
}

Result<std::uint64_t> AuditLog::append(Record record) {
    if (const auto may = may_append(); !may) return may.error();
    record.sequence = tree_.size();
    const std::string body = encode(record);
    put(FrameType::record, body);
    take_leaf(hash_leaf(body));
    note_unsigned(record.at, 1);
    return record.sequence;
}

Result<std::uint64_t> AuditLog::append_leaves(std::span<const Digest> leaves, const Moment& at) {
    if (const auto may = may_append(); !may) return may.error();
    const std::uint64_t first = tree_.size();
    while (!leaves.empty()) {
        const auto part = leaves.first(std::min(leaves.size(), frame_leaves_max));
        put(FrameType::leaves, {reinterpret_cast<const char*>(part.data()), part.size_bytes()});
        tree_.append(part, on_nodes_);
        note_unsigned(at, part.size());
        leaves = leaves.subspan(part.size());
    }
    return first;
}

void AuditLog::put_checkpoint(const Moment& now) {
    Committed made;
    made.checkpoint = Checkpoint{key_.verify_key().name, tree_.size(), tree_.root(), now};
    made.note = sign_note(to_text(*made.checkpoint), {&key_});
    put_here(FrameType::checkpoint, made.note);
    unpublished_.push_back(std::move(made));
    unsigned_leaves_ = 0;
}

Status AuditLog::failed(Status status) {
    if (!status && status.error().kind != Failure::no_space) failure_ = status.error();
    return status;
}

Status AuditLog::write_mark(bool sync) {
    const std::uint64_t slot = mark_.counter % 2;
    if (auto done = store_.write_at(mark_name, slot * mark_slot_size, encode(mark_)); !done) return failed(done);
    return sync ? failed(store_.sync(mark_name)) : Status();
}

Status AuditLog::flush() {
    while (!pending_.empty()) {
        Pending& part = pending_.front();
        if (part.starts) {  // the tiles of the segment before must be there when this one is what is replayed
            if (auto done = tiles_.sync(); !done) return failed(done);
        }
        if (auto done = store_.append(part.name, part.bytes); !done) return failed(done);
        if (auto done = store_.sync(part.name); !done) {
            Error error = done.error();
            error.kind = Failure::failed;
            return failed(error);
        }
        mark_.end = part.bytes.size() + (part.starts ? 0 : mark_.end);
        mark_.segment = part.first;
        pending_bytes_ -= part.bytes.size();
        pending_.pop_front();
    }
    return {};
}

Result<Committed> AuditLog::commit(const Moment& now, bool checkpoint) {
    if (failure_) return *failure_;
    const bool due = checkpoint_due(options_.policy, unsigned_leaves_, oldest_unsigned_ns_, now.monotonic_ns);
    if (due || (checkpoint && unsigned_leaves_ > 0)) put_checkpoint(now);
    const bool anything = !pending_.empty();
    if (auto done = flush(); !done) return done.error();
    // Tiles can be made again: a full disk is told by the next segment's write.
    if (auto done = tiles_.flush(); !done && failed(done).error().kind != Failure::no_space) return done.error();
    if (anything) {
        mark_.size = tree_.size();
        ++mark_.counter;
        if (auto done = write_mark(!unpublished_.empty()); !done) return done.error();
    }
    Committed committed;
    for (auto& made : unpublished_) {
        last_checkpoint_ = made.checkpoint;
        last_note_ = made.note;
        for (auto& witness : witnesses_) witness.add(witness_line(*made.checkpoint, made.note));
        committed = std::move(made);
    }
    unpublished_.clear();
    committed.size = mark_.size;
    return committed;
}

Status AuditLog::rotate_key(SigningKey key, const Moment& now, const std::string& actor, const std::string& reason) {
    if (key.verify_key().name != key_.verify_key().name)
        return invalid("the new key is named " + key.verify_key().name + ", the trail " + key_.verify_key().name);
    if (key.verify_key() == key_.verify_key()) return invalid("the new key is the old one");
    if (auto done = commit(now, true); !done) return done.error();
    const KeyChange change{key.verify_key().name, tree_.size(), now, key_.verify_key(), key.verify_key()};
    put(FrameType::key, sign_key_change(change, &key_, key));
    Record record;
    record.at = now;
    record.actor = actor;
    record.source = "broker";
    record.action = action::key_rotated;
    record.object = change.origin;
    record.old_value = Value::of(change.previous->to_text());
    record.new_value = Value::of(change.key.to_text());
    record.reason = reason;
    key_ = std::move(key);
    signer_ = change.key;
    if (auto done = append(std::move(record)); !done) return done.error();
    if (auto done = commit(now, true); !done) return done.error();
    return {};
}

void AuditLog::add_witness(std::unique_ptr<Witness> witness) {
    witnesses_.emplace_back(std::move(witness));
    if (last_checkpoint_) witnesses_.back().add(witness_line(*last_checkpoint_, last_note_));
}

void AuditLog::pump_witnesses(std::uint64_t monotonic_ns) {
    for (auto& witness : witnesses_) witness.pump(monotonic_ns);
}

}  // namespace trunkline::auth::audit
