#include "persistence/store_summary.h"

#include <cstdarg>
#include <memory>
#include <vector>

#include <rocksdb/db.h>
#include <rocksdb/table.h>
#include <xxhash.h>

#include "persistence/bytes.h"
#include "persistence/record.h"

namespace trunkline::store {
namespace {

constexpr std::uint64_t bytes_between_questions = 8 << 20;

/// RocksDB would write a log of its own beside the store.
class NoLog final : public rocksdb::Logger {
public:
    using Logger::Logv;
    void Logv(const char*, va_list) override {}
};

StoreStatus damaged(const std::string& directory, const std::string& what) {
    return {StoreError::damaged, directory + "/db: " + what};
}

/// A store opened for reading alone.
class Reader {
public:
    StoreStatus open(const std::string& directory) {
        directory_ = directory;
        rocksdb::DBOptions options;
        options.info_log = std::make_shared<NoLog>();
        options.max_open_files = 512;
        // As the store was written: without it RocksDB would want to correct the manifest, and asserts that it may.
        options.track_and_verify_wals_in_manifest = true;
        options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
        std::vector<rocksdb::ColumnFamilyDescriptor> families;
        rocksdb::ColumnFamilyOptions family;
        for (std::size_t i = 0; i < table_count; ++i) families.emplace_back(table_name(static_cast<Table>(i)), family);
        families.emplace_back(rocksdb::kDefaultColumnFamilyName, family);
        rocksdb::DB* opened = nullptr;
        const auto status = rocksdb::DB::OpenForReadOnly(options, directory + "/db", families, &handles_, &opened);
        db_.reset(opened);
        if (status.ok()) return {};
        const std::string text = status.ToString();
        if (status.IsInvalidArgument() && text.find("olumn famil") != std::string::npos) {
            return {StoreError::version, directory + "/db has other tables than this version knows: " + text};
        }
        return damaged(directory, "can't be opened: " + text);
    }
    ~Reader() {
        for (auto* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
    }

    StoreStatus read_stamp(StoreSummary& summary) const {
        std::string value;
        auto status = db_->Get({}, handles_[0], "stamp", &value);
        if (status.IsNotFound()) return {};
        if (!status.ok()) return damaged(directory_, status.ToString());
        ByteReader in(value);
        summary.stamp.epoch = in.take<std::uint64_t>();
        summary.stamp.position = in.take<std::uint64_t>();
        summary.stamp.hash = in.take<std::uint64_t>();
        if (!in.done()) return damaged(directory_, "the stamp of the last batch is damaged");
        status = db_->Get({}, handles_[0], "state", &value);
        if (!status.ok()) return damaged(directory_, "meta/state: " + status.ToString());
        ByteReader state(value);
        const auto version = state.take<std::uint8_t>();
        if (version != record_version) {
            return {StoreError::version, directory_ + "/db has records of version " + std::to_string(version)};
        }
        state.take_bytes(24);
        summary.time_ms = state.take<std::int64_t>();
        return state.ok() ? StoreStatus() : damaged(directory_, "meta/state is damaged");
    }

    /// Every key and value of every table, in order.
    StoreStatus read_tables(StoreSummary& summary, const std::function<bool(std::uint64_t)>& go_on) const {
        rocksdb::ReadOptions options;
        options.fill_cache = false;
        std::uint64_t bytes = 0, next_question = bytes_between_questions;
        for (std::size_t i = 0; i < table_count; ++i) {
            TableSummary& table = summary.tables[i];
            const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options, handles_[i]));
            for (at->SeekToFirst(); at->Valid(); at->Next()) {
                const rocksdb::Slice key = at->key(), value = at->value();
                const std::uint64_t sizes[] = {key.size(), value.size(), table.hash};
                table.hash = XXH3_64bits(sizes, sizeof sizes);
                table.hash = XXH3_64bits_withSeed(key.data(), key.size(), table.hash);
                table.hash = XXH3_64bits_withSeed(value.data(), value.size(), table.hash);
                ++table.keys;
                table.bytes += key.size() + value.size();
                bytes += key.size() + value.size();
                if (bytes < next_question) continue;
                next_question = bytes + bytes_between_questions;
                if (go_on && !go_on(bytes)) return {StoreError::failed, "given up"};
            }
            if (!at->status().ok()) {
                return damaged(directory_, std::string("table ") + table_name(static_cast<Table>(i)) + ": " +
                                               at->status().ToString());
            }
        }
        return {};
    }

private:
    std::string directory_;
    std::unique_ptr<rocksdb::DB> db_;
    std::vector<rocksdb::ColumnFamilyHandle*> handles_;
};

}  // namespace

StoreStatus summarise_stamp(const std::string& directory, StoreSummary& summary) {
    summary = {};
    Reader reader;
    if (StoreStatus status = reader.open(directory); !status.ok()) return status;
    return reader.read_stamp(summary);
}

StoreStatus summarise(const std::string& directory, StoreSummary& summary,
                      const std::function<bool(std::uint64_t bytes)>& go_on) {
    summary = {};
    Reader reader;
    if (StoreStatus status = reader.open(directory); !status.ok()) return status;
    if (StoreStatus status = reader.read_stamp(summary); !status.ok()) return status;
    return reader.read_tables(summary, go_on);
}

}  // namespace trunkline::store
