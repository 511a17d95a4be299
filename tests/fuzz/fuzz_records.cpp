// Any bytes as what the store keeps: operations, chunks of queued messages, wills, stamps of the log. Nothing is read
// beyond its end, and what an operation says is the same when it is written and read once more.
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "persistence/bytes.h"
#include "persistence/chunk.h"
#include "persistence/record.h"
#include "persistence/recovery_mark.h"

using namespace trunkline::store;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

/// Reads an operation of one kind, writes what was read, reads that, and writes it again: both writings are the same.
template <class Read>
void round_trip(std::string_view bytes, Read read) {
    const auto op = read(bytes);
    if (!op) return;
    OpBatch once, twice;
    once.add(*op);
    const auto header = peek_op(once.bytes());
    require(header && header->size == once.bytes().size());
    const auto again = read(once.bytes());
    require(again.has_value());
    twice.add(*again);
    require(once.bytes() == twice.bytes());
}

void read_operations(std::string_view bytes) {
    while (const auto header = peek_op(bytes)) {
        require(header->size > 0 && header->size <= bytes.size());
        const std::string_view op = bytes.substr(0, header->size);
        round_trip(op, read_publish);
        round_trip(op, read_claim);
        round_trip(op, read_detach);
        round_trip(op, read_drop);
        round_trip(op, read_subscribe);
        round_trip(op, read_unsubscribe);
        round_trip(op, read_acknowledge);
        round_trip(op, read_release_inbound);
        round_trip(op, read_will_sent);
        round_trip(op, read_restart);
        round_trip(op, read_drop_retained);
        round_trip(op, read_quarantine);
        round_trip(op, read_drop_quarantined);
        round_trip(op, read_model);
        round_trip(op, read_regulated);
        round_trip(op, read_leaves_kept);
        bytes.remove_prefix(header->size);
    }
}

/// Every section and every entry of a chunk, whose checksum may be anything.
void read_sections(std::string_view chunk) {
    if (chunk.size() < chunk_header_size) return;
    (void)is_intact_chunk(chunk);
    std::size_t sections = 0;
    for (auto section = first_section(chunk); section; section = next_section(chunk, *section)) {
        require(++sections <= chunk.size() / section_header_size);
        (void)section_bytes(chunk, *section);
        OwedReader owed(chunk, *section);
        std::uint32_t entries = 0;
        while (const auto entry = owed.next()) {
            require(++entries <= owed.count());
            require(entry->subscription_identifiers.size() == std::size_t{4} * entry->subscription_identifier_count);
            (void)owed.message(*entry);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 4) {
        case 0: read_operations(bytes); break;
        case 1: read_sections(bytes); break;
        case 2: {
            ByteReader in(bytes);
            const auto will = take_will(in);
            if (!will) break;
            std::string written;
            put_will(written, *will);
            ByteReader again(written);
            require(take_will(again) == will);
            break;
        }
        default: {
            const auto found = find_last_wal_stamp(bytes);
            if (found) require(find_last_wal_stamp(encode_wal_stamp(found->stamp, found->synced)).has_value());
        }
    }
    return 0;
}
