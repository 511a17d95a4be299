#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "auth/audit/witness.h"

namespace trunkline::auth::audit {
namespace {

struct Descriptor {
    int value;
    ~Descriptor() {
        if (value >= 0) ::close(value);
    }
};

/// A crash may have left half a line: what is appended must start on one of its own.
bool ends_within_line(int descriptor) {
    struct stat info {};
    char last = '\n';
    return ::fstat(descriptor, &info) == 0 && info.st_size > 0 &&
           ::pread(descriptor, &last, 1, info.st_size - 1) == 1 && last != '\n';
}

}  // namespace

Status FileWitness::deliver(const std::string& line) {
    const auto failed = [&](const char* what) {
        return Error{errno == ENOSPC ? Failure::no_space : Failure::failed,
                     path_ + ": " + what + ": " + std::strerror(errno)};
    };
    // Opened anew each time: the disk may be taken out, and logrotate may move the file.
    const Descriptor file{::open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (file.value < 0) return failed("cannot open");
    const std::string bytes = (ends_within_line(file.value) ? "\n" : "") + line + "\n";
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t count = ::write(file.value, bytes.data() + done, bytes.size() - done);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return failed("cannot write");
        done += static_cast<std::size_t>(count);
    }
    if (::fsync(file.value) != 0) return failed("cannot sync");
    return {};
}

}  // namespace trunkline::auth::audit
