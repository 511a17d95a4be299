// A backup at rest: a folder with `manifest.json`, `manifest.sha256` and the files that the manifest lists. Names are
// relative, with `/`: `store/` is a data folder (db/, mark.0, browse.*, audit/), `config/` what configured the broker.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "persistence/store_summary.h"

namespace trunkline::store {

inline constexpr std::uint32_t backup_format = 1;

struct BackupFile {
    std::string name;              ///< such as "store/db/000012.sst"
    std::uint64_t bytes = 0;
    std::string sha256;            ///< 64 hexadecimal digits
};

struct BackupManifest {
    std::string node, version;     ///< of the broker
    std::int64_t taken_at_ms = 0;  ///< since 1970
    StoreSummary store;            ///< its stamp is the point: every batch up to it is in the backup
    std::vector<BackupFile> files;
    [[nodiscard]] std::uint64_t bytes() const;
};

[[nodiscard]] std::string to_json(const BackupManifest& manifest);
/// "" or what is wrong. Names that would leave the backup's folder are refused.
[[nodiscard]] std::string from_json(std::string_view json, BackupManifest& manifest);

/// Relative, of plain segments: nothing absolute, empty, `.` or `..`.
[[nodiscard]] bool is_backup_name(std::string_view name);

/// SHA-256 as it comes, piece by piece.
class Sha256 {
public:
    Sha256();
    ~Sha256();
    Sha256(const Sha256&) = delete;
    Sha256& operator=(const Sha256&) = delete;
    void add(std::string_view bytes);
    /// 64 hexadecimal digits. Once.
    [[nodiscard]] std::string finish();

private:
    void* context_;
};

/// Called with the bytes just read or written; false gives up.
using Progress = std::function<bool(std::uint64_t bytes)>;

/// "" and the file's size and hash, or what is wrong.
[[nodiscard]] std::string hash_file(const std::string& path, BackupFile& file, const Progress& progress);

/// Reads a backup's manifest and checks it against manifest.sha256. "" or what is wrong.
[[nodiscard]] std::string read_manifest(const std::string& folder, BackupManifest& manifest);
/// Writes both files. "" or what is wrong.
[[nodiscard]] std::string write_manifest(const std::string& folder, const std::string& json);

/// Everything that is wrong with the backup, each problem naming its file: missing, cut off, altered, additional. With
/// none of that the store is opened for reading and what it holds compared with the manifest.
[[nodiscard]] std::vector<std::string> verify_backup(const std::string& folder, BackupManifest& manifest,
                                                     const Progress& progress);

/// Copies a file with mode 0600 and syncs it. "" or what is wrong.
[[nodiscard]] std::string copy_file(const std::string& from, const std::string& to, const Progress& progress);
/// Makes what was created in a folder survive a power cut.
void sync_folder(const std::string& folder);

}  // namespace trunkline::store
