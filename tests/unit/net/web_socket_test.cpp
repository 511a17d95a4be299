// MQTT over WebSocket, chapter 6 of MQTT 5.0.
#include <catch2/catch.hpp>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include "tests/unit/net/certificates.h"
#include "tests/unit/net/fixture.h"

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;
using boost::system::error_code;
using namespace trunkline::net::test;
using trunkline::broker::Limits;
using trunkline::broker::ListenerConfig;
using trunkline::broker::ListenerKind;

namespace {

ListenerConfig ws_listener() {
    ListenerConfig listener = tcp_listener();
    listener.url = "ws://127.0.0.1:0";
    listener.kind = ListenerKind::ws;
    return listener;
}

/// A blocking WebSocket client over a plain socket.
struct WsPeer {
    explicit WsPeer(std::uint16_t port, const std::string& protocols = "mqtt", const std::string& path = "/mqtt")
        : stream(context) {
        stream.next_layer().connect({asio::ip::address_v4::loopback(), port});
        const timeval limit{5, 0};
        ::setsockopt(stream.next_layer().native_handle(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        stream.set_option(websocket::stream_base::decorator([protocols](websocket::request_type& request) {
            if (!protocols.empty()) request.set(beast::http::field::sec_websocket_protocol, protocols);
        }));
        stream.handshake(response, "127.0.0.1", path, error);
        stream.binary(true);
    }
    void send(std::string_view bytes) { stream.write(asio::buffer(bytes.data(), bytes.size()), error); }
    std::string receive(std::size_t size) {
        beast::flat_buffer buffer;
        while (buffer.size() < size && !error) {
            stream.read_some(buffer, 65'536, error);
            binary = binary && stream.got_binary();
        }
        return beast::buffers_to_string(buffer.data());
    }
    [[nodiscard]] std::string protocol() {
        return std::string(response[beast::http::field::sec_websocket_protocol]);
    }

    asio::io_context context;
    websocket::stream<asio::ip::tcp::socket> stream;
    websocket::response_type response;
    error_code error;
    bool binary = true;
};

}  // namespace

TEST_CASE("WebSocket: the subprotocol is selected and bytes go both ways in binary [MQTT-6.0.0-4]", "[net]") {
    Server server({ws_listener()});
    WsPeer peer(server.port());
    REQUIRE_FALSE(peer.error);
    CHECK(peer.protocol() == "mqtt");
    peer.send(frame("hello"));
    CHECK(peer.receive(9) == frame("hello"));
    CHECK(peer.binary);
    WsPeer old(server.port(), "chat, mqttv3.1", "/any/path?x=1");
    CHECK(old.protocol() == "mqttv3.1");
    WsPeer both(server.port(), "mqttv3.1, mqtt");
    CHECK(both.protocol() == "mqtt");
}

TEST_CASE("WebSocket: a client that does not offer mqtt is told so", "[net]") {
    Server server({ws_listener()});
    for (const char* protocols : {"", "chat", "mqtt5"}) {
        WsPeer peer(server.port(), protocols);
        CHECK(peer.error == websocket::error::upgrade_declined);
        CHECK(peer.response.result_int() == 400);
    }
    CHECK(server.opened() == 0);
    CHECK(server.net->listeners()[0].handshake_failures == 3);
}

TEST_CASE("WebSocket: packets need not align with frames [MQTT-6.0.0-2]", "[net]") {
    Server server({ws_listener()});
    WsPeer peer(server.port());
    const std::string bytes = frame("first") + frame("second") + frame(std::string(3'000, 'x'));
    for (std::size_t at = 0; at < bytes.size(); at += 7) peer.send(std::string_view(bytes).substr(at, 7));
    CHECK(peer.receive(bytes.size()) == bytes);
    peer.send(bytes + bytes);   // and several packets in one frame
    CHECK(peer.receive(2 * bytes.size()) == bytes + bytes);
    peer.stream.write_some(false, asio::buffer(bytes.data(), 11));   // a message in two fragments
    peer.stream.write_some(true, asio::buffer(bytes.data() + 11, bytes.size() - 11));
    CHECK(peer.receive(bytes.size()) == bytes);
}

TEST_CASE("WebSocket: large packets, also in frames of one byte, are not quadratic", "[net]") {
    Server server({ws_listener()});
    WsPeer peer(server.port());
    const std::string big = frame(std::string(1 << 20, 'x'));
    for (int i = 0; i < 3; ++i) {
        peer.send(big);
        CHECK(peer.receive(big.size()) == big);
    }
    const std::string small = frame(std::string(30'000, 'y'));
    std::string wire;   // masked with zeros: header, length 1, mask, byte
    for (const char byte : small) wire += std::string("\x82\x81\0\0\0\0", 6) + byte;
    const auto begin = std::chrono::steady_clock::now();
    asio::write(peer.stream.next_layer(), asio::buffer(wire));
    CHECK(peer.receive(small.size()) == small);
    CHECK(std::chrono::steady_clock::now() - begin < 3s);
}

TEST_CASE("WebSocket: a text message closes the connection [MQTT-6.0.0-1]", "[net]") {
    Server server({ws_listener()});
    WsPeer peer(server.port());
    peer.stream.text(true);
    peer.send(frame("hello"));
    peer.receive(1);
    CHECK(peer.error == websocket::error::closed);
    CHECK(peer.stream.reason().code == websocket::close_code::unknown_data);
    CHECK(eventually([&] { return server.closed() == 1; }));
    CHECK(eventually([&] { return server.net->listeners()[0].connections == 0; }));
}

TEST_CASE("WebSocket: pings are answered", "[net]") {
    Server server({ws_listener()});
    WsPeer peer(server.port());
    std::string pong;
    peer.stream.control_callback([&](websocket::frame_type type, beast::string_view text) {
        if (type == websocket::frame_type::pong) pong = std::string(text);
    });
    peer.stream.ping("are you there");
    peer.send(frame("x"));
    CHECK(peer.receive(5) == frame("x"));
    CHECK(pong == "are you there");
}

TEST_CASE("WebSocket: the goodbye comes before an orderly close", "[net]") {
    Server server({ws_listener()});
    server.echo().goodbye_bytes = 300'000;
    WsPeer peer(server.port());
    peer.send(frame("close"));
    CHECK(peer.receive(300'000).size() == 300'000);
    peer.receive(1);
    CHECK(peer.error == websocket::error::closed);
    CHECK(peer.stream.reason().code == websocket::close_code::normal);
    CHECK(eventually([&] { return server.net->listeners()[0].connections == 0; }));
}

TEST_CASE("WebSocket: the shard hears of peers that go, in order or not", "[net]") {
    Server server({ws_listener()});
    {
        WsPeer orderly(server.port());
        orderly.stream.close(websocket::close_code::normal);
        WsPeer abrupt(server.port());
        REQUIRE(eventually([&] { return server.opened() == 2; }));
    }
    CHECK(eventually([&] { return server.closed() == 2; }));
    CHECK(eventually([&] { return server.net->listeners()[0].connections == 0; }));
}

TEST_CASE("WebSocket: backpressure in both directions", "[net]") {
    Server server({ws_listener()});
    WsPeer peer(server.port());
    std::thread sender([&] {
        for (int i = 0; i < 20; ++i) {
            error_code ignored;
            const auto bytes = frame(std::string(1 << 20, static_cast<char>('a' + i)));
            peer.stream.write(asio::buffer(bytes), ignored);
        }
    });
    std::this_thread::sleep_for(200ms);
    bool in_order = true;
    for (int i = 0; i < 20; ++i) {
        std::string expected = frame(std::string(1 << 20, static_cast<char>('a' + i)));
        std::string got(expected.size(), '\0');
        for (std::size_t at = 0; at < got.size() && !peer.error;) {
            at += peer.stream.read_some(asio::buffer(got.data() + at, got.size() - at), peer.error);
        }
        in_order = in_order && got == expected;
    }
    sender.join();
    CHECK(in_order);
    CHECK(eventually([&] { return server.echo().writable_calls > 0; }));
}

TEST_CASE("WebSocket: a paused connection is offered nothing until it goes on", "[net]") {
    Server server({ws_listener()});
    WsPeer peer(server.port());
    peer.send(frame("pause"));
    REQUIRE(peer.receive(9) == frame("pause"));
    const auto offered = server.echo().bytes_offered.load();
    for (int i = 0; i < 10; ++i) peer.send(frame("more"));
    std::this_thread::sleep_for(100ms);
    CHECK(server.echo().bytes_offered == offered);
    CHECK(peer.receive(80).size() == 80);
}

TEST_CASE("WebSocket: requests that are too large, wrong or late", "[net]") {
    Limits limits;
    limits.connect_timeout_ms = 500;
    Server server({ws_listener()}, 1, limits);
    Peer large(server.port());
    (void)large.send("GET /mqtt HTTP/1.1\r\nX: " + std::string(20'000, 'x'));
    CHECK(large.receive(100'000).starts_with("HTTP/1.1 400"));
    Peer plain(server.port());
    REQUIRE(plain.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    CHECK(plain.receive(100'000).starts_with("HTTP/1.1 426"));
    Peer mqtt(server.port());
    REQUIRE(mqtt.send("\x10\x0C"));
    CHECK(mqtt.is_closed());
    Peer slow(server.port());
    REQUIRE(slow.send("GET /mqtt HTTP/1.1\r\n"));
    CHECK(slow.is_closed());
    CHECK(server.opened() == 0);
    CHECK(eventually([&] { return server.net->listeners()[0].connections == 0; }));
}

TEST_CASE("WebSocket: a frame that lies about its length allocates nothing and holds nobody up", "[net]") {
    Server server({ws_listener()});
    WsPeer liar(server.port());
    const std::string header("\x82\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0\0\0", 14);
    asio::write(liar.stream.next_layer(), asio::buffer(header + frame("in it")));
    CHECK(liar.receive(9) == frame("in it"));   // read as it comes
    WsPeer unmasked(server.port());
    asio::write(unmasked.stream.next_layer(), asio::buffer(std::string("\x82\x01x", 3)));
    unmasked.receive(1);
    CHECK(unmasked.error);
    WsPeer other(server.port());
    other.send(frame("x"));
    CHECK(other.receive(5) == frame("x"));
}

TEST_CASE("WebSocket: one flooding client does not starve another", "[net]") {
    Server server({ws_listener()});
    WsPeer flood(server.port());
    std::atomic<bool> done{false};
    std::thread sender([&] {
        std::string wire;   // pings, which never reach the shard
        for (int i = 0; i < 10'000; ++i) wire += std::string("\x89\x80\0\0\0\0", 6);
        error_code ignored;
        flood.stream.next_layer().non_blocking(true, ignored);
        while (!done) {
            flood.stream.next_layer().write_some(asio::buffer(wire), ignored);
            char drop[65'536];
            (void)::recv(flood.stream.next_layer().native_handle(), drop, sizeof drop, MSG_DONTWAIT);
        }
    });
    WsPeer other(server.port());
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 20; ++i) {
        other.send(frame("x"));
        CHECK(other.receive(5) == frame("x"));
    }
    CHECK(std::chrono::steady_clock::now() - begin < 2s);
    done = true;
    sender.join();
}

TEST_CASE("WSS: the same over TLS", "[net]") {
    Certificates files;
    files.issue("server", "broker");
    auto listener = ws_listener();
    listener.url = "wss://127.0.0.1:0";
    listener.kind = ListenerKind::wss;
    listener.tls.certificate_file = files.path("server.pem");
    listener.tls.key_file = files.path("server.key");
    Server server({listener});
    asio::io_context context;
    asio::ssl::context tls(asio::ssl::context::tls_client);
    websocket::stream<asio::ssl::stream<asio::ip::tcp::socket>> stream(context, tls);
    stream.next_layer().next_layer().connect({asio::ip::address_v4::loopback(), server.port()});
    stream.next_layer().handshake(asio::ssl::stream_base::client);
    stream.set_option(websocket::stream_base::decorator(
        [](websocket::request_type& request) { request.set(beast::http::field::sec_websocket_protocol, "mqtt"); }));
    stream.handshake("127.0.0.1", "/mqtt");
    stream.binary(true);
    for (const std::string& text : {std::string("small"), std::string(1 << 20, 'b'), std::string("after")}) {
        stream.write(asio::buffer(frame(text)));
        std::string got;
        while (got.size() < text.size() + 4) {
            beast::flat_buffer buffer;
            stream.read_some(buffer, 65'536);
            got += beast::buffers_to_string(buffer.data());
        }
        CHECK(got == frame(text));
    }
    CHECK(server.echo().last_info().secure);
    stream.write(asio::buffer(frame("close")));
    error_code error;
    beast::flat_buffer buffer;
    while (!error) stream.read_some(buffer, 1'024, error);
    CHECK(error == websocket::error::closed);
    CHECK(beast::buffers_to_string(buffer.data()) == std::string(10, 'g'));
}

TEST_CASE("WebSocket: stopping with connections in every stage", "[net]") {
    Server server({ws_listener()}, 2);
    WsPeer open(server.port());
    WsPeer paused(server.port());
    paused.send(frame("pause"));
    paused.receive(9);
    Peer upgrading(server.port());
    (void)upgrading.send("GET /mq");
    REQUIRE(eventually([&] { return server.opened() == 2; }));
    server.net->stop();
    CHECK(server.closed() == 2);
    CHECK(server.net->listeners()[0].connections == 0);
}
