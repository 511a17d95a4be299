#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "auth/audit/witness.h"

namespace trunkline::auth::audit {
namespace {

constexpr int priority = 10 * 8 + 5;  // authpriv.notice (RFC 5424, section 6.2.1)

}  // namespace

SyslogWitness::~SyslogWitness() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

Status SyslogWitness::deliver(const std::string& line) {
    const auto failed = [&](const char* what) {
        const int code = errno;
        if (descriptor_ >= 0) ::close(descriptor_);  // the daemon may have been started again: connect anew
        descriptor_ = -1;
        return Error{Failure::failed, path_ + ": " + what + ": " + std::strerror(code)};
    };
    if (descriptor_ < 0) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        if (path_.size() >= sizeof address.sun_path) return invalid(path_ + ": too long for a Unix socket");
        std::memcpy(address.sun_path, path_.data(), path_.size());
        descriptor_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (descriptor_ < 0) return failed("no socket");
        if (::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
            return failed("cannot connect");
    }
    const std::string datagram =
        "<" + std::to_string(priority) + ">trunkline[" + std::to_string(::getpid()) + "]: " + line;
    if (::send(descriptor_, datagram.data(), datagram.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(datagram.size()))
        return failed("cannot send");
    return {};
}

}  // namespace trunkline::auth::audit
