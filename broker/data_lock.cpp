#include "broker/data_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace trunkline::broker {

DataLock::~DataLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

std::string DataLock::take(const std::string& directory) {
    namespace fs = std::filesystem;
    std::error_code error;
    const bool made = fs::create_directories(directory, error);
    if (!error && made) fs::permissions(directory, fs::perms::owner_all, error);
    if (error) return "the data folder " + directory + " cannot be made: " + error.message();
    const std::string file = directory + "/LOCK.trunkline";
    const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return file + " cannot be opened: " + std::strerror(errno) + "; the broker must own its data folder";
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        char holder[32] = {};
        [[maybe_unused]] const ssize_t read = ::pread(fd, holder, sizeof holder - 1, 0);
        holder[std::strcspn(holder, "\n")] = '\0';
        ::close(fd);
        return "the data folder " + directory + " is in use by another broker" +
               (holder[0] ? " (process " + std::string(holder) + ")" : std::string()) +
               "; stop it, or choose another folder with --data";
    }
    const std::string pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, pid.data(), pid.size(), 0) < 0) {
        ::close(fd);
        return file + " cannot be written: " + std::strerror(errno);
    }
    descriptor_ = fd;
    return {};
}

}  // namespace trunkline::broker
