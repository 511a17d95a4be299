// Where the trail's files lie. The trail needs append, sync and little else, so that tests run in memory with power
// cuts and full disks, and the same formats work on both.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "auth/audit/error.h"

namespace trunkline::auth::audit {

/// Named files in one place. Writing is one thread's; list(), size() and read() may come from several at once when
/// nobody writes.
class AuditStore {
public:
    virtual ~AuditStore() = default;

    /// Names, sorted.
    [[nodiscard]] virtual Result<std::vector<std::string>> list() const = 0;
    /// absent when there is no such file.
    [[nodiscard]] virtual Result<std::uint64_t> size(const std::string& name) const = 0;
    /// Up to `length` bytes from `offset`; fewer at the end of the file.
    [[nodiscard]] virtual Result<std::string> read(const std::string& name, std::uint64_t offset,
                                                   std::uint64_t length) const = 0;
    /// All of `bytes` at the end of the file, which is created when it is missing; or none of them (no_space).
    [[nodiscard]] virtual Status append(const std::string& name, std::string_view bytes) = 0;
    /// Overwrites; the file is created when it is missing.
    [[nodiscard]] virtual Status write_at(const std::string& name, std::uint64_t offset, std::string_view bytes) = 0;
    [[nodiscard]] virtual Status truncate(const std::string& name, std::uint64_t size) = 0;
    [[nodiscard]] virtual Status remove(const std::string& name) = 0;
    /// fdatasync, and of the folder when the file is new. A failure is final: see Failure::failed.
    [[nodiscard]] virtual Status sync(const std::string& name) = 0;
};

/// In memory. It knows what was synced, so that a test can cut the power.
class MemoryAuditStore : public AuditStore {
public:
    Result<std::vector<std::string>> list() const override;
    Result<std::uint64_t> size(const std::string& name) const override;
    Result<std::string> read(const std::string& name, std::uint64_t offset, std::uint64_t length) const override;
    Status append(const std::string& name, std::string_view bytes) override;
    Status write_at(const std::string& name, std::uint64_t offset, std::string_view bytes) override;
    Status truncate(const std::string& name, std::uint64_t size) override;
    Status remove(const std::string& name) override;
    Status sync(const std::string& name) override;

    /// The bytes of a file, for tests that damage them.
    [[nodiscard]] std::string& bytes(const std::string& name) { return files_[name]; }
    /// Forgets what was not synced, but for the first `kept` bytes of each unsynced end.
    void cut_power(std::size_t kept = 0);
    /// What append() may still take before the disk is full; syncs that still succeed.
    std::uint64_t space = ~std::uint64_t{0};
    std::uint64_t syncs_left = ~std::uint64_t{0};
    std::uint64_t syncs = 0;  ///< done so far

private:
    std::map<std::string, std::string> files_;
    std::map<std::string, std::string> synced_;
};

/// A folder of mode 0700 with files of mode 0600. Opened for writing it is locked against a second writer.
class FileAuditStore : public AuditStore {
public:
    enum class Mode : std::uint8_t { read, write };
    /// `write` creates the folder; `read` changes nothing on the disk.
    [[nodiscard]] static Result<std::unique_ptr<FileAuditStore>> open(const std::string& folder, Mode mode);
    ~FileAuditStore() override;

    Result<std::vector<std::string>> list() const override;
    Result<std::uint64_t> size(const std::string& name) const override;
    Result<std::string> read(const std::string& name, std::uint64_t offset, std::uint64_t length) const override;
    Status append(const std::string& name, std::string_view bytes) override;
    Status write_at(const std::string& name, std::uint64_t offset, std::string_view bytes) override;
    Status truncate(const std::string& name, std::uint64_t size) override;
    Status remove(const std::string& name) override;
    Status sync(const std::string& name) override;

private:
    struct File;
    FileAuditStore(std::string folder, int descriptor, Mode mode);
    Result<File*> writable(const std::string& name);
    [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }

    std::string folder_;
    int descriptor_;  ///< of the folder
    Mode mode_;
    std::map<std::string, std::unique_ptr<File>> open_;  ///< bounded: files_open_max
};

}  // namespace trunkline::auth::audit
