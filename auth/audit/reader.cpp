#include "auth/audit/reader.h"

#include <algorithm>
#include <cstring>

namespace trunkline::auth::audit {
namespace {

constexpr std::uint64_t header_bytes_max = 8192;

bool matches(std::string_view pattern, std::string_view text) {
    if (pattern.empty()) return true;
    if (pattern.back() == '*') return text.starts_with(pattern.substr(0, pattern.size() - 1));
    return pattern == text;
}

}  // namespace

bool RecordFilter::fits(const Record& record) const {
    return record.sequence >= from_sequence && record.at.utc_ns >= from_utc_ns && record.at.utc_ns < to_utc_ns &&
           (!outcome || *outcome == record.outcome) && matches(actor, record.actor) && matches(action, record.action) &&
           matches(object, record.object);
}

Result<TrailReader> TrailReader::open(const AuditStore& store) {
    const auto names = store.list();
    if (!names) return names.error();
    std::vector<std::uint64_t> firsts;
    for (const auto& name : *names)
        if (const auto first = segment_first(name)) firsts.push_back(*first);
    if (firsts.empty()) return Error{Failure::absent, "there is no segment of an audit trail here"};
    std::sort(firsts.begin(), firsts.end());
    return TrailReader(store, std::move(firsts));
}

Result<bool> TrailReader::walk(std::size_t segment, const OnFrame& on_frame) const {
    const std::string name = segment_name(firsts_[segment]);
    const bool last = segment + 1 == firsts_.size();
    const auto bytes = store_.read(name, 0, segment_file_max);
    if (!bytes) return bytes.error();
    std::size_t at = 0;
    const auto header = decode_segment_header(*bytes, at);
    if (!header && last) return true;
    if (!header) return Error{Failure::damaged, name + ": " + header.error().message};
    for (;;) {
        const auto frame = next_frame(std::string_view(*bytes).substr(at));
        if (frame.state == FrameView::State::end) return true;
        if (frame.state != FrameView::State::whole && last && frame.state == FrameView::State::cut) return true;
        if (frame.state != FrameView::State::whole)
            return Error{Failure::damaged, name + " at offset " + std::to_string(at) + ": " + frame.what};
        if (!on_frame(frame)) return false;
        at += frame.size;
    }
}

Status TrailReader::for_each(const RecordFilter& filter, const std::function<bool(const Record&)>& on_record) const {
    std::optional<Error> wrong;
    for (std::size_t i = 0; i < firsts_.size(); ++i) {
        if (i + 1 < firsts_.size() && firsts_[i + 1] <= filter.from_sequence) continue;
        const auto more = walk(i, [&](const FrameView& frame) {
            if (frame.type != FrameType::record) return true;
            const auto record = decode_record(frame.body);
            if (!record) {
                wrong =
                    Error{Failure::damaged, "record " + std::to_string(frame.sequence) + ": " + record.error().message};
                return false;
            }
            return !filter.fits(*record) || on_record(*record);
        });
        if (!more) return more.error();
        if (wrong) return *wrong;
        if (!*more) return {};
    }
    return {};
}

Status TrailReader::for_each_publish(std::uint64_t from, const std::function<bool(const Digest&)>& on_leaf) const {
    for (std::size_t i = 0; i < firsts_.size(); ++i) {
        if (i + 1 < firsts_.size() && firsts_[i + 1] <= from) continue;
        const auto more = walk(i, [&](const FrameView& frame) {
            if (frame.type != FrameType::leaves) return true;
            for (std::size_t at = 0; at + sizeof(Digest) <= frame.body.size(); at += sizeof(Digest)) {
                if (frame.sequence + at / sizeof(Digest) < from) continue;
                Digest leaf;
                std::memcpy(leaf.data(), frame.body.data() + at, sizeof leaf);
                if (!on_leaf(leaf)) return false;
            }
            return true;
        });
        if (!more) return more.error();
        if (!*more) return {};
    }
    return {};
}

Status TrailReader::for_each_checkpoint(const std::function<bool(const Checkpoint&)>& on_checkpoint) const {
    for (std::size_t i = 0; i < firsts_.size(); ++i) {
        const auto more = walk(i, [&](const FrameView& frame) {
            if (frame.type != FrameType::checkpoint) return true;
            const auto note = parse_note(frame.body);
            const auto checkpoint = note ? parse_checkpoint(note->text) : Result<Checkpoint>(note.error());
            return !checkpoint || on_checkpoint(*checkpoint);
        });
        if (!more) return more.error();
        if (!*more) return {};
    }
    return {};
}

Result<std::string> TrailReader::record_bytes(std::uint64_t sequence) const {
    const auto after = std::upper_bound(firsts_.begin(), firsts_.end(), sequence);
    const Error none{Failure::absent, "there is no record " + std::to_string(sequence)};
    if (after == firsts_.begin()) return none;
    std::optional<std::string> found;
    bool publish = false;
    const auto more = walk(static_cast<std::size_t>(after - firsts_.begin()) - 1, [&](const FrameView& frame) {
        if (frame.sequence > sequence) return false;
        if (frame.type == FrameType::record && frame.sequence == sequence) found = frame.body;
        publish = frame.type == FrameType::leaves && sequence < frame.sequence + frame.body.size() / sizeof(Digest);
        return !found && !publish;
    });
    if (!more) return more.error();
    if (found) return *found;
    if (publish)
        return Error{Failure::absent,
                     "leaf " + std::to_string(sequence) + " is a publish: bring its facts (--publish)"};
    return none;
}

Result<std::string> TrailReader::newest_checkpoint() const {
    for (std::size_t i = firsts_.size(); i-- > 0;) {
        std::string note;
        const auto more = walk(i, [&](const FrameView& frame) {
            if (frame.type == FrameType::checkpoint) note = frame.body;
            return true;
        });
        if (!more) return more.error();
        if (!note.empty()) return note;
    }
    return Error{Failure::absent, "there is no checkpoint yet"};
}

/// Only segments in which the key changes are read whole: each header names the key at its start.
Result<std::vector<std::string>> TrailReader::key_changes() const {
    std::vector<std::optional<VerifyKey>> keys;
    for (const auto first : firsts_) {
        const auto bytes = store_.read(segment_name(first), 0, header_bytes_max);
        if (!bytes) return bytes.error();
        std::size_t size = 0;
        const auto header = decode_segment_header(*bytes, size);
        keys.push_back(header ? header->key : std::nullopt);
    }
    std::vector<std::string> notes;
    for (std::size_t i = 0; i < firsts_.size(); ++i) {
        if (i + 1 < firsts_.size() && keys[i] == keys[i + 1]) continue;
        const auto more = walk(i, [&](const FrameView& frame) {
            if (frame.type == FrameType::key) notes.emplace_back(frame.body);
            return true;
        });
        if (!more) return more.error();
    }
    return notes;
}

}  // namespace trunkline::auth::audit
