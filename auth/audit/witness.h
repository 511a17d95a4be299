// Witnesses keep checkpoints where the broker's own disk is not, so that a trail that was rolled back or rewritten with
// the key is found out. One line a checkpoint, the same for all of them, so that `trunkaudit verify --witness` reads a
// witness's file, a syslog file and the output of journalctl alike.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "auth/audit/checkpoint.h"

namespace trunkline::auth::audit {

/// "TIME trunkline-checkpoint origin=O size=N root=BASE64 note=BASE64", without an end of line.
[[nodiscard]] std::string witness_line(const Checkpoint& checkpoint, std::string_view note);

struct Witnessed {
    Checkpoint checkpoint;
    Note note;
    std::uint64_t line = 0;  ///< in the text, from 1
};

struct WitnessText {
    std::vector<Witnessed> checkpoints;
    std::vector<std::string> problems;  ///< lines that say they are checkpoints and are not; each with its number
    bool torn = false;                  ///< the last line has no end and is not whole: a crash while it was written
};
/// Lines without "trunkline-checkpoint" are not for us, and are passed over.
[[nodiscard]] WitnessText parse_witness_text(std::string_view text);

class Witness {
public:
    virtual ~Witness() = default;
    /// For messages: "file /mnt/worm/plant-1.checkpoints".
    [[nodiscard]] virtual std::string name() const = 0;
    /// Success means that the witness has it. May block for the time of its medium.
    [[nodiscard]] virtual Status deliver(const std::string& line) = 0;
};

/// Appends to a file of mode 0600, and syncs it. Belongs on another disk, best one that cannot be rewritten.
class FileWitness : public Witness {
public:
    explicit FileWitness(std::string path) : path_(std::move(path)) {}
    [[nodiscard]] std::string name() const override { return "file " + path_; }
    [[nodiscard]] Status deliver(const std::string& line) override;

private:
    std::string path_;
};

/// The local syslog daemon (RFC 3164 over its datagram socket), which passes it on to where the site collects logs.
/// Success means that the daemon has taken it. Never blocks.
class SyslogWitness : public Witness {
public:
    explicit SyslogWitness(std::string socket_path = "/dev/log") : path_(std::move(socket_path)) {}
    ~SyslogWitness() override;
    SyslogWitness(const SyslogWitness&) = delete;
    SyslogWitness& operator=(const SyslogWitness&) = delete;
    [[nodiscard]] std::string name() const override { return "syslog " + path_; }
    [[nodiscard]] Status deliver(const std::string& line) override;

private:
    std::string path_;
    int descriptor_ = -1;
};

/// Keeps what a witness has not taken yet and tries again, in order. When it is full the oldest line goes: a newer
/// checkpoint covers all that an older one does. One thread, the one that may wait for the witness.
class WitnessQueue {
public:
    static constexpr std::size_t lines_max = 1024;
    static constexpr std::uint64_t retry_first_ns = 1'000'000'000, retry_last_ns = 60'000'000'000;

    explicit WitnessQueue(std::unique_ptr<Witness> witness) : witness_(std::move(witness)) {}

    void add(std::string line);
    /// Delivers what it can. After a failure nothing is tried until the pause is over; pauses double up to a minute.
    void pump(std::uint64_t now_ns);

    [[nodiscard]] std::string name() const { return witness_->name(); }
    [[nodiscard]] std::size_t waiting() const { return lines_.size(); }
    [[nodiscard]] std::uint64_t delivered() const { return delivered_; }
    [[nodiscard]] std::uint64_t dropped() const { return dropped_; }
    [[nodiscard]] std::uint64_t failures() const { return failures_; }
    /// Of the newest attempt; empty when it went well.
    [[nodiscard]] const std::string& last_error() const { return last_error_; }

private:
    std::unique_ptr<Witness> witness_;
    std::deque<std::string> lines_;
    std::uint64_t delivered_ = 0, dropped_ = 0, failures_ = 0;
    std::uint64_t retry_at_ns_ = 0, pause_ns_ = 0;
    std::string last_error_;
};

}  // namespace trunkline::auth::audit
