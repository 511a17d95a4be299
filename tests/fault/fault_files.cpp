#include "tests/fault/fault_files.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>

namespace trunkline::fault {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

bool in_force(const Faults& faults) {
    return faults.only_while.empty() || ::access(faults.only_while.c_str(), F_OK) == 0;
}

bool full(const Faults& faults) { return faults.no_space && in_force(faults); }

class FaultFile final : public rocksdb::FSWritableFileOwnerWrapper {
public:
    FaultFile(std::unique_ptr<rocksdb::FSWritableFile>&& file, std::shared_ptr<Faults> faults, bool is_wal)
        : FSWritableFileOwnerWrapper(std::move(file)), faults_(std::move(faults)), is_wal_(is_wal) {}

    IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
        if (full(*faults_)) return IOStatus::NoSpace("simulated");
        failpoint(faults_->exit_before_write);
        if (!faults_->hold_unsynced && held_.empty()) return target()->Append(data, options, debug);
        held_.append(data.data(), data.size());
        return IOStatus::OK();
    }
    IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                    IODebugContext* debug) override {
        return Append(data, options, debug);
    }
    IOStatus Flush(const IOOptions& options, IODebugContext* debug) override {
        return held_.empty() ? target()->Flush(options, debug) : IOStatus::OK();
    }
    IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
        return synced(options, debug, [&] { return target()->Sync(options, debug); });
    }
    IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
        return synced(options, debug, [&] { return target()->Fsync(options, debug); });
    }
    IOStatus RangeSync(std::uint64_t, std::uint64_t, const IOOptions&, IODebugContext*) override {
        return IOStatus::OK();  // promises nothing
    }
    IOStatus Truncate(std::uint64_t size, const IOOptions& options, IODebugContext* debug) override {
        if (!held_.empty() || faults_->hold_unsynced) return IOStatus::OK();  // the writer cuts off preallocated space
        return target()->Truncate(size, options, debug);
    }
    IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
        held_.clear();   // closing syncs nothing
        return target()->Close(options, debug);
    }
    std::uint64_t GetFileSize(const IOOptions& options, IODebugContext* debug) override {
        return target()->GetFileSize(options, debug) + held_.size();
    }
    bool use_direct_io() const override { return false; }

private:
    template <class Device>
    IOStatus synced(const IOOptions& options, IODebugContext* debug, Device&& device) {
        const std::chrono::milliseconds delay(faults_->sync_delay_ms.load());
        if (delay.count() > 0 && in_force(*faults_)) std::this_thread::sleep_for(delay);
        if (full(*faults_)) return IOStatus::NoSpace("simulated");
        if (auto left = faults_->fail_sync_after.load(); is_wal_ && left >= 0) {
            faults_->fail_sync_after = left - 1;
            if (left == 0) {
                std::fputs("fault: a sync fails\n", stderr);
                return IOStatus::IOError("simulated sync failure");
            }
        }
        ++faults_->syncs;
        failpoint(faults_->exit_before_sync);
        if (is_wal_ && lies()) return IOStatus::OK();
        if (!held_.empty()) {
            if (IOStatus status = target()->Append(held_, options, debug); !status.ok()) return status;
            held_.clear();
        }
        IOStatus status = device();
        failpoint(faults_->exit_after_sync);
        return status;
    }

    [[nodiscard]] bool lies() const {
        const std::int64_t after = faults_->ignore_sync_after;
        return faults_->ignore_sync || (after >= 0 && faults_->syncs > static_cast<std::uint64_t>(after));
    }

    void failpoint(std::atomic<std::int64_t>& left) const {
        if (!is_wal_ || left < 0) return;
        if (left-- == 0) ::_exit(137);
    }

    const std::shared_ptr<Faults> faults_;
    const bool is_wal_;
    std::string held_;   // appended, not yet synced; the store uses a file from one thread at a time
};

class FaultFileSystem final : public rocksdb::FileSystemWrapper {
public:
    FaultFileSystem(std::shared_ptr<rocksdb::FileSystem> base, std::shared_ptr<Faults> faults)
        : FileSystemWrapper(std::move(base)), faults_(std::move(faults)) {}
    const char* Name() const override { return "TrunklineFaultFileSystem"; }

    IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                             std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext* debug) override {
        if (full(*faults_)) return IOStatus::NoSpace("simulated");
        rocksdb::FileOptions plain = options;
        plain.use_mmap_writes = false;
        plain.use_direct_writes = false;
        std::unique_ptr<rocksdb::FSWritableFile> file;
        const bool dropped = faults_->drop_mark && name.find("/mark.") != std::string::npos;
        IOStatus status = target()->NewWritableFile(dropped ? name + ".dropped" : name, plain, &file, debug);
        if (status.ok()) *result = std::make_unique<FaultFile>(std::move(file), faults_, name.ends_with(".log"));
        return status;
    }

private:
    const std::shared_ptr<Faults> faults_;
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> wrap_files(std::shared_ptr<rocksdb::FileSystem> base,
                                                std::shared_ptr<Faults> faults) {
    return std::make_shared<FaultFileSystem>(std::move(base), std::move(faults));
}

std::shared_ptr<Faults> faults_from_environment() {
    const char* wanted = std::getenv("TRUNKLINE_FAULTS");
    if (!wanted || !*wanted) return nullptr;
    auto faults = std::make_shared<Faults>();
    std::string_view rest = wanted;
    while (!rest.empty()) {
        const std::string_view word = rest.substr(0, rest.find(','));
        rest.remove_prefix(std::min(rest.size(), word.size() + 1));
        const std::size_t equals = word.find('=');
        const std::string number(equals == std::string_view::npos ? "" : word.substr(equals + 1));
        const std::string_view name = word.substr(0, equals);
        const auto value = std::strtoll(number.c_str(), nullptr, 10);
        if (name == "drop-unsynced") faults->hold_unsynced = true;
        else if (name == "ignore-sync") faults->ignore_sync = true;
        else if (name == "ignore-sync-after") faults->ignore_sync_after = value;
        else if (name == "drop-mark") faults->drop_mark = true;
        else if (name == "no-space") faults->no_space = true;
        else if (name == "while") faults->only_while = number;
        else if (name == "fail-sync-after") faults->fail_sync_after = value;
        else if (name == "sync-delay-ms") faults->sync_delay_ms = value;
        else if (name == "exit-before-write") faults->exit_before_write = value;
        else if (name == "exit-before-sync") faults->exit_before_sync = value;
        else if (name == "exit-after-sync") faults->exit_after_sync = value;
        else {
            std::fprintf(stderr, "TRUNKLINE_FAULTS: unknown fault in \"%s\"\n", wanted);
            std::exit(2);
        }
    }
    return faults;
}

}  // namespace trunkline::fault
