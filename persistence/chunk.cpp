#include "persistence/chunk.h"

#include <cassert>

#include <xxhash.h>

namespace trunkline::store {
namespace {

// Chunk header: version u8, 0 u8, 0 u16, end of the operations u32, checksum u64, time i64. The checksum is xxh3-64 of
// everything from byte 16, with the first 8 bytes as its seed.
constexpr std::size_t ops_end_at = 4, checksum_at = 8, checksummed_from = 16;
constexpr std::size_t entry_header_size = 8;
constexpr std::uint8_t entry_retain = 0x04, entry_shared = 0x08;

std::uint64_t checksum(std::string_view chunk) {
    return XXH3_64bits_withSeed(chunk.data() + checksummed_from, chunk.size() - checksummed_from,
                                load_le<std::uint64_t>(chunk.data()));
}

void set_u32(std::string& bytes, std::size_t at, std::uint32_t value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
}

}  // namespace

void put_owed(std::string& entries, std::uint32_t op_offset, OwedFlags flags, std::string_view identifiers) {
    char header[entry_header_size] = {};
    std::memcpy(header, &op_offset, 4);
    header[4] = static_cast<char>(flags.qos | (flags.retain ? entry_retain : 0) | (flags.shared ? entry_shared : 0));
    const auto count = static_cast<std::uint16_t>(identifiers.size() / 4);
    std::memcpy(header + 6, &count, 2);
    entries.append(header, sizeof header).append(identifiers);
}

void ChunkWriter::start(std::int64_t time_ms) {
    bytes_.reserve(last_size_ + last_size_ / 4);  // take() gives the memory away: chunks are shared and kept
    bytes_.assign(chunk_header_size, '\0');
    bytes_[0] = static_cast<char>(record_version);
    std::memcpy(bytes_.data() + checksummed_from, &time_ms, sizeof time_ms);
    has_sections_ = false;
}

std::uint32_t ChunkWriter::add_section(SessionId session, std::uint64_t first_n, std::uint32_t count,
                                       std::string_view entries, std::uint64_t bytes) {
    if (!has_sections_) set_u32(bytes_, ops_end_at, static_cast<std::uint32_t>(bytes_.size()));
    has_sections_ = true;
    const auto offset = static_cast<std::uint32_t>(bytes_.size());
    put_le(bytes_, session);
    put_le(bytes_, first_n);
    put_le(bytes_, count);
    put_le(bytes_, bytes);
    put_text(bytes_, entries);
    return offset;
}

std::string ChunkWriter::take() {
    assert(has_sections_);
    const std::uint64_t sum = checksum(bytes_);
    std::memcpy(bytes_.data() + checksum_at, &sum, sizeof sum);
    last_size_ = bytes_.size();
    std::string chunk = std::move(bytes_);
    bytes_ = {};
    return chunk;
}

bool is_intact_chunk(std::string_view chunk) {
    if (chunk.size() < chunk_header_size || static_cast<std::uint8_t>(chunk[0]) != record_version) return false;
    const auto ops_end = load_le<std::uint32_t>(chunk.data() + ops_end_at);
    return ops_end >= chunk_header_size && ops_end <= chunk.size() &&
           load_le<std::uint64_t>(chunk.data() + checksum_at) == checksum(chunk);
}

std::optional<std::uint32_t> first_section(std::string_view chunk) {
    const auto offset = load_le<std::uint32_t>(chunk.data() + ops_end_at);
    if (offset + section_header_size > chunk.size()) return std::nullopt;
    return offset;
}

std::optional<std::uint32_t> next_section(std::string_view chunk, std::uint32_t section) {
    const std::size_t next =
        section + section_header_size + load_le<std::uint32_t>(chunk.data() + section + section_header_size - 4);
    if (next + section_header_size > chunk.size()) return std::nullopt;
    return static_cast<std::uint32_t>(next);
}

OwedReader::OwedReader(std::string_view chunk, std::uint32_t section_offset) : chunk_(chunk) {
    if (section_offset > chunk.size()) return;
    ByteReader in(chunk.substr(section_offset));
    session_ = in.take<std::uint64_t>();
    first_n_ = in.take<std::uint64_t>();
    count_ = in.take<std::uint32_t>();
    (void)in.take<std::uint64_t>();
    rest_ = in.take_text();
    if (!in.ok() || count_ > rest_.size() / entry_header_size) count_ = 0;
}

std::optional<OwedEntry> OwedReader::next() {
    if (read_ >= count_ || rest_.size() < entry_header_size) return std::nullopt;
    const char* at = rest_.data();
    OwedEntry entry;
    entry.op_offset = load_le<std::uint32_t>(at);
    const auto flags = static_cast<std::uint8_t>(at[4]);
    entry.qos = flags & 0x03;
    entry.retain = (flags & entry_retain) != 0;
    entry.shared = (flags & entry_shared) != 0;
    entry.subscription_identifier_count = load_le<std::uint16_t>(at + 6);
    const std::size_t identifiers = std::size_t{4} * entry.subscription_identifier_count;
    if (rest_.size() - entry_header_size < identifiers) {
        count_ = read_;
        return std::nullopt;
    }
    entry.subscription_identifiers = rest_.substr(entry_header_size, identifiers);
    rest_.remove_prefix(entry_header_size + identifiers);
    ++read_;
    return entry;
}

std::optional<PublishOp> OwedReader::message(const OwedEntry& entry) const {
    if (entry.op_offset > chunk_.size()) return std::nullopt;
    return read_publish(chunk_.substr(entry.op_offset));
}

}  // namespace trunkline::store
