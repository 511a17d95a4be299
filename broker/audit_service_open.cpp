// AuditService: its key, opening the trail, and which leaves the trail has already.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "auth/audit/reader.h"
#include "broker/audit_service.h"
#include "broker/core/log.h"

namespace trunkline::broker {

namespace audit = auth::audit;

namespace {

constexpr std::size_t key_bytes_max = 4096;

/// The name of a trail may hold printable ASCII without space and plus.
std::string origin_of(const std::string& node) {
    std::string origin;
    for (const char c : node.substr(0, 100)) origin += c > ' ' && c < 0x7F && c != '+' ? c : '-';
    return (origin.empty() ? "trunkline" : origin) + "/audit";
}

/// nullopt: it is not there, or `wrong` says why it cannot be read.
std::optional<std::string> read_file(const std::string& path, std::string& wrong) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        if (errno != ENOENT) wrong = path + ": " + std::strerror(errno);
        return std::nullopt;
    }
    std::string text(key_bytes_max, '\0');
    const ssize_t got = ::read(file, text.data(), text.size());
    ::close(file);
    if (got < 0) {
        wrong = path + ": " + std::strerror(errno);
        return std::nullopt;
    }
    text.resize(static_cast<std::size_t>(got));
    return text;
}

/// Mode 0600, synced with its folder; never over another file.
std::string write_file(const std::string& path, const std::string& text) {
    const auto failed = [&path] { return path + " cannot be written: " + std::strerror(errno); };
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) return failed();
    const bool whole =
        ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
    const std::string wrong = whole ? "" : failed();
    ::close(file);
    if (!wrong.empty()) return wrong;
    const int folder = ::open(path.substr(0, path.rfind('/') + 1).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return failed();
    const bool synced = ::fsync(folder) == 0;
    ::close(folder);
    return synced ? "" : failed();
}

}  // namespace

std::string AuditService::load_key() {
    std::string wrong;
    const auto text = read_file(key_file_, wrong);
    if (!wrong.empty()) return "the audit trail's key " + wrong;
    if (text) {
        struct stat found {};
        if (::stat(key_file_.c_str(), &found) == 0 && (found.st_mode & 0077) != 0) {
            return "the audit trail's key " + key_file_ + " can be read by others; chmod 600 it";
        }
        auto key = audit::SigningKey::parse(*text);
        if (!key) return "the audit trail's key " + key_file_ + ": " + key.error().message;
        key_ = std::make_unique<audit::SigningKey>(std::move(*key));
        return {};
    }
    const auto size = store_->size(audit::mark_name);
    if (size && *size > 0) {
        return "the audit trail in " + folder() + " exists and its key " + key_file_ +
               " does not; restore the key, or move the trail away to begin a new one";
    }
    auto key = audit::SigningKey::generate(origin_of(options_.node));
    if (!key) return "no key can be made for the audit trail: " + key.error().message;
    if (wrong = write_file(key_file_, key->to_secret_text() + "\n"); !wrong.empty()) return wrong;
    (void)write_file(key_file_ + ".pub", key->verify_key().to_text() + "\n");
    log(Level::info, "audit_key_made", {{"public_key", key->verify_key().to_text()}, {"file", key_file_}});
    key_ = std::make_unique<audit::SigningKey>(std::move(*key));
    return {};
}

std::string AuditService::open_log(std::uint64_t durable_at_least) {
    audit::LogOptions options;
    options.policy = options_.policy;
    options.pending_bytes_max = options_.pending_bytes_max;
    options.segment_bytes_max = options_.segment_bytes_max;
    options.durable_at_least = durable_at_least;
    auto opened = audit::AuditLog::open(*store_, *key_, now(), options);
    if (!opened && opened.error().kind == audit::Failure::invalid) {  // a rotation that did not come to its end
        std::string wrong;
        const std::string next = key_file_ + ".next";
        const auto text = read_file(next, wrong);
        const auto key = text ? audit::SigningKey::parse(*text) : audit::invalid("none");
        if (key) {
            auto again = audit::AuditLog::open(*store_, *key, now(), options);
            if (again) {
                if (::rename(next.c_str(), key_file_.c_str()) != 0) return next + ": " + std::strerror(errno);
                key_ = std::make_unique<audit::SigningKey>(*key);
                opened = std::move(again);
            }
        }
    }
    if (opened) {
        log_ = std::move(*opened);
        return {};
    }
    // Damage, or a disk that is full or fails, does not keep the broker from what needs no audit.
    if (opened.error().kind == audit::Failure::invalid) return opened.error().message;
    broken_ = true;
    set_failure(opened.error().message);
    return {};
}

std::string AuditService::open(const store::LeavesKeptOp& kept) {
    if (options_.store) {
        store_ = options_.store;
    } else {
        if (::mkdir(options_.dir.c_str(), 0700) != 0 && errno != EEXIST) {
            return "the audit folder " + options_.dir + " cannot be made: " + std::strerror(errno);
        }
        ::chmod(options_.dir.c_str(), 0700);
        auto opened = audit::FileAuditStore::open(folder(), audit::FileAuditStore::Mode::write);
        if (!opened) return "the audit trail cannot be opened: " + opened.error().message;
        owned_store_ = std::move(*opened);
        store_ = owned_store_.get();
    }
    if (std::string wrong = load_key(); !wrong.empty()) return wrong;
    if (std::string wrong = open_log(options_.begin_anew ? 0 : kept.trail_size); !wrong.empty()) return wrong;
    {
        const std::lock_guard lock(numbers_mutex_);
        numbers_.origin = key_->verify_key().name;
        numbers_.key = key_->verify_key().to_text();
    }
    if (!log_) return {};
    const bool shorter = log_->size() < kept.trail_size;
    if (std::string wrong = reconcile(shorter ? store::LeavesKeptOp{kept.through, 0} : kept); !wrong.empty()) {
        broken_ = true;
        set_failure(wrong);
        return {};
    }
    const std::string running = options_.dir + "/running";
    if (!options_.store) {
        after_crash_ = ::access(running.c_str(), F_OK) == 0 && !log_->recovery().created;
        if (!after_crash_) (void)write_file(running, "the broker has this trail open\n");
    }
    if (shorter) {
        add_own("audit.begun-anew", log_->key().name,
                "audit.begin_anew: the trail has " + std::to_string(log_->size()) + " leaves, an earlier one had " +
                    std::to_string(kept.trail_size));
    }
    set_failure("");
    log(Level::info, "audit_opened", {{"folder", folder()},
                                      {"public_key", log_->key().to_text()},
                                      {"leaves", std::to_string(log_->size())},
                                      {"after_crash", after_crash_ ? "yes" : "no"}});
    return {};
}

/// Leaves go to the trail in log order and are removed beside their messages later, so that after a crash the trail may
/// have the first of them already. How many: it is compared, leaf by leaf, from where the durable state knows it.
std::string AuditService::reconcile(const store::LeavesKeptOp& kept) {
    {
        const std::lock_guard lock(mutex_);
        for (Batch& batch : batches_) taken_.push_back(std::move(batch));
        batches_.clear();
    }
    while (!taken_.empty() && taken_.front().position <= kept.through) taken_.pop_front();
    appended_ = kept;
    if (taken_.empty()) return {};
    const auto reader = audit::TrailReader::open(*store_);
    if (!reader) return reader.error().kind == audit::Failure::absent ? "" : reader.error().message;
    auto batch = taken_.begin();
    std::size_t at = 0;
    std::uint64_t unknown = 0;
    const auto done = reader->for_each_publish(kept.trail_size, [&](const audit::Digest& leaf) {
        while (batch != taken_.end() && at == batch->leaves.size()) ++batch, at = 0;
        const bool same = batch != taken_.end() &&
                          std::memcmp(batch->leaves.data() + at, leaf.data(), leaf.size()) == 0;
        if (same && unknown == 0) {
            at += leaf.size();
            ++skip_;
        } else {
            ++unknown;
        }
        return true;
    });
    if (!done) return done.error().message;
    if (unknown > 0) {
        add_own("audit.store-behind", "leaves",
                "the trail has leaves of publishes that the store does not know: the store is older than the trail",
                unknown);
        log(Level::error, "audit_store_behind", {{"leaves", std::to_string(unknown)}});
    }
    return {};
}

void AuditService::rotate_key(std::string actor, std::string reason, std::function<void(std::string wrong)> done) {
    auto wrong = std::make_shared<std::string>("the audit trail cannot be written");
    const auto work = [this, wrong, actor = std::move(actor), reason = std::move(reason)] {
        auto key = audit::SigningKey::generate(log_->key().name);
        if (!key) {
            *wrong = key.error().message;
            return;
        }
        const std::string next = key_file_ + ".next";  // first: a crash after the change must find the key
        ::unlink(next.c_str());
        if (*wrong = write_file(next, key->to_secret_text() + "\n"); !wrong->empty()) return;
        if (const auto rotated = log_->rotate_key(*key, now(), actor, reason); !rotated) {
            *wrong = rotated.error().message;
            return;
        }
        if (::rename(next.c_str(), key_file_.c_str()) != 0) *wrong = next + ": " + std::strerror(errno);
        ::unlink((key_file_ + ".pub").c_str());
        (void)write_file(key_file_ + ".pub", key->verify_key().to_text() + "\n");
        log(Level::info, "audit_key_rotated", {{"public_key", key->verify_key().to_text()}});
        key_ = std::make_unique<audit::SigningKey>(std::move(*key));
    };
    {
        const std::lock_guard lock(mutex_);
        jobs_.push_back({{}, work, [wrong, done = std::move(done)](bool) { done(*wrong); }, true});
    }
    wake_.notify_one();
}

}  // namespace trunkline::broker
