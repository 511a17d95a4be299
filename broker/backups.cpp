#include "broker/backups.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include "broker/config_audit.h"
#include "broker/core/log.h"
#include "broker/version.h"

namespace trunkline::broker {
namespace {

namespace fs = std::filesystem;
using Stage = admin::BackupProgress::State;

constexpr std::int64_t unasked_ms_max = 60'000;   // trunkctl asks several times a second

std::string make_folder(const fs::path& folder) {
    std::error_code error;
    fs::create_directories(folder, error);
    return error ? folder.string() + ": " + error.message() : "";
}

/// Regular files of a folder, by name.
std::set<std::string> files_of(const fs::path& folder) {
    std::set<std::string> names;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        if (at->symlink_status(error).type() == fs::file_type::regular) names.insert(at->path().filename().string());
    }
    return names;
}

}  // namespace

struct Backups::Held {
    admin::BackupProgress progress;
    fs::path folder;
    std::string manifest;
    std::map<std::string, std::uint64_t> sizes;    // of the manifest's files, once it is ready
    std::atomic<std::int64_t> asked_ms{0};         // monotonic
    std::atomic<bool> released{false};

    ~Held() {
        std::error_code ignored;
        fs::remove_all(folder, ignored);
    }
};

Backups::Backups(store::Store& store, const Config& config, std::string config_file)
    : store_(store), node_(config.node), data_(config.data_dir), audit_(audit_folder(config)),
      root_(config.data_dir + "/backup.tmp") {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
    std::vector<std::string> files = {std::move(config_file), config.model_file, config.admin.tokens_file,
                                      roles_file_of(config.authorizers)};
    const auto add_key_sets = [&files](const std::vector<AuthenticatorConfig>& authenticators) {
        for (const AuthenticatorConfig& one : authenticators) files.push_back(one.jwks_file);
    };
    add_key_sets(config.authenticators);
    for (const ListenerConfig& listener : config.listeners) add_key_sets(listener.authenticators);
    for (std::string& file : files) {
        const bool known = std::find(config_files_.begin(), config_files_.end(), file) != config_files_.end();
        if (!file.empty() && !known) config_files_.push_back(std::move(file));
    }
}

Backups::~Backups() = default;

std::string Backups::begin() {
    expire();
    const std::lock_guard lock(mutex_);
    if (held_ && held_->progress.state != Stage::failed) return {};
    held_ = std::make_shared<Held>();
    held_->progress.state = Stage::preparing;
    held_->progress.id = std::to_string(admin::wall_ms()) + "-" + std::to_string(++count_);
    held_->folder = fs::path(root_) / held_->progress.id;
    held_->asked_ms = admin::steady_ms();
    return held_->progress.id;
}

std::shared_ptr<Backups::Held> Backups::find(const std::string& id) {
    const std::lock_guard lock(mutex_);
    if (!held_ || held_->progress.id != id) return nullptr;
    held_->asked_ms = admin::steady_ms();
    return held_;
}

void Backups::prepare(const std::string& id, const std::function<bool()>& go_on) {
    const auto held = find(id);
    if (!held) return;
    const std::int64_t began_ms = admin::steady_ms();
    std::string wrong;
    try {
        wrong = take(*held, [&] { return go_on() && !held->released; });
    } catch (const std::exception& error) {   // of the file system, or out of memory: this backup fails, nothing else
        wrong = error.what();
    }
    const std::lock_guard lock(mutex_);
    held->asked_ms = admin::steady_ms();
    held->progress.state = wrong.empty() ? Stage::ready : Stage::failed;
    held->progress.why = wrong;
    const std::string took_ms = std::to_string(admin::steady_ms() - began_ms);
    if (!wrong.empty()) return log(Level::error, "backup_failed", {{"what", wrong}, {"ms", took_ms}});
    log(Level::info, "backup_ready", {{"id", id}, {"bytes", std::to_string(held->progress.total_bytes)},
                                      {"ms", took_ms}});
}

/// The checkpoint first: what the rest of the backup is, is then at least as new.
std::string Backups::take(Held& held, const std::function<bool()>& go_on) {
    store::BackupManifest manifest;
    manifest.node = node_;
    manifest.version = version;
    manifest.taken_at_ms = admin::wall_ms();
    if (std::string wrong = make_folder(held.folder); !wrong.empty()) return wrong;
    const fs::path folder = held.folder / "store";
    if (const auto status = store_.checkpoint(folder.string()); !status.ok()) return status.detail;
    const auto copying = [&](std::uint64_t) { return go_on(); };
    for (const char* name : {"browse.0", "browse.1"}) {
        const fs::path from = fs::path(data_) / name;
        if (!fs::exists(from)) continue;
        std::string wrong = store::copy_file(from.string(), (folder / name).string(), copying);
        if (!wrong.empty()) return wrong;
    }
    if (std::string wrong = copy_audit(held); !wrong.empty()) return wrong;
    if (std::string wrong = copy_config(held); !wrong.empty()) return wrong;

    std::uint64_t total = 0;
    for (const auto& entry : fs::recursive_directory_iterator(held.folder)) {
        if (!entry.is_regular_file()) continue;
        manifest.files.push_back({fs::relative(entry.path(), held.folder).generic_string(), entry.file_size(), ""});
        total += entry.file_size();
    }
    std::sort(manifest.files.begin(), manifest.files.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    {
        const std::lock_guard lock(mutex_);
        held.progress.total_bytes = 2 * total;   // hashed, then opened and read
    }
    const auto did = [&](std::uint64_t bytes) {
        const std::lock_guard lock(mutex_);
        held.progress.done_bytes = std::min(held.progress.done_bytes + bytes, held.progress.total_bytes);
        return go_on();
    };
    for (store::BackupFile& file : manifest.files) {
        if (std::string wrong = store::hash_file((held.folder / file.name).string(), file, did); !wrong.empty()) {
            return wrong;
        }
        held.sizes[file.name] = file.bytes;
    }
    std::uint64_t read = 0;
    const auto reading = [&](std::uint64_t bytes) { return did(bytes - std::exchange(read, bytes)); };
    if (const auto status = store::summarise(folder.string(), manifest.store, reading); !status.ok()) {
        return status.detail;
    }
    held.manifest = store::to_json(manifest);
    const std::lock_guard lock(mutex_);
    held.progress.done_bytes = held.progress.total_bytes;
    return {};
}

/// The trail's mark first: what it says was durable is then in the segments that are copied after it. The key comes
/// along where it lies beside the trail; without it nobody could go on with the trail.
std::string Backups::copy_audit(const Held& held) const {
    const fs::path to = held.folder / "store" / "audit";
    const auto copy = [&](const fs::path& folder, const std::string& name) -> std::string {
        std::error_code error;
        const fs::path from = fs::path(audit_) / folder / name;
        if (!fs::exists(from, error)) return {};
        if (std::string wrong = make_folder(to / folder); !wrong.empty()) return wrong;
        return store::copy_file(from.string(), (to / folder / name).string(), {});
    };
    std::vector<std::pair<fs::path, std::string>> files = {{"trail", "mark"}, {"", "key"}, {"", "key.pub"}};
    const auto add = [&](const fs::path& folder, bool tiles) {
        for (const std::string& name : files_of(fs::path(audit_) / folder)) {
            const bool skip = name == "mark" || name.starts_with("LOCK") || name.ends_with(".lock");
            if (!skip && name.starts_with("tiles-") == tiles) files.emplace_back(folder, name);
        }
    };
    add("trail", true);
    add("trail", false);
    add("witnessed", false);
    for (const auto& [folder, name] : files) {
        if (std::string wrong = copy(folder, name); !wrong.empty()) return wrong;
    }
    return {};
}

std::string Backups::copy_config(const Held& held) const {
    const fs::path to = held.folder / "config";
    for (const std::string& file : config_files_) {
        if (std::string wrong = make_folder(to); !wrong.empty()) return wrong;
        fs::path name = fs::path(file).filename();
        for (int n = 2; fs::exists(to / name); ++n) {
            name = fs::path(file).filename().string() + "." + std::to_string(n);
        }
        const std::string real = fs::weakly_canonical(file).string();   // a link to the file is followed
        if (std::string wrong = store::copy_file(real, (to / name).string(), {}); !wrong.empty()) return wrong;
    }
    return {};
}

admin::BackupProgress Backups::progress() {
    const std::lock_guard lock(mutex_);
    if (!held_) return {};
    held_->asked_ms = admin::steady_ms();
    return held_->progress;
}

std::optional<std::string> Backups::manifest(const std::string& id) {
    const auto held = find(id);
    const std::lock_guard lock(mutex_);
    if (!held || held->progress.state != Stage::ready) return std::nullopt;
    return held->manifest;
}

std::optional<std::string> Backups::read(const std::string& id, const std::string& name, std::uint64_t offset,
                                         std::uint64_t bytes) {
    const auto held = find(id);
    {
        const std::lock_guard lock(mutex_);
        if (!held || held->progress.state != Stage::ready) return std::nullopt;
    }
    const auto file = held->sizes.find(name);
    if (file == held->sizes.end() || offset > file->second) return std::nullopt;
    const int fd = ::open((held->folder / name).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return std::nullopt;
    std::string piece(std::min(bytes, file->second - offset), '\0');
    const ssize_t got = ::pread(fd, piece.data(), piece.size(), static_cast<off_t>(offset));
    ::close(fd);
    if (got < 0) return std::nullopt;
    piece.resize(static_cast<std::size_t>(got));
    return piece;
}

bool Backups::release(const std::string& id) {
    std::shared_ptr<Held> gone;   // its folder is removed outside the lock, or when prepare() has given up
    const std::lock_guard lock(mutex_);
    if (!held_ || held_->progress.id != id) return false;
    held_->released = true;
    gone = std::move(held_);
    return true;
}

void Backups::expire() {
    std::shared_ptr<Held> gone;
    const std::lock_guard lock(mutex_);
    if (!held_ || held_->progress.state == Stage::preparing) return;
    if (admin::steady_ms() - held_->asked_ms <= unasked_ms_max) return;
    log(Level::warn, "backup_expired", {{"id", held_->progress.id}, {"why", "nobody asked about it for a minute"}});
    gone = std::move(held_);
}

}  // namespace trunkline::broker
