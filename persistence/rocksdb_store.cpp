#include "persistence/rocksdb_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdarg>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/file_system.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>

#include "persistence/bytes.h"
#include "persistence/recovery_mark.h"
#include "persistence/store_summary.h"

namespace trunkline::store {
namespace {

constexpr const char* stamp_key = "stamp";

rocksdb::Slice slice(std::string_view text) { return {text.data(), text.size()}; }
std::string_view view(const rocksdb::Slice& text) { return {text.data(), text.size()}; }

StoreStatus read_status(const rocksdb::Status& status, const std::string& what) {
    if (status.ok()) return {};
    StoreError error = StoreError::failed;
    if (status.IsCorruption()) error = StoreError::damaged;
    if (status.IsNoSpace()) error = StoreError::no_space;
    return {error, what + ": " + status.ToString()};
}

/// A write that failed for any reason but space leaves the log in doubt.
StoreStatus write_status(const rocksdb::Status& status, const std::string& what) {
    if (status.ok()) return {};
    return {status.IsNoSpace() ? StoreError::no_space : StoreError::sync_failed, what + ": " + status.ToString()};
}

/// RocksDB's own warnings, in db/LOG. Its built-in logger ends the process when the disk has been full (an assertion on
/// the first line after one that could not be written); here such a line is lost.
class InfoLog final : public rocksdb::Logger {
public:
    explicit InfoLog(std::string path) : Logger(rocksdb::WARN_LEVEL), path_(std::move(path)) {}
    ~InfoLog() override {
        if (file_ >= 0) ::close(file_);
    }
    using Logger::Logv;
    void LogHeader(const char*, va_list) override {}   // all options, at every start
    void Logv(const char* format, va_list arguments) override {
        char line[2048];
        const int stamp = std::snprintf(line, sizeof line, "%lld ", static_cast<long long>(std::time(nullptr)));
        const auto room = sizeof line - static_cast<std::size_t>(stamp) - 1;
        const int text = std::vsnprintf(line + stamp, room, format, arguments);
        if (text < 0) return;
        std::size_t size = std::min(static_cast<std::size_t>(stamp + text), sizeof line - 2);
        if (line[size - 1] != '\n') line[size++] = '\n';
        const std::lock_guard lock(mutex_);
        struct stat known{};
        if (file_ >= 0 && ::fstat(file_, &known) == 0 && known.st_size > max_bytes) {
            ::close(std::exchange(file_, -1));
            (void)std::rename(path_.c_str(), (path_ + ".old").c_str());
        }
        if (file_ < 0) file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (file_ >= 0 && ::write(file_, line, size) < 0) return;
    }

private:
    static constexpr off_t max_bytes = 1 << 20;
    const std::string path_;
    std::mutex mutex_;
    int file_ = -1;
};

/// Space for the write-ahead log is allocated ahead as part of the file, which zeros then end: a sync need not write a
/// new file size, too, and takes about a third less time. Reading skips the zeros; closing cuts them off.
class WalAhead final : public rocksdb::FileSystemWrapper {
public:
    explicit WalAhead(const std::shared_ptr<rocksdb::FileSystem>& base) : FileSystemWrapper(base) {}
    const char* Name() const override { return "TrunklineWalAhead"; }
    rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* result,
                                      rocksdb::IODebugContext* debug) override {
        rocksdb::FileOptions ahead = options;
        if (name.ends_with(".log")) ahead.fallocate_with_keep_size = false;
        return target()->NewWritableFile(name, ahead, result, debug);
    }
};

rocksdb::DBOptions db_options(const RocksDbStore::Options& options, rocksdb::Env* env) {
    rocksdb::DBOptions db;
    db.env = env;
    db.create_if_missing = true;
    db.create_missing_column_families = true;
    db.db_write_buffer_size = options.memory_bytes;
    db.max_total_wal_size = 4 * options.memory_bytes;
    db.max_background_jobs = 2;
    db.max_open_files = 512;
    db.info_log = std::make_shared<InfoLog>(options.directory + "/db/LOG");
    db.stats_dump_period_sec = 0;
    db.stats_persist_period_sec = 0;
    db.max_manifest_file_size = 16 << 20;
    // A torn tail is normal after a power cut, a hole is not: recovery stops at the first damaged record and
    // check_recovered() then decides which of the two it was.
    db.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
    db.track_and_verify_wals_in_manifest = true;
    db.manual_wal_flush = false;
    db.recycle_log_file_num = 0;
    db.wal_bytes_per_sync = 0;
    db.allow_concurrent_memtable_write = false;   // one writer
    db.enable_write_thread_adaptive_yield = false;
    return db;
}

rocksdb::ColumnFamilyOptions table_options(Table table, const RocksDbStore::Options& options,
                                           const std::shared_ptr<rocksdb::Cache>& cache) {
    rocksdb::ColumnFamilyOptions cf;
    const bool big = table == Table::log || table == Table::queues || table == Table::retained;
    cf.write_buffer_size = big ? options.memory_bytes / 4 : options.memory_bytes / 16;
    cf.max_write_buffer_number = 3;
    cf.compression = rocksdb::kNoCompression;
    cf.level_compaction_dynamic_level_bytes = true;
    rocksdb::BlockBasedTableOptions blocks;
    blocks.block_cache = cache;
    blocks.cache_index_and_filter_blocks = true;
    cf.table_factory.reset(rocksdb::NewBlockBasedTableFactory(blocks));
    if (table == Table::queues) {  // large values that live until they are delivered: never rewritten by compaction
        cf.enable_blob_files = true;
        cf.min_blob_size = 4 << 10;
        cf.blob_file_size = 64 << 20;
        cf.enable_blob_garbage_collection = true;
        cf.blob_garbage_collection_age_cutoff = 0.5;
    }
    return cf;
}

}  // namespace

struct RocksDbStore::Impl {
    Options options;
    std::string directory, db_directory;
    std::shared_ptr<rocksdb::FileSystem> files;
    std::unique_ptr<rocksdb::Env> env;
    std::unique_ptr<rocksdb::DB> db;
    std::array<rocksdb::ColumnFamilyHandle*, table_count> tables{};
    std::unique_ptr<RecoveryMark> marks;
    rocksdb::WriteBatch batch;
    Stamp written;
    std::atomic<bool> unsynced{false};
    std::shared_mutex opening;              // shared by checkpoint(), whole while `db` is closed or opened

    std::mutex mutex;                       // guards what follows
    std::condition_variable wake;
    std::optional<Stamp> to_mark;
    bool stopping = false;
    std::thread marker;

    ~Impl() {
        {
            const std::lock_guard lock(mutex);
            stopping = true;
        }
        wake.notify_one();
        if (marker.joinable()) marker.join();
        close_db();
    }

    void close_db() {
        if (!db) return;
        for (auto* table : tables) {
            if (table) db->DestroyColumnFamilyHandle(table);
        }
        db->Close();
        db.reset();
    }

    [[nodiscard]] StoreStatus closed() const {
        return {StoreError::no_space, db_directory + " is closed until there is room to open it"};
    }
    [[nodiscard]] rocksdb::ColumnFamilyHandle* table(Table which) const {
        return tables[static_cast<std::size_t>(which)];
    }
    StoreStatus open_db();
    StoreStatus find_space() const;
    StoreStatus reopen();
    std::optional<WalStamp> last_wal_stamp() const;
    StoreStatus read_stamp(std::optional<Stamp>& stamp) const;
    StoreStatus check_recovered(const std::optional<Stamp>& mark, const std::optional<WalStamp>& wal);
    void run_marker();
};

StoreStatus RocksDbStore::Impl::open_db() {
    const auto cache = rocksdb::NewLRUCache(options.cache_bytes);
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (std::size_t i = 0; i < table_count; ++i) {
        const auto which = static_cast<Table>(i);
        families.emplace_back(table_name(which), table_options(which, options, cache));
    }
    families.emplace_back(rocksdb::kDefaultColumnFamilyName, rocksdb::ColumnFamilyOptions());
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* opened = nullptr;
    const auto status = rocksdb::DB::Open(db_options(options, env.get()), db_directory, families, &handles, &opened);
    if (!status.ok()) {
        const std::string text = status.ToString();
        if (status.IsIOError() && text.find("lock") != std::string::npos) {
            return {StoreError::locked, db_directory + " is in use by another process: " + text};
        }
        if (status.IsNoSpace()) return {StoreError::no_space, db_directory + ": " + text};
        if (status.IsInvalidArgument() && text.find("olumn famil") != std::string::npos) {
            return {StoreError::version, db_directory + " has tables this version doesn't know: " + text};
        }
        return {StoreError::damaged, db_directory + " can't be opened: " + text};
    }
    db.reset(opened);
    for (std::size_t i = 0; i < table_count; ++i) tables[i] = handles[i];
    db->DestroyColumnFamilyHandle(handles.back());
    return {};
}

/// Looks through the bytes of the write-ahead logs; before opening, which removes them.
std::optional<WalStamp> RocksDbStore::Impl::last_wal_stamp() const {
    std::optional<WalStamp> last;
    std::vector<std::string> names;
    if (!files->GetChildren(db_directory, {}, &names, nullptr).ok()) return last;
    constexpr std::size_t block = 1 << 20, overlap = 64;
    std::string buffer(overlap + block, '\0');
    for (const std::string& name : names) {
        if (!name.ends_with(".log")) continue;
        std::unique_ptr<rocksdb::FSSequentialFile> file;
        if (!files->NewSequentialFile(db_directory + "/" + name, {}, &file, nullptr).ok()) continue;
        std::size_t kept = 0;
        for (;;) {
            rocksdb::Slice got;
            if (!file->Read(block, {}, &got, buffer.data() + kept, nullptr).ok() || got.empty()) break;
            if (got.data() != buffer.data() + kept) std::memcpy(buffer.data() + kept, got.data(), got.size());
            const std::size_t size = kept + got.size();
            const auto found = find_last_wal_stamp({buffer.data(), size});
            if (found && (!last || found->stamp.position > last->stamp.position)) last = found;
            kept = std::min(size, overlap);
            std::memmove(buffer.data(), buffer.data() + size - kept, kept);
        }
    }
    return last;
}

StoreStatus RocksDbStore::Impl::read_stamp(std::optional<Stamp>& stamp) const {
    std::string value;
    const auto status = db->Get({}, table(Table::meta), stamp_key, &value);
    if (status.IsNotFound()) return {};
    if (!status.ok()) return read_status(status, db_directory);
    ByteReader in(value);
    Stamp read;
    read.epoch = in.take<std::uint64_t>();
    read.position = in.take<std::uint64_t>();
    read.hash = in.take<std::uint64_t>();
    if (!in.done()) return {StoreError::damaged, db_directory + ": the stamp of the last batch is damaged"};
    stamp = read;
    return {};
}

StoreStatus RocksDbStore::Impl::check_recovered(const std::optional<Stamp>& mark, const std::optional<WalStamp>& wal) {
    std::optional<Stamp> found;
    if (StoreStatus status = read_stamp(found); !status.ok()) return status;
    if (found) written = *found;
    const Position position = written.position;
    const auto refuse = [&](Position last, const char* source) {
        return StoreStatus{StoreError::damaged,
                           directory + ": batches " + std::to_string(position + 1) + " to " + std::to_string(last) +
                               " were acknowledged (" + source + ") but can't be recovered. Restore a backup, or "
                               "remove mark.0 and mark.1 to serve what is left, without them"};
    };
    if (mark && mark->position > position) return refuse(mark->position, "says the recovery mark");
    if (mark && mark->position == position && mark->hash != written.hash) {
        return {StoreError::damaged, directory + ": batch " + std::to_string(position) +
                                         " is another one than the recovery mark names"};
    }
    // A batch is written only after the one before it was synced: what follows a torn tail can't be there.
    if (wal && wal->synced && wal->stamp.position > position + 1) {
        // opening has replaced the log that proves it: the mark keeps refusing from now on
        if (StoreStatus kept = marks->write({wal->stamp.epoch, wal->stamp.position - 1, 0}); !kept.ok()) return kept;
        return refuse(wal->stamp.position - 1, "a later batch is in the write-ahead log");
    }
    return {};
}

void RocksDbStore::Impl::run_marker() {
    std::unique_lock lock(mutex);
    for (;;) {
        wake.wait(lock, [this] { return stopping || to_mark; });
        if (stopping) return;
        const Stamp stamp = *std::exchange(to_mark, std::nullopt);
        lock.unlock();
        (void)marks->write(stamp);   // a mark that stays behind only weakens the check
        lock.lock();
    }
}

RocksDbStore::RocksDbStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RocksDbStore::~RocksDbStore() = default;

namespace {
RocksDbStore::FileWrapper& default_wrapper() {
    static RocksDbStore::FileWrapper wrapper;
    return wrapper;
}

/// A store that can't be read any more: up to where it must have reached, for whoever restores a backup.
StoreStatus with_what_is_at_stake(StoreStatus status, const std::optional<Stamp>& mark) {
    if (status.error != StoreError::damaged || !mark) return status;
    status.detail += "; batches up to " + std::to_string(mark->position) +
                     " were acknowledged (says the recovery mark). Restore a backup";
    return status;
}
}  // namespace

void RocksDbStore::wrap_all_files(FileWrapper wrapper) { default_wrapper() = std::move(wrapper); }

RocksDbStore::Opened RocksDbStore::open(const Options& options) {
    auto impl = std::make_unique<Impl>();
    impl->options = options;
    impl->directory = options.directory;
    impl->db_directory = options.directory + "/db";
    impl->files = std::make_shared<WalAhead>(rocksdb::FileSystem::Default());
    const FileWrapper& wrap = options.wrap_files ? options.wrap_files : default_wrapper();
    if (wrap) impl->files = wrap(impl->files);
    impl->env = rocksdb::NewCompositeEnv(impl->files);
    if (auto made = impl->files->CreateDirIfMissing(options.directory, {}, nullptr); !made.ok()) {
        return {nullptr, {StoreError::failed, options.directory + ": " + made.ToString()}};
    }
    impl->marks = std::make_unique<RecoveryMark>(impl->files, options.directory);
    std::optional<Stamp> mark;
    if (StoreStatus status = impl->marks->read(mark); !status.ok()) return {nullptr, status};
    if (mark && !impl->files->FileExists(impl->db_directory + "/CURRENT", {}, nullptr).ok()) {
        return {nullptr,
                {StoreError::damaged, impl->db_directory + " has no store (CURRENT is missing), but batches up " +
                                                   "to " + std::to_string(mark->position) + " were acknowledged"}};
    }
    const auto wal = impl->last_wal_stamp();
    if (StoreStatus status = impl->open_db(); !status.ok()) return {nullptr, with_what_is_at_stake(status, mark)};
    if (StoreStatus status = impl->check_recovered(mark, wal); !status.ok()) return {nullptr, status};
    impl->marker = std::thread([raw = impl.get()] { raw->run_marker(); });
    return {std::unique_ptr<RocksDbStore>(new RocksDbStore(std::move(impl))), {}};
}

StoreStatus RocksDbStore::write(const WriteSet& writes, bool sync) {
    const bool stamped = writes.stamp.position != 0;
    if (!impl_->db) return impl_->closed();
    if (stamped && impl_->written == writes.stamp) return {};   // it had reached the log before the store was reopened
    rocksdb::WriteBatch& batch = impl_->batch;
    batch.Clear();
    const std::string wal_stamp = stamped ? encode_wal_stamp(writes.stamp, sync) : std::string();
    if (stamped) batch.PutLogData(wal_stamp);
    rocksdb::Status status;
    writes.for_each([&](const WriteSet::Entry& entry) {
        auto* table = impl_->table(entry.table);
        rocksdb::Status added;
        if (entry.kind == WriteSet::Kind::put) {
            added = batch.Put(table, slice(entry.key), slice(entry.value));
        } else if (entry.kind == WriteSet::Kind::remove_range) {
            added = batch.DeleteRange(table, slice(entry.key), slice(entry.value));
        } else if (entry.table == Table::log) {
            added = batch.SingleDelete(table, slice(entry.key));
        } else {
            added = batch.Delete(table, slice(entry.key));
        }
        if (!added.ok()) status = added;
    });
    if (stamped) {
        std::string value;
        put_le(value, writes.stamp.epoch);
        put_le(value, writes.stamp.position);
        put_le(value, writes.stamp.hash);
        status = batch.Put(impl_->table(Table::meta), stamp_key, value);
        // a second one: the first may lie across a block boundary of the log
        if (status.ok()) status = batch.PutLogData(wal_stamp);
    }
    rocksdb::WriteOptions options;
    options.sync = sync;
    if (status.ok()) status = impl_->db->Write(options, &batch);
    if (batch.GetDataSize() > (8 << 20)) batch = rocksdb::WriteBatch();
    if (!status.ok()) return write_status(status, impl_->db_directory);
    if (stamped) impl_->written = writes.stamp;
    impl_->unsynced.store(!sync, std::memory_order_relaxed);
    return {};
}

std::optional<std::string> RocksDbStore::get(Table table, std::string_view key, StoreStatus* status) const {
    if (!impl_->db) {
        if (status) *status = impl_->closed();
        return std::nullopt;
    }
    std::string value;
    const auto got = impl_->db->Get({}, impl_->table(table), slice(key), &value);
    if (got.ok()) return value;
    if (!got.IsNotFound() && status) *status = read_status(got, impl_->db_directory);
    return std::nullopt;
}

StoreStatus RocksDbStore::scan(Table table, std::string_view prefix, std::string_view from, const Visit& visit) const {
    if (!impl_->db) return impl_->closed();
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    std::string end(prefix);   // the first key after all that start with the prefix
    while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xFF) end.pop_back();
    rocksdb::Slice bound;
    if (!end.empty()) {
        ++end.back();
        bound = end;
        options.iterate_upper_bound = &bound;
    }
    const std::unique_ptr<rocksdb::Iterator> at(impl_->db->NewIterator(options, impl_->table(table)));
    for (at->Seek(slice(std::max(prefix, from))); at->Valid(); at->Next()) {
        if (!visit(view(at->key()), view(at->value()))) break;
    }
    return read_status(at->status(), impl_->db_directory + ", table " + table_name(table));
}

void RocksDbStore::mark(const Stamp& stamp, bool now) {
    if (!impl_->db) return;
    if (now) {
        // relaxed durability: what the mark names must be on the device before it is
        if (impl_->unsynced && !impl_->db->SyncWAL().ok()) return;
        (void)impl_->marks->write(stamp);
        return;
    }
    if (impl_->unsynced) return;
    {
        const std::lock_guard lock(impl_->mutex);
        impl_->to_mark = stamp;
    }
    impl_->wake.notify_one();
}

StoreStatus RocksDbStore::resume() {
    if (impl_->db && impl_->db->Resume().ok()) return {};
    if (StoreStatus status = impl_->find_space(); !status.ok()) return status;
    return impl_->reopen();
}

/// Is there room to open the store, which writes out what its write-ahead log holds?
StoreStatus RocksDbStore::Impl::find_space() const {
    struct statvfs disk{};
    if (::statvfs(directory.c_str(), &disk) == 0 &&
        static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize < 2 * options.memory_bytes) {
        return {StoreError::no_space, directory + ": less than " + std::to_string(2 * options.memory_bytes >> 20) +
                                          " MiB left on the disk"};
    }
    const std::string path = directory + "/space.probe";
    std::unique_ptr<rocksdb::FSWritableFile> file;
    rocksdb::IOStatus status = files->NewWritableFile(path, {}, &file, nullptr);
    if (status.ok()) status = file->Append(std::string(64 << 10, '\0'), {}, nullptr);
    if (status.ok()) status = file->Sync({}, nullptr);
    if (file) file->Close({}, nullptr).PermitUncheckedError();
    files->DeleteFile(path, {}, nullptr).PermitUncheckedError();
    if (status.ok()) return {};
    return {status.IsNoSpace() ? StoreError::no_space : StoreError::failed, path + ": " + status.ToString()};
}

/// RocksDB takes no writes after its log could not be appended to, until it is opened again.
StoreStatus RocksDbStore::Impl::reopen() {
    const std::unique_lock lock(opening);
    const Stamp before = written;
    close_db();
    if (StoreStatus status = open_db(); !status.ok()) return status;
    std::optional<Stamp> found;
    if (StoreStatus status = read_stamp(found); !status.ok()) return status;
    if (found) written = *found;
    if (written.position >= before.position) return {};
    return {StoreError::damaged, directory + ": batches " + std::to_string(written.position + 1) + " to " +
                                     std::to_string(before.position) + " are missing after opening the store again"};
}

StoreStats RocksDbStore::stats() const {
    StoreStats stats;
    std::error_code ignored;
    for (const auto& file : std::filesystem::directory_iterator(impl_->db_directory, ignored)) {
        stats.bytes_on_disk += file.file_size(ignored);
    }
    struct statvfs disk{};
    if (::statvfs(impl_->directory.c_str(), &disk) == 0) {
        stats.disk_free = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
        stats.disk_size = static_cast<std::uint64_t>(disk.f_blocks) * disk.f_frsize;
    }
    return stats;
}

StoreStatus RocksDbStore::checkpoint(const std::string& directory) {
    const std::shared_lock lock(impl_->opening);
    if (!impl_->db) return impl_->closed();
    if (auto made = impl_->files->CreateDir(directory, {}, nullptr); !made.ok()) {
        return {StoreError::failed, directory + ": " + made.ToString()};
    }
    const auto undo = [&](StoreStatus status) {
        std::error_code ignored;
        std::filesystem::remove_all(directory, ignored);
        return status;
    };
    rocksdb::Checkpoint* created = nullptr;
    rocksdb::Status status = rocksdb::Checkpoint::Create(impl_->db.get(), &created);
    const std::unique_ptr<rocksdb::Checkpoint> checkpoint(created);
    if (status.ok()) status = checkpoint->CreateCheckpoint(directory + "/db");   // after a flush: little log to copy
    if (!status.ok()) return undo(read_status(status, directory));
    StoreSummary summary;   // of what a reader finds in the copy, which is what counts
    if (StoreStatus read = summarise_stamp(directory, summary); !read.ok()) return undo(read);
    RecoveryMark marks(impl_->files, directory);
    if (summary.stamp.position != 0) {
        if (StoreStatus marked = marks.write(summary.stamp); !marked.ok()) return undo(marked);
    }
    return {};
}

Stamp RocksDbStore::stamp() const { return impl_->written; }

}  // namespace trunkline::store
