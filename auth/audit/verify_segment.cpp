#include "auth/audit/verify_segment.h"

#include <algorithm>

#include "auth/audit/bytes.h"
#include "auth/audit/tiles.h"

namespace trunkline::auth::audit {
namespace {

using Kind = Finding::Kind;

/// Compares the nodes of the tree with the kept tiles, read in pieces. They hold no truth of their own, but where they
/// lead to the signed root and the records do not, they tell which record it is.
class TileCheck {
public:
    explicit TileCheck(const AuditStore& store) : store_(store) {}

    struct Mismatch {
        unsigned level;
        std::uint64_t index;
        bool missing;
    };
    /// The first mismatch of the segment is kept; `first_leaf` only of leaves since start_interval().
    void on_node(unsigned height, std::uint64_t index, const Digest& hash) {
        if (height % tile_height || gave_up_) return;
        const unsigned level = height / tile_height;
        const auto kept = hash_of(level, index);
        if (kept && *kept == hash) return;
        if (!first) first = Mismatch{level, index, !kept};
        if (level == 0 && !first_leaf) first_leaf = index;
        gave_up_ = !kept;
    }
    /// The kept leaf hash, or none.
    std::optional<Digest> hash_of(unsigned level, std::uint64_t index) {
        Piece& piece = pieces_[level];
        if (index < piece.first || index >= piece.first + piece.hashes.size() / sizeof(Digest)) {
            const std::uint64_t count = std::min<std::uint64_t>(4096, tile_file_hashes - index % tile_file_hashes);
            const auto bytes = store_.read(tile_file_name(level, index / tile_file_hashes),
                                           index % tile_file_hashes * sizeof(Digest), count * sizeof(Digest));
            piece.first = index;
            piece.hashes = bytes ? *bytes : std::string();
            if (piece.hashes.size() < sizeof(Digest)) return std::nullopt;
        }
        return digest_at(piece.hashes, index - piece.first);
    }
    void start_interval() { first_leaf.reset(); }
    std::optional<Mismatch> first;
    std::optional<std::uint64_t> first_leaf;

private:
    struct Piece {
        std::uint64_t first = 0;
        std::string hashes;
    };
    const AuditStore& store_;
    Piece pieces_[64 / tile_height];
    bool gave_up_ = false;
};

/// The state of one segment's verification: a frame at a time, up to the first that is bad.
class SegmentCheck {
public:
    SegmentCheck(const AuditStore& store, bool last, const std::string& origin,
                 const std::vector<ExpectedRoot>& expected, SegmentResult& result)
        : last_(last), origin_(origin), expected_(expected), result_(result), tiles_(store) {
        on_node_ = [this](unsigned height, std::uint64_t index, const Digest& hash) {
            tiles_.on_node(height, index, hash);
        };
    }

    void run(const std::string& bytes);

private:
    bool start(const std::string& bytes);
    bool take(const FrameView& frame);
    bool take_leaf(const Digest& leaf);
    bool take_record(const FrameView& frame);
    bool take_checkpoint(const FrameView& frame);
    bool take_key_change(const FrameView& frame);
    bool bad(Kind kind, std::string message);
    bool changed(const std::string& why, const Checkpoint* signed_by);
    [[nodiscard]] bool tiles_lead_to(const Checkpoint& checkpoint);
    [[nodiscard]] std::uint64_t offset_of(std::uint64_t sequence) const;
    void judge_tiles();

    bool last_;
    const std::string& origin_;
    const std::vector<ExpectedRoot>& expected_;
    SegmentResult& result_;
    TileCheck tiles_;
    CompactTree::OnNode on_node_;
    CompactTree tree_;
    std::optional<VerifyKey> key_;
    std::size_t at_ = 0, next_expected_ = 0;
    std::uint64_t last_agreed_ = 0;
    CompactTree interval_;  ///< the tree at the newest valid checkpoint, or at the segment's start
    std::vector<std::pair<std::uint64_t, std::uint64_t>> frames_;  ///< first leaf and offset of each since then
};

bool SegmentCheck::bad(Kind kind, std::string message) {
    result_.findings.push_back({kind, tree_.size(), tree_.size(), result_.name, at_, std::move(message)});
    return false;
}

std::uint64_t SegmentCheck::offset_of(std::uint64_t sequence) const {
    std::uint64_t offset = at_;
    for (const auto& [first, place] : frames_)
        if (first <= sequence) offset = place;
    return offset;
}

/// Do the kept hashes lead to a signed root that the records do not lead to?
bool SegmentCheck::tiles_lead_to(const Checkpoint& checkpoint) {
    if (checkpoint.size < interval_.size() || checkpoint.size - interval_.size() > tile_file_hashes) return false;
    CompactTree tree = interval_;
    for (std::uint64_t i = tree.size(); i < checkpoint.size; ++i) {
        const auto leaf = tiles_.hash_of(0, i);
        if (!leaf) return false;
        tree.append(*leaf);
    }
    return tree.root() == checkpoint.root;
}

/// Between the newest valid checkpoint and here is a record that is not what was signed.
bool SegmentCheck::changed(const std::string& why, const Checkpoint* signed_by) {
    Finding finding{
        Kind::changed, interval_.size(), std::max(tree_.size(), interval_.size() + 1) - 1, result_.name, 0, why};
    if (signed_by && tiles_lead_to(*signed_by)) {
        const std::uint64_t first = tiles_.first_leaf.value_or(std::min(tree_.size(), signed_by->size));
        finding.sequence = finding.last_sequence = first;
        finding.message += "; the kept hashes of the tree are those that were signed, and differ from here on";
    } else if (tiles_.first_leaf) {
        finding.sequence = *tiles_.first_leaf;
        finding.message += "; the kept hashes of the tree differ from here on";
    }
    finding.offset = offset_of(finding.sequence);
    result_.findings.push_back(std::move(finding));
    tiles_.first.reset();  // told
    return false;
}

bool SegmentCheck::take_leaf(const Digest& leaf) {
    tree_.append(leaf, on_node_);
    while (next_expected_ < expected_.size() && expected_[next_expected_].size <= tree_.size()) {
        const auto& want = expected_[next_expected_++];
        if (want.size < tree_.size()) continue;
        if (want.root == tree_.root()) {
            ++result_.witnessed;
            last_agreed_ = want.size;
            continue;
        }
        result_.disagreed.push_back({want, last_agreed_, offset_of(last_agreed_)});
    }
    return true;
}

bool SegmentCheck::take_record(const FrameView& frame) {
    const auto record = decode_record(frame.body);
    if (!record) return bad(Kind::record, record.error().message);
    if (record->sequence != tree_.size())
        return bad(Kind::record, "it says that it is record " + std::to_string(record->sequence));
    ++result_.records;
    return take_leaf(hash_leaf(frame.body));
}

bool SegmentCheck::take_checkpoint(const FrameView& frame) {
    const auto note = parse_note(frame.body);
    if (!note) return bad(Kind::checkpoint, note.error().message);
    const auto checkpoint = parse_checkpoint(note->text);
    if (!checkpoint) return bad(Kind::checkpoint, checkpoint.error().message);
    if (checkpoint->origin != origin_) return bad(Kind::checkpoint, "it is of the trail " + checkpoint->origin);
    if (!key_ || note->signatures.size() != 1 || !note->is_signed_by(*key_))
        return changed("the checkpoint after it is not signed by the trail's key", nullptr);
    if (checkpoint->size != tree_.size() || checkpoint->root != tree_.root())
        return changed("not what the checkpoint of " + std::to_string(checkpoint->size) + " records at " +
                           utc_text(checkpoint->at.utc_ns) + " signed",
                       &*checkpoint);
    ++result_.checkpoints;
    result_.newest = *checkpoint;
    interval_ = tree_;
    frames_.clear();
    tiles_.start_interval();
    return true;
}

bool SegmentCheck::take_key_change(const FrameView& frame) {
    const auto change = open_key_change(frame.body);
    if (!change) return bad(Kind::checkpoint, change.error().message);
    if (change->origin != origin_ || change->size != tree_.size() || change->previous != key_)
        return bad(Kind::checkpoint, "the key change does not belong here");
    key_ = change->key;
    result_.key_changes.push_back(*change);
    result_.key_change_offsets.push_back(at_);
    return true;
}

bool SegmentCheck::take(const FrameView& frame) {
    if (frame.sequence > tree_.size()) {
        Finding finding{
            Kind::missing, tree_.size(), frame.sequence - 1,
            result_.name,  at_,          "records are missing: the next one here is " + std::to_string(frame.sequence)};
        result_.findings.push_back(std::move(finding));
        return false;
    }
    if (frame.sequence < tree_.size())
        return bad(Kind::order, "record " + std::to_string(frame.sequence) + " is here, out of order");
    frames_.emplace_back(tree_.size(), at_);
    switch (frame.type) {
        case FrameType::record:
            return take_record(frame);
        case FrameType::leaves:
            for (std::size_t i = 0; i < frame.body.size() / sizeof(Digest); ++i)
                if (!take_leaf(digest_at(frame.body, i))) return false;
            result_.publishes += frame.body.size() / sizeof(Digest);
            return true;
        case FrameType::checkpoint:
            return take_checkpoint(frame);
        case FrameType::key:
            return take_key_change(frame);
    }
    return false;
}

bool SegmentCheck::start(const std::string& bytes) {
    const auto header = decode_segment_header(bytes, at_);
    if (!header) {
        at_ = 0;
        result_.torn = last_;
        result_.torn_what = header.error().message;
        return last_ ? false : bad(Kind::header, header.error().message);
    }
    if (header->tree.size() != result_.first) {
        at_ = 0;
        return bad(Kind::header, "the file's name and its header differ");
    }
    if (header->origin != origin_) {
        at_ = 0;
        return bad(Kind::header, "it belongs to the trail " + header->origin + ", not to " + origin_);
    }
    tree_ = interval_ = result_.start = header->tree;
    key_ = result_.start_key = header->key;
    result_.readable = true;
    last_agreed_ = tree_.size();
    return true;
}

/// Where the records are what was signed, a kept hash that differs is itself what was changed.
void SegmentCheck::judge_tiles() {
    if (!tiles_.first) return;
    const auto& found = *tiles_.first;
    const std::uint64_t sequence = found.index << (found.level * tile_height);
    result_.findings.push_back(
        {Kind::tiles, sequence, sequence, tile_file_name(found.level, found.index / tile_file_hashes),
         found.index % tile_file_hashes * sizeof(Digest),
         found.missing ? "hashes of the tree are missing; the broker makes them again at its next start"
         : sequence < interval_.size()
             ? "a kept hash of the tree is not that of the signed records; delete tiles-* and start the broker"
             : "a kept hash differs from the record, which no checkpoint covers yet: one of them was changed"});
}

void SegmentCheck::run(const std::string& bytes) {
    tree_ = {};
    if (!start(bytes)) {
        result_.end_offset = 0;
        result_.end = result_.start;
        return;
    }
    bool good = true;
    while (good) {
        const auto frame = next_frame(std::string_view(bytes).substr(at_));
        if (frame.state == FrameView::State::end) break;
        if (frame.state != FrameView::State::whole) {
            result_.torn = last_;
            result_.torn_what = frame.what;
            good = last_ ? false : bad(Kind::frame, frame.what);
            break;
        }
        good = take(frame);
        if (good) at_ += frame.size;
    }
    result_.end_offset = at_;
    result_.end = tree_;
    result_.end_key = key_;
    result_.complete = good || result_.torn;
    if (good && !last_ && interval_.size() != tree_.size()) {
        result_.complete = false;
        bad(Kind::missing, "the segment does not end with a checkpoint: its end is missing");
    }
    judge_tiles();
}

}  // namespace

SegmentResult verify_segment(const AuditStore& store, std::uint64_t first, bool last, const std::string& origin,
                             const std::vector<ExpectedRoot>& expected) {
    SegmentResult result;
    result.first = first;
    result.name = segment_name(first);
    const auto size = store.size(result.name);
    if (!size) return result.error = size.error(), result;
    if (*size > segment_file_max) {
        result.findings.push_back({Kind::header, first, first, result.name, 0, "larger than any segment"});
        return result;
    }
    const auto bytes = store.read(result.name, 0, *size);
    if (!bytes) return result.error = bytes.error(), result;
    SegmentCheck(store, last, origin, expected, result).run(*bytes);
    return result;
}

}  // namespace trunkline::auth::audit
