// Figures rather than verdicts; hidden from ordinary runs: trunkline_net_tests "[.measure]"
#include <catch2/catch.hpp>

#include <malloc.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include <cstdio>
#include <deque>

#include "tests/unit/net/certificates.h"
#include "tests/unit/net/fixture.h"

using namespace trunkline::net::test;

namespace {

double heap_bytes() {
    const auto info = ::mallinfo2();
    return static_cast<double>(info.uordblks + info.hblkhd);
}

double cpu_s() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

}  // namespace

TEST_CASE("memory of idle TCP connections, without what the core keeps", "[.measure]") {
    Server server({tcp_listener()});
    constexpr int count = 5'000;
    std::vector<Peer> peers;
    peers.reserve(count);
    const double before = heap_bytes();
    for (int i = 0; i < count; ++i) peers.emplace_back(server.port());
    for (auto& peer : peers) REQUIRE(peer.send(frame("x")));
    for (auto& peer : peers) REQUIRE(peer.receive(5).size() == 5);
    // The echo shard's client with its output buffer (512 bytes) and set node is not ours.
    const double echo = sizeof(trunkline::broker::Client) + 16 + 512 + 16 + 48;
    std::printf("idle TCP connection: %.0f bytes in net\n", (heap_bytes() - before) / count - echo);
    peers.clear();
    REQUIRE(eventually([&] { return server.net->listeners()[0].connections == 0; }));
}

TEST_CASE("memory of idle TLS connections", "[.measure]") {
    Certificates files;
    files.issue("server", "broker");
    files.issue("client", "edge-7");
    auto listener = tcp_listener();
    listener.kind = trunkline::broker::ListenerKind::tls;
    listener.tls.certificate_file = files.path("server.pem");
    listener.tls.key_file = files.path("server.key");
    listener.tls.ca_file = files.path("ca.pem");
    Server server({listener});
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_use_certificate_file(context, files.path("client.pem").c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context, files.path("client.key").c_str(), SSL_FILETYPE_PEM);
    constexpr int count = 500;
    std::vector<Peer> peers;
    const double before = heap_bytes();
    for (int i = 0; i < count; ++i) {
        peers.emplace_back(server.port());
        SSL* ssl = SSL_new(context);
        SSL_set_fd(ssl, peers.back().descriptor());
        REQUIRE(SSL_connect(ssl) == 1);
        const auto bytes = frame("x");
        REQUIRE(SSL_write(ssl, bytes.data(), static_cast<int>(bytes.size())) == 5);
        char got[8];
        REQUIRE(SSL_read(ssl, got, sizeof got) == 5);
        SSL_free(ssl);   // the client's side must not count; its socket stays open
    }
    std::printf("idle TLS connection: %.0f bytes in net, OpenSSL and the echo\n", (heap_bytes() - before) / count);
    SSL_CTX_free(context);
}

TEST_CASE("connections a second", "[.measure]") {
    Server server({tcp_listener()});
    const auto port = server.port();
    constexpr int count = 60'000;
    const auto begin = std::chrono::steady_clock::now();
    const double cpu_before = cpu_s();
    std::deque<Peer> open;
    for (int i = 0; i < count; ++i) {
        open.emplace_back(port);
        if (!open.back().connected()) FAIL("connect " << i);
        if (open.size() > 500) {
            const linger reset{1, 0};   // no TIME_WAIT: ports do not run out
            ::setsockopt(open.front().descriptor(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
            open.pop_front();
        }
    }
    REQUIRE(eventually([&] { return server.opened() == count; }));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::printf("%.0f connections a second, %.1f us of CPU each with the client's side\n", count / took.count(),
                1e6 * (cpu_s() - cpu_before) / count);
}

TEST_CASE("round trips of one small frame", "[.measure]") {
    Server server({tcp_listener()});
    Peer peer(server.port());
    const auto begin = std::chrono::steady_clock::now();
    constexpr int count = 50'000;
    for (int i = 0; i < count; ++i) {
        if (!peer.send(frame("ping")) || peer.receive(8).size() != 8) FAIL("lost");
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::printf("%.1f us a round trip\n", 1e6 * took.count() / count);
}

TEST_CASE("throughput of 50 connections, 128-byte frames", "[.measure]") {
    Server server({tcp_listener()});
    std::vector<Peer> peers;
    for (int i = 0; i < 50; ++i) peers.emplace_back(server.port());
    std::string batch;
    for (int i = 0; i < 100; ++i) batch += frame(std::string(124, 'x'));
    constexpr int rounds = 400;
    const double cpu_before = cpu_s();
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < rounds; ++i) {
        for (auto& peer : peers) (void)peer.send(batch);
        for (auto& peer : peers) REQUIRE(peer.receive(batch.size()).size() == batch.size());
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    const double frames = 50.0 * 100 * rounds;
    std::printf("%.2f million frames a second there and back, %.3f us of CPU each with the client's side\n",
                frames / took.count() / 1e6, 1e6 * (cpu_s() - cpu_before) / frames);
}
