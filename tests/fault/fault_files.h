// A file system under the store that behaves like hardware that fails: it forgets what was not synced when the power is
// cut, fails a chosen sync, has no space, or takes its time. For tests only; never linked into what is shipped.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include <rocksdb/file_system.h>

namespace trunkline::fault {

/// Shared by all files of a store; any thread may change it.
struct Faults {
    std::atomic<bool> hold_unsynced{false};       ///< appended bytes reach the disk only when they are synced
    std::atomic<bool> ignore_sync{false};         ///< syncs of the write-ahead log lie: with hold_unsynced it is lost
    std::atomic<std::int64_t> ignore_sync_after{-1};   ///< the same, from that many syncs on; -1: never
    std::atomic<bool> drop_mark{false};           ///< the recovery mark is never found again: nothing tells the loss
    /// That many more syncs of the write-ahead log succeed, then one fails; -1: none.
    std::atomic<std::int64_t> fail_sync_after{-1};
    std::atomic<bool> no_space{false};            ///< appends and creations fail with ENOSPC
    std::atomic<std::int64_t> sync_delay_ms{0};
    std::string only_while;   ///< no_space and sync_delay_ms hold only while this file exists; empty: always
    std::atomic<std::uint64_t> syncs{0};
    /// Failpoints: the process ends at once, as if killed, that many appends or syncs of the write-ahead log later.
    std::atomic<std::int64_t> exit_before_write{-1}, exit_before_sync{-1}, exit_after_sync{-1};
};

/// Wraps `base`. With hold_unsynced the bytes that were appended and not synced live in this process only, so that
/// killing it, or dropping the store without closing it, loses them as a power cut would.
[[nodiscard]] std::shared_ptr<rocksdb::FileSystem> wrap_files(std::shared_ptr<rocksdb::FileSystem> base,
                                                              std::shared_ptr<Faults> faults);

/// The faults that the environment asks for, TRUNKLINE_FAULTS: comma separated `drop-unsynced`, `ignore-sync`,
/// `ignore-sync-after=N`, `drop-mark`, `fail-sync-after=N`, `no-space`, `sync-delay-ms=N`, `while=FILE`,
/// `exit-before-write=N`, `exit-before-sync=N`, `exit-after-sync=N`. Null when it asks for none; an unknown word ends
/// the program, so that no test runs without its fault.
[[nodiscard]] std::shared_ptr<Faults> faults_from_environment();

}  // namespace trunkline::fault
