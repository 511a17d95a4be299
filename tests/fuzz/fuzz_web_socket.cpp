// Any bytes on a WebSocket listener of a running server, by the first byte behind a good upgrade or instead of it, in
// one piece or several. The server closes the connection once the peer is done, and has forgotten it then.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/unit/net/fixture.h"

using namespace trunkline;
using namespace trunkline::net;
using namespace trunkline::net::test;

namespace {

constexpr std::string_view upgrade =
    "GET /mqtt HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

void require(bool holds) {
    if (!holds) std::abort();
}

Server& server() {
    static Server running([] {
        broker::ListenerConfig listener = tcp_listener();
        listener.url = "ws://127.0.0.1:0";
        listener.kind = broker::ListenerKind::ws;
        return std::vector{listener};
    }());
    return running;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size == 0 || size > 4'096) return 0;
    Server& to = server();
    const std::uint8_t how = data[0];
    std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    {
        Peer peer(to.port());
        require(peer.connected());
        if (how & 1) {
            peer.send(upgrade);
            require(peer.receive(12) == "HTTP/1.1 101");
        }
        const std::size_t piece = how & 2 ? std::max<std::size_t>(1, how >> 2U) : bytes.size();
        while (!bytes.empty() && peer.send(bytes.substr(0, piece))) {
            bytes.remove_prefix(std::min(piece, bytes.size()));
        }
        ::shutdown(peer.descriptor(), SHUT_WR);
        require(peer.is_closed());
    }
    require(eventually([&] { return to.opened() == to.closed(); }));
    return 0;
}
