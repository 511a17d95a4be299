#include "auth/audit/segment.h"

#include <xxhash.h>

#include <bit>
#include <charconv>

#include "auth/audit/bytes.h"

namespace trunkline::auth::audit {
namespace {

constexpr std::string_view segment_magic = "TLAUDIT\n", mark_magic = "TLAMARK\n";
constexpr std::uint8_t frame_version = 1;
constexpr std::uint16_t segment_version = 1;
constexpr std::size_t frame_header = 16, checksum_size = 8;
constexpr std::string_view segment_start = "segment-", segment_end = ".tla";
constexpr std::size_t segment_digits = 20;

std::uint64_t checksum(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

bool has_checksum(std::string_view bytes) {
    const std::size_t size = bytes.size() - checksum_size;
    return load_le<std::uint64_t>(bytes.data() + size) == checksum(bytes.substr(0, size));
}

FrameView damaged(const char* what) {
    FrameView view;
    view.state = FrameView::State::damaged;
    view.what = what;
    return view;
}

FrameView cut() {
    FrameView view;
    view.state = FrameView::State::cut;
    view.what = "the file ends within it";
    return view;
}

}  // namespace

void put_frame(std::string& out, FrameType type, std::uint64_t sequence, std::string_view body) {
    const std::size_t start = out.size();
    put_le(out, static_cast<std::uint32_t>(body.size()));
    put_le(out, static_cast<std::uint8_t>(type));
    put_le(out, frame_version);
    put_le(out, std::uint16_t{0});
    put_le(out, sequence);
    out.append(body);
    put_le(out, checksum(std::string_view(out).substr(start)));
}

FrameView next_frame(std::string_view bytes) {
    if (bytes.empty()) return {};
    if (bytes.size() < frame_header) return cut();
    FrameView view;
    ByteReader in(bytes);
    const auto body_size = in.take<std::uint32_t>();
    const auto type = in.take<std::uint8_t>();
    const auto version = in.take<std::uint8_t>();
    const auto zero = in.take<std::uint16_t>();
    view.sequence = in.take<std::uint64_t>();
    if (body_size > frame_body_max) return damaged("its length is over the limit");
    const std::size_t size = frame_header + body_size + checksum_size;
    if (bytes.size() < size) return cut();
    if (!has_checksum(bytes.substr(0, size))) return damaged("its checksum does not fit");
    if (version != frame_version || zero != 0) return damaged("it is of a version that this program does not know");
    if (type < 1 || type > 4) return damaged("it is of a type that this program does not know");
    view.state = FrameView::State::whole;
    view.type = static_cast<FrameType>(type);
    view.body = bytes.substr(frame_header, body_size);
    view.size = size;
    if (view.type == FrameType::leaves &&
        (body_size == 0 || body_size % sizeof(Digest) || body_size / sizeof(Digest) > frame_leaves_max))
        return damaged("its leaves do not fit its length");
    return view;
}

std::string encode(const SegmentHeader& header) {
    std::string out(segment_magic);
    std::string rest;
    put_le(rest, header.tree.size());
    put_text(rest, header.origin);
    put_text(rest, header.key ? header.key->to_text() : std::string());
    for (const auto& node : header.tree.nodes()) put_digest(rest, node);
    put_le(out, segment_version);
    put_le(out, std::uint16_t{0});
    put_le(out, static_cast<std::uint32_t>(out.size() + 4 + rest.size() + checksum_size));
    out += rest;
    put_le(out, checksum(out));
    return out;
}

Result<SegmentHeader> decode_segment_header(std::string_view bytes, std::size_t& size) {
    if (!bytes.starts_with(segment_magic)) return invalid("not a segment of an audit trail");
    ByteReader in(bytes.substr(segment_magic.size()));
    const auto version = in.take<std::uint16_t>();
    const auto zero = in.take<std::uint16_t>();
    const auto whole = in.take<std::uint32_t>();
    if (!in.ok() || whole > bytes.size() || whole < segment_magic.size() + 8 + checksum_size)
        return invalid("the file ends within the segment's header");
    if (!has_checksum(bytes.substr(0, whole))) return invalid("the checksum of the segment's header does not fit");
    if (version != segment_version || zero != 0)
        return invalid("a segment of format version " + std::to_string(version) + "; this program knows 1");
    in = ByteReader(bytes.substr(segment_magic.size() + 8, whole - checksum_size - segment_magic.size() - 8));
    SegmentHeader header;
    const auto leaves = in.take<std::uint64_t>();
    header.origin = in.take_text();
    const auto key = in.take_text();
    std::vector<Digest> nodes;
    for (int i = std::popcount(leaves); i > 0; --i) nodes.push_back(in.take_digest());
    if (!in.done() || !is_key_name(header.origin)) return invalid("the segment's header does not hold what it should");
    auto tree = CompactTree::restore(leaves, std::move(nodes));
    if (!tree) return tree.error();
    header.tree = std::move(*tree);
    if (!key.empty()) {
        const auto parsed = VerifyKey::parse(key);
        if (!parsed || parsed->to_text() != key) return invalid("the segment's header names no valid key");
        header.key = *parsed;
    }
    size = whole;
    return header;
}

std::string segment_name(std::uint64_t first) {
    std::string digits = std::to_string(first);
    return std::string(segment_start) + std::string(segment_digits - digits.size(), '0') + digits +
           std::string(segment_end);
}

std::optional<std::uint64_t> segment_first(std::string_view name) {
    if (!name.starts_with(segment_start) || !name.ends_with(segment_end)) return std::nullopt;
    name = name.substr(segment_start.size(), name.size() - segment_start.size() - segment_end.size());
    std::uint64_t first = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), first);
    if (name.size() != segment_digits || error != std::errc() || end != name.data() + name.size()) return std::nullopt;
    return first;
}

std::string encode(const Mark& mark) {
    std::string out(mark_magic);
    for (const auto value : {mark.counter, mark.segment, mark.end, mark.size}) put_le(out, value);
    out.resize(mark_slot_size - checksum_size);
    put_le(out, checksum(out));
    return out;
}

MarkFile decode_mark_file(std::string_view bytes) {
    MarkFile file;
    const std::string blank(mark_slot_size, '\0');
    for (const std::size_t slot : {0U, 1U}) {
        if (bytes.size() < slot * mark_slot_size) break;
        const auto part = bytes.substr(slot * mark_slot_size, mark_slot_size);
        if (part.empty() || part == blank) continue;  // not written yet
        Mark mark;
        ByteReader in(part.substr(std::min(part.size(), mark_magic.size())));
        for (auto* value : {&mark.counter, &mark.segment, &mark.end, &mark.size}) *value = in.take<std::uint64_t>();
        if (part != encode(mark) || mark.counter % 2 != slot) {
            file.slot_damaged = true;
        } else if (!file.newest || mark.counter > file.newest->counter) {
            file.newest = mark;
        }
    }
    if (bytes.size() > 2 * mark_slot_size) file.slot_damaged = true;
    return file;
}

}  // namespace trunkline::auth::audit
