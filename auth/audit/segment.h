// The bytes of the trail's files: segments with their frames, and the mark that says how much of them is durable. Pure.
// auth/audit/README.md is the reference.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/audit/checkpoint.h"
#include "auth/audit/merkle.h"

namespace trunkline::auth::audit {

enum class FrameType : std::uint8_t {
    record = 1,      ///< one leaf: an encoded Record
    leaves = 2,      ///< leaf hashes of publishes, 32 bytes each
    checkpoint = 3,  ///< a signed checkpoint over all leaves before it
    key = 4,         ///< a signed key change
};

inline constexpr std::size_t frame_body_max = 256 * 1024;
inline constexpr std::size_t frame_leaves_max = 4096;
inline constexpr std::uint64_t segment_file_max = std::uint64_t{1} << 30;  ///< larger is not read

/// Appends one frame. `sequence` is the number of leaves before it.
void put_frame(std::string& out, FrameType type, std::uint64_t sequence, std::string_view body);

struct FrameView {
    enum class State : std::uint8_t {
        whole,
        end,      ///< no bytes are left
        cut,      ///< the bytes end within it
        damaged,  ///< `what` says why
    };
    State state = State::end;
    FrameType type = FrameType::record;
    std::uint64_t sequence = 0;
    std::string_view body;
    std::size_t size = 0;  ///< with whole: bytes up to the next frame
    const char* what = "";
};

/// The frame at the front of `bytes`.
[[nodiscard]] FrameView next_frame(std::string_view bytes);

/// The front of a segment. With the tree before its first leaf each segment can be verified on its own, and earlier
/// ones may lie in an archive.
struct SegmentHeader {
    std::string origin;
    std::optional<VerifyKey> key;  ///< that signs at its start; none in the first segment
    CompactTree tree;
};

[[nodiscard]] std::string encode(const SegmentHeader& header);
/// `size` becomes the number of bytes that the header takes. Error: cut short, damaged or of another version.
[[nodiscard]] Result<SegmentHeader> decode_segment_header(std::string_view bytes, std::size_t& size);

/// "segment-00000000000000000042.tla"
[[nodiscard]] std::string segment_name(std::uint64_t first);
[[nodiscard]] std::optional<std::uint64_t> segment_first(std::string_view name);

/// How far the trail is durable: kept beside the segments in two slots that are written in turn.
struct Mark {
    std::uint64_t counter = 0;  ///< of writes; its parity is the slot
    std::uint64_t segment = 0;  ///< first leaf of the last segment
    std::uint64_t end = 0;      ///< offset in it
    std::uint64_t size = 0;     ///< leaves
    bool operator==(const Mark&) const = default;
};

inline constexpr std::size_t mark_slot_size = 64;
inline constexpr const char* mark_name = "mark";
[[nodiscard]] std::string encode(const Mark& mark);

struct MarkFile {
    std::optional<Mark> newest;
    bool slot_damaged = false;  ///< one slot is: a crash while it was written, or an edit
};
[[nodiscard]] MarkFile decode_mark_file(std::string_view bytes);

}  // namespace trunkline::auth::audit
