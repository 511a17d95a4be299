#include "broker/net/admission.h"

#include <catch2/catch.hpp>

using trunkline::broker::Limits;
using trunkline::broker::PeerAddress;
using trunkline::net::Admission;
using trunkline::net::Admit;

namespace {

PeerAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    PeerAddress peer;
    peer.ip = {a, b, c, d};
    peer.family = 4;
    return peer;
}

PeerAddress v6(std::uint8_t network, std::uint8_t host) {
    PeerAddress peer;
    peer.ip = {0x20, 0x01, 0, 0, 0, 0, 0, network, 0, 0, 0, 0, 0, 0, 0, host};
    peer.family = 6;
    return peer;
}

int admitted(Admission& admission, const PeerAddress& peer, int tries, std::int64_t now_ms) {
    int yes = 0;
    for (int i = 0; i < tries; ++i) yes += admission.admit(peer, now_ms) == Admit::yes;
    return yes;
}

}  // namespace

TEST_CASE("the connect rate refills with time and spares loopback and Unix sockets", "[net]") {
    Limits limits;
    limits.connect_rate = 100;
    Admission admission(limits);
    CHECK(admitted(admission, v4(10, 0, 0, 1), 200, 1'000) == 100);
    CHECK(admission.admit(v4(10, 0, 0, 2), 1'000) == Admit::rate);
    CHECK(admitted(admission, v4(127, 0, 0, 1), 200, 1'000) == 200);
    CHECK(admitted(admission, PeerAddress{}, 200, 1'000) == 200);
    CHECK(admitted(admission, v4(10, 0, 0, 1), 200, 1'500) == 50);
    CHECK(admitted(admission, v4(10, 0, 0, 1), 500, 100'000) == 100);   // never more than a second's worth
}

TEST_CASE("an address that failed gets its own rate until it has behaved for a minute", "[net]") {
    Limits limits;
    limits.connect_rate = 0;
    limits.connect_failures_per_address = 10;
    Admission admission(limits);
    const auto bad = v4(10, 0, 0, 1), good = v4(10, 0, 0, 2);
    CHECK(admitted(admission, bad, 50, 1'000) == 50);
    admission.failed(bad, 1'000);
    CHECK(admitted(admission, bad, 50, 1'000) == 10);
    CHECK(admission.admit(bad, 1'000) == Admit::address);
    CHECK(admitted(admission, good, 50, 1'000) == 50);
    CHECK(admitted(admission, bad, 50, 2'000) == 10);
    CHECK(admitted(admission, bad, 50, 62'000) == 50);
}

TEST_CASE("IPv6 addresses count by their network", "[net]") {
    Limits limits;
    limits.connect_rate = 0;
    limits.connect_failures_per_address = 10;
    Admission admission(limits);
    admission.failed(v6(1, 1), 0);
    CHECK(admitted(admission, v6(1, 2), 20, 0) == 10);
    CHECK(admitted(admission, v6(2, 1), 20, 0) == 20);
}

TEST_CASE("a flood of failing addresses takes bounded memory and forgets the oldest", "[net]") {
    Limits limits;
    limits.connect_rate = 0;
    limits.connect_failures_per_address = 1;
    Admission admission(limits);
    const auto address = [](std::size_t i) {
        const auto octet = [i](int shift) { return static_cast<std::uint8_t>(i >> shift); };
        return v4(10, octet(16), octet(8), octet(0));
    };
    for (std::size_t i = 0; i <= Admission::addresses_max; ++i) admission.failed(address(i), 0);
    CHECK(admitted(admission, address(0), 5, 0) == 5);                             // forgotten
    CHECK(admitted(admission, address(Admission::addresses_max), 5, 0) == 1);      // remembered
}
