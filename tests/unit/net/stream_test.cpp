// Plain sockets: what every transport builds on.
#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/unit/net/fixture.h"

using namespace trunkline::net::test;
using trunkline::broker::Limits;
using trunkline::broker::ListenerConfig;
using trunkline::broker::ListenerKind;

TEST_CASE("bytes go to the shard and come back", "[net]") {
    Server server({tcp_listener()});
    Peer peer(server.port());
    REQUIRE(peer.send(frame("hello")));
    CHECK(peer.receive(9) == frame("hello"));
    CHECK(server.echo().last_info().local);
    CHECK(server.echo().last_info().peer.family == 4);
    CHECK_FALSE(server.echo().last_info().secure);
}

TEST_CASE("frames that arrive byte by byte are put together", "[net]") {
    Server server({tcp_listener()});
    Peer peer(server.port());
    const std::string bytes = frame("first") + frame("second");
    for (const char byte : bytes) {
        REQUIRE(peer.send(std::string_view(&byte, 1)));
        std::this_thread::sleep_for(1ms);
    }
    CHECK(peer.receive(bytes.size()) == bytes);
}

TEST_CASE("a large packet in small pieces is not copied once for each piece", "[net]") {
    Server server({tcp_listener()});
    Peer peer(server.port());
    const std::string big = frame(std::string(1 << 20, 'x'));
    std::thread sender([&] {
        for (std::size_t at = 0; at < big.size(); at += 1'000) (void)peer.send(std::string_view(big).substr(at, 1'000));
        (void)peer.send(frame("after"));
    });
    const std::string got = peer.receive(big.size() + 9);
    sender.join();
    CHECK(got == big + frame("after"));
}

TEST_CASE("what a full socket does not take is written later, in order", "[net]") {
    Server server({tcp_listener()});
    Peer peer(server.port());
    const int frames = 40;
    std::thread sender([&] {
        for (int i = 0; i < frames; ++i) (void)peer.send(frame(std::string(1 << 20, static_cast<char>('a' + i % 26))));
    });
    std::this_thread::sleep_for(200ms);   // both directions fill up
    bool in_order = true;
    for (int i = 0; i < frames; ++i) {
        const std::string expected = frame(std::string(1 << 20, static_cast<char>('a' + i % 26)));
        in_order = in_order && peer.receive(expected.size()) == expected;
    }
    sender.join();
    CHECK(in_order);
    CHECK(eventually([&] { return server.echo().writable_calls > 0; }));
}

TEST_CASE("the last packet arrives although the peer had more to say", "[net]") {
    Server server({tcp_listener()});
    server.echo().goodbye_bytes = 300'000;
    Peer peer(server.port());
    // What follows "close" is unread when the socket goes: without the drain it would be answered by a reset that
    // destroys the goodbye.
    REQUIRE(peer.send(frame("close") + std::string(200'000, 'u')));
    CHECK(peer.receive(300'000).size() == 300'000);
    CHECK(peer.is_closed());
    CHECK_FALSE(peer.reset);
    CHECK(eventually([&] { return server.net->listeners()[0].connections == 0; }));
}

TEST_CASE("a peer that never closes is closed a moment after the goodbye", "[net]") {
    Server server({tcp_listener()});
    Peer peer(server.port());
    REQUIRE(peer.send(frame("close")));
    CHECK(peer.receive(10).size() == 10);
    CHECK(eventually([&] { return server.net->listeners()[0].connections == 0; }, 3s));
}

TEST_CASE("the shard hears of a peer that goes", "[net]") {
    Server server({tcp_listener()});
    {
        Peer orderly(server.port());
        Peer abrupt(server.port());
        REQUIRE(eventually([&] { return server.opened() == 2; }));
        const linger reset{1, 0};
        ::setsockopt(abrupt.descriptor(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    CHECK(eventually([&] { return server.closed() == 2; }));
    CHECK(eventually([&] { return server.net->listeners()[0].connections == 0; }));
}

TEST_CASE("data and the end of the stream in one go are both seen", "[net]") {
    Server server({tcp_listener()});
    for (int i = 0; i < 50; ++i) {
        Peer peer(server.port());
        REQUIRE(peer.send(frame("last words")));
        ::shutdown(peer.descriptor(), SHUT_WR);
        CHECK(peer.receive(14) == frame("last words"));
        CHECK(peer.is_closed());
    }
    CHECK(eventually([&] { return server.closed() == 50; }));
}

TEST_CASE("a paused connection is not read and does not spin, and goes on later", "[net]") {
    Server server({tcp_listener()});
    Peer peer(server.port());
    REQUIRE(peer.send(frame("pause")));
    REQUIRE(peer.receive(9).size() == 9);
    const auto turns = server.echo().turns.load();
    const auto offered = server.echo().bytes_offered.load();
    for (int i = 0; i < 20; ++i) {
        REQUIRE(peer.send(frame("more")));
        std::this_thread::sleep_for(5ms);
    }
    CHECK(server.echo().bytes_offered == offered);
    CHECK(server.echo().turns - turns < 60);   // a wake-up for each piece, not a loop
    std::string expected;
    for (int i = 0; i < 20; ++i) expected += frame("more");
    CHECK(peer.receive(expected.size()) == expected);
}

TEST_CASE("the end of a paused connection is noticed when it goes on", "[net]") {
    Server server({tcp_listener()});
    {
        Peer peer(server.port());
        REQUIRE(peer.send(frame("pause")));
        REQUIRE(peer.receive(9).size() == 9);
    }
    CHECK(eventually([&] { return server.closed() == 1; }, 2s));
}

TEST_CASE("a reset of a paused connection is noticed at once", "[net]") {
    Server server({tcp_listener()});
    {
        Peer peer(server.port());
        REQUIRE(peer.send(frame("pause")));
        REQUIRE(peer.receive(9).size() == 9);
        const linger reset{1, 0};
        ::setsockopt(peer.descriptor(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    CHECK(eventually([&] { return server.closed() == 1; }, 450ms));
}

TEST_CASE("closing one connection from within another's call leaves the bytes at hand alone", "[net]") {
    Server server({tcp_listener()});
    for (int i = 0; i < 20; ++i) {
        Peer victim(server.port());
        REQUIRE(victim.send(frame("pause")));
        REQUIRE(victim.receive(9).size() == 9);
        REQUIRE(victim.send(std::string(100'000, 'v')));   // unread when it is closed
        Peer taker(server.port());
        const std::string bytes = frame("kick") + frame(std::string(20'000, 't'));
        REQUIRE(taker.send(bytes));
        REQUIRE(taker.receive(bytes.size()) == bytes);
        CHECK(victim.is_closed());
    }
}

TEST_CASE("thousands of connections over two shards", "[net]") {
    Server server({tcp_listener()}, 2);
    std::vector<Peer> peers;
    for (int i = 0; i < 3'000; ++i) {
        peers.emplace_back(server.port());
        REQUIRE(peers.back().connected());
    }
    for (auto& peer : peers) REQUIRE(peer.send(frame("ping")));
    for (auto& peer : peers) REQUIRE(peer.receive(8) == frame("ping"));
    CHECK(std::abs(server.echo(0).opened - server.echo(1).opened) < 50);   // placed on the least loaded
    CHECK(server.net->listeners()[0].connections == 3'000);
    peers.clear();
    CHECK(eventually([&] { return server.closed() == 3'000; }));
    CHECK(eventually([&] { return server.net->listeners()[0].connections == 0; }));
}

TEST_CASE("mail from another thread wakes a sleeping shard at once", "[net]") {
    Server server({tcp_listener()});
    for (int i = 1; i <= 100; ++i) {
        server.wakers.wake(0);
        REQUIRE(eventually([&] { return server.echo().mails >= i; }, 1s));
    }
    const int before = server.echo().mails;
    std::thread other([&] { for (int i = 0; i < 100'000; ++i) server.wakers.wake(0); });
    for (int i = 0; i < 100'000; ++i) server.wakers.wake(0);
    other.join();
    CHECK(eventually([&] { return server.echo().mails > before; }, 1s));   // the wakers may have had both cores
    const int seen = server.echo().mails;
    server.wakers.wake(0);
    CHECK(eventually([&] { return server.echo().mails > seen; }, 1s));
}

TEST_CASE("a listener's own limit closes what is above it", "[net]") {
    auto listener = tcp_listener();
    listener.max_connections = 3;
    Server server({listener});
    std::vector<Peer> peers;
    for (int i = 0; i < 3; ++i) peers.emplace_back(server.port());
    REQUIRE(eventually([&] { return server.opened() == 3; }));
    Peer fourth(server.port());
    CHECK(fourth.is_closed());
    CHECK(server.net->listeners()[0].refused_limit == 1);
    peers.clear();
    REQUIRE(eventually([&] { return server.net->listeners()[0].connections == 0; }));
    Peer again(server.port());
    REQUIRE(again.send(frame("x")));
    CHECK(again.receive(5) == frame("x"));
}

TEST_CASE("a connection that the shard refuses is closed", "[net]") {
    Server server({tcp_listener()});
    server.echo().refuse = true;
    Peer peer(server.port());
    CHECK(peer.is_closed());
    CHECK(eventually([&] { return server.net->listeners()[0].connections == 0; }));
}

TEST_CASE("without descriptors accepting pauses and goes on by itself", "[net]") {
    Server server({tcp_listener()});
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    const int highest = ::dup(0);
    ::close(highest);
    Peer first(server.port());
    REQUIRE(eventually([&] { return server.opened() == 1; }));
    const int peer_only = ::socket(AF_INET, SOCK_STREAM, 0);   // made before the limit falls
    rlimit low = before;
    low.rlim_cur = static_cast<rlim_t>(peer_only) + 1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // Nothing is judged while the limit is low: UBSan looks at an object's memory through a pipe.
    const int limited = ::setrlimit(RLIMIT_NOFILE, &low);
    const int connected = ::connect(peer_only, reinterpret_cast<sockaddr*>(&address), sizeof address);
    std::this_thread::sleep_for(100ms);
    const auto turns_before = server.echo().turns.load();
    std::this_thread::sleep_for(300ms);
    const auto turns = server.echo().turns - turns_before;
    const auto opened = server.opened();
    ::setrlimit(RLIMIT_NOFILE, &before);
    REQUIRE(limited == 0);
    REQUIRE(connected == 0);
    CHECK(turns < 30);
    CHECK(opened == 1);
    CHECK(eventually([&] { return server.opened() == 2; }, 1s));
    ::close(peer_only);
}

TEST_CASE("stopping to accept leaves connections alone; stop closes them", "[net]") {
    Server server({tcp_listener()});
    Peer peer(server.port());
    REQUIRE(peer.send(frame("a")));
    REQUIRE(peer.receive(5).size() == 5);
    const auto port = server.port();
    server.net->stop_accepting();
    Peer late(port);
    CHECK_FALSE(late.connected());
    REQUIRE(peer.send(frame("b")));
    CHECK(peer.receive(5) == frame("b"));
    server.net->stop();
    CHECK(peer.is_closed());
    CHECK(server.closed() == 1);
}

TEST_CASE("a port in use is refused with the listener's name", "[net]") {
    Server server({tcp_listener()});
    auto taken = tcp_listener();
    taken.port = server.port();
    taken.url = "mqtt://127.0.0.1:" + std::to_string(taken.port);
    CHECK_THROWS_WITH(Server({taken}), Catch::Contains(taken.url) && Catch::Contains("in use"));
}

TEST_CASE("an IPv6 listener and one on a name take connections", "[net]") {
    auto named = tcp_listener();
    named.host = "localhost";
    auto any = tcp_listener();
    any.host = "*";
    Server server({named, any});
    for (std::size_t i = 0; i < 2; ++i) {
        Peer peer(server.port(i));
        REQUIRE(peer.send(frame("x")));
        CHECK(peer.receive(5) == frame("x"));
        CHECK(server.echo().last_info().peer.family == 4);   // also where the socket is a dual-stack one
        CHECK(server.echo().last_info().listener == i);
    }
}

TEST_CASE("Unix sockets: mode, stale files, files in use", "[net]") {
    const std::string path = "/tmp/trunkline-net-test-" + std::to_string(::getpid()) + ".sock";
    ListenerConfig listener;
    listener.url = "unix:" + path;
    listener.kind = ListenerKind::unix_socket;
    listener.host = path;
    {
        sockaddr_un address{};   // left by a process that was killed
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        const int stale = ::socket(AF_UNIX, SOCK_STREAM, 0);
        REQUIRE(::bind(stale, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
        ::close(stale);
    }
    {
        Server server({listener});
        struct stat status{};
        REQUIRE(::stat(path.c_str(), &status) == 0);
        CHECK((status.st_mode & 0777) == 0660);
        Peer peer(path);
        REQUIRE(peer.send(frame("over the file")));
        CHECK(peer.receive(17) == frame("over the file"));
        CHECK(server.echo().last_info().local);
        CHECK(server.echo().last_info().peer.family == 0);
        CHECK_THROWS_WITH(Server({listener}), Catch::Contains("in use"));
    }
    struct stat status{};
    CHECK(::stat(path.c_str(), &status) != 0);
    const int ordinary = ::open(path.c_str(), O_CREAT | O_WRONLY, 0600);
    ::close(ordinary);
    CHECK_THROWS_WITH(Server({listener}), Catch::Contains("no socket"));
    ::unlink(path.c_str());
}

TEST_CASE("who is let in does not wait for a crowd that wants in", "[net]") {
    Server server({tcp_listener()});
    Peer member(server.port());
    REQUIRE(member.send(frame("let in")));
    REQUIRE(member.receive(10) == frame("let in"));
    std::vector<Peer> crowd;
    for (int i = 0; i < 100; ++i) crowd.emplace_back(server.port());
    REQUIRE(eventually([&] { return server.opened() == 101; }));
    for (Peer& one : crowd) REQUIRE(one.send(frame("slow")));
    REQUIRE(member.send(frame("when")));
    CHECK(member.receive(8) == frame("when"));
    CHECK(server.echo().frames_before_when < 50);   // without the line nearly all of them
    for (Peer& one : crowd) CHECK(one.receive(8) == frame("slow"));
}
