#include "broker/cli/backup_commands.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <thread>

#include <CLI/CLI.hpp>

#include "broker/cli/fields.h"
#include "broker/data_lock.h"
#include "persistence/backup.h"

namespace trunkline::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::uint64_t piece_bytes = 8 << 20;
constexpr auto quiet_time = 2s;
constexpr auto asking_interval = 100ms;

/// What goes on, on standard error: nothing in the first two seconds, then a line a second (one line on a terminal).
class ProgressLine {
public:
    explicit ProgressLine(std::string what) : what_(std::move(what)), terminal_(::isatty(STDERR_FILENO) == 1) {}
    ~ProgressLine() {
        if (terminal_ && shown_) std::cerr << "\r\033[K";
    }
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;

    void show(std::uint64_t done, std::uint64_t total) {
        const auto now = Clock::now();
        if (now < next_) return;
        next_ = now + (terminal_ ? 200ms : 1'000ms);
        shown_ = true;
        const std::uint64_t percent = total == 0 ? 0 : std::min<std::uint64_t>(100, done * 100 / total);
        std::cerr << (terminal_ ? "\r\033[K" : "") << what_ << "  " << percent << " %  " << bytes_text(done) << " of "
                  << bytes_text(total) << (terminal_ ? "" : "\n") << std::flush;
    }
    void add(std::uint64_t bytes, std::uint64_t total) { show(done_ += bytes, total); }

private:
    std::string what_;
    bool terminal_, shown_ = false;
    std::uint64_t done_ = 0;
    Clock::time_point next_ = Clock::now() + quiet_time;
};

std::string time_text(std::int64_t ms) {
    const auto seconds = static_cast<std::time_t>(ms / 1'000);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char text[40], all[48];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    std::snprintf(all, sizeof all, "%s.%03dZ", text, static_cast<int>(ms % 1'000));
    return all;
}

std::string duration_since(Clock::time_point began) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began).count();
    char text[32];
    std::snprintf(text, sizeof text, "%.1f s", static_cast<double>(ms) / 1e3);
    return text;
}

Json manifest_json(const store::BackupManifest& manifest) {
    return {{"node", manifest.node}, {"version", manifest.version}, {"taken_at", time_text(manifest.taken_at_ms)},
            {"point", manifest.store.stamp.position}, {"epoch", manifest.store.stamp.epoch},
            {"point_time", manifest.store.time_ms ? Json(time_text(manifest.store.time_ms)) : Json()},
            {"files", manifest.files.size()}, {"bytes", manifest.bytes()}};
}

/// The outcome of any of the three, with what was done and how long it took.
void print_outcome(const Tool& tool, const char* did, const std::string& where, const store::BackupManifest& manifest,
                   Clock::time_point began) {
    Json json = manifest_json(manifest);
    json["folder"] = where;
    const auto took = Clock::now() - began;
    json["seconds"] = static_cast<double>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()) / 1e3;
    if (tool.out.format() != Format::table) return tool.out.value(json);
    const std::uint64_t point = manifest.store.stamp.position;
    std::cout << did << ' ' << printable(where) << '\n';
    status_line("point", point == 0 ? "nothing durable yet"
                                    : "batch " + number_text(static_cast<double>(point)) + " of " +
                                          time_text(manifest.store.time_ms));
    status_line("node", printable(manifest.node) + ", trunkline " + printable(manifest.version) + ", taken " +
                            time_text(manifest.taken_at_ms));
    status_line("size", number_text(static_cast<double>(manifest.files.size())) + " files, " +
                            bytes_text(manifest.bytes()));
    status_line("took", duration_since(began));
}

/// Missing, or a folder without anything in it (`but` aside).
bool is_vacant(const fs::path& folder, const char* but = "") {
    std::error_code error;
    const fs::file_status found = fs::symlink_status(folder, error);
    if (found.type() == fs::file_type::not_found) return true;
    if (!fs::is_directory(folder, error)) return false;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        if (at->path().filename() != but) return false;
    }
    return !error;
}

void make_folder(const fs::path& folder) {
    std::error_code error;
    if (fs::create_directories(folder, error)) fs::permissions(folder, fs::perms::owner_all, error);
    if (error) throw Failure(exit_findings, folder.string() + ": " + error.message());
}

/// Waits until the broker has it ready. Returns its manifest as it came.
std::string wait_until_ready(const Tool& tool, const std::string& id) {
    ProgressLine line("preparing");
    while (true) {
        const Json state = request(tool.server, "GET", "/api/v1/backup");
        if (text_of(state, "id") != id) throw Failure(exit_findings, "the broker let the backup go");
        if (text_of(state, "state") == "failed") {
            throw Failure(exit_findings, "the broker could not take it: " + text_of(state, "why"));
        }
        if (text_of(state, "state") == "ready") break;
        line.show(number_of(state, "done_bytes"), number_of(state, "total_bytes"));
        std::this_thread::sleep_for(asking_interval);
    }
    return request_bytes(tool.server, "/api/v1/backup/" + percent_encode(id) + "/manifest");
}

void fetch_file(const Tool& tool, const std::string& base, const store::BackupFile& file, const fs::path& to,
                const std::function<void(std::uint64_t)>& got) {
    const int fd = ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) throw Failure(exit_findings, to.string() + ": " + std::strerror(errno));
    store::Sha256 hash;
    std::string wrong;
    for (std::uint64_t at = 0; at < file.bytes && wrong.empty();) {
        std::string piece;
        try {
            piece = request_bytes(tool.server, base + "?name=" + percent_encode(file.name) + "&offset=" +
                                                   std::to_string(at) + "&bytes=" + std::to_string(piece_bytes));
        } catch (...) {
            ::close(fd);
            throw;
        }
        if (piece.empty() || piece.size() > file.bytes - at) wrong = file.name + " came in another size than announced";
        hash.add(piece);
        for (std::size_t done = 0; done < piece.size() && wrong.empty();) {
            const ssize_t wrote = ::write(fd, piece.data() + done, piece.size() - done);
            if (wrote < 0) wrong = to.string() + ": " + std::strerror(errno);
            else done += static_cast<std::size_t>(wrote);
        }
        at += piece.size();
        got(piece.size());
    }
    if (wrong.empty() && ::fsync(fd) != 0) wrong = to.string() + ": " + std::strerror(errno);
    ::close(fd);
    if (wrong.empty() && hash.finish() != file.sha256) wrong = file.name + " came otherwise than the broker hashed it";
    if (!wrong.empty()) throw Failure(exit_findings, wrong);
}

/// Everything into `folder`. `manifest` is filled.
void fetch(const Tool& tool, const std::string& id, const fs::path& folder, store::BackupManifest& manifest) {
    const std::string json = wait_until_ready(tool, id);
    if (std::string wrong = store::from_json(json, manifest); !wrong.empty()) {
        throw Failure(exit_findings, "the broker's manifest " + wrong);
    }
    ProgressLine line("fetching");
    const std::uint64_t total = manifest.bytes();
    const std::string base = "/api/v1/backup/" + percent_encode(id) + "/file";
    for (const store::BackupFile& file : manifest.files) {
        const fs::path to = folder / file.name;
        make_folder(to.parent_path());
        fetch_file(tool, base, file, to, [&](std::uint64_t bytes) { line.add(bytes, total); });
        store::sync_folder(to.parent_path().string());
    }
    if (std::string wrong = store::write_manifest(folder.string(), json); !wrong.empty()) {
        throw Failure(exit_findings, wrong);
    }
    store::sync_folder(folder.string());
}

/// All problems of a backup, with progress.
std::vector<std::string> check(const std::string& folder, store::BackupManifest& manifest) {
    ProgressLine line("verifying");
    std::uint64_t total = 0;
    store::BackupManifest sizes;
    if (store::read_manifest(folder, sizes).empty()) total = sizes.bytes();
    return store::verify_backup(folder, manifest, [&](std::uint64_t bytes) {
        line.add(bytes, total);
        return true;
    });
}

/// A restore by root must not take the data from the user that the broker runs as.
void give_to_owner_of(const fs::path& data, const fs::path& place) {
    struct stat owner {};
    if (::geteuid() != 0 || ::stat(data.c_str(), &owner) != 0 || owner.st_uid == 0) return;
    std::vector<fs::path> all = {place};
    for (const auto& entry : fs::recursive_directory_iterator(place)) all.push_back(entry.path());
    for (const fs::path& path : all) {
        if (::lchown(path.c_str(), owner.st_uid, owner.st_gid) != 0) {
            throw Failure(exit_findings, path.string() + ": " + std::strerror(errno));
        }
    }
}

/// The recovery mark first and RocksDB's CURRENT last: a broker refuses what a restore that was cut off has left.
std::vector<store::BackupFile> in_safe_order(std::vector<store::BackupFile> files) {
    const auto rank = [](const store::BackupFile& file) {
        return file.name.starts_with("store/mark.") ? 0 : file.name == "store/db/CURRENT" ? 2 : 1;
    };
    std::stable_sort(files.begin(), files.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
    return files;
}

void copy_part(const std::string& folder, const store::BackupManifest& manifest, const std::string& part,
               const fs::path& to) {
    ProgressLine line("restoring");
    for (const store::BackupFile& file : in_safe_order(manifest.files)) {
        if (!file.name.starts_with(part)) continue;
        const fs::path target = to / file.name.substr(part.size());
        make_folder(target.parent_path());
        const auto did = [&](std::uint64_t bytes) {
            line.add(bytes, manifest.bytes());
            return true;
        };
        const std::string wrong = store::copy_file((fs::path(folder) / file.name).string(), target.string(), did);
        if (!wrong.empty()) throw Failure(exit_findings, wrong);
        store::sync_folder(target.parent_path().string());
    }
    store::sync_folder(to.string());
}

}  // namespace

int backup_create(const Tool& tool, const std::string& folder) {
    const auto began = Clock::now();
    const fs::path target = fs::absolute(fs::path(folder) / "").parent_path();
    const fs::path partial = target.string() + ".partial";
    if (!is_vacant(target)) throw Failure(exit_findings, target.string() + " is there already and not empty");
    if (!is_vacant(partial)) {
        throw Failure(exit_findings, partial.string() + " is of a backup that did not end; remove it first");
    }
    make_folder(partial);
    const Json begun = request(tool.server, "POST", "/api/v1/backup");
    const std::string id = text_of(begun, "id"), place = "/api/v1/backup/" + percent_encode(id);
    store::BackupManifest manifest;
    std::error_code error;
    try {
        fetch(tool, id, partial, manifest);
    } catch (...) {
        fs::remove_all(partial, error);
        try {
            (void)request(tool.server, "DELETE", place);
        } catch (const Failure&) {   // what went wrong first is what counts; the broker lets it go by itself
        }
        throw;
    }
    (void)request(tool.server, "DELETE", place);
    fs::remove(target, error);   // empty
    fs::rename(partial, target, error);
    if (error) throw Failure(exit_findings, target.string() + ": " + error.message());
    store::sync_folder(target.parent_path().string());
    print_outcome(tool, "backup written to", target.string(), manifest, began);
    return exit_ok;
}

int backup_verify(const Tool& tool, const std::string& folder) {
    const auto began = Clock::now();
    store::BackupManifest manifest;
    const std::vector<std::string> problems = check(folder, manifest);
    if (problems.empty()) {
        print_outcome(tool, "complete and unaltered:", folder, manifest, began);
        return exit_ok;
    }
    if (tool.out.format() != Format::table) {
        tool.out.value({{"folder", folder}, {"problems", problems}});
        return exit_findings;
    }
    for (const std::string& problem : problems) std::cout << printable(problem) << '\n';
    std::cout << "not to be restored: " << problems.size() << (problems.size() == 1 ? " problem\n" : " problems\n");
    return exit_findings;
}

int backup_restore(const Tool& tool, const std::string& folder, const std::string& data, const std::string& config) {
    const auto began = Clock::now();
    broker::DataLock lock;
    if (!is_vacant(data, "LOCK.trunkline")) {
        throw Failure(exit_findings, data + " is not empty: move it away first, a restore never overwrites");
    }
    if (!config.empty() && !is_vacant(config)) {
        throw Failure(exit_findings, config + " is not empty: name another folder for the configuration's files");
    }
    store::BackupManifest manifest;
    if (const auto problems = check(folder, manifest); !problems.empty()) {
        std::string all = "the backup is not restored:";
        for (const std::string& problem : problems) all += " " + problem + ";";
        all.pop_back();
        throw Failure(exit_findings, all);
    }
    if (std::string wrong = lock.take(data); !wrong.empty()) throw Failure(exit_findings, wrong);
    if (!is_vacant(data, "LOCK.trunkline")) throw Failure(exit_findings, data + " is not empty any more");
    copy_part(folder, manifest, "store/", data);
    give_to_owner_of(data, data);
    if (!config.empty()) copy_part(folder, manifest, "config/", config);
    print_outcome(tool, "restored into", data, manifest, began);
    return exit_ok;
}

void BackupCommands::add(CLI::App& app, std::function<int(const Tool&)>& action) {
    auto* backup = app.add_subcommand("backup", "copies of all that the broker keeps, taken while it runs");
    backup->require_subcommand(1);
    auto* create = backup->add_subcommand("create", "take one and fetch it into a folder");
    create->add_option("FOLDER", folder, "where to: missing or empty")->required();
    create->callback([this, &action] {
        action = [this](const Tool& tool) { return backup_create(tool, folder); };
    });
    auto* verify = backup->add_subcommand("verify", "check every file of one, and that its store opens and is whole");
    verify->add_option("FOLDER", folder, "the backup")->required();
    verify->callback([this, &action] {
        action = [this](const Tool& tool) { return backup_verify(tool, folder); };
    });
    auto* restore = backup->add_subcommand("restore", "verify one and make a data folder of it; the broker is stopped");
    restore->add_option("FOLDER", folder, "the backup")->required();
    restore->add_option("--data", data, "the data folder: missing or empty")->required()->type_name("DIR");
    restore->add_option("--config", config, "put the files of the configuration here: missing or empty")
        ->type_name("DIR");
    restore->callback([this, &action] {
        action = [this](const Tool& tool) { return backup_restore(tool, folder, data, config); };
    });
}

}  // namespace trunkline::cli
