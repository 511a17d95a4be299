#include "broker/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace trunkline::broker {

void notify_supervisor(std::string_view state) {
    const char* path = std::getenv("NOTIFY_SOCKET");
    if (!path || (*path != '/' && *path != '@')) return;
    sockaddr_un address{};
    const std::size_t length = std::strlen(path);
    if (length >= sizeof address.sun_path) return;
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path, length);
    if (*path == '@') address.sun_path[0] = '\0';   // abstract namespace
    const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    ::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
             static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
    ::close(fd);
}

std::uint64_t watchdog_interval_ms() {
    const char* microseconds = std::getenv("WATCHDOG_USEC");
    const char* pid = std::getenv("WATCHDOG_PID");
    if (!microseconds || (pid && std::strtol(pid, nullptr, 10) != ::getpid())) return 0;
    return std::strtoull(microseconds, nullptr, 10) / 2'000;
}

}  // namespace trunkline::broker
