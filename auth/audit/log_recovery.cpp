// Opening a trail: what a crash left is told from damage, cut off and audited; damage is an error that names it.
#include <algorithm>
#include <cstring>

#include "auth/audit/log.h"

namespace trunkline::auth::audit {
namespace {

Record own_record(std::string_view what, const Moment& now, std::string object) {
    Record record;
    record.at = now;
    record.actor = "trunkline";
    record.method = "broker";
    record.source = "broker";
    record.action = what;
    record.object = std::move(object);
    return record;
}

Digest leaf_at(std::string_view body, std::size_t index) {
    Digest leaf;
    std::memcpy(leaf.data(), body.data() + index * sizeof leaf, sizeof leaf);
    return leaf;
}

}  // namespace

Error AuditLog::damaged(std::uint64_t offset, const std::string& what) const {
    return {Failure::damaged, segment_ + " at offset " + std::to_string(offset) + ", record " +
                                  std::to_string(tree_.size()) + ": " + what +
                                  ". Run trunkaudit verify, and restore the file from a backup"};
}

Result<std::unique_ptr<AuditLog>> AuditLog::open(AuditStore& store, SigningKey key, const Moment& now,
                                                 const LogOptions& options) {
    if (options.segment_bytes_max < 64 * 1024 || options.segment_bytes_max > segment_file_max / 2)
        return invalid("segments of the audit trail have 64 KiB to 512 MiB");
    std::unique_ptr<AuditLog> log(new AuditLog(store, std::move(key), options));
    if (auto done = log->recover(now); !done) return done.error();
    return log;
}

Status AuditLog::recover(const Moment& now) {
    const auto names = store_.list();
    if (!names) return names.error();
    std::vector<std::uint64_t> firsts;
    for (const auto& name : *names)
        if (const auto first = segment_first(name)) firsts.push_back(*first);
    std::sort(firsts.begin(), firsts.end());
    if (auto done = read_mark(!firsts.empty()); !done) return done;
    if (mark_.end > 0 && std::find(firsts.begin(), firsts.end(), mark_.segment) == firsts.end())
        return Error{Failure::damaged, segment_name(mark_.segment) + " is missing: it held records up to " +
                                           std::to_string(mark_.size) + ". Restore it from a backup"};
    if (auto done = open_last_segment(std::move(firsts)); !done) return done;
    if (const std::uint64_t want = std::max(mark_.size, options_.durable_at_least); tree_.size() < want)
        return damaged(segment_bytes_, "the trail ends here, but " + std::to_string(want) + " records were durable");
    if (signer_ && *signer_ != key_.verify_key())
        return invalid("the audit trail is signed by " + signer_->to_text() + ", not by " +
                       key_.verify_key().to_text() + ": open it with that key and change keys by rotation");
    if (!signer_ && tree_.size() > 0) return damaged(0, "no key is named in the segment");
    if (!signer_) begin(now);
    mark_.segment = segment_first_;
    mark_.end = segment_bytes_ - pending_bytes_;
    mark_.size = tree_.size();
    return audit_recovery(now);
}

Status AuditLog::read_mark(bool segments) {
    const auto bytes = store_.read(mark_name, 0, 4 * mark_slot_size);
    if (!bytes && bytes.error().kind != Failure::absent) return bytes.error();
    if (!bytes && !segments) return create();
    const auto file = decode_mark_file(bytes ? *bytes : std::string());
    if (file.newest) {
        mark_ = *file.newest;
        return {};
    }
    if (!segments) return create();
    return Error{Failure::damaged, std::string(mark_name) +
                                       " is missing or damaged: how much of the trail was durable is unknown. Run "
                                       "trunkaudit verify with a witness, and restore the file from a backup"};
}

/// The mark comes first: a segment without one is damage.
Status AuditLog::create() {
    recovery_.created = true;
    mark_ = {};
    return write_mark(true);
}

void AuditLog::begin(const Moment& now) {
    if (segment_.empty()) start_segment();
    const KeyChange change{key_.verify_key().name, 0, now, std::nullopt, key_.verify_key()};
    put(FrameType::key, sign_key_change(change, nullptr, key_));
    signer_ = change.key;
    recovery_.created = true;
}

Status AuditLog::open_last_segment(std::vector<std::uint64_t> firsts) {
    while (!firsts.empty()) {
        const std::uint64_t first = firsts.back();
        segment_ = segment_name(first);
        segment_first_ = first;
        const auto size = store_.size(segment_);
        if (!size) return size.error();
        if (*size > segment_file_max) return damaged(0, "the file is larger than any segment");
        const auto bytes = store_.read(segment_, 0, *size);
        if (!bytes) return bytes.error();
        std::size_t header_size = 0;
        const auto header = decode_segment_header(*bytes, header_size);
        if (!header) {
            if (mark_.segment > first || (mark_.segment == first && mark_.end > 0))
                return damaged(0, header.error().message);
            recovery_.tail = Recovery::Cut{segment_, 0, bytes->size(), first, sha256(*bytes)};
            if (auto done = store_.remove(segment_); !done) return done;
            segment_.clear();
            firsts.pop_back();
            continue;
        }
        if (header->origin != key_.verify_key().name)
            return invalid("the audit trail is " + header->origin + "'s, the key " + key_.verify_key().name + "'s");
        if (header->tree.size() != first) return damaged(0, "its name and its header differ");
        firsts.pop_back();
        if (auto done = ready_tiles(header->tree, firsts); !done) return done;
        tree_ = header->tree;
        signer_ = header->key;
        header_bytes_ = header_size;
        return replay(*bytes, header_size);
    }
    return tiles_.clear();
}

/// The tiles of all segments before the last, made again where they do not lead to its header.
Status AuditLog::ready_tiles(const CompactTree& before, const std::vector<std::uint64_t>& firsts) {
    const auto reset = tiles_.reset_to(before.size());
    if (!reset && reset.error().kind != Failure::damaged) return reset;
    if (reset) {
        const auto found = compact_tree_of(before.size(), tile_nodes(store_));
        if (found && *found == before) return {};
    }
    recovery_.tiles_rebuilt = true;
    return rebuild_tiles(firsts);
}

Status AuditLog::rebuild_tiles(const std::vector<std::uint64_t>& firsts) {
    if (firsts.empty() || firsts.front() != 0)
        return Error{Failure::damaged,
                     "the hashes of the tree (tiles-*) are damaged, and segments that they were made "
                     "from are not here. Put archived segments back, or restore the tiles"};
    if (auto done = tiles_.clear(); !done) return done;
    tree_ = {};
    for (const std::uint64_t first : firsts) {
        const std::string name = segment_name(first);
        const auto bytes = store_.read(name, 0, segment_file_max);
        if (!bytes) return bytes.error();
        std::size_t at = 0;
        const auto header = decode_segment_header(*bytes, at);
        if (!header || header->tree != tree_)
            return Error{Failure::damaged, name + ": does not continue the segments before it. Run trunkaudit verify"};
        for (;;) {
            const auto frame = next_frame(std::string_view(*bytes).substr(at));
            if (frame.state == FrameView::State::end) break;
            if (frame.state != FrameView::State::whole || frame.sequence != tree_.size())
                return Error{Failure::damaged, name + " at offset " + std::to_string(at) + ": damaged"};
            if (frame.type == FrameType::record) take_leaf(hash_leaf(frame.body));
            if (frame.type == FrameType::leaves)
                for (std::size_t i = 0; i < frame.body.size() / sizeof(Digest); ++i) take_leaf(leaf_at(frame.body, i));
            at += frame.size;
        }
        if (auto done = tiles_.flush(); !done) return done;
    }
    return tiles_.sync();
}

Status AuditLog::replay(const std::string& bytes, std::size_t offset) {
    const std::uint64_t durable_end = mark_.segment == segment_first_ ? mark_.end : 0;
    for (;;) {
        segment_bytes_ = offset;
        const auto frame = next_frame(std::string_view(bytes).substr(offset));
        if (frame.state == FrameView::State::end) break;
        if (frame.state != FrameView::State::whole) {
            // A segment is synced before the next one is begun, so that only the last one can be unfinished.
            const bool last = mark_.segment <= segment_first_ && !recovery_.tail;
            if (offset < durable_end || !last) return damaged(offset, frame.what);
            if (auto done = cut_tail(bytes, offset); !done) return done;
            break;
        }
        if (auto done = replay_frame(frame, offset); !done) return done;
        offset += frame.size;
    }
    if (segment_bytes_ < durable_end)
        return damaged(segment_bytes_,
                       "the file ends here, but was durable up to offset " + std::to_string(durable_end));
    return tiles_.flush();
}

/// A frame whose checksum fits but which says something else than the tree was written by no crash.
Status AuditLog::replay_frame(const FrameView& frame, std::size_t offset) {
    if (frame.sequence != tree_.size())
        return damaged(offset, "it claims to be record " + std::to_string(frame.sequence));
    switch (frame.type) {
        case FrameType::record: {
            const auto record = decode_record(frame.body);
            if (!record || record->sequence != tree_.size())
                return damaged(offset, "it holds no record of this number");
            take_leaf(hash_leaf(frame.body));
            note_unsigned(record->at, 1);
            return {};
        }
        case FrameType::leaves:
            note_unsigned(last_at_, frame.body.size() / sizeof(Digest));
            for (std::size_t i = 0; i < frame.body.size() / sizeof(Digest); ++i) take_leaf(leaf_at(frame.body, i));
            return {};
        case FrameType::checkpoint: {
            const auto note = parse_note(frame.body);
            if (!note) return damaged(offset, note.error().message);
            const auto checkpoint = parse_checkpoint(note->text);
            if (!checkpoint) return damaged(offset, checkpoint.error().message);
            if (checkpoint->size != tree_.size() || checkpoint->root != tree_.root())
                return damaged(offset, "records before this checkpoint are not those that were signed");
            last_checkpoint_ = *checkpoint;
            last_at_ = checkpoint->at;
            last_note_ = frame.body;
            unsigned_leaves_ = 0;
            return {};
        }
        case FrameType::key: {
            const auto change = open_key_change(frame.body);
            if (!change) return damaged(offset, change.error().message);
            if (change->previous != signer_ || change->size != tree_.size())
                return damaged(offset, "the key change does not follow what is before it");
            signer_ = change->key;
            return {};
        }
    }
    return {};
}

Status AuditLog::cut_tail(const std::string& bytes, std::size_t offset) {
    recovery_.tail = Recovery::Cut{segment_, offset, bytes.size() - offset, tree_.size(),
                                   sha256(std::string_view(bytes).substr(offset))};
    if (auto done = store_.truncate(segment_, offset); !done) return done;
    return store_.sync(segment_);
}

Status AuditLog::audit_recovery(const Moment& now) {
    std::vector<Record> records;
    if (recovery_.created) records.push_back(own_record(action::created, now, key_.verify_key().name));
    if (recovery_.tail) {
        const auto& cut = *recovery_.tail;
        Record record = own_record(action::tail_repaired, now, cut.file);
        record.reason = "a write that was not finished: " + std::to_string(cut.bytes) + " bytes at offset " +
                        std::to_string(cut.offset) + " cut off, before record " + std::to_string(cut.sequence);
        record.old_value.kind = Value::Kind::hash;
        record.old_value.hash = cut.hash;
        record.old_value.size = cut.bytes;
        records.push_back(std::move(record));
    }
    if (recovery_.tiles_rebuilt) {
        Record record = own_record(action::tiles_rebuilt, now, "tiles");
        record.reason = "hashes of the tree were missing or wrong, and were made again from the segments";
        records.push_back(std::move(record));
    }
    for (auto& record : records)
        if (auto done = append(std::move(record)); !done) return done.error();
    if (auto done = commit(now, true); !done) return done.error();
    return {};
}

}  // namespace trunkline::auth::audit
