#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "auth/audit/store.h"

namespace trunkline::auth::audit {
namespace {

constexpr std::size_t files_open_max = 16;  // a segment, the mark and the tiles of a few levels are in use at a time
constexpr std::size_t bulk_bytes = 64 * 1024;    // written at once: some 1,000 leaves

Error failure(const std::string& path, const char* what) {
    const int code = errno;
    const Failure kind = code == ENOENT                     ? Failure::absent
                         : code == ENOSPC || code == EDQUOT ? Failure::no_space
                                                            : Failure::failed;
    return {kind, path + ": " + what + ": " + std::strerror(code)};
}

/// All of it, or an error.
bool write_all(int descriptor, std::string_view bytes, std::uint64_t offset) {
    while (!bytes.empty()) {
        const ssize_t count = ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return true;
}

/// Name of a file that the trail may have; a name from outside never leads out of the folder.
bool is_plain_name(const std::string& name) {
    return !name.empty() && name[0] != '.' && name.find('/') == std::string::npos;
}

}  // namespace

struct FileAuditStore::File {
    int descriptor = -1;
    std::uint64_t size = 0;
    bool fresh = false;  ///< its name in the folder is not yet synced
    ~File() {
        if (descriptor >= 0) ::close(descriptor);
    }
};

FileAuditStore::FileAuditStore(std::string folder, int descriptor, Mode mode)
    : folder_(std::move(folder)), descriptor_(descriptor), mode_(mode) {}

FileAuditStore::~FileAuditStore() {
    open_.clear();
    ::close(descriptor_);
}

Result<std::unique_ptr<FileAuditStore>> FileAuditStore::open(const std::string& folder, Mode mode) {
    if (mode == Mode::write && ::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
        return failure(folder, "cannot create the folder");
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return failure(folder, "cannot open the folder");
    std::unique_ptr<FileAuditStore> store(new FileAuditStore(folder, descriptor, mode));
    if (mode == Mode::read) return store;
    struct stat info {};
    if (::fstat(descriptor, &info) != 0) return failure(folder, "cannot look at the folder");
    if (info.st_mode & 077 && ::fchmod(descriptor, 0700) != 0)
        return failure(folder, "others may enter the folder, and its mode cannot be changed to 0700");
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0)
        return Error{Failure::failed, folder + ": another process writes this audit trail"};
    return store;
}

Result<std::vector<std::string>> FileAuditStore::list() const {
    std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder_.c_str()), ::closedir);
    if (!dir) return failure(folder_, "cannot list the folder");
    std::vector<std::string> names;
    for (errno = 0; const dirent* entry = ::readdir(dir.get()); errno = 0)
        if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    if (errno != 0) return failure(folder_, "cannot list the folder");
    std::sort(names.begin(), names.end());
    return names;
}

Result<std::uint64_t> FileAuditStore::size(const std::string& name) const {
    struct stat info {};
    if (::fstatat(descriptor_, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
        return failure(path(name), "cannot stat");
    return static_cast<std::uint64_t>(info.st_size);
}

Result<std::string> FileAuditStore::read(const std::string& name, std::uint64_t offset, std::uint64_t length) const {
    if (!is_plain_name(name)) return invalid("\"" + name + "\" is no name of a file of the trail");
    struct Closed {
        int descriptor;
        ~Closed() {
            if (descriptor >= 0) ::close(descriptor);
        }
    } const file{::openat(descriptor_, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
    struct stat info {};
    if (file.descriptor < 0 || ::fstat(file.descriptor, &info) != 0) return failure(path(name), "cannot open");
    const auto whole = static_cast<std::uint64_t>(info.st_size);
    if (offset >= whole) return std::string();
    std::string bytes(std::min(length, whole - offset), '\0');
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t count =
            ::pread(file.descriptor, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return failure(path(name), "cannot read");
        if (count == 0) break;
        done += static_cast<std::size_t>(count);
    }
    bytes.resize(done);
    return bytes;
}

Result<FileAuditStore::File*> FileAuditStore::writable(const std::string& name) {
    if (mode_ == Mode::read) return invalid(folder_ + " is open for reading");
    if (!is_plain_name(name)) return invalid("\"" + name + "\" is no name of a file of the trail");
    if (const auto found = open_.find(name); found != open_.end()) return found->second.get();
    if (open_.size() == files_open_max) {  // the least entitled goes: any whose name in the folder is safe
        const auto victim =
            std::find_if(open_.begin(), open_.end(), [](const auto& file) { return !file.second->fresh; });
        open_.erase(victim == open_.end() ? open_.begin() : victim);
    }
    auto file = std::make_unique<File>();
    file->descriptor = ::openat(descriptor_, name.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (file->descriptor < 0 && errno == ENOENT) {
        file->descriptor =
            ::openat(descriptor_, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        file->fresh = true;
    }
    struct stat info {};
    if (file->descriptor < 0 || ::fstat(file->descriptor, &info) != 0) return failure(path(name), "cannot open");
    file->size = static_cast<std::uint64_t>(info.st_size);
    return open_.emplace(name, std::move(file)).first->second.get();
}

Status FileAuditStore::append(const std::string& name, std::string_view bytes) {
    const auto file = writable(name);
    if (!file) return file.error();
    File& to = **file;
    // Many leaves: hardly anybody will read them, so what is on the disk by now need not stay in memory.
    if (bytes.size() >= bulk_bytes) (void)::posix_fadvise(to.descriptor, 0, 0, POSIX_FADV_DONTNEED);
    if (!write_all(to.descriptor, bytes, to.size)) {
        const Error error = failure(path(name), "cannot write");
        // Half a frame must not stay: what is appended next would follow it.
        if (::ftruncate(to.descriptor, static_cast<off_t>(to.size)) != 0) return failure(path(name), "cannot truncate");
        return error;
    }
    to.size += bytes.size();
    return {};
}

Status FileAuditStore::write_at(const std::string& name, std::uint64_t offset, std::string_view bytes) {
    const auto file = writable(name);
    if (!file) return file.error();
    if (!write_all((*file)->descriptor, bytes, offset)) return failure(path(name), "cannot write");
    (*file)->size = std::max((*file)->size, offset + bytes.size());
    return {};
}

Status FileAuditStore::truncate(const std::string& name, std::uint64_t size) {
    const auto file = writable(name);
    if (!file) return file.error();
    if (::ftruncate((*file)->descriptor, static_cast<off_t>(size)) != 0) return failure(path(name), "cannot truncate");
    (*file)->size = size;
    return {};
}

Status FileAuditStore::remove(const std::string& name) {
    if (mode_ == Mode::read || !is_plain_name(name)) return invalid("\"" + name + "\" cannot be removed");
    open_.erase(name);
    if (::unlinkat(descriptor_, name.c_str(), 0) != 0 && errno != ENOENT) return failure(path(name), "cannot remove");
    if (::fsync(descriptor_) != 0) return Error{Failure::failed, folder_ + ": cannot sync the folder"};
    return {};
}

Status FileAuditStore::sync(const std::string& name) {
    const auto file = writable(name);
    if (!file) return file.error();
    const auto failed = [&](const char* what) {
        Error error = failure(path(name), what);
        error.kind = Failure::failed;  // whatever errno says: what was written is in doubt
        return error;
    };
    if (::fdatasync((*file)->descriptor) != 0) return failed("cannot sync");
    if ((*file)->fresh && ::fsync(descriptor_) != 0) return failed("cannot sync the folder");
    (*file)->fresh = false;
    return {};
}

}  // namespace trunkline::auth::audit
