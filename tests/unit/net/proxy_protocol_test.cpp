#include "broker/net/proxy_protocol.h"

#include <catch2/catch.hpp>

#include "tests/unit/net/fixture.h"

using namespace std::string_literals;
using namespace trunkline::net;
using namespace trunkline::net::test;

namespace {

const std::string signature = "\r\n\r\n\0\r\nQUIT\n"s;

std::string v2(int version_command, int family, const std::string& body) {
    std::string header = signature;
    header.push_back(static_cast<char>(version_command));
    header.push_back(static_cast<char>(family));
    header.push_back(static_cast<char>(body.size() >> 8));
    header.push_back(static_cast<char>(body.size()));
    return header + body;
}

const std::string addresses_v4 = "\xC0\xA8\x01\x02\x0A\x00\x00\x01\x1F\x90\x07\x5B"s;
const std::string addresses_v6 = "\x20\x01\x0D\xB8"s + std::string(11, '\0') + "\x07"s + std::string(15, '\0') +
                                 "\x01\x1F\x90\x07\x5B"s;

}  // namespace

TEST_CASE("PROXY headers that are whole", "[net]") {
    struct Row { const char* name; std::string header; bool has_source; const char* source; };
    const Row rows[] = {
        {"v1 TCP4", "PROXY TCP4 192.168.1.2 10.0.0.1 8080 1883\r\n", true, "192.168.1.2:8080"},
        {"v1 TCP6", "PROXY TCP6 2001:db8::7 ::1 8080 1883\r\n", true, "[2001:db8::7]:8080"},
        {"v1 ports at their bounds", "PROXY TCP4 1.2.3.4 5.6.7.8 0 65535\r\n", true, "1.2.3.4:0"},
        {"v1 UNKNOWN", "PROXY UNKNOWN\r\n", false, ""},
        {"v1 UNKNOWN, the rest is ignored", "PROXY UNKNOWN ffff::1 whatever 1 2\r\n", false, ""},
        {"v2 TCP over IPv4", v2(0x21, 0x11, addresses_v4), true, "192.168.1.2:8080"},
        {"v2 TCP over IPv6", v2(0x21, 0x21, addresses_v6), true, "[2001:db8::7]:8080"},
        {"v2 with TLVs", v2(0x21, 0x11, addresses_v4 + "\x03\x00\x04\x01\x02\x03\x04"s), true, "192.168.1.2:8080"},
        {"v2 LOCAL", v2(0x20, 0x00, ""), false, ""},
        {"v2 LOCAL with addresses to be ignored", v2(0x20, 0x11, addresses_v4), false, ""},
        {"v2 UNSPEC", v2(0x21, 0x00, "anything"), false, ""},
        {"v2 Unix", v2(0x21, 0x31, std::string(216, 'p')), false, ""},
    };
    for (const Row& row : rows) {
        INFO(row.name);
        for (const std::string& behind : {""s, "\x10\x0C\x00\x04MQTT"s}) {
            ProxyHeader header;
            REQUIRE(parse_proxy_header(row.header + behind, header) == ProxyStatus::complete);
            CHECK(header.size == row.header.size());
            CHECK(header.has_source == row.has_source);
            if (row.has_source) CHECK(header.source.to_string() == row.source);
        }
        for (std::size_t size = 0; size < row.header.size(); ++size) {
            ProxyHeader header;
            INFO("truncated at " << size);
            CHECK(parse_proxy_header(std::string_view(row.header).substr(0, size), header) == ProxyStatus::incomplete);
        }
    }
}

TEST_CASE("PROXY headers that are none", "[net]") {
    struct Row { const char* name; std::string header; };
    const Row rows[] = {
        {"MQTT straight away", "\x10\x0C\x00\x04MQTT"s},
        {"TLS straight away", "\x16\x03\x01\x02"s},
        {"lower case", "proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n"},
        {"another word", "PROXIES"},
        {"another protocol", "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n"},
        {"nothing behind PROXY", "PROXY \r\n"},
        {"an address too few", "PROXY TCP4 1.2.3.4 1 2\r\n"},
        {"a word too many", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n"},
        {"two spaces", "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n"},
        {"IPv6 under TCP4", "PROXY TCP4 ::1 ::1 1 2\r\n"},
        {"IPv4 under TCP6", "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n"},
        {"an octet of 256", "PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n"},
        {"a port of 65536", "PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n"},
        {"a negative port", "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n"},
        {"a port with a leading zero", "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n"},
        {"an empty port", "PROXY TCP4 1.2.3.4 5.6.7.8  2\r\n"},
        {"a NUL in an address", "PROXY TCP4 1.2.3.4\0 5.6.7.8 1 2\r\n"s},
        {"a line without end", "PROXY TCP4 " + std::string(100, '1')},
        {"a line of 108 bytes", "PROXY UNKNOWN " + std::string(92, 'x') + "\r\n"},
        {"v2 with version 1", v2(0x11, 0x11, addresses_v4)},
        {"v2 with command 2", v2(0x22, 0x11, addresses_v4)},
        {"v2 with addresses cut off", v2(0x21, 0x11, addresses_v4.substr(0, 11))},
        {"v2 IPv6 with room for IPv4", v2(0x21, 0x21, addresses_v4)},
        {"v2 with an unknown family", v2(0x21, 0x41, addresses_v4)},
        {"v2 with an unknown transport", v2(0x21, 0x13, addresses_v4)},
        {"v2 of 64 KiB", v2(0x21, 0x11, std::string(65'535, 'x')).substr(0, 16)},
    };
    for (const Row& row : rows) {
        INFO(row.name);
        ProxyHeader header;
        CHECK(parse_proxy_header(row.header, header) == ProxyStatus::malformed);
        CHECK(std::string(header.error).size() > 5);
    }
}

TEST_CASE("a PROXY listener takes the address from the header, whatever the pieces it comes in", "[net]") {
    auto listener = tcp_listener();
    listener.proxy_protocol = true;
    Server server({listener});
    Peer whole(server.port());
    REQUIRE(whole.send("PROXY TCP4 203.0.113.9 10.0.0.1 4711 1883\r\n" + frame("one")));
    CHECK(whole.receive(7) == frame("one"));
    CHECK(server.echo().last_info().peer.to_string() == "203.0.113.9:4711");
    CHECK_FALSE(server.echo().last_info().local);
    Peer pieces(server.port());
    for (const char byte : v2(0x21, 0x21, addresses_v6) + frame("two")) {
        REQUIRE(pieces.send(std::string_view(&byte, 1)));
        std::this_thread::sleep_for(1ms);
    }
    CHECK(pieces.receive(7) == frame("two"));
    CHECK(server.echo().last_info().peer.to_string() == "[2001:db8::7]:8080");
    Peer health_check(server.port());
    REQUIRE(health_check.send(v2(0x20, 0x00, "") + frame("three")));
    CHECK(health_check.receive(9) == frame("three"));
    CHECK(server.echo().last_info().local);
    Peer direct(server.port());
    REQUIRE(direct.send(frame("no header")));
    CHECK(direct.is_closed());
    CHECK(server.net->listeners()[0].handshake_failures == 1);
    CHECK(server.opened() == 3);
}

TEST_CASE("a PROXY header that does not come is not waited for longer than the CONNECT deadline", "[net]") {
    auto listener = tcp_listener();
    listener.proxy_protocol = true;
    trunkline::broker::Limits limits;
    limits.connect_timeout_ms = 300;
    Server server({listener}, 1, limits);
    Peer silent(server.port());
    Peer slow(server.port());
    REQUIRE(slow.send("PROXY "));
    CHECK(silent.is_closed());
    CHECK(slow.is_closed());
    CHECK(server.net->listeners()[0].handshake_timeouts == 2);
    CHECK(server.opened() == 0);
}

TEST_CASE("connect rates hold behind a PROXY header, by the address it tells", "[net]") {
    auto listener = tcp_listener();
    listener.proxy_protocol = true;
    trunkline::broker::Limits limits;
    limits.connect_rate = 5;
    Server server({listener}, 1, limits);
    std::vector<Peer> peers;
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 20; ++i) {
        peers.emplace_back(server.port());
        REQUIRE(peers.back().send("PROXY TCP4 203.0.113.9 10.0.0.1 4711 1883\r\n"));
    }
    const auto refused = [&] { return static_cast<int>(server.net->listeners()[0].refused_rate); };
    CHECK(eventually([&] { return server.opened() + refused() == 20; }));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    CHECK(server.opened() >= 5);
    CHECK(server.opened() <= 5 + 5 * took.count() + 1);
}
