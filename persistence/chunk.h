// Chunks of queued messages: publish operations followed by owed sections. persistence/README.md has the bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "persistence/bytes.h"
#include "persistence/record.h"

namespace trunkline::store {

inline constexpr std::size_t chunk_header_size = 24;
inline constexpr std::size_t section_header_size = 32;

/// What an entry says besides where its message is.
struct OwedFlags {
    std::uint8_t qos = 1;
    bool retain = false;
    bool shared = false;
};

/// Appends one owed entry to the bytes of a section. `identifiers`: u32 each, little-endian.
void put_owed(std::string& entries, std::uint32_t op_offset, OwedFlags flags, std::string_view identifiers);

/// Builds one chunk: first all operations, then all sections, then take(). Reusable; not thread safe.
class ChunkWriter {
public:
    /// Starts a chunk of a batch of `time_ms` (since 1970).
    void start(std::int64_t time_ms);
    /// Copies an operation in and returns its offset in the chunk, as owed entries name it.
    std::uint32_t add_op(std::string_view op) {
        const auto offset = static_cast<std::uint32_t>(bytes_.size());
        bytes_.append(op);
        return offset;
    }
    /// Appends the section of a session and returns its offset. `bytes` is what the section counts for in its queue.
    std::uint32_t add_section(SessionId session, std::uint64_t first_n, std::uint32_t count, std::string_view entries,
                              std::uint64_t bytes);
    [[nodiscard]] bool empty() const { return bytes_.size() <= chunk_header_size; }
    [[nodiscard]] std::size_t size() const { return bytes_.size(); }
    /// The finished chunk, checksum in place.
    [[nodiscard]] std::string take();

private:
    std::string bytes_;
    std::size_t last_size_ = 0;
    bool has_sections_ = false;
};

/// Version, lengths and checksum are right: the chunk is what was written.
[[nodiscard]] bool is_intact_chunk(std::string_view chunk);

/// The time that start() was given. The chunk is intact.
[[nodiscard]] inline std::int64_t chunk_time_ms(std::string_view chunk) {
    return load_le<std::int64_t>(chunk.data() + 16);
}

/// Offsets of the sections of an intact chunk: first_section(), then next_section() until nullopt.
[[nodiscard]] std::optional<std::uint32_t> first_section(std::string_view chunk);
[[nodiscard]] std::optional<std::uint32_t> next_section(std::string_view chunk, std::uint32_t section);

/// What add_section() was told. The chunk is intact.
[[nodiscard]] inline std::uint64_t section_bytes(std::string_view chunk, std::uint32_t section) {
    return load_le<std::uint64_t>(chunk.data() + section + 20);
}

void put_will(std::string& out, const WillRecord& will);
[[nodiscard]] std::optional<WillRecord> take_will(ByteReader& in);

}  // namespace trunkline::store
