#include "persistence/recovery_mark.h"

#include <rocksdb/file_system.h>
#include <xxhash.h>

#include "persistence/bytes.h"

namespace trunkline::store {
namespace {

constexpr std::string_view wal_magic = "TL-BATCH-STAMP:1";   // 16 bytes, then flags, stamp and checksum
constexpr std::string_view mark_magic = "TL-MARK:1\n";
constexpr std::uint8_t flag_synced = 1;

void put_stamp(std::string& out, const Stamp& stamp) {
    put_le(out, stamp.epoch);
    put_le(out, stamp.position);
    put_le(out, stamp.hash);
}

Stamp take_stamp(ByteReader& in) {
    Stamp stamp;
    stamp.epoch = in.take<std::uint64_t>();
    stamp.position = in.take<std::uint64_t>();
    stamp.hash = in.take<std::uint64_t>();
    return stamp;
}

void put_checksum(std::string& bytes) {
    put_le(bytes, static_cast<std::uint64_t>(XXH3_64bits(bytes.data(), bytes.size())));
}

bool has_checksum(std::string_view bytes) {
    return bytes.size() > 8 &&
           load_le<std::uint64_t>(bytes.data() + bytes.size() - 8) == XXH3_64bits(bytes.data(), bytes.size() - 8);
}

constexpr std::size_t wal_stamp_size = 16 + 1 + 24 + 8;

}  // namespace

std::string encode_wal_stamp(const Stamp& stamp, bool synced) {
    std::string bytes(wal_magic);
    put_le(bytes, synced ? flag_synced : std::uint8_t{0});
    put_stamp(bytes, stamp);
    put_checksum(bytes);
    return bytes;
}

std::optional<WalStamp> find_last_wal_stamp(std::string_view bytes) {
    std::optional<WalStamp> last;
    for (std::size_t at = bytes.find(wal_magic); at != std::string_view::npos; at = bytes.find(wal_magic, at + 1)) {
        const std::string_view whole = bytes.substr(at, wal_stamp_size);
        if (whole.size() < wal_stamp_size || !has_checksum(whole)) continue;
        ByteReader in(whole.substr(wal_magic.size()));
        WalStamp found;
        found.synced = (in.take<std::uint8_t>() & flag_synced) != 0;
        found.stamp = take_stamp(in);
        if (!last || found.stamp.position > last->stamp.position) last = found;
    }
    return last;
}

RecoveryMark::RecoveryMark(std::shared_ptr<rocksdb::FileSystem> files, std::string directory)
    : files_(std::move(files)), directory_(std::move(directory)) {}

std::string RecoveryMark::path(std::uint64_t sequence) const {
    return directory_ + (sequence % 2 ? "/mark.1" : "/mark.0");
}

StoreStatus RecoveryMark::read(std::optional<Stamp>& stamp) {
    const std::lock_guard lock(mutex_);
    stamp.reset();
    bool any = false;
    for (const std::uint64_t which : {0u, 1u}) {
        std::unique_ptr<rocksdb::FSSequentialFile> file;
        char buffer[128];
        rocksdb::Slice bytes;
        if (!files_->NewSequentialFile(path(which), {}, &file, nullptr).ok()) continue;
        any = true;
        if (!file->Read(sizeof buffer, {}, &bytes, buffer, nullptr).ok()) continue;
        const std::string_view text(bytes.data(), bytes.size());
        if (!text.starts_with(mark_magic) || !has_checksum(text)) continue;
        ByteReader in(text.substr(mark_magic.size()));
        const auto sequence = in.take<std::uint64_t>();
        const Stamp found = take_stamp(in);
        if (stamp && sequence < sequence_) continue;
        stamp = found;
        sequence_ = sequence;
    }
    if (any && !stamp) {
        return {StoreError::damaged,
                directory_ + "/mark.0 and mark.1 are both damaged: what the store must hold is unknown. "
                                      "Restore a backup, or remove both files to serve what is there"};
    }
    return {};
}

StoreStatus RecoveryMark::write(const Stamp& stamp) {
    const std::lock_guard lock(mutex_);
    std::string bytes(mark_magic);
    put_le(bytes, ++sequence_);
    put_stamp(bytes, stamp);
    put_checksum(bytes);
    std::unique_ptr<rocksdb::FSWritableFile> file;
    rocksdb::IOStatus status = files_->NewWritableFile(path(sequence_), {}, &file, nullptr);
    if (status.ok()) status = file->Append(bytes, {}, nullptr);
    if (status.ok()) status = file->Sync({}, nullptr);
    if (status.ok()) status = file->Close({}, nullptr);
    std::unique_ptr<rocksdb::FSDirectory> directory;
    if (status.ok()) status = files_->NewDirectory(directory_, {}, &directory, nullptr);
    if (status.ok()) status = directory->Fsync({}, nullptr);
    if (status.ok()) return {};
    return {status.IsNoSpace() ? StoreError::no_space : StoreError::failed, path(sequence_) + ": " + status.ToString()};
}

}  // namespace trunkline::store
